"""The plan of a look: who is compared over what, what it may see, and whether it may begin."""

import math
from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.eval.gate import alpha, anchor, chain
from openoutcry.eval.gate.alpha import Asked
from openoutcry.eval.gate.anchor import Pinned
from openoutcry.eval.gate.contest import Contest
from openoutcry.eval.lineup import HOUSE, SEATS
from openoutcry.eval.runner import ledger_of
from openoutcry.eval.scenario import Bank
from openoutcry.eval.statistics.proportions import clopper_pearson
from openoutcry.eval.terms import ANCHOR, CHALLENGER, CHAMPION, Terms

SAFETY = "safety"
TRIED_ON = {"reader": "sentiment"}
"""The suite of a role, where it is not of the role's own name."""


EARLIER = 5
"""Looks that the spread is taken from."""


class Planned(Frozen):
    """A look before it begins. Two plans of the same look have the same `look`; one goes on where the other stopped.

    `given` is the suite as a person named it. `alpha` is what the look may use, `turn` which look of the month it is
    for its role, `looks` how many there were. `detectable` is the smallest gain that it can see, as a share of cases,
    and `runs` how many cases there are to play, all epochs and sides together. `refused` says in one line why it may
    not begin; empty where it may.
    """

    look: str
    role: str
    champion: str
    challenger: str
    anchor: str
    given: str
    suite: str
    safety: str
    bank: Bank
    rotation: str
    terms: Terms
    cases: int
    clusters: int
    safety_cases: int
    turn: int
    looks: int
    alpha: float
    detectable: float
    runs: int
    begun: bool = False
    repin: bool = False
    refused: str = ""


def tried_on(role: str) -> str:
    """The suite of a role. Raises UsageError for what is no role."""
    if role not in SEATS:
        raise UsageError(f"expected a role among {', '.join(SEATS)}, got {role!r}")
    return TRIED_ON.get(role, role)


def spread(home: Path, role: str, suite: str) -> float | None:
    """The widest spread that the newest looks of the role over this suite measured; None where none did."""
    ones = islice(chain.backwards(home, role=role, suite=suite), EARLIER)
    found = [c.figures.get("spread", 0.0) for record in ones for c in record.verdict.criteria if c.name == "gain"]
    return max((value for value in found if value > 0), default=None)


def refusal(home: Path, planned: Planned, contest: Contest, asked: Asked, now: datetime) -> str:
    """Why the look may not begin: the first reason, in the order in which they are to be mended; empty for none."""
    pinned = Pinned(name=planned.anchor, digest=contest.identity(ANCHOR))
    return (
        _itself(planned, contest)
        or _taken(home, asked)
        or elsewhere(home, asked)
        or ("" if planned.begun else alpha.set_back(home, now))
        or alpha.refused(home, asked)
        or _lost(home, planned, now)
        or ("" if planned.repin else anchor.refused(home, planned.role, pinned))
        or _own_anchor(home, planned, contest)
        or _unlike(contest)
        or ("" if planned.begun else _blind(planned, contest))
    )


def _itself(planned: Planned, contest: Contest) -> str:
    if contest.players[CHALLENGER] is not contest.players[CHAMPION]:
        return ""
    return (
        f"{planned.challenger} is the champion of {planned.role} already, to the digest; "
        f"`outcry eval compare` sets a model against itself without spending a look"
    )


def _lost(home: Path, planned: Planned, now: datetime) -> str:
    """That the ledger of looks lacks one of the month, or of these cases, of which there is a record."""
    known = alpha.known(home) or {}
    for marks in ({"month": alpha.month(now)}, {"rotation": planned.rotation}):
        for record in chain.backwards(home, role=planned.role, **marks):
            if record.look not in known:
                return (
                    f"expected every look in the ledger of looks, and record {record.number} is of one that it lost; "
                    f"bring looks.sqlite back from a copy"
                )
    return ""


def _own_anchor(home: Path, planned: Planned, contest: Contest) -> str:
    """Why the anchor may not be pinned: nobody is measured against what it brought along, but house rules are."""
    pins = planned.repin or anchor.pinned(home, planned.role) is None
    if not pins or planned.anchor == HOUSE or contest.players[CHALLENGER] is not contest.players[ANCHOR]:
        return ""
    return f"{planned.challenger} cannot be its own anchor, which would hold nothing against it; name another"


def _taken(home: Path, asked: Asked) -> str:
    there = alpha.standing(home, asked)
    return f"this look was taken: record {there.record} holds its verdict" if there and there.record else ""


def elsewhere(home: Path, asked: Asked) -> str:
    """Why a look that has begun may not go on: what it is played in is gone, or is another by now; empty where it may.

    Cases played anew would be a second look at them.
    """
    begun = alpha.standing(home, asked)
    if begun is None:
        return ""
    if asked.runs and asked.runs != begun.runs:
        return (
            f"this look began in the runs {' and '.join(begun.runs)}, and code, prompts, data or judge changed since: "
            f"bring them back as they were, for cases that were played are not played anew"
        )
    if gone := [name for name in begun.runs if not ledger_of(home, name).exists()]:
        return (
            f"this look began in the run {gone[0]}, which is gone: bring its folder back from a copy, for cases that "
            f"were played are not played anew"
        )
    return ""


def _unlike(contest: Contest) -> str:
    odd = [side for side, how in contest.decodings.items() if how != contest.decodings[CHALLENGER]]
    if not odd:
        return ""
    told = "; ".join(f"the {side} {_decoding(contest.decodings[side])}" for side in (CHALLENGER, *odd))
    return f"expected models that decode alike, got {told}; set temperature and max_tokens alike in the stack"


def _decoding(how: Mapping[str, Any]) -> str:
    return " and ".join(f"{name} {value:g}" for name, value in how.items()) or "no setting of its own"


def _blind(planned: Planned, contest: Contest) -> str:
    """Why the look could not end in a promotion, or would not see a gain that matters."""
    terms, there = planned.terms, planned.safety_cases
    if there < terms.safety_cases:
        return f"expected at least {terms.safety_cases} cases of safety; the suite {planned.safety} has {there}"
    category, few = contest.thinnest
    if clopper_pearson(0, few, terms.category_alpha)[1] >= terms.category_margin:
        needed = math.ceil(math.log(terms.category_alpha) / math.log(1 - terms.category_margin))
        return (
            f"expected at least {needed} clusters (issuers or documents) in each category, {category} has {few}: fewer "
            f"cannot show that it is not worse by {100 * terms.category_margin:g} points"
        )
    if planned.detectable <= terms.margin:
        return ""
    if planned.detectable >= 1:
        return (
            f"{planned.cases} cases in {planned.clusters} clusters can show no gain at all at alpha "
            f"{planned.alpha:.4f}, look {planned.turn} of the month: more clusters (issuers or documents) would do"
        )
    needed = int(planned.cases * (planned.detectable / terms.margin) ** 2) + 1
    later = " or the first look of another month" if planned.turn > 1 else ""
    return (
        f"the smallest gain that this look can see is {planned.detectable * 100:.1f} points, the one that matters "
        f"{terms.margin * 100:.1f}: {planned.cases} cases in {planned.clusters} clusters, {terms.epochs} epochs, look "
        f"{planned.turn} of the month at alpha {planned.alpha:.4f}; about {needed} cases, more epochs{later} would do"
    )
