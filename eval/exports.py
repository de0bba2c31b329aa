"""Outcomes for other programs: JSON lines, and the XML of JUnit that build servers read."""

import re
from collections.abc import Iterable, Mapping, Sequence
from xml.etree import ElementTree

from openoutcry.eval.outcome import Outcome

_UNPRINTABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""
FAULTS = ("crash", "case", "judge")
"""Kinds of failure that JUnit calls an error: no answer was put to the test."""


def jsonl(outcomes: Iterable[Outcome]) -> str:
    """An outcome a line, in the order given. `turn` of a check is an index: 0 is the turn that text calls 1."""
    return "".join(f"{outcome.model_dump_json()}\n" for outcome in outcomes)


def junit(name: str, outcomes: Sequence[Outcome]) -> str:
    """JUnit XML: a test suite a category, a test case an outcome; a failure's text lists the checks that failed.

    A model's failure is a failed test; a fault of this package or of the case is an error. Seconds are as measured.
    """
    root = ElementTree.Element("testsuites", {"name": _plain(name), **_counts(outcomes)})
    for category in sorted({outcome.category for outcome in outcomes}):
        mine = [outcome for outcome in outcomes if outcome.category == category]
        suite = ElementTree.SubElement(root, "testsuite", {"name": _plain(category), **_counts(mine)})
        for outcome in mine:
            _case(suite, name, outcome)
    ElementTree.indent(root)
    return f"{_DECLARATION}{ElementTree.tostring(root, encoding='unicode')}\n"


_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


def _case(suite: ElementTree.Element, name: str, outcome: Outcome) -> None:
    told = {
        "classname": _plain(f"{name}.{outcome.category}"),
        "name": _plain(f"{outcome.scenario} [{outcome.lineup}, epoch {outcome.epoch}]"),
        "time": f"{outcome.seconds:.4f}",
    }
    case = ElementTree.SubElement(suite, "testcase", told)
    if outcome.score >= 1:
        return
    failed = [check for check in outcome.checks if not check.ok]
    first = outcome.failure or ", ".join(dict.fromkeys(check.name for check in failed)) or "no check was made"
    kind = _kind(outcome)
    found = ElementTree.SubElement(
        case,
        "error" if kind in FAULTS else "failure",
        {"type": _plain(kind or "wrong"), "message": _plain(first)},
    )
    lines = [f"turn {c.turn + 1}, {c.name}: expected {c.expected}, got {c.got}" for c in failed]
    found.text = _plain("\n".join([*([outcome.failure] if outcome.failure else []), *lines]) or first)


def _counts(outcomes: Sequence[Outcome]) -> Mapping[str, str]:
    wrong = [outcome for outcome in outcomes if outcome.score < 1]
    errors = sum(_kind(outcome) in FAULTS for outcome in wrong)
    return {
        "tests": str(len(outcomes)),
        "failures": str(len(wrong) - errors),
        "errors": str(errors),
        "skipped": "0",
        "time": f"{sum(outcome.seconds for outcome in outcomes):.4f}",
    }


def _kind(outcome: Outcome) -> str:
    return outcome.failure.partition(":")[0]


def _plain(text: str) -> str:
    return _UNPRINTABLE.sub("", text)
