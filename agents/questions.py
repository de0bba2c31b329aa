"""A question in words into a typed one: kind and tickers. Rules, applied before any document is read."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence

from openoutcry.agents import amounts
from openoutcry.core.errors import UnknownTicker, UsageError
from openoutcry.core.report import Kind, Question

ROLES: dict[Kind, tuple[str, ...]] = {
    Kind.RISK: ("risk", "analyst", "sentiment"),
    Kind.OVERVIEW: ("analyst", "risk", "sentiment"),
    Kind.VALUATION: ("analyst", "risk"),
    Kind.NEWS: ("sentiment", "analyst"),
    Kind.COMPARE: ("analyst", "risk", "sentiment"),
    Kind.BOOK: ("risk",),
    Kind.UNKNOWN: (),
}
ANSWERS = (
    "how a ticker stands (overview), how risky it is over a horizon, how it is valued and how good its figures are, "
    "what is written about it, how two tickers compare, and how risky the book is"
)
_FORBIDDEN = re.compile(
    r"\b(guarantee\w*|for (?:sure|certain)|certain to|price target|sure thing|can't lose"
    r"|(?:what|where|which).{0,40}\b(?:price|close|trade|be at)\b.{0,40}\b(?:tomorrow|next|in \d|on \w+ \d))",
    re.IGNORECASE,
)
_KINDS: tuple[tuple[Kind, str], ...] = (
    (
        Kind.RISK,
        r"risk\w*|var|value.at.risk|cvar|(?:expected )?shortfall|drawdowns?|volatil\w*|los[es]\w*|downside|safe\w*"
        r"|danger\w*|expos\w*|tail|book|positions?|holdings?",
    ),
    (
        Kind.VALUATION,
        r"valu(?:ation|ed|e)|expensive|cheap\w*|(?:over|under)valued|p/?e|multiples?|margins?|profit\w*|growth|grow\w*"
        r"|earnings|revenues?|sales|quality|fundamentals?|eps|statements?|figures|dupont|altman|piotroski|beneish"
        r"|[zfm][\s-]scores?",
    ),
    (
        Kind.NEWS,
        r"news|going on|sentiment|headlines?|tone|mood|written|happen\w*|events?|press|said|saying|filings?",
    ),
    (
        Kind.OVERVIEW,
        r"overview|outlook|views?|how (?:is|are|does|do|has)|doing|think|should (?:i|we)|buy|sell|hold|tell me about"
        r"|summar\w+|brief\w*|analy[sz]e|analysis|look\w*|opinion|up or down|direction|likely|chances?"
        r"|odds|probab\w*|go up|compare\w*|versus|vs\.?|better",
    ),
)
SUBJECT = "the company"
_WHOLE_BOOK = re.compile(
    r"\b(?:my|our|the|this|whole|entire)\s+(?:books?|portfolio|positions|holdings)\b", re.IGNORECASE
)
_ABOUT_IT = re.compile(r"\b(?:it|its|that|them)\b", re.IGNORECASE)
_WORDS = frozenset("ALL CAR CASH COST EAT FAST FUN GOOD LIFE LOVE OPEN PLAY REAL RUN TEAM TRUE WELL".split())
_WITH_LAST = re.compile(r"\b(compare\w*|versus|vs\.?|against|relative to|than)\b", re.IGNORECASE)
_SYMBOL = re.compile(r"(?<![\w.&])\$?([A-Z][A-Z0-9]{0,5}(?:[.\-][A-Z]{1,2})?)(?![\w&])")
_NOT_TICKERS = frozenset(
    """A I AI AND ANY ARE AS ASAP AT BE BEAT BIG BUY BY CAGR CAN CEO CFO CPI CVAR DCF DO EBIT EBITDA ECB EPS ES
    ESG ETF EU EUR FDA FED FOMC COVID DOJ DJIA EPA FTC IRA NASDAQ OPEC WHO WSB WTI FOR FX FY GAAP GBP
    GDP GO HAS HE HOLD HOW IF IN IPO IRS IS IT ITS KEY LBO LOW M&A ME MY NEW NEWS NO NOT NOW NYSE OF OK
    ON ONE OR OTC OUT P PE PEG PLEASE PM Q QE R&D RISK RISKY ROA ROE ROI ROIC S&P SEC SEE SELL SHOULD SO
    THAN THE THEM THIS TO TTM TWO UK UP US USA USD VAR VIX VS WE WHAT WHY WITH YES YOU YOY YTD""".split()
)


def read(
    text: str,
    known: Sequence[str],
    names: Mapping[str, str],
    *,
    tickers: Sequence[str] = (),
    horizon: int | None = None,
    previous: Question | None = None,
    nearest: Callable[[str], Kind] = lambda _: Kind.UNKNOWN,
) -> Question:
    """Read *text*; what it leaves open is taken from *previous*, the question before it in a chat.

    Words decide its kind; where they do not and one ticker is named, *nearest* is asked.

    *known* are the tickers in the data, *names* company names by ticker. Raises UnknownTicker for a ticker
    that is not in the data, and UsageError for an empty question, one without a ticker or with more than
    two, and for a horizon, a confidence or any other number that cannot be read for certain.
    """
    text = " ".join(text.split())
    if not text:
        raise UsageError("expected a question, got nothing; try: How risky is AAPL over the next 10 days?")
    plain = amounts.without_as_of(text)
    chosen = tuple(dict.fromkeys(t.upper() for t in tickers)) or _tickers(plain, known, names)
    _check(chosen, known)
    if _FORBIDDEN.search(plain):
        return Question(text=text, kind=Kind.UNKNOWN, tickers=chosen[:2])
    kind, chosen = _kind(plain, chosen, previous)
    near = kind is Kind.UNKNOWN and len(chosen) == 1
    if near:
        kind = nearest(_unnamed(plain, chosen[0], names))
    if kind is Kind.UNKNOWN:
        return Question(text=text, kind=kind, tickers=chosen[:2])
    if not chosen and kind is not Kind.BOOK:
        raise UsageError(
            "expected a ticker in the question, found none (write $ALL for one that is also a word); "
            f"the data has {listing(known)}"
        )
    if len(chosen) > 2:
        raise UsageError(f"expected one ticker, or two to compare, found {', '.join(chosen)}; ask about two at a time")
    base = previous or Question(text=text, kind=kind)
    days, confidence = amounts.read(plain, [*chosen, *names.values()])
    return Question(
        text=text,
        kind=kind,
        tickers=chosen,
        horizon=amounts.bounded(horizon) if horizon is not None else days or base.horizon,
        confidence=confidence or base.confidence,
        by="nearest" if near else "words",
    )


def _kind(text: str, chosen: tuple[str, ...], previous: Question | None) -> tuple[Kind, tuple[str, ...]]:
    """The kind of question and its tickers, completed from the question before."""
    found = next((k for k, words in _KINDS if re.search(rf"\b({words})\b", text, re.IGNORECASE)), Kind.UNKNOWN)
    if not chosen and _WHOLE_BOOK.search(text) and not _ABOUT_IT.search(text):
        return Kind.BOOK, ()
    short = previous and len(text.split()) <= 4 and amounts.any_in(text)
    goes_on = bool(
        short
        or re.match(r"(?i)\s*(and|what about|how about|same|again|no|sorry|i mean|i meant|make (?:it|that))\b", text)
    )
    if found is Kind.UNKNOWN and (
        _bare(text, chosen) or (goes_on and (chosen or amounts.any_in(text) or not re.search(r"\w{4}", text)))
    ):
        found = previous.kind if previous and goes_on else Kind.OVERVIEW
    beside = _WITH_LAST.search(text) or (goes_on and previous and previous.kind is Kind.COMPARE)
    if previous and beside and len(chosen) == 1 and chosen != previous.tickers[:1]:
        chosen = (*previous.tickers[:1], *chosen)
    if previous and not chosen and found is not Kind.UNKNOWN:
        chosen = previous.tickers
    if len(chosen) > 1:
        return Kind.COMPARE, chosen
    if len(chosen) == 1 and _WITH_LAST.search(text):
        raise UsageError(f"expected two tickers to compare, found only {chosen[0]}; name both by their tickers")
    return (Kind.OVERVIEW if found is Kind.COMPARE else found), chosen


def _unnamed(text: str, ticker: str, names: Mapping[str, str]) -> str:
    """The question with SUBJECT in place of the ticker and its company's name."""
    if name := names.get(ticker):
        text = _named(name).sub(SUBJECT, text.replace("-", " "))
    return re.sub(rf"(?<![\w&])\$?{re.escape(ticker)}(?![\w&])", SUBJECT, text, flags=re.IGNORECASE)


