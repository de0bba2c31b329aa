"""What tests of evaluations share: lineups of house rules and other models, cases, and suites of a few of them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.models import Model
from structlog.testing import capture_logs

from openoutcry import wiring
from openoutcry.eval.fixtures import Fixtures
from openoutcry.eval.lineup import Candidate, Lineup
from openoutcry.eval.scenario import Scenario
from openoutcry.eval.stage import Stage
from openoutcry.eval.suite import Suite


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep the log off the screen: a traceback with all that a case holds takes minutes to draw."""
    with capture_logs():
        yield


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A stage whose data is kept for the session."""
    return Stage(Fixtures(tmp_path_factory.mktemp("eval") / "fixtures"))


@pytest.fixture
def lineup() -> Callable[..., Lineup]:
    """A lineup under a name: house rules, but for the models given by seat."""

    def seated(name: str = "house", **models: Model) -> Lineup:
        every: Mapping[str, Model] = {**wiring.house_models(), **models}
        digests = {seat: name if seat in models else "house" for seat in every}
        return Lineup(name, every, {seat: Candidate(name=digest) for seat, digest in digests.items()})

    return seated


@pytest.fixture(scope="session")
def steady() -> Callable[..., Scenario]:
    """A case about the risk of a made-up company whose one-day bound is known by construction."""

    def scenario(name: str = "case", **values: Any) -> Scenario:
        given: dict[str, Any] = {
            "id": name,
            "category": "value at risk",
            "cluster": "KALO",
            "seat": "risk",
            "fixture": {"made": [{"situation": "steady", "seed": 1}]},
            "question": "How risky is Kalo over the next 1 day at 99% confidence?",
            "expect": {"tools": {"required": ["value_at_risk"]}},
        }
        return Scenario.model_validate({**given, **values})

    return scenario


@pytest.fixture(scope="session")
def suite_of() -> Callable[..., Suite]:
    """A suite of scenarios."""

    def suite(*scenarios: Scenario, name: str = "trial", beside: Path = Path()) -> Suite:
        return Suite(name, "dev", "", tuple(scenarios), beside)

    return suite
