"""Questions on real filings, pages and posts, each with the documents that answer it, built from the shared data alone.

How a family leans, for a reader of its figures:

    financebench   people's questions on pages of reports; many share rare words with the page, the company's name first
    finqa, tatqa   people's questions on a table and the text beside it; the numbers of the answer are not in them
    10-K           what a person asks of an item, in other words than its heading, within one company: towards meaning
    8-K            what happened, company and month named, among all companies: towards words, names and dates
    topics         a ticker, a month and a word that stood out in it: towards words, since relevance is that word
    themes         a ticker and a matter, told in other words than those that make a post relevant: towards meaning
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from openoutcry.memory.record import Kind, Memory, Trust
from openoutcry.memory.wanted import Wanted

DATA = Path(__file__).parents[1].parent / "shared" / "data"
END = datetime.fromisoformat("2026-01-01")
LONGEST = 2_000
"""Characters of a digest's text, as the desk keeps them."""
SHORTEST = 250
"""Characters below which an item of a filing answers nothing ("None.", "Incorporated by reference")."""
ITEMS = {
    "1": "What does {} sell, and to whom?",
    "1A": "What could go wrong for {}?",
    "2": "Where are the offices and plants of {}, and does it own or rent them?",
    "3": "Who is suing {}, and over what?",
    "5": "How many holders does the stock of {} have, and what were they paid?",
    "6": "How did sales and profit of {} develop over five years?",
    "7": "How does {} explain how the year went?",
    "7A": "How exposed is {} to interest rates, currencies and commodity prices?",
    "9A": "Can the accounts of {} be trusted, going by its own checks?",
    "10": "Who sits on the board of {}?",
    "11": "How are the top managers of {} paid?",
    "12": "Who owns large stakes in {}?",
    "13": "Does {} do business with its own directors or their families?",
    "14": "What does {} pay its auditor?",
}
EVENTS = {
    "1.01": "Which important contract did {} sign in {}?",
    "2.01": "Which purchase did {} complete in {}?",
    "2.02": "What did {} report about its results in {}?",
    "3": "Did {} go bankrupt in {}?",
    "3.02": "Did {} hand out shares that were not registered in {}?",
    "4.02": "Which accounts of {} could not be relied on in {}?",
    "5.02": "Which director or officer joined or left {} in {}?",
    "5.03": "Did {} change its bylaws in {}?",
    "5.07": "How did the shareholders of {} vote in {}?",
    "8.01": "What else did {} announce in {}?",
}
OLD = {"item_12": "2.02", "item_5": "8.01"}
"""Items of before August 2004, by what they became."""