def _bare(text: str, chosen: Sequence[str]) -> bool:
    """Whether the words are tickers and nothing else: "aapl?", "MSFT or AAPL"."""
    rest = [w for w in re.findall(r"[A-Za-z]+", text) if w.upper() not in chosen and w.lower() not in ("or", "and")]
    return bool(chosen) and not rest


def _tickers(text: str, known: Sequence[str], names: Mapping[str, str]) -> tuple[str, ...]:
    """Tickers in the order in which they stand: symbols, then company names, then symbols in lower case."""
    found: dict[str, int] = {}
    for match in _SYMBOL.finditer(text):
        symbol = match[1]
        if (symbol in known and symbol not in _NOT_TICKERS) or "$" in match[0] or _looks_like_one(symbol, text):
            found.setdefault(symbol, match.start())
    for ticker, name in names.items():
        match = _named(name).search(text.replace("-", " "))
        if match and ticker in known and (match[0][0].isupper() or not any(c.isupper() for c in text[1:])):
            found.setdefault(ticker, match.start())
    if not found:
        for match in re.finditer(r"\b[a-z]{2,5}\b", text):
            if match[0].upper() in known and match[0].upper() not in _NOT_TICKERS | _WORDS:
                found.setdefault(match[0].upper(), match.start())
    return tuple(sorted(found, key=found.__getitem__))


def _named(name: str) -> re.Pattern[str]:
    """How people write a company: its full name, its first word if long, the start of one word, or X&Y."""
    words = name.replace("-", " ").split()
    ways = [re.escape(" ".join(words))]
    if len(words[0]) >= 5 and words[0] not in ("General", "Range"):
        ways.append(re.escape(words[0]))
        ways += [re.escape(words[0][:5])] if words[0].endswith("Co") else []
    if len(words) == 2 and len(words[0]) <= 3:
        ways.append(re.escape(words[1]))
    if "&" in words:
        ways.append("&".join(w[0] for w in words if w != "&"))
    return re.compile(rf"(?<![\w&])({'|'.join(ways)})(?![\w&])", re.IGNORECASE)


def _looks_like_one(symbol: str, text: str) -> bool:
    shouted = text.isupper() and " " in text.strip()
    return len(symbol) > 1 and symbol not in _NOT_TICKERS and not shouted and not re.fullmatch(r"Q[1-4]|FY\d+", symbol)


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
