"""Outcomes as other programs read them."""

import json
import re
from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from openoutcry.eval import exports
from openoutcry.eval.outcome import Check, Outcome


def outcome(name: str = "case", **values: Any) -> Outcome:
    given: dict[str, Any] = {"scenario": name, "digest": name, "category": "tone", "cluster": name, "lineup": "house"}
    return Outcome.model_validate({**given, "epoch": 0, "score": 1.0, "seconds": 0.25, **values})


WRONG = Check(name="var", ok=False, expected="0.05 fraction", got="E1.var <0.07> & more", turn=1)
RIGHT = Check(name="calls value_at_risk", ok=True, expected="it is called", got="value_at_risk")
OUTCOMES = (
    outcome("right"),
    outcome("wrong", score=0.0, checks=(RIGHT, WRONG)),
    outcome("slow", score=0.0, category="news", failure="timeout: risk: its deadline passed"),
    outcome("broken", score=0.0, category="news", failure="case: the data of a scenario: 1 rows were refused"),
)


def test_json_lines_read_back_as_they_were() -> None:
    text = exports.jsonl(OUTCOMES)
    assert tuple(Outcome.model_validate_json(line) for line in text.splitlines()) == OUTCOMES
    assert json.loads(text.splitlines()[1])["checks"][1]["got"] == WRONG.got


def test_a_suite_of_junit_is_a_category_and_tells_the_checks_that_failed() -> None:
    text = exports.junit("risk", OUTCOMES)
    root = ElementTree.fromstring(text)
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites ')
    assert {k: root.attrib[k] for k in ("name", "tests", "failures", "errors", "time")} == {
        "name": "risk",
        "tests": "4",
        "failures": "2",
        "errors": "1",
        "time": "1.0000",
    }
    assert [(s.attrib["name"], s.attrib["tests"]) for s in root] == [("news", "2"), ("tone", "2")]
    failures = {c.attrib["name"]: c for c in root.iter("testcase")}
    wrong = failures["wrong [house, epoch 0]"].find("failure")
    assert wrong is not None and wrong.attrib == {"type": "wrong", "message": "var"}
    assert wrong.text == "turn 2, var: expected 0.05 fraction, got E1.var <0.07> & more"
    slow, broken = failures["slow [house, epoch 0]"], failures["broken [house, epoch 0]"]
    assert slow.find("failure") is not None and slow.find("error") is None
    assert broken.find("error") is not None and broken.find("failure") is None
    assert list(failures["right [house, epoch 0]"]) == []


def shape(root: ElementTree.Element) -> None:
    """The shape that build servers accept: testsuites > testsuite > testcase > failure or error, with their counts."""
    assert root.tag == "testsuites"
    for suite in root:
        assert suite.tag == "testsuite" and {"name", "tests", "failures", "errors", "time"} <= suite.attrib.keys()
        cases = list(suite)
        assert [case.tag for case in cases] == ["testcase"] * int(suite.attrib["tests"])
        for kind, count in (("failure", "failures"), ("error", "errors")):
            assert sum(case.find(kind) is not None for case in cases) == int(suite.attrib[count])
        for case in cases:
            assert {"name", "classname", "time"} <= case.attrib.keys()
            assert re.fullmatch(r"\d+\.\d+", case.attrib["time"])
            assert [found.tag for found in case] in ([], ["failure"], ["error"])
            assert all({"message", "type"} <= found.attrib.keys() for found in case)
    for count in ("tests", "failures", "errors"):
        assert int(root.attrib[count]) == sum(int(suite.attrib[count]) for suite in root)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs",))))
def test_whatever_a_model_says_is_whole_xml(text: str) -> None:
    check = WRONG.model_copy(update={"got": text, "name": text or "x"})
    wrong = outcome("x", score=0.0, category=text or "c", checks=(check,), failure=text)
    shape(ElementTree.fromstring(exports.junit(text, [*OUTCOMES, wrong])))


def test_control_characters_are_left_out() -> None:
    text = exports.junit("risk", [outcome(score=0.0, failure="schema: \x00\x1b[31m\x08red\ufffe")])
    assert "schema: [31mred" in text and "\x1b" not in text