@dataclass(frozen=True, slots=True)
class Case:
    """A question, and the grade of each document that answers it: 2 for fully, 1 for partly."""

    family: str
    wanted: Wanted
    relevant: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Documents as digests, and questions on them."""

    documents: Sequence[Memory]
    cases: Sequence[Case]


def available() -> bool:
    """Whether the shared data are on this machine."""
    return (DATA / "README.md").is_file()


def digest(text: str, ticker: str, known_at: datetime, name: str) -> Memory:
    """A document as the desk remembers it; its claim names it, so that no two are alike but by their words."""
    return Memory(
        kind=Kind.DIGEST,
        ticker=ticker,
        role="reader",
        model="house",
        run="retrieval",
        as_of=known_at,
        known_at=known_at,
        source=f"document:{name}",
        parents=(name,),
        trust=Trust.READ,
        claim=f"The document {name}.",
        text=text[:LONGEST],
    )


def lines(path: str) -> list[Any]:
    """The rows of a file of one JSON object a line."""
    return [json.loads(line) for line in (DATA / path).read_text(encoding="utf-8").splitlines()]


def spring(year: int) -> datetime:
    """When reports on the year before are known."""
    return datetime.fromisoformat(f"{year}-03-01")


def later(moment: datetime, name: str) -> datetime:
    """A moment between *moment* and END, the same for the same name.

    Questions of undated families say nothing of when they are asked. Were all asked soon after their document was
    known, whatever favours new memories would look like finding the right ones; were all asked at END, the reverse.
    """
    share = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16) / 2**32
    return moment + timedelta(days=1) + share * (END - moment)


def words(text: str) -> set[str]:
    """The numbers and words of a text, in small letters."""
    return set(re.findall(r"\d[\d.,]*\d|\w+", text.lower()))


def pieces(text: str, ticker: str, known_at: datetime, name: str) -> list[Memory]:
    """A page, in as many digests as it takes."""
    parts = [text[start : start + LONGEST] for start in range(0, len(text), LONGEST)]
    return [digest(part, ticker, known_at, f"{name}#{i}") for i, part in enumerate(parts)]


def graded(page: Sequence[Memory], evidence: set[str]) -> dict[str, int]:
    """The pieces of a page by the share that they hold of the evidence: 2 for nearly the most, 1 for a third of it."""
    shares = {m.id: len(evidence & words(m.text)) / max(1, len(evidence)) for m in page}
    most = max(shares.values())
    if not most:
        return dict.fromkeys(shares, 1)
    return {i: 2 if share >= 0.75 * most else 1 for i, share in shares.items() if share >= most / 3}


def table_text(rows: Iterable[Iterable[str]]) -> str:
    """A table, a line a row."""
    return "\n".join(" | ".join(row) for row in rows)


def financebench() -> QuestionSet:
    """Every question, on the pages that its annotators named."""
    pages: dict[str, list[Memory]] = {}
    cases: list[Case] = []
    for row in lines("financebench/financebench_open.jsonl"):
        name, year = row["doc_name"], int(re.findall(r"20\d\d", row["doc_name"])[0])
        known = spring(year + 1)
        relevant: dict[str, int] = {}
        for one in row["evidence"]:
            page = f"{name}/{one['evidence_page_num']}"
            pages.setdefault(page, pieces(one["evidence_text_full_page"], row["ticker"], known, page))
            relevant |= graded(pages[page], words(one["evidence_text"]))
        cases.append(Case("financebench", Wanted(text=row["question"], as_of=later(known, name), limit=10), relevant))
    return QuestionSet([m for page in pages.values() for m in page], cases)


def finqa() -> QuestionSet:
    """One question a page of the sample; the pages of the hard questions stand among them, unasked."""
    documents: list[Memory] = []
    cases: list[Case] = []
    seen: set[str] = set()
    asked = lines("finqa/finqa_dev_sample.jsonl")
    for number, row in enumerate([*asked, *lines("finqa/finqa_hard.jsonl")]):
        page = row["id"].rsplit("-", 1)[0]
        if page in seen:
            continue
        seen.add(page)
        known = spring(int(row["fiscal_year"]) + 1)
        text = "\n".join([row["pre_text"], table_text(row["table"]), row["post_text"]])
        mine = pieces(text, row["ticker"], known, page)
        documents += mine
        numbers = {n for n in re.findall(r"(?<![\w#])\d[\d.]*", row["gold_program"]) if len(n) > 2}
        wanted = Wanted(text=row["question"], as_of=later(known, page), limit=10)
        if number < len(asked):
            cases.append(Case("finqa", wanted, graded(mine, numbers)))
    return QuestionSet(documents, cases)


def tatqa() -> QuestionSet:
    """The first question on each table and its paragraphs; the others ask for the same."""
    documents: list[Memory] = []
    cases: list[Case] = []
    known = spring(2020)
    for row in lines("tatqa/tatqa.jsonl"):
        text = "\n".join([*(p["text"] for p in row["paragraphs"]), table_text(row["table"]["table"])])
        mine = pieces(text, "", known, row["id"])
        documents += mine
        asked = row["questions"][0]
        answer = words(f"{asked['answer']} {asked['derivation']}")
        wanted = Wanted(text=asked["question"], as_of=later(known, row["id"]), limit=10)
        cases.append(Case("tatqa", wanted, graded(mine, answer)))
    return QuestionSet(documents, cases)


def company(name: str) -> str:
    """A company's name as people say it."""
    short = re.sub(r"\\.*\\|/.*/|,? (inc|corp|corporation|companies)\b\.?", "", name, flags=re.IGNORECASE)
    return short.strip().title() if short.isupper() else short.strip()


def annual() -> QuestionSet:
    """Items of annual reports, each asked ten days after it was filed; the item of the year before answers partly."""
    items: dict[tuple[str, str], list[tuple[datetime, str, Memory]]] = defaultdict(list)
    documents: list[Memory] = []
    for path in sorted((DATA / "filings" / "10k_items").glob("*.json")):
        row = json.loads(path.read_text(encoding="utf-8"))
        known = datetime.fromisoformat(row["filing_date"])
        for key in (k for k in row if k.startswith("item_")):
            made = digest(row[key], row["ticker"], known, f"{path.stem}/{key}")
            documents.append(made)
            if len(row[key]) >= SHORTEST and key[5:] in ITEMS:
                items[row["ticker"], key[5:]].append((known, company(row["company"]), made))
    cases: list[Case] = []
    for (ticker, item), filed in items.items():
        for known, name, made in filed:
            relevant = {m.id: 1 for at, _, m in filed if at < known} | {made.id: 2}
            asked = {"as_of": known + timedelta(days=10), "tickers": (ticker,), "limit": 10}
            cases.append(Case("10-K", Wanted.model_validate({"text": ITEMS[item].format(name), **asked}), relevant))
    return QuestionSet(documents, cases)


def events() -> QuestionSet:
    """Items of current reports, asked with company and month among all companies."""
    documents: list[Memory] = []
    groups: dict[str, list[Memory]] = defaultdict(list)
    for row in lines("filings/8k_items.jsonl"):
        known, name = datetime.fromisoformat(row["filing_date"]), company(row["company"])
        for key in (k for k in row if k.startswith("item_")):
            made = digest(row[key], row["cik"], known, f"{row['id']}/{key}")
            documents.append(made)
            item = OLD.get(key, key[5:])
            if item in EVENTS and len(row[key]) >= SHORTEST:
                groups[EVENTS[item].format(name, f"{known:%B %Y}")].append(made)
    cases: list[Case] = []
    for text, made in groups.items():
        as_of = later(max(m.known_at for m in made), text)
        cases.append(Case("8-K", Wanted(text=text, as_of=as_of, limit=10), {m.id: 2 for m in made}))
    return QuestionSet(documents, cases)
