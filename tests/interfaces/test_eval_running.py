"""`outcry eval` about runs: what is played, kept, shown again and compared; and its pages, as a browser shows them."""

import json
import os
import re
import signal
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result
from markupsafe import escape
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models.function import AgentInfo, FunctionModel

from openoutcry import wiring
from openoutcry.cli import main
from openoutcry.core.errors import ModelUnreachable
from openoutcry.core.sync import run_sync
from openoutcry.eval import runner, suite
from openoutcry.eval.lineup import Candidate, Lineup
from openoutcry.eval.outcome import Outcome
from openoutcry.eval.runner import Progress
from openoutcry.interfaces.eval_watch import Watch
from openoutcry.interfaces.page import policy, scripts

Run = Callable[..., Result]
Browse = Callable[[str], tuple[str, str]]
HOSTILE = "</script><img src=x onerror=alert(1)>{{ 7 * 7 }}\x1b[2J\u202e"
CASES = """
[[scenario]]
id = "cites-var"
category = "value at risk"
cluster = "KALO"
seat = "risk"
question = "How risky is KALO over the next 1 day at 99% confidence?"
fixture = { made = [{ situation = "steady", seed = 1 }] }
expect = { tools = { required = ["value_at_risk"] } }

[[scenario]]
id = "cannot"
category = "missing data"
cluster = "BROM"
seat = "risk"
question = "How risky is BROM over the next 1 day at 99% confidence?"
fixture = { made = [{ situation = "steady", seed = 2, ticker = "BROM", name = "Brom" }] }
expect = { contains = ["</script><img src=x onerror=alert\\\\(1\\\\)>"] }
"""


@pytest.fixture
def outcry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`outcry eval`, in a folder of its own that holds a suite of two cases, of which house rules fail one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "mine.toml").write_text(CASES, encoding="utf-8")
    return lambda *words: CliRunner().invoke(main, ["--home", str(tmp_path / "home"), "eval", *words])


def fail(_: list[ModelMessage], __: AgentInfo) -> ModelResponse:
    raise ModelUnreachable(HOSTILE)


@pytest.fixture
def odd(outcry: Run, tmp_path: Path) -> str:
    """The name of a stored run of the same suite, by a model that fails and has a name that means harm."""
    models = {**wiring.house_models(), "risk": FunctionModel(fail)}
    seated = Lineup(HOSTILE, models, {seat: Candidate(name=HOSTILE) for seat in models})
    done = run_sync(runner.run(suite.load("mine.toml"), [seated], tmp_path / "home"))
    return done.folder.name


def test_a_suite_is_played_and_reported(outcry: Run) -> None:
    done = outcry("run", "mine.toml", "--epochs", "2")
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("house: 50.0 % right (95 % interval ")
    assert "of 2 cases in 2 clusters, 2 epochs" in f"{lines[0]} {lines[1]}"
    assert re.search(r"what was said: outcry eval report mine-\w+ --transcript cannot$", done.stdout, re.MULTILINE)
    assert "tokens" not in done.stdout, "none were spent"
    assert done.stdout.index("  cannot (0 of 2)") < done.stdout.index("category ")
    assert re.search(r"^overall +2 +50\.0 %", done.stdout, re.MULTILINE)
    assert re.search(r"^value at risk +1 +100\.0 %", done.stdout, re.MULTILINE)
    assert "cites-var" not in done.stdout
    assert max(map(len, lines)) <= 100
    assert "mine: 0 of 4" in done.stderr
    assert "mine, 2 not right: 4 of 4" in done.stderr
    again = outcry("run", "mine.toml", "--epochs", "2")
    assert "all 4 were played before" in again.stderr
    assert again.stdout == done.stdout


