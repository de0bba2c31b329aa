"""Many readings into one tone: median, with a cap a source, and copies of one story counted once."""

import re
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.data.table import Rows
from openoutcry.tools.data.view import View
from openoutcry.tools.documents import READ_AT_MOST, Document
from openoutcry.tools.figures import count, day, score, text
from openoutcry.tools.tool import stamped

PER_SOURCE = 5
ALIKE = 0.7
TONES = {"very_negative": -1.0, "negative": -0.5, "neutral": 0.0, "positive": 0.5, "very_positive": 1.0}


@dataclass(frozen=True, slots=True)
class Read:
    """A document and the closed answer of its reader."""

    document: Document
    tone: str
    about: str


def _told(tones: Sequence[float]) -> dict[str, Figure]:
    return {
        "tone": score(statistics.median(tones)),
        "spread": score(statistics.pstdev(tones)),
        "relevant": count(len(tones)),
        "positive": count(sum(t > 0 for t in tones)),
        "negative": count(sum(t < 0 for t in tones)),
        "neutral": count(sum(t == 0 for t in tones)),
    }


def _shingles(words: str) -> frozenset[tuple[str, ...]]:
    tokens = re.findall(r"\w+", words.casefold())
    return frozenset(zip(*(tokens[i:] for i in range(3)), strict=False)) or frozenset({tuple(tokens)})


def without_copies(documents: Sequence[Document]) -> list[Document]:
    """Keep the earliest of documents whose word triples overlap by ALIKE (Jaccard) or more; newest first."""
    kept: list[tuple[Document, frozenset[tuple[str, ...]]]] = []
    for document in sorted(documents, key=lambda d: (d.known_at, d.id)):
        mine = _shingles(document.words)
        if all(len(mine & other) < ALIKE * len(mine | other) for _, other in kept):
            kept.append((document, mine))
    return [d for d, _ in reversed(kept)]


def capped(documents: Sequence[Document]) -> list[Document]:
    """At most PER_SOURCE documents of one publisher, in the order given."""
    seen: Counter[str] = Counter()
    kept: list[Document] = []
    for document in documents:
        seen[document.source_key] += 1
        if seen[document.source_key] <= PER_SOURCE:
            kept.append(document)
    return kept


def document_tone(
    view: View, ticker: str, asked: int, distinct: int, reads: Sequence[Read], unread: int, rows: Rows
) -> Evidence:
    """The median tone of *reads* about the company, and of those about the market, from -1 to +1.

    *asked* documents were fetched, *distinct* remained without copies, *unread* readers failed. Raises
    NotComputed where no reading is relevant.
    """
    own = [TONES[r.tone] for r in reads if r.about == "subject"]
    market = [TONES[r.tone] for r in reads if r.about == "market"]
    if not own and not market:
        raise NotComputed(f"needs a document about {ticker} or its market; of {asked} read, none was judged relevant")
    missing = [f"{unread} of {distinct} documents: the reader gave no valid reading"] if unread else []
    if cut := sum(len(r.document.words) > READ_AT_MOST for r in reads):
        missing.append(f"{cut} of {distinct} documents: read only in their first {READ_AT_MOST:,} characters")
    if not own:
        missing.append(f"{ticker} tone: none of the documents read is about the company itself")
    made = view.evidence(
        {
            "ticker": text(ticker),
            **(_told(own) if own else {}),
            **({"market_tone": score(statistics.median(market)), "market": count(len(market))} if market else {}),
            "copies": count(asked - distinct),
            "capped": count(distinct - len(reads) - unread),
            "newest": day(max(r.document.published for r in reads)),
        },
        [rows],
        conventions={
            "tone": "median of documents about the company, -1 very negative to +1 very positive",
            "market tone": "the same over documents about the market",
            "source cap": f"at most {PER_SOURCE} documents of one publisher",
            "copies": f"word triples overlapping by {ALIKE} or more count once, the earliest",
        },
        missing=missing,
    )
    return stamped(made, "read_documents", {"ticker": ticker, "documents": [r.document.id for r in reads]})
