"""Many readings into one tone: median, with a cap a source, and copies of one story counted once."""

import re
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.documents import Document
from openoutcry.tools.figures import count, day, score, text
from openoutcry.tools.table import Rows
from openoutcry.tools.view import View

PER_SOURCE = 5
ALIKE = 0.7
TONES = {"very_negative": -1.0, "negative": -0.5, "neutral": 0.0, "positive": 0.5, "very_positive": 1.0}


@dataclass(frozen=True, slots=True)
class Read:
    """A document and the closed answer of its reader."""

    document: Document
    tone: str
    relevant: bool


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
    """The median tone of the relevant *reads*, from -1 (very negative) to +1 (very positive).

    *asked* documents were fetched, *distinct* remained without copies, *unread* readers failed. Raises
    NotComputed where no reading is relevant.
    """
    tones = [TONES[r.tone] for r in reads if r.relevant]
    if not tones:
        raise NotComputed(f"needs a document about {ticker}; of {asked} read, none was judged relevant")
    missing = [f"{unread} of {distinct} documents: the reader gave no valid reading"] if unread else []
    return view.evidence(
        "read_documents",
        {"ticker": ticker, "documents": [r.document.id for r in reads]},
        {
            "ticker": text(ticker),
            "tone": score(statistics.median(tones)),
            "spread": score(statistics.pstdev(tones)),
            "relevant": count(len(tones)),
            "positive": count(sum(t > 0 for t in tones)),
            "negative": count(sum(t < 0 for t in tones)),
            "neutral": count(sum(t == 0 for t in tones)),
            "copies": count(asked - distinct),
            "capped": count(distinct - len(reads) - unread),
            "newest": day(max(r.document.published for r in reads)),
        },
        [rows],
        conventions={
            "tone": "median of relevant documents, -1 very negative to +1 very positive",
            "source cap": f"at most {PER_SOURCE} documents of one publisher",
            "copies": f"word triples overlapping by {ALIKE} or more count once, the earliest",
        },
        missing=missing,
    )