def test_a_run_goes_on_where_it_was_stopped(outcry: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(self: Watch, progress: Progress) -> None:
        if progress.done == 1:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    with monkeypatch.context() as patched:
        patched.setattr(Watch, "__call__", stop)
        stopped = outcry("run", "mine.toml", "--concurrency", "1")
    signal.signal(signal.SIGINT, before)
    assert (stopped.exit_code, "the same command goes on from here" in stopped.stderr) == (130, True)
    shown = outcry("report")
    assert shown.stdout.startswith("Unfinished, 1 of 2 played; the command that began it goes on from there\nhouse: ")
    assert "1 of 2 " in outcry("runs").stdout
    outcry("report", "--html", "r.html")
    assert "Unfinished, 1 of 2 played. house: " in (tmp_path / "r.html").read_text(encoding="utf-8")
    outcry("run", "mine.toml", "--epochs", "2")
    warned = outcry("compare", outcry("runs").stdout.splitlines()[1].split()[0], "last", "--html", "c.html")
    assert "is unfinished: 1 of 2 played" in warned.stderr
    assert "is unfinished: 1 of 2 played" in (tmp_path / "c.html").read_text(encoding="utf-8")
    on = outcry("run", "mine.toml", "--concurrency", "1").stderr
    assert "goes on: 1 of 2 were played before" in on
    assert "mine, 1 not right: 2 of 2" in on, "the one that is not right is counted, whichever half it was in"


def test_what_went_wrong_before_is_counted_on(outcry: Run, tmp_path: Path) -> None:
    outcry("run", "mine.toml", "--epochs", "2")
    watch = Watch("mine", home=tmp_path / "home")
    watch(Progress(4, 4))
    assert watch.failed == 2
    watch(Progress(4, 9))
    assert watch.failed == 0, "the run stored last is another"


def test_what_was_played_is_written_for_others(outcry: Run, tmp_path: Path) -> None:
    done = outcry("run", "mine.toml", "--jsonl", "o.jsonl", "--junit", "o.xml", "--json")
    told = json.loads(done.stdout)
    assert told["complete"] is True
    assert [s["name"] for s in told["summaries"]["house"]] == ["overall", "missing data", "value at risk"]
    outcomes = [Outcome.model_validate_json(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    assert sorted(o.score for o in outcomes) == [0.0, 1.0]
    suites = ElementTree.parse(tmp_path / "o.xml").getroot()
    assert (suites.get("tests"), suites.get("failures")) == ("2", "1")
    assert "written to o.jsonl" in done.stderr


def test_cases_are_picked(outcry: Run) -> None:
    assert outcry("run", "mine.toml", "--category", "value at risk").stdout.startswith("house: 100.0 % right")
    one = outcry("run", "mine.toml", "--case", "cannot").stdout
    assert one.startswith("house: 0.0 % right")
    assert "1 case not right:\n  cannot\n" in one
    assert "always" not in one, "there was one epoch"
    assert "missing data" not in one, "a single category is the whole"
    odd = outcry("run", "mine.toml", "--case", "nothing")
    assert (odd.exit_code, odd.stderr) == (
        2,
        "outcry: mine has no case 'nothing'; its categories are missing data, value at risk\n",
    )


def test_house_rules_are_right_on_every_example(outcry: Run, tmp_path: Path) -> None:
    (tmp_path / "examples").mkdir()
    for seat in ("analyst", "sentiment", "risk", "coordinator", "desk"):
        assert outcry("new", f"examples/{seat}.toml", "--seat", seat).exit_code == 0
    done = outcry("run", "examples")
    assert done.stdout.startswith("house: 100.0 % right")
    assert "of 5 cases in 2 clusters" in " ".join(done.stdout.split())
    for case in sorted({o["scenario"] for o in map(json.loads, outcomes(outcry, tmp_path))}):
        said = outcry("report", "--transcript", case).stdout
        assert "Tools called" in said
        assert "check a number" not in said, "the desk of a case stores no run that could be explained"


def outcomes(outcry: Run, folder: Path) -> list[str]:
    """The lines of the run played last."""
    outcry("report", "--jsonl", "last.jsonl")
    return (folder / "last.jsonl").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("bank", ["gate", "sealed"])
def test_the_sets_of_the_gate_are_not_played_here(outcry: Run, bank: str) -> None:
    done = outcry("run", "risk", "--set", bank)
    assert done.exit_code == 2
    assert "`outcry eval gate`" in done.stderr
    assert outcry("runs").stdout == "no run is stored; `outcry eval run SUITE` plays one\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "nothing"], "expected a suite"),
        (["run", "mine.toml", "--model", "risc=house"], "expected ROLE=MODEL with a role among"),
        (["run", "mine.toml", "--model", "risk=nobody"], "nobody"),
        (["run", "mine.toml", "--data", "."], "--data goes with public:NAME"),
        (["run", "public:finqa"], "expected --data FOLDER"),
        (["run", "mine.toml", "--html", "nowhere/x.html"], "expected a file in a folder that is there"),
        (["run", "mine.toml", "--junit", "nowhere/x.xml"], "expected a file in a folder that is there"),
        (["run", "public:nothing", "--data", "."], "nothing"),
        (["report"], "holds none; `outcry eval run` stores one"),
    ],
)
def test_what_cannot_be_done_is_one_line(outcry: Run, words: list[str], said: str) -> None:
    done = outcry(*words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_stored_runs_are_listed_and_shown_again(outcry: Run, odd: str, tmp_path: Path) -> None:
    played = outcry("run", "mine.toml")
    rows = outcry("runs").stdout.splitlines()
    assert re.split(r"\s{2,}", rows[0]) == ["run", "lineup", "played", "score", "begun (UTC)"]
    assert re.search(r" 2 of 2 +50\.0 % +\d{4}-\d\d-\d\d \d\d:\d\d$", rows[2])
    assert rows[1].startswith(odd)
    assert "\u202e" not in rows[1]
    assert "\\u202e" in outcry("report", odd).stdout
    assert "\u202e" not in outcry("report", odd).stdout
    name = rows[2].split()[0]
    assert outcry("report", name).stdout == outcry("report").stdout == played.stdout
    listed = json.loads(outcry("runs", "--json").stdout)
    assert list(listed) == [odd, name]
    assert (listed[name]["played"], listed[name]["total"], listed[name]["scores"]) == (2, 2, {"house": 0.5})
    os.utime(tmp_path / "home" / "evals" / name / runner.PLAN, (1.6e9, 1.6e9))
    assert json.loads(outcry("runs", "--json").stdout)[name]["begun"] == "2020-09-13T12:26:40+00:00"


@pytest.mark.parametrize(
    ("file", "said"), [(runner.LEDGER, "its ledger cannot be read"), (runner.PLAN, "its plan cannot be read")]
)
def test_one_broken_run_hides_no_other(outcry: Run, odd: str, tmp_path: Path, file: str, said: str) -> None:
    outcry("run", "mine.toml")
    (tmp_path / "home" / "evals" / odd / file).write_bytes(b"x" * 4096)
    rest = outcry("runs")
    assert (rest.exit_code, "mine-" in rest.stdout, odd in rest.stdout) == (0, True, False)
    assert said in rest.stderr


def test_a_transcript_is_printed(outcry: Run, odd: str) -> None:
    outcry("run", "mine.toml")
    shown = outcry("report", "--transcript", "cites-var").stdout
    assert shown.startswith("cites-var: right   house, epoch 0")
    assert "holds: calls value_at_risk" in shown
    assert "KALO swings by" in shown
    assert re.search(r"Tools called\n  - E1 \w+\(ticker='KALO'", shown)
    failed = outcry("report", odd, "--transcript", "cites-var").stdout
    assert "failed: " in failed
    assert "\u202e" not in failed
    assert json.loads(outcry("report", odd, "--transcript", "cannot", "--json").stdout)["outcome"]["score"] == 0
    assert "no case 'nothing' in epoch 0" in outcry("report", "--transcript", "nothing").stderr


def test_two_runs_are_compared(outcry: Run, odd: str) -> None:
    outcry("run", "mine.toml")
    done = outcry("compare", "last", odd)
    assert done.exit_code == 0, done.output
    assert "cannot be told apart from house" in " ".join(done.stdout.split())
    assert "better on 0, worse on 1 (exact McNemar p = 1)" in done.stdout
    assert "Worse now:\n  cites-var  100.0 % -> 0.0 %" in done.stdout
    assert re.search(r"^missing data +1 +1 +0\.0 % +0\.0 % +\+0\.0", done.stdout, re.MULTILINE)
    assert "\u202e" not in done.stdout
    told = json.loads(outcry("compare", "last", odd, "--json").stdout)
    assert (told["overall"]["difference"], told["worse"], told["pairs"][0]["scenario"]) == (-0.5, 1, "cites-var")
    other = outcry("compare", "last:nobody", odd)
    assert (other.exit_code, "there are last:house" in other.stderr) == (2, True)
    same = outcry("compare", "last", "last")
    assert (same.exit_code, "are one and the same" in same.stderr, same.stderr.count("\n")) == (2, True, 1)


class Page(HTMLParser):
    """The tags and the words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.said = ""
        self._within = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._within = tag

    def handle_data(self, data: str) -> None:
        self.said += "" if self._within in ("script", "style") else data


def test_the_page_of_a_comparison_says_it_all_and_escapes_it(outcry: Run, odd: str, tmp_path: Path) -> None:
    outcry("run", "mine.toml")
    assert outcry("compare", "last", odd, "--html", "c.html").exit_code == 0
    text = (tmp_path / "c.html").read_text(encoding="utf-8")
    page = Page(text)
    said = page.said.replace("\u00a0", " ").replace("\u2212", "-")
    assert "cannot be told apart from house" in said
    assert "better on 0, worse on 1" in said
    assert "1 of 1 right \u2192 0 of 1 right" in said
    assert "calls value_at_risk" in said
    assert "KALO swings by" in said
    assert "E1 drawdown(ticker='KALO'" in said
    assert "img" not in page.tags
    assert "{{ 7 * 7 }}" in said
    assert escape(policy(scripts())) in text
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", text)


def test_a_browser_draws_the_pictures_of_a_page(outcry: Run, odd: str, browse: Browse, tmp_path: Path) -> None:
    outcry("run", "mine.toml")
    assert outcry("compare", "last", odd, "--html", "page.html").exit_code == 0
    dom, printed = browse((tmp_path / "page.html").as_uri())
    assert dom.count('class="main-svg"') >= 3
    assert "Refused to" not in printed
    assert "Uncaught" not in printed
    assert '<img src="x"' not in dom


def test_the_page_of_a_run_shows_scores_and_what_was_not_right(outcry: Run, tmp_path: Path) -> None:
    outcry("run", "mine.toml", "--html", "r.html")
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    said = page.said.replace("\u00a0", " ")
    assert "house: 50.0 % right (95 % interval " in said
    assert "Cases that were not right" in said
    assert page.tags.count("details") == 1
    assert "analyst, sentiment, risk, coordinator, reader: house rules (" in said
