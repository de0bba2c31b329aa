"""Why a process ended, as its log says it."""

from pathlib import Path

import pytest

from openoutcry.serving.running import printed

LOG = """\
INFO 11-25 02:46:36 [a.py:1] OSError: of an earlier start
(EngineCore pid=7) ERROR 11-25 02:46:36 [core.py:9] ValueError: no room for the cache
(EngineCore pid=7) WARNING 11-25 02:46:36 [x.py:1] see error: 9
RuntimeError: Engine core initialization failed. See root cause above.
"""


@pytest.mark.parametrize(
    ("text", "blamed"),
    [
        (LOG, "ValueError: no room for the cache"),
        (LOG.splitlines()[-1], "RuntimeError: Engine core initialization failed. See root cause above."),
        (
            "pydantic_core.ValidationError: 1 validation error for ModelConfig\n  Value error, 256 is too long\n   For",
            "pydantic_core.ValidationError: 1 validation error for ModelConfig Value error, 256 is too long",
        ),
        ("api_server.py: error: unrecognized arguments: --x\n", "api_server.py: error: unrecognized arguments: --x"),
        ("all is well\n", ""),
    ],
)
def test_the_line_that_says_why(tmp_path: Path, text: str, blamed: str) -> None:
    log = tmp_path / "m-0.log"
    log.write_text("ValueError: of an earlier process\n" + text)
    assert printed.blame(log, len("ValueError: of an earlier process\n")) == blamed
