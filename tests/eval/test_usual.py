"""What makes a record unusual: every term that is laxer than the default, and none that is stricter."""

from typing import Any

import pytest

from openoutcry.eval.gate.usual import LESS, MORE, unusual
from openoutcry.eval.terms import Terms


def record(**more: Any) -> dict[str, Any]:
    told = {"role": "reader", "suite": "sentiment", "safety": "safety", "bank": "sealed"}
    return {**told, "terms": Terms().model_dump(), **more}


def test_the_usual_look_is_not_unusual() -> None:
    assert unusual(record()) == ""
    assert unusual(record(bank="gate", role="risk", suite="risk")) == ""


@pytest.mark.parametrize("name", [*LESS, *MORE])
def test_a_laxer_term_is_unusual_and_a_stricter_one_is_not(name: str) -> None:
    usual = Terms().model_dump()
    step = usual[name] / 4
    lax, strict = usual[name] + (-step if name in LESS else step), usual[name] + (step if name in LESS else -step)
    assert unusual(record(terms={**usual, name: lax})).startswith(f"has laxer terms than usual: {name} ")
    assert unusual(record(terms={**usual, name: strict})) == ""


def test_every_term_is_judged_but_the_seed() -> None:
    assert {*LESS, *MORE} == set(Terms.model_fields) - {"seed"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"suite": "reader"}, "is over the suite reader, not sentiment"),
        ({"safety": "soft"}, "has soft for safety, not safety"),
        ({"bank": "dev"}, "is of the set dev"),
        ({"role": "cook"}, "is for the cook, of which the gate has no suite"),
        ({"safety": "soft", "bank": "dev"}, "has soft for safety, not safety; it is of the set dev"),
    ],
)
def test_what_else_is_unusual(more: dict[str, Any], said: str) -> None:
    assert unusual(record(**more)) == said
