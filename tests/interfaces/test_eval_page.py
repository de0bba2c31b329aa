"""The pictures of an evaluation, an ablation in words and as a page, and the bar that a terminal shows."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openoutcry.cli import main
from openoutcry.eval.ablation import Ablation, Arm
from openoutcry.eval.comparison import Difference
from openoutcry.eval.lineup import SEATS
from openoutcry.eval.outcome import Check, Outcome
from openoutcry.eval.runner import PLAN, Plan, Progress
from openoutcry.eval.runner import Run as StoredRun
from openoutcry.interfaces import eval_page, eval_pictures, eval_runs_text, eval_text
from openoutcry.interfaces.eval_watch import Watch

Run = Callable[..., Result]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def outcry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`outcry eval`, in a folder of its own that holds the example of a suite."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["--home", str(tmp_path / "home"), "eval", *words])

    run("new", "mine.toml")
    return run


def difference(name: str, value: float, low: float, high: float) -> Difference:
    return Difference(
        name=name,
        cases=9,
        clusters=3,
        first=0.5,
        second=0.5 + value,
        difference=value,
        low=low,
        high=high,
        method="signs",
    )


def test_the_picture_of_differences_shows_what_is_sure_and_the_margin() -> None:
    found = [
        difference("overall", 0.02, -0.01, 0.05),
        difference("better", 0.1, 0.05, 0.15),
        difference("worse", -0.2, -0.3, -0.1),
        difference("unknown", 0.0, -1.0, 1.0),
    ]
    drawn = eval_pictures.differences(found, 0.1).figure.to_plotly_json()
    traces = {trace["name"]: list(trace["x"]) for trace in drawn["data"]}
    assert traces == {"open": [2, 0], "better": [10], "worse": [-20]}
    error = drawn["data"][0]["error_x"]
    assert (list(error["array"]), list(error["arrayminus"])) == ([3, 100], [3, 100])
    assert list(drawn["layout"]["yaxis"]["ticktext"]) == ["<b>overall</b>", "better", "worse", "unknown"]
    assert [shape["x0"] for shape in drawn["layout"]["shapes"]] == [0, -10]
    assert drawn["layout"]["xaxis"]["range"][0] == pytest.approx(-33)
    assert "too few clusters" in eval_pictures.differences(found).caption
    assert "too few clusters" not in eval_pictures.differences(found[:3]).caption


def arm(name: str, score: float, apart: Difference | None, **more: float) -> Arm:
    return Arm.model_validate({"name": name, "cases": 9, "score": score, "difference": apart, **more})


def test_an_ablation_is_shown_in_words_and_as_a_page(
    outcry: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Ablation(
        suite="mine",
        arms=(
            arm("coordinator", 0.9, None, forecasts=4, brier=0.2, hit_rate=0.75, tokens=1234.0),
            arm("one call", 0.8, difference("overall", -0.1, -0.2, 0.1)),
            arm("buy and hold", 0.7, difference("overall", -0.2, -0.3, -0.1)),
        ),
        verdict="The floor earns its keep: not <b>here</b>.",
        left_out=3,
    )
    asked: list[dict[str, object]] = []

    async def ablate(*given: object, **named: object) -> Ablation:
        asked.append({"chosen": given[2], **named})
        return found

    monkeypatch.setattr("openoutcry.eval.ablation.ablate", ablate)
    done = outcry("ablate", "mine.toml", "--model", "risk=house", "--epochs", "2", "--html", "a.html")
    assert done.exit_code == 0, done.output
    assert (asked[0]["chosen"], asked[0]["epochs"], asked[0]["concurrency"]) == ({"risk": "house"}, 2, 8)
    assert done.stdout.startswith("mine: The floor earns its keep\n")
    assert "\nLeft out: 3 cases that ask" in done.stdout
    assert re.search(r"^coordinator +9 +90\.0 % +- +- +0\.2000 +75\.0 % +0\.0 +1,234 ", done.stdout, re.MULTILINE)
    assert re.search(r"^buy and hold +9 +70\.0 % +-20\.0 +-30\.0 to -10\.0 +- +- ", done.stdout, re.MULTILINE)
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "buy and hold</th>" in text
    assert json.loads(outcry("ablate", "mine.toml", "--json").stdout)["arms"][2]["difference"]["high"] == -0.1
    page = eval_page.ablation(found)
    assert "The floor earns its keep</h1>" in page
    assert "Not &lt;b&gt;here&lt;/b&gt;." in page
    assert "Left out: 3 cases" in page


def outcome(score: float) -> Outcome:
    return Outcome(scenario="a", digest="a", category="c", cluster="a", lineup="house", epoch=0, score=score)


def test_a_terminal_shows_a_bar_and_no_line_a_tenth(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Watch("mine [b]") as watch:
        watch(Progress(3, 9))
        for done in range(4, 10):
            watch(Progress(done, 9, outcome(done % 2)))
    assert watch.failed == 3
    shown = capsys.readouterr().err
    assert "goes on: 3 of 9 were played before" in shown
    assert "of 9\n" not in shown
    assert "mine [b], 3 not right" in shown


def test_without_a_terminal_a_line_comes_with_the_time_that_is_left(capsys: Capture) -> None:
    now = [100.0]
    watch = Watch("x for risk", ("risk", "safety"), clock=lambda: now[0])
    watch(Progress(0, 100))
    for done in range(1, 5):
        now[0] += 6
        watch(Progress(done, 100, outcome(1)))
    for _ in range(2):
        now[0] += 6
        watch.again()
    watch(Progress(0, 2))
    now[0] += 12
    watch(Progress(1, 2, outcome(0)))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "  x for risk, risk (1 of 2): 0 of 100",
        "  x for risk, risk (1 of 2): 2 of 100, about 10 min left",
        "  x for risk, risk (1 of 2): 4 of 100, about 10 min left",
        "  x for risk, risk (1 of 2): 4 of 100, about 14 min left",
        "  x for risk, safety (2 of 2): 0 of 2",
        "  x for risk, safety (2 of 2), 1 not right: 1 of 2, about 12 s left",
    ]


def test_a_check_is_told_with_six_digits_and_its_turn() -> None:
    one = Check(name="var", ok=False, expected="0.0123456789 fraction", got="E1.var 445186.742534", turn=1)
    assert eval_text.missed(one) == "var: expected 0.0123457 fraction, got E1.var 445187"
    near = one.model_copy(update={"expected": "0.12345671", "got": "0.12345672"})
    assert eval_text.missed(near) == "var: expected 0.12345671, got 0.12345672", "what differs is not rounded away"
    first = one.model_copy(update={"turn": 0, "ok": True})
    both = outcome(0).model_copy(update={"checks": (one, first)})
    assert [eval_text.turn(check, both) for check in both.checks] == ["turn 2: ", "turn 1: "]
    assert eval_text.turn(first, outcome(0)) == ""


def test_what_cannot_be_told_apart_is_said_so() -> None:
    open_ = eval_text.difference("a", "b", difference("overall", 0.0, -0.08, 0.08))
    assert open_ == "b cannot be told apart from a: +0.0 points (95 % interval -8.0 to +8.0) on 9 cases in 3 clusters"
    sure = eval_text.difference("a", "b", difference("overall", -0.2, -0.3, -0.1))
    assert sure.startswith("b is 20.0 points worse than a (95 % interval -30.0 to -10.0)")


def test_a_long_lineup_is_cut_to_the_screen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / PLAN).touch()
    name = ", ".join(f"{seat}=a-model-with-a-long-name" for seat in SEATS)
    plan = Plan(
        suite="mine", bank="dev", rotation="", cases="c", count=1, data="d", lineups={name: {}}, decoding={},
        prompts={}, code="c", epochs=1, seed=0,
    )  # fmt: skip
    lines = list(eval_runs_text.runs([StoredRun(tmp_path, plan, ())]))
    assert "\u2026  0 of 1" in lines[1]
    assert max(map(len, lines)) <= 100
