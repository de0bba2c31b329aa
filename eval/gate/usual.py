"""What of a record is not as the gate usually looks: a promotion by such a one needs a person's word."""

from collections.abc import Mapping
from typing import Any

from openoutcry.core.errors import UsageError
from openoutcry.eval.gate.planning import SAFETY, tried_on
from openoutcry.eval.terms import Terms

LESS = ("epochs", "power", "safety_cases", "few_clusters", "draws")
"""Terms that are laxer the smaller they are."""
MORE = ("alpha", "margin", "category_margin", "category_alpha", "ratio")
"""Terms that are laxer the larger they are."""


def unusual(record: Mapping[str, Any]) -> str:
    """What is unusual about a record, given as JSON holds it, in words that follow "the record"; empty for nothing.

    Unusual are another suite than the role's own, another one of safety, a set that is neither the gate's nor sealed,
    and terms laxer than the defaults.
    """
    return "; it ".join(_odd(record))


def _odd(record: Mapping[str, Any]) -> list[str]:
    role, terms, usual = str(record["role"]), record["terms"], Terms().model_dump()
    try:
        own = tried_on(role)
    except UsageError:
        return [f"is for the {role}, of which the gate has no suite"]
    lax = [n for n in LESS if terms.get(n, 0) < usual[n]] + [n for n in MORE if terms.get(n, usual[n]) > usual[n]]
    found = [f"is over the suite {record['suite']}, not {own}"] if record["suite"] != own else []
    found += [f"has {record['safety']} for safety, not {SAFETY}"] if record["safety"] != SAFETY else []
    found += [f"is of the set {record['bank']}"] if record["bank"] not in ("gate", "sealed") else []
    return found + [f"has laxer terms than usual: {', '.join(f'{n} {terms.get(n)}' for n in lax)}"] * bool(lax)
