"""Questions on dated tweets and headlines, built from the words of the file: topics that stood out, and themes."""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from questions import DATA, Case, QuestionSet, digest, lines

from openoutcry.memory.record import Memory
from openoutcry.memory.wanted import Wanted

NAMES = {"GOOG": "Google", "MSFT": "Microsoft", "BAC": "Bank of America", "XOM": "Exxon", "KO": "Coca-Cola"} | {
    "BA": "Boeing", "HD": "Home Depot", "PG": "Procter & Gamble", "TSLA": "Tesla"
}  # fmt: skip
THEMES = {
    r"earnings|eps|revenues?|guidance": "How profitable was {} in its last quarter?",
    r"(up|down)graded?s?|price target|outperform|overweight|buy rating": "What do brokers think of the shares of {}?",
    r"dividends?|buybacks?|repurchase": "What cash does {} return to those who hold its stock?",
    r"lawsuits?|sued?|settlements?|fine[ds]?|probe|investigation|judge": "Is {} in trouble with the law?",
    r"acquires?|acquisitions?|mergers?|takeover": "Is {} purchasing another company?",
    r"insiders?|beneficial ownership": "Do managers of {} trade its stock themselves?",
    r"support|resistance|breakout|moving average|bullish|bearish|oversold": "What do chart readers see in {}?",
    r"options?|calls|puts|strike": "How do derivatives traders bet on {}?",
    r"layoffs?|job cuts|jobs": "Is {} letting staff go?",
    r"crude|opec|barrels?|natural gas": "How do energy prices weigh on {}?",
    r"hack\w*|breach\w*|cyber\w*": "Was data stolen from customers of {}?",
    r"jets?|dreamliner|737|777|787|airbus": "Which planes is {} selling, and against which rival?",
}
"""What makes a post relevant, and the question for it in other words."""
NOISE = {"url", "at_user", "rt"}
LEAST, MOST = 3, 40
"""How many posts of a span may answer, so that ten places are neither too many nor a lottery."""
LIFT, COMMON = 6.0, 0.005
"""A word is a topic of a span where it comes up so many times as often as in all posts of the ticker, and in no more
than so many of all posts of all tickers, or "today" would be one."""


@dataclass(frozen=True, slots=True)
class Post:
    """A post, its words, and its digest."""

    ticker: str
    at: datetime
    text: str
    words: frozenset[str]
    memory: Memory


def read(year: int) -> list[Post]:
    """The tweets of *year* and all headlines, each once a ticker, in the order of time."""
    rows = [(r["ticker"], r["created_at"], r["text"]) for r in lines("market/stocknet_tweets.jsonl")]
    rows = [r for r in rows if r[1].startswith(str(year))]
    for path in sorted((DATA / "market" / "api_fixture_2024_03").glob("news_*.json")):
        rows += [(r["ticker"], r["date"], r["title"]) for r in json.loads(path.read_text(encoding="utf-8"))["news"]]
    return sorted({(p.ticker, p.text): p for p in (post(*row) for row in rows)}.values(), key=lambda p: p.at)


def post(ticker: str, at: str, text: str) -> Post:
    """One post, known when it was written."""
    moment = datetime.fromisoformat(at).astimezone(UTC).replace(tzinfo=None)
    found = frozenset(re.findall(r"[a-z0-9][\w'-]+", text.lower())) - NOISE
    return Post(ticker, moment, text, found, digest(text, ticker, moment, f"{ticker} {at} {text}"))


def alike(one: Post, other: Post) -> bool:
    """Whether two posts share four words in five: one is a copy of the other."""
    both = one.words | other.words
    return len(one.words & other.words) >= 0.8 * len(both) > 0


def case(family: str, text: str, mine: Sequence[Post], start: datetime, end: datetime, hits: Sequence[Post]) -> Case:
    """A question as of *end*: posts of the span that answer it, and copies of them, get 2, earlier ones 1."""
    known = [p for p in mine if p.at <= end]
    found = {p.memory.id: p for p in hits if p.at <= end}
    copies = {p.memory.id: p for p in known if any(alike(p, hit) for hit in found.values())}
    grades = {i: 2 if p.at >= start else 1 for i, p in (found | copies).items()}
    wanted = Wanted(text=text, as_of=end, tickers=(mine[0].ticker,), limit=10)
    return Case(family, wanted, grades)


def spans(mine: Sequence[Post], days: int) -> Iterator[tuple[datetime, datetime, list[Post]]]:
    """Spans of so many days, from the first post on, with their posts."""
    start, step = mine[0].at.replace(hour=0, minute=0, second=0, microsecond=0), timedelta(days=days)
    while start <= mine[-1].at:
        yield start, start + step, [p for p in mine if start <= p.at < start + step]
        start += step


def topics(mine: Sequence[Post], every: Sequence[Post]) -> Iterator[Case]:
    """For each span of ten days, the word that came up most of those that stood out in it."""
    usual, anywhere = (Counter(w for p in some for w in p.words) for some in (mine, every))
    name = NAMES[mine[0].ticker]
    for start, end, inside in spans(mine, 10):
        counts = Counter(w for p in inside for w in p.words if re.fullmatch(r"[a-z]{5,}", w))
        told = [
            w
            for w, count in counts.items()
            if count >= LEAST and count * len(mine) >= LIFT * usual[w] * len(inside)
            if anywhere[w] <= COMMON * len(every) and w not in name.lower()
        ]
        for word in sorted(told, key=lambda w: (-counts[w], w))[:1]:
            text = f"What was said about {name} and {word} in {start:%B %Y}?"
            yield case("topics", text, mine, start, end, [p for p in mine if word in p.words])


def themes(mine: Sequence[Post]) -> Iterator[Case]:
    """For each theme, the two spans of a quarter with the most posts on it, but no more than MOST."""
    name = NAMES[mine[0].ticker]
    for pattern, question in THEMES.items():
        told = re.compile(rf"\b({pattern})\b", re.IGNORECASE)
        hits = [p for p in mine if told.search(p.text)]
        ids = {p.memory.id for p in hits}
        sized = [(sum(p.memory.id in ids for p in inside), start, end) for start, end, inside in spans(mine, 91)]
        fit = sorted((s for s in sized if LEAST <= s[0] <= MOST), key=lambda s: (-s[0], s[1]))
        for _, start, end in fit[:2]:
            yield case("themes", question.format(name), mine, start, end, hits)


def posts(year: int, tickers: Container[str] = NAMES) -> QuestionSet:
    """The posts on *tickers*, and every topic and theme of each."""
    every = [p for p in read(year) if p.ticker in tickers]
    by_ticker: dict[str, list[Post]] = defaultdict(list)
    for one in every:
        by_ticker[one.ticker].append(one)
    # a ticker's headlines of a later decade are no part of its tweets' statistics
    groups = [[p for p in mine if (p.at.year == year) is old] for mine in by_ticker.values() for old in (True, False)]
    cases = [c for mine in groups if mine for c in (*topics(mine, every), *themes(mine))]
    return QuestionSet([p.memory for p in every], cases)
