"""Files of scenarios: read as TOML and YAML, every fault told with its line, examples and schema that hold."""

import json
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from openoutcry.core.errors import UsageError
from openoutcry.eval import suite, writing
from openoutcry.eval.scenario import Made, Scenario, Seat
from openoutcry.eval.templates import MOST, Templates
from openoutcry.eval.worlds.case import made
from openoutcry.eval.worlds.names import companies

CASE = """\
[[scenario]]
id = "one"
category = "x"
question = "How risky is AAPL?"
expect = { abstain = false }
"""
TEMPLATES = """\
seat = "risk"
[[situation]]
name = "steady"
dev = 2
gate = 3
sealed = 1

[[situation.template]]
name = "fine"
category = "x"
turns = [{ dev = ["a {name}"], gate = ["b {name}"], sealed = ["c {name}"], expect = { abstain = false } }]
"""
BROKEN_TEMPLATES = """
[[situation.template]]
name = "no-truth"
category = "x"
[[situation.template.turns]]
dev = ["a {name}"]
gate = ["b {name}"]
sealed = ["c {name}"]
expect = { figures = [{ name = "var", value = "$nothing" }] }

[[situation.template]]
name = "no-unit"
category = "x"
[[situation.template.turns]]
dev = ["a {name}"]
gate = ["b {name}"]
sealed = ["c {name}"]
expect = { figures = [{ name = "var", value = "$var_1d", unit = "metre" }] }
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def told(path: Path) -> list[str]:
    """The faults of a file, without its name."""
    return [str(fault).removeprefix(f"{path}:") for fault in suite.check(str(path))[1]]


def line(text: str, words: str) -> int:
    """The line on which *words* stand first."""
    return text[: text.index(words)].count("\n") + 1


def test_toml_and_yaml_are_the_same_scenarios(tmp_path: Path) -> None:
    toml = write(tmp_path, "a.toml", CASE + '[scenario.fixture]\nmade = [{ situation = "steady", seed = 4 }]\n')
    values = tomllib.loads(toml.read_text())
    several = write(tmp_path, "b.yaml", yaml.safe_dump(values))
    single = write(tmp_path, "c.yml", yaml.safe_dump(values["scenario"][0]))
    found = [suite.load(str(path)).scenarios for path in (toml, several, single)]
    assert found[0] == found[1] == found[2]
    assert suite.load(str(toml)).digest == suite.load(str(single)).digest


def test_a_folder_is_a_suite_under_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    write(folder, "b.toml", CASE)
    write(folder, "a.yaml", "{id: two, category: y, question: 'Why?', expect: {abstain: true}}")
    write(folder, "prices.csv", "no scenario")
    found = suite.load(str(folder))
    assert (found.name, found.beside, [s.id for s in found.scenarios]) == ("mine", folder, ["two", "one"])


FAULTS: list[tuple[str, str, str]] = [
    ("question", "questin", "there is no 'questin'; did you mean 'question'?"),
    ('category = "x"', 'category = "x"\nzzz = 1', "there is no 'zzz'; there are id, category, cluster, seat, as_of"),
    ("abstain = false", "abstane = false", "there is no 'abstane'; did you mean 'abstain'?"),
    ("abstain = false", 'abstain = "maybe"', "expect.abstain: input should be a valid boolean"),
    ("{ abstain = false }", "{ }", "expects nothing: a case that cannot fail is none"),
    ('category = "x"\n', "", "category: is missing"),
    ('id = "one"', 'id = "one"\nseat = "riks"', "seat: input should be 'analyst', 'sentiment', 'risk'"),
    ('id = "one"', 'id = "one"\nas_of = "soon"', "as_of: "),
    ("{ abstain = false }", '{ contains = ["a", "b("] }', "'b(' is no regular expression"),
    ("{ abstain = false }", '{ tools = { required = ["value_at_rsk"] } }', "did you mean 'value_at_risk'?"),
    ("{ abstain = false }", '{ not_computed = ["zzzzzz"] }', "there is no tool 'zzzzzz'"),
    ("{ abstain = false }", '{ figures = [{ value = 1.0, tool = "zzzzzz" }] }', "there is no tool 'zzzzzz'"),
    ("{ abstain = false }", "{ figures = [{ value = 1.0, low = 2.0 }] }", "expect.figures.0: expected a `value`"),
    ("{ abstain = false }", "{ figures = [{ low = 2.0, high = 1.0 }] }", "figures.0: low 2.0 is above high 1.0"),
    ("{ abstain = false }", '{ figures = [{ name = "varr", value = 1.0 }] }', "no tool gives a figure 'varr'; did you"),
    ("{ abstain = false }", '{ not_cited = ["volatilty"] }', "did you mean 'volatility'?"),
    (
        "{ abstain = false }",
        '{ figures = [{ value = 5.0, unit = "percent" }] }',
        "the unit is fraction and the value 0.05",
    ),
    ("{ abstain = false }", '{ figures = [{ value = "$close" }] }', "$close: only a scenario with `made` companies"),
    ('id = "one"', 'id = "one"\nseat = "risk"\ncast = { analyst = "silent" }', "seat risk is asked alone"),
    ('id = "one"', 'id = "one"\nfixture = { files = ["../x.csv"] }', "in the folder of the scenario or below it"),
    ('id = "one"', 'id = "one"\nfixture = { files = ["/x.csv"] }', "in the folder of the scenario or below it"),
    ('id = "one"', 'id = "o ne"', "expected a name of at most 96 letters"),
    (
        'id = "one"',
        'id = "one"\nfixture = { made = [{ situation = "still", seed = 1, ticker = "kalo" }] }',
        "expected a ticker of capital letters, such as KALO",
    ),
    (
        'id = "one"',
        'id = "one"\nfixture = { made = [{ situation = "still", seed = 1 }] }\nas_of = 2017-12-31',
        "lies before the data, which begins on 2018-01-02",
    ),
    ("{ abstain = false }", "{ figures = [{ value = [] }] }", "expect.figures.0.value: input should be a valid number"),
    ("{ abstain = false }", "{ probability = { low = 0.9, high = 0.1 } }", "low 0.9 is above high 0.1"),
    ('id = "one"', 'id = "one"\ntwin = "two"', "there is no case 'two' that could be its twin"),
    ('id = "one"', 'id = "one"\ncast = { analist = "silent" }', "there is no 'analist'; did you mean 'analyst'?"),
    ('id = "one"', 'id = "one"\nfixture = { files = ["x.csv"] }', "expected a file of data at"),
    (
        'id = "one"',
        'id = "one"\nfixture = { made = [{ situation = "steadx", seed = 1 }] }',
        "expected a situation among",
    ),
    ('id = "one"', 'id = "one"\ncast = { coordinator = "silent" }', "there is no 'coordinator'; there are analyst"),
    *(
        ('id = "one"', f'id = "one"\nfixture = {{ made = [{{ situation = {made}, seed = 1 }}] }}', reason)
        for made, reason in (
            (
                '"steady", with = { horizon = "3 fortnights" }',
                "expected horizon, one of 1 day, 2 days, a week, ",
            ),
            ('"steady", with = { deviatoin = 0.1 }', "there is no option deviatoin; there are deviation, horizon"),
            ('"tested", with = { broken = 9999 }', "expected broken, a whole number from 0 to 100; got 9999"),
            ('"steady", with = { deviation = -3 }', "expected deviation, from 0.0001 to 0.25; got -3"),
            ('"steady", with = { deviation = true }', "expected deviation, from 0.0001 to 0.25; got True"),
            ('"written", with = { returns = [-1.5] }', "its returns lead to a close of -50; each must stay above -1"),
            ('"written", with = { returns = [1e300], times = 9 }', "cannot be made with {'returns': [1e+300], "),
            ('"written", with = { returns = [0.0], times = 2001 }', "expected times, a whole number from 1 to 2000"),
            ('"young", with = { returns = -4 }', "expected returns, a whole number from 2 to 252; got -4"),
        )
    ),
]


@pytest.mark.parametrize(("words", "instead", "reason"), FAULTS, ids=[f[2][:24] for f in FAULTS])
def test_each_fault_is_told_with_its_line(tmp_path: Path, words: str, instead: str, reason: str) -> None:
    text = f"# a comment\n\n{CASE.replace(words, instead)}"
    (found,) = told(write(tmp_path, "a.toml", text))
    at = 3 if "missing" in reason or "nothing" in reason else line(text, instead) + instead.count("\n")
    assert found.startswith(f"{at}: ")
    assert reason in found


NESTED = "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in pairwise("abcdefg")
)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("a.toml", "", "1: expected the keys of a scenario, found none"),
        ("a.yaml", "# nothing yet\n", "1: expected the keys of a scenario, found none"),
        ("a.toml", f"a = {'[' * 3000}{']' * 3000}", "1: expected a file of scenarios, but its values lie too deep"),
        ("a.yaml", f"a: {'[' * 3000}{']' * 3000}", "1: expected a file of scenarios, but its values lie too deep"),
        ("a.yaml", f"{NESTED}scenario: *g\n", "1: expected at most 500,000 values, its anchors written out"),
        ("a.yaml", "id: x\nas_of: 2022-06-31\n", "2: 2022-06-31 is no date that there is: day is out of range"),
        ("a.yaml", "id: x\nlist:\n- a: !!bool x\n", "3: x cannot be read as bool"),
        ("a.toml", 'id = "2022-99-99"\nas_of = 2022-06-31\n', "2: 2022-06-31 is no date that there is: day is out"),
        ("a.toml", "id = 'x'\nas_of = 2022-13-01\n", "2: 2022-13-01 is no date that there is: month must be"),
        ("a.yaml", "&a\nscenario:\n- *a\n", "1: expected at most 500,000 values, its anchors written out"),
    ],
    ids=[
        "empty",
        "comment",
        "deep TOML",
        "deep YAML",
        "anchors of anchors",
        "no such day",
        "no such truth value",
        "no such day in TOML",
        "no such month in TOML",
        "an anchor in itself",
    ],
)
def test_a_file_that_no_reader_can_take_is_told_in_one_line(tmp_path: Path, name: str, text: str, reason: str) -> None:
    (found,) = told(write(tmp_path, name, text))
    assert found.startswith(reason)
    assert "\n" not in found


@pytest.mark.parametrize(
    ("words", "reason"),
    [("Is {name.x} safe?", "7: cannot be filled in: 'str' object has no attribute"), ("Is {nme} safe?", "needs 'nme'")],
)
def test_braces_that_cannot_be_filled_are_told_at_their_template(tmp_path: Path, words: str, reason: str) -> None:
    text = f"""
