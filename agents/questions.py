"""A question in words into a typed one: kind, tickers, horizon, confidence. Rules, read before any document."""

import difflib
import re
from collections.abc import Mapping, Sequence

from openoutcry.core.errors import UnknownTicker, UsageError
from openoutcry.core.report import Kind, Question

ROLES: dict[Kind, tuple[str, ...]] = {
    Kind.RISK: ("risk", "analyst", "sentiment"),
    Kind.OVERVIEW: ("analyst", "risk", "sentiment"),
    Kind.VALUATION: ("analyst", "risk"),
    Kind.NEWS: ("sentiment", "analyst"),
    Kind.COMPARE: ("analyst", "risk", "sentiment"),
    Kind.UNKNOWN: (),
}
ANSWERS = (
    "how a ticker stands (overview), how risky it is over a horizon, how it is valued and how good its figures are, "
    "what is written about it, and how two tickers compare"
)
_FORBIDDEN = re.compile(
    r"\b(guarantee\w*|for (?:sure|certain)|certain to|price target|sure thing|can't lose"
    r"|(?:what|where|which).{0,40}\b(?:price|close|trade|be at)\b.{0,40}\b(?:tomorrow|next|in \d|on \w+ \d))",
    re.IGNORECASE,
)
_KINDS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        Kind.COMPARE,
        re.compile(r"\b(compare\w*|comparison|versus|vs\.?|against|better|or|than|relative)\b", re.I),
    ),
    (
        Kind.RISK,
        re.compile(
            r"\b(risk\w*|var|value.at.risk|cvar|(?:expected )?shortfall|drawdowns?|volatil\w*|los[es]\w*|downside"
            r"|safe\w*|danger\w*|exposure|tail)\b",
            re.I,
        ),
    ),
    (
        Kind.VALUATION,
        re.compile(
            r"\b(valu(?:ation|ed|e)|expensive|cheap\w*|(?:over|under)valued|p/?e|multiples?|margins?|profit\w*|growth|grow\w*"
            r"|earnings|revenues?|sales|quality|fundamentals?|eps|statements?)\b",
            re.I,
        ),
    ),
    (
        Kind.NEWS,
        re.compile(
            r"\b(news|sentiment|headlines?|tone|mood|written|happen\w*|events?|press|said|saying|filings?)\b",
            re.I,
        ),
    ),
    (
        Kind.OVERVIEW,
        re.compile(
            r"\b(overview|outlook|views?|how (?:is|are|does|do|has)|doing|think|should (?:i|we)|buy|sell|hold"
            r"|tell me about|summar\w+|brief\w*|analy[sz]e|analysis|look\w*|opinion|up or down|direction|position)\b",
            re.I,
        ),
    ),
)
_WITH_LAST = re.compile(r"\b(compare\w*|versus|vs\.?|against|relative to|than)\b", re.I)
_SESSIONS = {"day": 1, "session": 1, "week": 5, "month": 21, "quarter": 63, "year": 252}
_WORDS = {
    "a": 1,
    "an": 1,
    "one": 1,
    "next": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "ten": 10,
    "twenty": 20,
}
_HORIZON = re.compile(
    rf"\b(\d+|{'|'.join(_WORDS)})[\s-]+(?:trading[\s-]+|business[\s-]+)?({'|'.join(_SESSIONS)})s?\b", re.I
)
_CONFIDENCE = re.compile(r"\b(\d{2}(?:\.\d+)?)\s*(?:%|percent|per cent)")
_AS_OF = re.compile(r"\bas[\s-]of\s+(\d{4}-\d{2}-\d{2}(?:T[\d:]+)?)", re.I)
_SYMBOL = re.compile(r"(?<![\w.])\$?([A-Z][A-Z0-9]{0,5}(?:[.\-][A-Z]{1,2})?)(?![\w])")
_NOT_TICKERS = frozenset(
    """A I AI AND ARE AS ASAP AT BE BEAT BUY BY CAGR CEO CFO CPI CVAR DCF DO EBIT EBITDA ECB EPS ES ESG ETF EU
    EUR FED FOMC FOR FX FY GAAP GBP GDP GO HOLD HOW IF IN IPO IRS IS IT ITS LBO M&A ME MY NEWS NO NOT
    NYSE OF OK ON OR OTC P PE PEG PLEASE PM Q QE R&D ROA ROE ROI ROIC S&P SEC SELL SHOULD SO THAN THE
    THEM THIS TO TTM UK UP US USA USD VAR VIX VS WE WHAT WHY WITH YES YOY YTD YOU""".split()
)
MAX_HORIZON = 252


def as_of_in(text: str) -> str | None:
    """The as-of that the words name (`as of 2022-06-30`), if any."""
    found = _AS_OF.search(text)
    return found[1] if found else None


