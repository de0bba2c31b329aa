"""Documents: which are known, and the one gate through which the reader gets a text."""

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib import import_module
from typing import Annotated, Any

from pydantic import Field

from openoutcry.core.clock import new_york_date
from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.arguments import Ticker
from openoutcry.tools.data.table import Rows
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import count, day, text
from openoutcry.tools.tool import tool

Query = Annotated[str, Field(max_length=200, description="words to rank by; empty ranks the newest first")]
Days = Annotated[int, Field(ge=1, le=3650, description="how many days back from the as-of")]
Limit = Annotated[int, Field(ge=1, le=50, description="at most this many documents")]


READ_AT_MOST = 20_000


@dataclass(frozen=True, slots=True)
class Document:
    """One text with what is known of it. Everything but `id`, `kind` and `known_at` is untrusted."""

    id: str
    ticker: str
    kind: str
    publisher: str
    title: str
    body: str
    known_at: datetime

    @property
    def published(self) -> date:
        """The day in New York on which it became known."""
        return new_york_date(self.known_at)

    @property
    def words(self) -> str:
        """Title and body, as the reader gets them."""
        return f"{self.title}\n{self.body}".strip()

    @property
    def excerpt(self) -> str:
        """As much of the words as a reader gets in one call."""
        return self.words[:READ_AT_MOST]

    @property
    def source_key(self) -> str:
        """The publisher as an opaque key, for the cap on one source."""
        return hashlib.sha256(self.publisher.casefold().encode()).hexdigest()[:8]


_COLUMNS = "id, ticker, kind, publisher, title, body, known_at"


def _documents(rows: Rows) -> list[Document]:
    names = _COLUMNS.split(", ")
    cells = [rows.cells(n) for n in names[:-1]]
    return [Document(*row) for row in zip(*cells, rows.moments("known_at"), strict=True)]


def fetch(view: View, ids: list[str]) -> tuple[list[Document], Rows]:
    """The documents of these ids that are known by now, newest first."""
    marks = ", ".join("?" * len(ids)) or "''"
    rows = view.query(f"SELECT {_COLUMNS} FROM documents WHERE id IN ({marks}) ORDER BY known_at DESC, id", ids)
    return _documents(rows), rows


@tool
def document_search(view: View, ticker: Ticker, query: Query = "", days: Days = 180, limit: Limit = 12) -> Evidence:
    """Find documents about *ticker* or the whole market, published within *days* before the as-of.

    Ranked by BM25 over title and body (Lucene's variant, k1 1.5, b 0.75), or newest first for an empty
    query or an equal rank; documents that share no word with the query are left out. Returns opaque ids
    and counts, never text. Raises NotComputed where no document is known.
    """
    since = view.as_of.moment.replace(tzinfo=None) - timedelta(days=days)
    rows = view.query(
        f"SELECT {_COLUMNS} FROM documents WHERE ticker IN (?, '*') AND known_at > ?::TIMESTAMP "
        "ORDER BY known_at DESC, id",
        [ticker, since.isoformat(sep=" ")],
    )
    found = _documents(rows)
    if not found:
        raise NotComputed(
            f"needs documents; none of {ticker} in the {days} days to {view.as_of} is known: ingest news or filings"
        )
    chosen = (_ranked(found, query) if query.strip() else found)[:limit]
    if not chosen:
        raise NotComputed(f"none of the {len(found)} documents of {ticker} shares a word with the query")
    return view.evidence(
        {
            "ticker": text(ticker),
            "found": count(len(found)),
            "chosen": count(len(chosen)),
            "company": count(sum(d.ticker == ticker for d in chosen)),
            "newest": day(max(d.published for d in chosen)),
            "oldest": day(min(d.published for d in chosen)),
        },
        [rows],
        items=[d.id for d in chosen],
        conventions={
            "ranking": "BM25" if query.strip() else "newest first",
            "window": f"{days} calendar days",
        },
    )


def _ranked(found: list[Document], query: str) -> list[Document]:
    bm25s: Any = import_module("bm25s")
    corpus = bm25s.tokenize([d.words for d in found], stopwords="en", show_progress=False)
    words = bm25s.tokenize([query], stopwords="en", show_progress=False)
    if not any(corpus.ids):
        return []
    index = bm25s.BM25()
    index.index(corpus, show_progress=False)
    order, scores = index.retrieve(words, k=len(found), show_progress=False)
    ranks = sorted(zip((-scores[0]).tolist(), order[0].tolist(), strict=True))
    return [found[place] for below, place in ranks if below < 0]
