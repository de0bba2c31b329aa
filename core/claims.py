"""Numbers by reference: a claim is a sentence whose digits all come from evidence.

`{E3.var}` in a claim stands for the figure `var` of evidence E3, and `{M2.var}` for that of a memory. A model never
types a digit; the renderer puts them in. The same functions serve the check (`faults`) and the page (`segments`).
"""

import re
from collections.abc import Iterator, Mapping

from openoutcry.core.evidence import Evidence, Unit, show

REFERENCE = re.compile(r"\{([EM]\d+)\.([a-z][a-z0-9_]*)\}")
_NUMBER_WORDS = re.compile(
    r"\b(two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundreds?|thousands?|millions?|billions?|trillions?|dozens?"
    r"|percent(?:age)?|per\s+cent|twice|thrice|\w+fold|half|halv\w+|doubl\w+|tripl\w+|trebl\w+|quadrupl\w+"
    r"|quintupl\w+|thirds|zero"
    r"|(?:an?|one)[\s-]+(?:third|quarter|fifth|sixth|seventh|eighth|ninth|tenth|\w+ieth|hundredth)"
    r"(?![\s-]+(?:quarter|year)))\b",
    re.IGNORECASE,
)


def references(text: str) -> list[tuple[str, str]]:
    """Each (evidence id, figure name) that the claim refers to, in order."""
    return [(m[1], m[2]) for m in REFERENCE.finditer(text)]


def faults(text: str, evidence: Mapping[str, Evidence]) -> list[str]:
    """What is wrong with a claim: references that do not resolve, loose digits, loose number words.

    An empty list means that every digit of the rendered sentence comes from evidence.
    """
    found: list[str] = []
    for eid, name in references(text):
        if eid not in evidence:
            found.append(f"{{{eid}.{name}}}: there is no evidence {eid}")
        elif name not in evidence[eid].figures:
            known = ", ".join(sorted(evidence[eid].figures))
            found.append(f"{{{eid}.{name}}}: {eid} has no figure {name}; it has {known}")
    bare = REFERENCE.sub(" ", text)
    if any(c.isnumeric() for c in bare):
        found.append("a digit outside a reference; write {E1.name} instead")
    elif any(c in "{}" for c in bare):
        found.append("a brace that is not a reference of the form {E1.name}")
    elif word := _NUMBER_WORDS.search(bare):
        found.append(f"the number word {word[0]!r}; write a reference instead")
    return found


def segments(text: str, evidence: Mapping[str, Evidence]) -> Iterator[tuple[str, str | None]]:
    """Pieces of the rendered claim: (text, None) or (digits, "E3.var")."""
    end = 0
    for match in REFERENCE.finditer(text):
        if match.start() > end:
            yield text[end : match.start()], None
        yield show(evidence[match[1]].figures[match[2]]), f"{match[1]}.{match[2]}"
        end = match.end()
    if end < len(text):
        yield text[end:], None


def render(text: str, evidence: Mapping[str, Evidence], *, cite: bool = False) -> str:
    """The sentence with its digits; with *cite*, each measured figure has its reference in brackets.

    Names, dates and spans of days are not measured, so they stand without one.
    """
    return "".join(
        f"{piece} [{ref}]" if cite and ref and _measured(ref, evidence) else piece
        for piece, ref in segments(text, evidence)
    )


def _measured(ref: str, evidence: Mapping[str, Evidence]) -> bool:
    eid, _, name = ref.partition(".")
    return evidence[eid].figures[name].unit not in (Unit.TEXT, Unit.DATE, Unit.SESSIONS)
