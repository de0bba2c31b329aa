"""The numbers of a question: as-of, horizon and confidence. A number that has no sure place is refused."""

import re
from collections.abc import Iterable

from openoutcry.core.clock import AsOf
from openoutcry.core.errors import UsageError
from openoutcry.tools.arguments import MAX_HORIZON

SESSIONS = {"day": 1, "session": 1, "week": 5, "month": 21, "quarter": 63, "year": 252}
WORDS = {
    word: n
    for n, word in enumerate(
        """one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
        eighteen nineteen twenty""".split(),
        1,
    )
} | {"a": 1, "an": 1, "next": 1, "coming": 1, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60}
_UNIT = rf"({'|'.join(SESSIONS)})s?\b"
_HORIZON = re.compile(rf"(?<![\w.,/\-])(\d+|{'|'.join(WORDS)})[\s-]+(?:trading[\s-]+|business[\s-]+)?{_UNIT}", re.I)
_UNSURE = re.compile(
    rf"\b(?:\d+\s*(?:to|or|-|–)\s*\d+|half|[\d.,]*[.,]\d+|couple|few|several|-\s*\d+)(?:\s+(?:of|an?))*[\s-]+{_UNIT}"
    rf"|-\s*\d+[\s-]+{_UNIT}|\bcalendar[\s-]+days?\b"
    rf"|\b(?:{'|'.join(WORDS)})\s+(?:to|or)\s+\w+[\s-]+{_UNIT}"
    r"|\b(?:tomorrow|tonight|overnight|decades?|year[\s-]+end|(?:this|current)\s+(?:week|month|quarter|year))\b",
    re.I,
)
_BACK = re.compile(rf"\b(?:past|last|previous|trailing|recent)\s+(?:\w+\s+){{0,2}}{_UNIT}|\b{_UNIT}\s+ago\b", re.I)
_SPOKEN = re.compile(
    r"\b(three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty|forty|fifty|sixty|seventy|eighty"
    r"|ninety|hundred|thousand|million|billion|dozen|half)\b",
    re.I,
)
_LEVEL = r"(\d{1,3}(?:\.\d+)?)"
_PERCENT = r"\s*(?:%|percent\b|per cent\b)"
_CONFIDENCE = re.compile(
    rf"(?:\bat|\bwith|\bmeant|\bmean|\bmake\s+(?:it|that)|\bvar|\bes|\bcvar|\bshortfall)\s+(?:the\s+)?{_LEVEL}{_PERCENT}"
    rf"|{_LEVEL}{_PERCENT}\s+(?:confidence|level|var\b|es\b|cvar\b|value.at.risk|expected)"
    rf"|{_LEVEL}(?:th|st|nd|rd)\s+percentile\b|\b(?:var|es|cvar)\s*\(\s*{_LEVEL}\s*\)"
    r"|\b(0?\.\d+)\s+(?:confidence|level|quantile)\b",
    re.I,
)
_AS_OF = re.compile(r"\bas[\s-]of\s+(\d{4}-\d{2}-\d{2}(?:T[\d:]+)?)", re.I)
_NAMES = re.compile(r"\b(10-[KQ]|8-K|S&P\s?500|52[\s-]week|Q[1-4])\b", re.I)
_MONTH = r"jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_WHEN = re.compile(rf"\b(?:(?:{_MONTH})[a-z]*\.?\s+(?:\d{{1,2}},?\s+)?)?(?:19|20)\d\d\b(?:-\d\d(?:-\d\d)?)?", re.I)


def as_of_in(text: str) -> str | None:
    """The as-of that the words name (`as of 2022-06-30`), if any. Raises UsageError where they name two."""
    found = list(dict.fromkeys(_AS_OF.findall(text)))
    if len(found) > 1:
        raise UsageError(f"expected one as-of in the question, found {' and '.join(found)}")
    return found[0] if found else None


def without_as_of(text: str) -> str:
    """The words without the as-of that they name."""
    return _AS_OF.sub(" ", text)


def any_in(text: str) -> bool:
    """Whether the words hold a horizon or a confidence."""
    return bool(_HORIZON.search(text) or _CONFIDENCE.search(text))


def read(text: str, names: Iterable[str]) -> tuple[int | None, float | None]:
    """The horizon in trading days and the confidence that *text* names; None for what it does not.

    *names* may hold digits of their own. Raises UsageError for any number left over, so that none is
    silently taken for something else or for nothing.
    """
    for name in names:
        text = text.replace(name, " ")
    text = _NAMES.sub(" ", text)
    if found := _BACK.search(text):
        raise UsageError(
            f"expected a horizon ahead such as '10 days', found {found[0]!r}; spans that look back are fixed"
        )
    if found := _WHEN.search(text):
        raise UsageError(f"expected a day as in 'as of 2022-06-30', found {found[0]!r}; say as of which day")
    if found := _UNSURE.search(text):
        raise UsageError(f"expected a horizon such as '10 days', '2 weeks' or 'a month', found {found[0]!r}")
    horizons = {(m[1], m[2]) for m in _HORIZON.finditer(text)}
    levels = {next(filter(None, m.groups())) for m in _CONFIDENCE.finditer(text)}
    rest = _CONFIDENCE.sub(" ", _HORIZON.sub(" ", text))
    if left := re.search(r"[\d.,]*\d[\d.,]*", rest) or _SPOKEN.search(rest):
        raise UsageError(
            f"expected numbers only as a horizon ('10 days'), a confidence ('95 %') or a day, found {left[0]!r}"
        )
    if len(horizons) > 1 or len(levels) > 1:
        raise UsageError("expected one horizon and one confidence in the question, found more; ask one at a time")
    return _horizon(*horizons), _level(*levels)


def _horizon(found: tuple[str, str] | None = None) -> int | None:
    if found is None:
        return None
    amount, unit = found
    return bounded((int(amount) if amount.isdigit() else WORDS[amount.lower()]) * SESSIONS[unit.lower()])


def bounded(horizon: int) -> int:
    """*horizon*, checked. Raises UsageError outside 1 to 252 trading days."""
    if not 1 <= horizon <= MAX_HORIZON:
        raise UsageError(f"expected a horizon from 1 to {MAX_HORIZON} trading days, got {horizon}")
    return horizon


def _level(found: str | None = None) -> float | None:
    if found is None:
        return None
    level = float(found) if float(found) < 1 else float(found) / 100
    if not 0.5 < level < 1:
        raise UsageError(f"expected a confidence above 50 % and below 100 %, such as 99 %, got {found}")
    return round(level, 6)


def one_clock(given: str | None, text: str) -> str | None:
    """The as-of, given or said in the words. Raises UsageError where the two are not the same moment."""
    said = as_of_in(text)
    if given and said and AsOf.parse(given) != AsOf.parse(said):
        raise UsageError(f"expected one as-of, got {given} beside {said} in the question")
    return given or said