[[situation]]
name = "still"
dev = 1
gate = 1
sealed = 1
[[situation.template]]
name = "t"
category = "c"
[[situation.template.turns]]
dev = ["{words}"]
gate = ["x"]
sealed = ["x"]
expect = {{ abstain = false }}
"""
    (found,) = told(write(tmp_path, "a.toml", text))
    assert reason in found


def test_a_truth_is_named_where_the_data_is_made_up(tmp_path: Path) -> None:
    text = CASE.replace(
        "{ abstain = false }", '{ figures = [{ name = "var", value = "$var_1d" }], contains = ["$", "$9"] }'
    )
    text += 'as_of = "$before"\nfixture = { made = [{ situation = "SITUATION", seed = 3 }] }\n'
    path = write(tmp_path, "a.toml", text.replace("SITUATION", "steady").replace('as_of = "$before"\n', ""))
    (case,) = suite.load(str(path)).scenarios
    assert case.expect.figures[0].value == made(Made(situation="steady", seed=3)).truths["var_1d"]
    assert case.expect.contains == ("$", "$9")
    (wrong,) = told(write(tmp_path, "b.toml", text.replace("SITUATION", "restated")))
    assert wrong.startswith("5: situation restated: there is no truth $var_1d; there are before, ")
    right = text.replace("SITUATION", "restated").replace("$var_1d", "$growth_after")
    assert str(suite.load(str(write(tmp_path, "b.toml", right))).scenarios[0].as_of).startswith("2022-03-14")


def test_a_tool_of_its_own_may_be_asked_of_a_model_alone(tmp_path: Path) -> None:
    bare = 'seat = "model"\nbare = { prompt = "?", tools = [{ name = "look" }] }\n'
    case = CASE.replace('question = "How risky is AAPL?"\n', bare)
    asked = case.replace("{ abstain = false }", '{ tools = { required = ["look"], forbidden = ["lok"] } }')
    assert told(write(tmp_path, "a.toml", asked)) == ["6: there is no tool 'lok'; `outcry tool` lists them"]


def test_a_file_of_another_kind_is_refused_by_its_ending(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.toml, \.yaml, \.yml; got .*cases\.json"):
        suite.load(str(write(tmp_path, "cases.json", "{}")))


@pytest.mark.parametrize(
    ("words", "instead", "reason"),
    [
        ("dev = 2", "dev = 5001", "less than or equal to 5000"),
        ("dev = 2", "dev = 2\neach = { percent = [] }", "at least 1"),
    ],
)
def test_templates_hold_no_more_than_there_are_names(tmp_path: Path, words: str, instead: str, reason: str) -> None:
    (found,) = told(write(tmp_path, "t.toml", TEMPLATES.replace(words, instead)))
    assert reason in found


def test_no_two_companies_of_a_set_have_one_name() -> None:
    assert len(set(companies(MOST, 7))) == MOST


def test_a_mark_of_byte_order_and_a_folder_among_the_files_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(CASE, encoding="utf-8-sig")
    (tmp_path / "b.toml").mkdir()
    count, faults = suite.check(str(tmp_path))
    assert count == 1
    assert [str(fault) for fault in faults] == [f"{tmp_path}/b.toml:1: cannot be read: Is a directory"]


def test_a_moment_that_is_none_is_quoted_once(tmp_path: Path) -> None:
    (found,) = told(write(tmp_path, "a.toml", CASE.replace('id = "one"', 'id = "one"\nas_of = "soon"')))
    assert found.count("'soon'") == 1


def test_every_fault_of_every_file_is_told_in_order(tmp_path: Path) -> None:
    first = write(tmp_path, "a.toml", CASE + CASE.replace("one", "two").replace("question", "qestion") + CASE)
    text = (
        "scenario:\n- id: four\n  category: x\n  id: five\n  question: q\n  expect:\n    direction: [up,\n      dwn]\n"
    )
    second = write(tmp_path, "b.yaml", text)
    write(tmp_path, "c.toml", "a = [1,\nb")
    write(tmp_path, "d.yaml", "a: [1,\nb: {")
    write(tmp_path, "e.yaml", "- one\n- two\n")
    (tmp_path / "f.toml").write_bytes(b"id = '\xff'")
    count, faults = suite.check(str(tmp_path))
    said = [str(fault).removeprefix(f"{tmp_path}/") for fault in faults]
    assert count == 1
    assert "a.toml:9: there is no 'qestion'; did you mean 'question'?" in said
    assert "a.toml:12: the id 'one' stands twice; each case needs its own" in said
    assert "b.yaml:4: 'id' stands here a second time" in said
    assert any(one.startswith("b.yaml:8: expect.direction.1: input should be 'strong_down'") for one in said)
    assert any(re.match(r"c\.toml:2: not readable as TOML: ", one) for one in said)
    assert any(re.match(r"d\.yaml:\d: not readable as YAML: ", one) for one in said)
    assert "e.yaml:1: expected the keys of a scenario, found list" in said
    assert any(one.startswith("f.toml:1: expected text in UTF-8") for one in said)
    with pytest.raises(UsageError, match=re.escape(f"{first}:9: there is no 'qestion'") + r".*\(and 7 more"):
        suite.load(str(tmp_path))
    assert second.name == "b.yaml"


def test_what_a_template_cannot_give_is_told_at_its_template(tmp_path: Path) -> None:
    text = TEMPLATES + BROKEN_TEMPLATES
    found = told(write(tmp_path, "t.toml", text))
    assert found[0].startswith(f"{line(text, NO_TRUTH) - 1}: ")
    assert "there is no truth $nothing; there are" in found[0]
    assert found[1].startswith(f"{text.splitlines().index(FIGURE_OF_METRE) + 1}: turns.0.expect.figures.0.unit: ")
    assert len(found) == 2


NO_TRUTH = 'name = "no-truth"'
FIGURE_OF_METRE = 'expect = { figures = [{ name = "var", value = "$var_1d", unit = "metre" }] }'


def test_templates_give_each_set_its_own_companies(tmp_path: Path) -> None:
    path = write(tmp_path, "t.toml", TEMPLATES)
    dev, gate, later = suite.load(str(path)), *(suite.load(str(path), "gate", f"2026-0{month}") for month in (1, 2))
    assert [len(s.scenarios) for s in (dev, gate, later)] == [2, 3, 3]
    assert len({s.of for one in (dev, gate, later) for s in one.scenarios}) == 8
    assert suite.load(str(path), "gate", "2026-01").digest == gate.digest


def test_what_is_no_suite_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected a suite \(.*risk.*\), a folder or a file"):
        suite.load("nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="expected scenarios, found none"):
        suite.load(str(tmp_path / "empty"))
    with pytest.raises(UsageError, match="expected files of scenarios"):
        suite.check(str(tmp_path / "empty"))


@pytest.mark.parametrize("seat", Seat)
def test_an_example_is_in_order(tmp_path: Path, seat: Seat) -> None:
    path = write(tmp_path, "example.toml", writing.example(seat))
    assert suite.check(str(path)) == (1, [])
    assert suite.load(str(path)).scenarios[0].seat is seat
    assert path.read_text().startswith(f"#:schema ./{writing.SCHEMA}\n")


def test_the_example_of_risk_expects_what_is_true_by_construction(tmp_path: Path) -> None:
    (case,) = suite.load(str(write(tmp_path, "example.toml", writing.example("risk")))).scenarios
    truth = made(case.fixture.made[0]).truths["var_1d"]
    assert case.expect.figures[0].value == pytest.approx(truth, rel=1e-4)


def test_the_schema_names_and_describes_every_key() -> None:
    schema = json.loads(json.dumps(writing.schema()))
    for model in (Scenario, Templates, Made):
        keys = {field.alias or name for name, field in model.model_fields.items()}
        assert set(schema["$defs"][model.__name__]["properties"]) == keys
    bare = [
        (name, key)
        for name, definition in schema["$defs"].items()
        for key, value in definition.get("properties", {}).items()
        if not value.get("description")
    ]
    assert bare == []
    refs = set(re.findall(r"#/\$defs/(\w+)", json.dumps(schema)))
    assert refs <= set(schema["$defs"])


def test_the_schema_names_situations_and_points_at_the_one_kind_of_file() -> None:
    schema = writing.schema()
    kinds = schema["$defs"]
    assert "steady" in kinds["Made"]["properties"]["situation"]["enum"]
    assert "value_at_risk" in kinds["FigureExpected"]["properties"]["tool"]["anyOf"][0]["enum"]
    assert kinds["Fixture"]["oneOf"] == [{"required": ["sample"]}, {"required": ["files"]}, {"required": ["made"]}]
    assert schema["else"]["else"] == {"$ref": "#/$defs/Scenario"}
