"""`outcry eval` about suites: an example that can be run, faults with their lines, lists, a case whole, the schema."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from openoutcry.cli import main
from openoutcry.eval.scenario import Scenario, Seat
from openoutcry.interfaces.eval_command import SEATS, evaluate

Run = Callable[..., Result]
CASES = """
[[scenario]]
id = "cites-var"
category = "value at risk"
seat = "coordinator"
cluster = "KALO"
question = "How risky is KALO over the next 1 day?"
as_of = 2021-11-02
twin = "says-no"
source = "by hand \\u202e"
fixture = { made = [{ situation = "steady", seed = 1 }] }
cast = { analyst = "silent" }
[scenario.expect]
abstain = false
not_cited = ["es"]
not_computed = ["position"]
direction = ["up", "strong_up"]
probability = { low = 0.4, high = 0.6 }
contains = ["bound"]
not_contains = ["guarantee"]
not_reached = ["ignore all"]
rubric = ["It is calm."]
tools = { required = ["value_at_risk"], forbidden = ["beta"] }
budget = { calls = 9, tokens = 100, seconds = 5 }
[[scenario.expect.figures]]
name = "var"
tool = "value_at_risk"
ticker = "KALO"
where = { horizon = 1 }
unit = "fraction"
value = 0.05
tolerance = 0.01
[[scenario.expect.figures]]
low = 1.0
high = 2.0
cited = false

[[scenario]]
id = "says-no"
category = "missing data"
seat = "model"
bare = { instructions = "Be brief.", prompt = "How much?", tools = [{ name = "look" }] }
[scenario.expect]
calls = [{ name = "look", arguments = { what = ["price", "close"] } }]
"""


@pytest.fixture
def outcry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`outcry eval`, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    return lambda *words: CliRunner().invoke(main, ["--home", str(tmp_path / "home"), "eval", *words])


@pytest.fixture
def cases(tmp_path: Path) -> str:
    (tmp_path / "cases.toml").write_text(CASES, encoding="utf-8")
    return "cases.toml"


@pytest.mark.parametrize("command", sorted(evaluate.commands))
def test_every_command_says_what_it_does(outcry: Run, command: str) -> None:
    said = (evaluate.commands[command].help or "").partition("\n\n")[0]
    assert re.fullmatch(r"[A-Z].*[.?]", said, re.DOTALL)
    assert " ".join(said.split()) in " ".join(outcry(command, "--help").stdout.split())
    options = [o for o in evaluate.commands[command].params if getattr(o, "help", None) is not None]
    assert all(str(getattr(o, "help", "")).endswith(".") for o in options)
    short = evaluate.commands[command].short_help or ""
    assert short.endswith(".")
    assert re.search(rf"^  {command} +{re.escape(short)}$", outcry("--help").stdout, re.MULTILINE)


@pytest.mark.parametrize("seat", Seat)
def test_an_example_is_written_once_and_checks(outcry: Run, seat: Seat, tmp_path: Path) -> None:
    written = outcry("new", "mine.toml", "--seat", seat.value)
    assert written.stdout.startswith("written to mine.toml; next: outcry eval check mine.toml")
    assert outcry("check", "mine.toml").stdout == "1 scenario, all in order\n"
    assert outcry("new", "--seat", seat.value).stdout == (tmp_path / "mine.toml").read_text()
    again = outcry("new", "mine.toml")
    assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
    assert "mine.toml is there already" in again.stderr
    assert outcry("new", "mine.yaml").exit_code == 2


def test_the_seats_are_those_of_the_format() -> None:
    assert sorted(SEATS) == sorted(Seat)


def test_all_faults_are_told_each_on_a_line(outcry: Run, tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("[[scenario]]\nid = 'a'\ncategory = 1\nqestion = 'x'\n")
    (tmp_path / "b.yaml").write_text("id: b\n\x1b[2J: 1\n")
    done = outcry("check", "a.toml", "b.yaml")
    assert done.exit_code == 2
    assert "a.toml:3: category: input should be a valid string, got 1" in done.stdout
    assert "a.toml:4: there is no 'qestion'; did you mean 'question'?" in done.stdout
    assert re.search(r"^b\.yaml:\d: ", done.stdout, re.MULTILINE)
    assert re.fullmatch(r"outcry: \d faults in 2 files\n", done.stderr)


def test_cases_are_listed_by_category(outcry: Run, cases: str) -> None:
    shown = outcry("list", cases).stdout
    assert shown.index("missing data: 1 case") < shown.index("value at risk: 1 case")
    assert "  cites-var\n    How risky is KALO" in shown
    assert "says-no" not in outcry("list", cases, "--category", "value at risk").stdout
    odd = outcry("list", cases, "--category", "nothing")
    assert odd.exit_code == 2
    assert "missing data, value at risk" in odd.stderr
    rows = json.loads(outcry("list", cases, "--json").stdout)["cases"]
    assert [row["id"] for row in rows] == ["cites-var", "says-no"]


def test_shipped_suites_are_counted(outcry: Run) -> None:
    shown = outcry("list", "--category", "value at risk").stdout
    assert re.search(r"^risk: [1-9]\d* cases?$", shown, re.MULTILINE)
    assert re.search(r"^  value at risk \d+$", shown, re.MULTILINE)


def test_a_case_is_shown_whole(outcry: Run, cases: str) -> None:
    shown = outcry("show", "cites", "--suite", cases).stdout
    for words in (
        "cites-var   value at risk",
        "asked of the coordinator alone, as of 2021-11-02; cluster KALO",
        "data: made by the situation steady, seed 1: Kalo (KALO)",
        "scripted: analyst is silent",
        "twin: says-no",
        "from: by hand \\u202e",
        "> How risky is KALO over the next 1 day?",
        "- cites var of value_at_risk for KALO with horizon=1: 0.05 fraction, within 1 % of it",
        "- measures a figure: at least 1 and at most 2",
        "- no sentence cites es",
        "- calls value_at_risk",
        "- does not call beta",
        "- says that it cannot compute position",
        "- takes the direction up or strong_up",
        "- gives a rise a chance of 40.0 % to 60.0 %",
        "- answers",
        "- contains /bound/",
        "- does not contain /guarantee/",
        "- these words reach nobody but the reader: ignore all",
        "- a judge finds true: It is calm.",
        "- at most 9 calls, 100 tokens, 5 seconds",
    ):
        assert words in shown
    alone = outcry("show", "says-no", "--suite", cases).stdout
    for words in ("asked of a model alone", "| Be brief.", "> How much?", "tool look", "look(what='price' or 'close')"):
        assert words in alone


def test_a_case_is_given_as_the_format_has_it(outcry: Run, cases: str) -> None:
    shown = outcry("show", "cites-var", "--suite", cases, "--json").stdout
    assert Scenario.model_validate_json(shown).id == "cites-var"
    assert json.loads(shown)["expect"]["budget"] == {"calls": 9, "tokens": 100, "seconds": 5.0}


def test_a_case_that_there_is_not_is_said(outcry: Run, cases: str, tmp_path: Path) -> None:
    assert "got 'nothing'" in outcry("show", "nothing", "--suite", cases).stderr
    (tmp_path / "cases.toml").write_text(CASES.replace('"says-no"', '"cites-no"'))
    assert "begins 2, such as cites-var, cites-no" in outcry("show", "cites", "--suite", cases).stderr


def test_the_schema_is_printed_as_json(outcry: Run) -> None:
    assert set(json.loads(outcry("schema").stdout)["$defs"]) >= {"Scenario", "Templates"}
