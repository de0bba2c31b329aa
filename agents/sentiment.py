"""The sentiment role: finds documents, has each read in a room of its own, and reports the tone."""

import asyncio
from typing import Annotated

from pydantic import Field

from openoutcry.agents.reader import Reading, Relevance
from openoutcry.agents.role import NUMBERS, Answer, Role
from openoutcry.agents.workbench import Workbench
from openoutcry.core.evidence import Evidence, Quote
from openoutcry.tools.arguments import Ticker
from openoutcry.tools.documents import Document, document_search, fetch
from openoutcry.tools.tone import Read, capped, document_tone, without_copies

AT_ONCE = 8
Ids = Annotated[
    list[Annotated[str, Field(pattern=r"^doc-[0-9a-f]{12}$")]],
    Field(min_length=1, max_length=50, description="ids as document_search gave them"),
]


async def read_documents(bench: Workbench, ticker: Ticker, documents: Ids) -> Evidence:
    """Have each document read alone and return the median tone, from -1 to +1.

    Copies of one story count once and one publisher at most five times. Raises NotComputed where no
    document is known or none is about *ticker* or the market.
    """
    found, rows = await asyncio.to_thread(fetch, bench.view, documents)
    distinct = without_copies(found)
    chosen = capped(distinct)
    gate = asyncio.Semaphore(AT_ONCE)

    async def read(document: Document) -> Reading | None:
        async with gate:
            return await bench.read(ticker, document)

    readings = await asyncio.gather(*map(read, chosen))
    pairs = [(d, r) for d, r in zip(chosen, readings, strict=True) if r is not None]
    reads = [Read(d, r.tone, r.relevance) for d, r in pairs]
    unread = len(chosen) - len(pairs)
    evidence = document_tone(bench.view, ticker, len(found), len(distinct), reads, unread, rows)
    quotes = (
        Quote(document=d.id, published=d.published.isoformat(), kind=d.kind, tone=r.tone, text=q)
        for d, r in pairs
        if r.relevance is not Relevance.UNRELATED
        for q in r.quotes[:1]
    )
    return evidence.model_copy(update={"quotes": tuple(quotes)})


ROLE = Role(
    name="sentiment",
    instructions=f"""\
You are the sentiment analyst of a trading desk. Search for documents about each ticker of the question,
have those found read with read_documents, and say how many there are, how they read and how much they
agree. You never see their text. Your lean follows the median tone; it is none without documents.
{NUMBERS}""",
    tools=(document_search, read_documents),
    output=Answer,
)