def read(
    text: str,
    known: Sequence[str],
    names: Mapping[str, str],
    *,
    tickers: Sequence[str] = (),
    horizon: int | None = None,
    previous: Question | None = None,
) -> Question:
    """Read *text*; what it leaves open is taken from *previous*, the question before it in a chat.

    *known* are the tickers in the data, *names* company names by ticker. Raises UnknownTicker for a ticker
    that is not in the data, and UsageError for an empty question, one without a ticker, or a horizon that
    is not from 1 to 252 trading days.
    """
    text = " ".join(text.split())
    if not text:
        raise UsageError("expected a question, got nothing; try: How risky is AAPL over the next 10 days?")
    plain = _AS_OF.sub(" ", text)
    chosen = tuple(tickers) or _tickers(plain, known, names)
    _check(chosen, known)
    if previous and len(chosen) < 2 and _WITH_LAST.search(plain):
        chosen = tuple(dict.fromkeys((*previous.tickers[:1], *chosen)))
    kind = _kind(plain, chosen)
    if kind is Kind.UNKNOWN and not _FORBIDDEN.search(plain) and _follows_up(plain, chosen):
        kind = previous.kind if previous else Kind.OVERVIEW if chosen else kind
    if previous and not chosen:
        chosen = previous.tickers
    if len(chosen) < 2 and kind is Kind.COMPARE:
        kind = Kind.OVERVIEW
    if kind is not Kind.UNKNOWN and not chosen:
        raise UsageError(f"expected a ticker in the question, found none; the data has {listing(known)}")
    base = previous or Question(text=text, kind=kind)
    return Question(
        text=text,
        kind=kind,
        tickers=chosen[: 2 if kind is Kind.COMPARE else 1],
        horizon=_horizon(plain, horizon, base.horizon),
        confidence=_confidence(plain, base.confidence),
    )


def _kind(text: str, tickers: Sequence[str]) -> Kind:
    if _FORBIDDEN.search(text):
        return Kind.UNKNOWN
    for kind, words in _KINDS:
        if words.search(text) and (kind is not Kind.COMPARE or len(tickers) > 1):
            return kind
    bare = _SYMBOL.sub(" ", text).strip(" ?!.,$")
    return Kind.OVERVIEW if tickers and not bare else Kind.COMPARE if len(tickers) > 1 else Kind.UNKNOWN


def _follows_up(text: str, tickers: Sequence[str]) -> bool:
    """Whether words such as "and over 20 days?" or "what about MSFT?" go on with the last question."""
    opens = re.match(r"(?i)(and|what about|how about|same|again)\b", text)
    return bool(opens and (tickers or _HORIZON.search(text) or _CONFIDENCE.search(text)))


def _tickers(text: str, known: Sequence[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """Tickers in the order in which they stand: symbols, and company names in any case."""
    found: dict[str, int] = {}
    for match in _SYMBOL.finditer(text):
        symbol = match[1]
        if symbol in known or "$" in match[0] or (len(symbol) > 1 and _looks_like_one(symbol, text)):
            found.setdefault(symbol, match.start())
    for ticker, name in names.items():
        match = re.search(rf"\b{re.escape(name)}\b", text, re.IGNORECASE)
        if match and ticker in known:
            found.setdefault(ticker, match.start())
    if not found:
        for match in re.finditer(r"\b[a-z]{3,5}\b", text):
            if match[0].upper() in known and match[0].upper() not in _NOT_TICKERS:
                found.setdefault(match[0].upper(), match.start())
    return tuple(sorted(found, key=found.__getitem__))


def _looks_like_one(symbol: str, text: str) -> bool:
    return symbol not in _NOT_TICKERS and not text.isupper() and not re.fullmatch(r"Q[1-4]|FY\d+", symbol)


def _check(chosen: Sequence[str], known: Sequence[str]) -> None:
    for ticker in chosen:
        if ticker not in known:
            close = difflib.get_close_matches(ticker, known, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]}? " if close else ""
            raise UnknownTicker(f"no price of {ticker} is known by then; {hint}the data has {listing(known)}")


def listing(known: Sequence[str]) -> str:
    """The tickers in the data, cut to a line."""
    if not known:
        return "no ticker with prices yet"
    more = f" and {len(known) - 20} more" if len(known) > 20 else ""
    return ", ".join(known[:20]) + more


def _horizon(text: str, given: int | None, default: int) -> int:
    horizon = given
    if horizon is None:
        found = _HORIZON.search(text)
        if not found:
            return default
        amount = int(found[1]) if found[1].isdigit() else _WORDS[found[1].lower()]
        horizon = amount * _SESSIONS[found[2].lower()]
    if not 1 <= horizon <= MAX_HORIZON:
        raise UsageError(f"expected a horizon from 1 to {MAX_HORIZON} trading days, got {horizon}")
    return horizon


def _confidence(text: str, default: float) -> float:
    found = _CONFIDENCE.search(text)
    level = float(found[1]) / 100 if found else default
    return level if 0.5 < level < 1 else default
