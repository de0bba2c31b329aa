"""Examples from the open set: what the teacher passed, tones by construction, and nothing that is held back."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from openoutcry.agents.house.reader import tone_of
from openoutcry.core.errors import DataError, UsageError
from openoutcry.core.settings import load
from openoutcry.eval.runner import stored
from openoutcry.training.examples import cleaning, from_scenarios, toned
from openoutcry.training.examples.grounding import ungrounded
from openoutcry.training.examples.making import Sources, make
from openoutcry.training.examples.rows import Chat, Pair, Tone
from openoutcry.trial import Trial

NOW = datetime(2026, 11, 12, 17, tzinfo=UTC)


def silent(done: int, of: int) -> None:
    pass


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenarios")


@pytest.fixture
def models(home: Path) -> Iterator[Trial]:
    trial = Trial(load().model_copy(update={"home": home}))
    yield trial
    trial.close()


def test_what_the_teacher_passed_is_kept_as_it_would_be_asked(home: Path, models: Trial) -> None:
    seen: list[tuple[int, int]] = []
    found = from_scenarios.conversations(home, models, "risk", "house", 5, lambda done, of: seen.append((done, of)))
    done = stored(home / "training", "last")
    passed = {f"scenario:{o.scenario}" for o in done.outcomes if o.score == 1}
    assert done.plan.bank == "dev" and len(done.outcomes) == 5 and seen[-1] == (5, 5)
    assert {row.source for row in found.rows} == passed
    assert found.rows and found.left["a case that was not passed"] == 5 - len(passed)
    for row in found.rows:
        assert isinstance(row, Chat)
        assert not ungrounded(row) and row.role == "risk"
        assert [t["function"]["name"] for t in row.tools][:2] == ["drawdown", "volatility"]
        assert row.known_at < NOW


def test_the_coordinator_and_the_embedder_learn_too(home: Path, models: Trial) -> None:
    found = from_scenarios.conversations(home, models, "coordinator", "house", 2, silent)
    assert [row.role for row in found.rows if isinstance(row, Chat)] == ["coordinator"] * len(found.rows) != []
    pairs = from_scenarios.pairs(home, models, "house", 2, silent)
    assert pairs.rows
    for row in pairs.rows:
        assert isinstance(row, Pair) and "{" not in row.positive


def test_a_teacher_that_there_is_not_is_refused(home: Path, models: Trial) -> None:
    with pytest.raises(UsageError, match="expected a model of the stack, got 'oracle'"):
        from_scenarios.conversations(home, models, "risk", "oracle", 2, silent)


def test_tones_are_those_by_construction() -> None:
    found = toned.documents(None)
    rows = [row for row in found.rows if isinstance(row, Tone)]
    assert {label: sum(row.label == label for row in rows) > 60 for label in ("positive", "neutral", "negative")} == {
        "positive": True,
        "neutral": True,
        "negative": True,
    }
    told = [row for row in rows if "told" in row.source]
    assert sum(tone_of(row.text, macro=False).endswith(row.label) for row in told) > 0.7 * len(told)
    assert not [row for row in rows if row.text.startswith("\n") or "\n" not in row.text]
    assert toned.documents(2).rows == rows[: len(toned.documents(2).rows)]


def test_a_set_is_made_and_nothing_of_it_is_near_what_is_held_back(
    home: Path, models: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over all shipped suites, in both sets that are held back."""
    told: list[str] = []
    made = make(home, "reader", Sources(models=models, limit=30), NOW, lambda what, done, of: told.append(what))
    assert made.manifest.kind == "tone" and made.manifest.sources == {"scenario": sum(made.manifest.rows.values())}
    assert len(made.manifest.compared) == 12 and "safety sealed 2026Q4" in made.manifest.compared
    assert cleaning.OVERLAPS not in made.manifest.left_out and "compare with what is held back" in told
    monkeypatch.setattr(cleaning, "shipped", lambda: ["chat"])
    again = [make(home, "risk", Sources(models=models, limit=5), NOW) for _ in range(2)]
    assert again[0].manifest.digest == again[1].manifest.digest
    assert again[0].manifest.rows["train"] >= 1
    with pytest.raises(DataError, match="expected at least 2 rows for risk, got 0; left out: there was none"):
        make(home, "risk", Sources(), NOW)
    with pytest.raises(UsageError, match="expected a role among"):
        make(home, "oracle", Sources(), NOW)
