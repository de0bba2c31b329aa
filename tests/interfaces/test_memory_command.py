"""`outcry memory`: what is remembered, said plainly, with its figures and origins; no word of others obeyed."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from openoutcry.core.clock import AsOf
from openoutcry.core.errors import OutcryError
from openoutcry.core.evidence import Evidence, Figure, Query, Unit
from openoutcry.core.settings import Settings
from openoutcry.interfaces import memory_command, memory_text
from openoutcry.interfaces.memory_command import memory
from openoutcry.interfaces.opened import OPENER
from openoutcry.interfaces.words import harmless
from openoutcry.memory import embedder
from openoutcry.memory.recall import Hit
from openoutcry.memory.record import Kind, Memory, Trust
from openoutcry.memory.stats import Stats
from openoutcry.memory.store import Store
from openoutcry.memory.wanted import Wanted

RUN = "20220630-101010-abcdef01"
WORDS = "Sales fell.\r\nfigures\n  var  99 %\x1b[2J\x9b31m \u202egnp.exe\u202c\x07"


def moment(text: str) -> datetime:
    """UTC without zone, as memories hold it."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).replace(tzinfo=None)


def finding(**more: Any) -> Memory:
    fields: dict[str, Any] = {
        "kind": Kind.FINDING,
        "ticker": "ACME",
        "role": "risk",
        "model": "house",
        "run": RUN,
        "evidence": ("E3",),
        "as_of": moment("2022-07-01T03:59:59"),
        "known_at": moment("2022-07-01T04:00:00"),
        "source": f"run:{RUN}",
        "trust": Trust.DESK,
        "claim": "{M.ticker} loses no more than {M.var}.",
        "text": "ACME loses no more than 12.35 %.",
        "figures": {
            "made": Figure(value="2022-06-30", unit=Unit.DATE),
            "ticker": Figure(value="ACME", unit=Unit.TEXT),
            "var": Figure(value=0.1234567, unit=Unit.FRACTION),
        },
        "details": {"var": "E3.var", "ticker": "E3.ticker"},
    }
    return Memory.model_validate(fields | more)


def digest(words: str = WORDS, source: str = "wire") -> Memory:
    return finding(
        kind=Kind.DIGEST,
        role="reader",
        trust=Trust.READ,
        source=source,
        parents=("doc-1",),
        evidence=(),
        claim="A document of kind {M.kind} reads {M.tone} for {M.ticker}.",
        text=words,
        figures={
            "kind": Figure(value="news", unit=Unit.TEXT),
            "ticker": Figure(value="ACME", unit=Unit.TEXT),
            "tone": Figure(value=-0.5, unit=Unit.SCORE),
        },
        details={},
    )


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] pytest calls it
    monkeypatch.setenv("COLUMNS", "100")


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    shown = harmless(text)
    assert all(c.isprintable() or c == "\n" for c in shown)
    assert harmless(shown) == shown
    if text.isprintable():
        assert shown == text


def test_what_is_harmless_stays_and_what_is_not_is_written_out() -> None:
    assert harmless("Ünïcode 日本 €5\nnext") == "Ünïcode 日本 €5\nnext"
    assert harmless("a\tb\u00a0c\r\nd") == "a b c\nd"
    assert harmless("\x1b[31m\u202e\x9b\r") == "\\x1b[31m\\u202e\\x9b\\r"


def test_hits_are_numbered_with_what_they_are_beneath() -> None:
    hits = [Hit(finding(), 0.0325, 1, 2, ("mem-a", "mem-b", "mem-c")), Hit(digest(), 0.01)]
    shown = "\n".join(memory_text.found(hits))
    words = " ".join(shown.replace("\x1b[2m", "").replace("\x1b[0m", "").split())
    first = (
        f"1. ACME loses no more than 12.35 %. {finding().id} · finding of risk (house) · as of 2022-06-30 · "
        f"known 2022-07-01 04:00 UTC · run:{RUN} · and 3 like it"
    )
    assert words.startswith(first)
    assert "2. A document of kind news reads -0.50 for ACME." in words
    assert "Sales fell" not in words
    assert "like it" not in words.split("2. A document")[1]


def test_a_memory_is_shown_whole() -> None:
    one = finding(parents=("mem-1", "doc-7"))
    shown = "\n".join(memory_text.all_of(one, {"mem-1": digest(), "doc-7": None}, [finding(role="analyst")], 9))
    for line in (
        f"id          {one.id}",
        "kind        finding of risk (house)",
        "as of       2022-06-30",
        "known at    2022-07-01 04:00 UTC; no run sees it before",
        f"run         {RUN}: outcry explain {RUN} E3",
        f"figures; where one comes from: outcry explain {RUN} E3.ticker",
        "  var     12.35 %   exactly 0.1234567   fraction   E3.var",
        "  made    2022-06-30   date",
        "  mem-1  A document of kind news reads -0.50 for ACME.",
        "  doc-7",
        "led to 9",
        "  and 8 more",
        f"  {finding(role='analyst').id}  ACME loses no more than 12.35 %.",
    ):
        assert line in shown.splitlines(), line
    assert "trust       the desk's own" in shown
    assert "untrusted" not in shown


def test_words_of_a_document_are_marked_and_obeyed_by_no_terminal() -> None:
    shown = "\n".join(memory_text.all_of(digest(source="wire\x1b[2J"), {"doc-1": None}, [], 0))
    assert "words of wire\\x1b[2J, untrusted: not the desk's" in shown
    assert all(c.isprintable() or c == "\n" for c in shown)
    told = shown.split("does not vouch for them")[1].splitlines()[1:]
    assert [line[:4] for line in told] == ["  | "] * 3
    assert told[0] == "  | Sales fell." and "\\x1b[2J" in told[2] and "\\u202e" in told[2]


def test_no_line_of_a_document_stands_without_its_mark_however_long_it_is() -> None:
    shown = "\n".join(memory_text.all_of(digest("trust " * 500), {}, [], 0)).split("vouch for them\n")[1]
    assert len(shown.splitlines()) > 20
    assert all(line.startswith("  | trust") for line in shown.splitlines())


def test_a_lesson_tells_the_rows_that_settled_it() -> None:
    outcome = Evidence(
        tool="view_outcome",
        arguments={},
        as_of="2022-07-20",
        figures={},
        queries=(Query(sql="SELECT 1", rows=8_188, sha256="c0ffee"),),
    )
    lesson = finding(kind=Kind.LESSON, details={"outcome": outcome.model_dump_json(), "model of risk": "house"})
    shown = "\n".join(memory_text.all_of(lesson, {}, [], 0))
    assert "settled by view_outcome, as of 2022-07-20\n  8,188 rows, SHA-256 c0ffee" in shown
    assert "detail      model of risk: house" in shown
    assert "conventions" not in shown


def test_kinds_are_counted_and_bytes_told_in_words() -> None:
    assert memory_text.counted({"lesson": 2, "finding": 1}) == "1 finding, 2 lessons"
    assert memory_text.counted({}) == "nothing"
    assert [memory_text.size(n) for n in (0, 999, 1_000, 1_234_567, 5 * 10**12)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.2 MB",
        "5,000.0 GB",
    ]


class Words:
    """An embedder: the sum of one random direction a word."""

    name, space, dimension, precision, rank_correlation = "words", "abcdef012345", 16, "fp32", 0.9876

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [sum((_direction(w) for w in t.lower().split()), np.zeros(16)) + 1e-6 for t in texts]
        found = np.array(rows, np.float32).reshape(-1, 16)
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def _direction(word: str) -> NDArray[np.float64]:
    return np.random.default_rng(list(word.encode())).normal(size=16)


def words(*_: object) -> Words:
    """The embedder, wherever the model's folder is."""
    return Words()


class Opened:
    """A desk with a real store, and nothing else."""

    def __init__(self, home: Path) -> None:
        self.settings = Settings.model_construct(home=home, embedder=None)
        self.memory = Store.open(home / "memory", Words, lambda _: None)

    def recall(self, text: str, as_of: str | None = None, **filters: Any) -> list[Hit]:
        known = AsOf.parse(as_of).moment.astimezone(UTC) if as_of else datetime.max.replace(tzinfo=UTC)
        return self.memory.recall(Wanted(text=text, as_of=known.replace(tzinfo=None), **filters))


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    monkeypatch.setattr(embedder, "local", words)
    desk = Opened(tmp_path / "home")
    with closing(desk.memory):
        yield desk


READ = digest()
FOUND = finding(parents=(READ.id,))
DECIDED = finding(kind=Kind.DECISION, parents=(FOUND.id,), role="coordinator", known_at=moment("2022-07-02T04:00:00"))
APART = finding(ticker="O'R", run="other-run", source="run:other-run", role="analyst", text="apples and pears")


@pytest.fixture
def filled(opened: Opened) -> Opened:
    assert opened.memory.add([READ, FOUND, DECIDED, APART]) == 4
    return opened


@pytest.fixture
def outcry(opened: Opened) -> Callable[..., Result]:
    """`outcry memory` over that desk; an error of ours is what the command raises."""

    @click.group()
    @click.pass_context
    def outermost(ctx: click.Context) -> None:
        ctx.meta[OPENER] = lambda _: nullcontext(opened)  # pyright: ignore[reportUnknownLambdaType] any context

    outermost.add_command(memory)

    def run(*arguments: str, stdin: str = "") -> Result:
        return CliRunner().invoke(outermost, ["memory", *arguments], input=stdin)

    return run


Run = Callable[..., Result]


def refused(done: Result, words: str) -> None:
    """It ended in an error of ours, or of click, that says *words* in one line, and said nothing on stdout."""
    said = str(done.exception) if isinstance(done.exception, OutcryError) else done.stderr
    assert done.exit_code and words in said, said
    assert "\n" not in str(done.exception) and done.stdout == ""


def test_an_empty_memory_says_what_fills_it(outcry: Run, opened: Opened) -> None:
    for arguments in (("search", "anything"), ("stats",), ("compact",)):
        done = outcry(*arguments)
        assert (done.exit_code, done.stdout) == (0, f"{memory_text.EMPTY}\n"), arguments
    assert json.loads(outcry("search", "anything", "--json").stdout) == []
    refused(outcry("show", "mem-12"), "none begins so")
    refused(outcry("forget", "wire", "--yes"), "nothing in the memory stems from 'wire'")


def test_a_search_finds_and_narrows(outcry: Run, filled: Opened) -> None:
    first = outcry("search", "apples", "and", "pears").stdout
    assert first.startswith("1. ") and f"{APART.id} · finding of analyst" in first.replace("\n   ", " ")

    def ids(*more: str) -> list[str]:
        return [m["id"] for m in json.loads(outcry("search", *more, "--json").stdout)]

    assert set(ids()) == {READ.id, FOUND.id, DECIDED.id, APART.id}
    assert ids("--ticker", "o'r") == [APART.id]
    assert ids("--kind", "decision") == [DECIDED.id]
    assert set(ids("--role", "risk", "--role", "analyst")) == {FOUND.id, APART.id}
    assert DECIDED.id not in ids("--as-of", "2022-07-01") and FOUND.id in ids("--as-of", "2022-07-01")
    assert len(ids("--limit", "2")) == 2
    assert outcry("search", "--ticker", "NONE").stdout == "nothing that is remembered fits; ask for less\n"


def test_a_search_as_json_holds_what_is_said_and_no_escape(outcry: Run, filled: Opened) -> None:
    (told,) = json.loads((done := outcry("search", "sales", "--kind", "digest", "--json")).stdout)
    assert told["said"] == READ.said and told["text"] == WORDS
    assert {"score", "vector_rank", "text_rank", "alike"} <= told.keys()
    assert done.stdout.isascii() and not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("search", "x", "--kind", "rumour"), "among finding, decision, digest, lesson, got 'rumour'"),
        (("search", "x", "--as-of", "sometime"), "expected an as-of like 2022-06-30"),
        (("search", "x", "--limit", "0"), "0 is not in the range"),
        (("show", "mem-"), "begin so"),
        (("show", "nothing"), "none begins so"),
        (("forget", "wires", "--yes"), "name a publisher, a run"),
    ],
)
def test_a_fault_is_one_line(outcry: Run, filled: Opened, arguments: tuple[str, ...], words: str) -> None:
    refused(outcry(*arguments), words)


def test_a_memory_is_shown_with_its_family(outcry: Run, filled: Opened) -> None:
    shown = outcry("show", FOUND.id[:10]).stdout
    assert f"made from\n  {READ.id}  A document of kind news" in shown
    assert f"led to 1\n  {DECIDED.id}" in shown
    told = json.loads(outcry("show", READ.id, "--json").stdout)
    assert set(told["led_to"]) == {FOUND.id, DECIDED.id} and told["parents"] == ["doc-1"]


def test_a_forget_tells_first_asks_and_says_what_is_not_touched(
    outcry: Run, filled: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(done := outcry("forget", "wire"), "expected --yes")
    told = " ".join(done.stderr.split())
    assert "made by a role to which it was shown: 3 of 4 memories; 1 decision, 1 digest, 1 finding" in told
    monkeypatch.setattr(memory_command, "_terminal", lambda: True)
    refusal = outcry("forget", "wire", stdin="n\n")
    assert "nothing was forgotten" in refusal.stdout and refusal.exit_code == 0
    assert filled.memory.stats().memories == 4
    done = outcry("forget", "wire", stdin="y\n")
    lines = done.stdout.splitlines()
    assert lines[0] == "forgotten: 1 decision, 1 digest, 1 finding"
    assert str(filled.settings.home / "runs") in done.stdout and str(filled.settings.home / "warehouse") in done.stdout
    assert [m.id for m in filled.memory.find()] == [APART.id]


def test_a_forget_by_run_as_json(outcry: Run, filled: Opened) -> None:
    told = json.loads(outcry("forget", "other-run", "--yes", "--json").stdout)
    assert told == {"source": "other-run", "ids": [APART.id], "kinds": {"finding": 1}}


def test_stats_say_what_is_held_and_how(outcry: Run, filled: Opened) -> None:
    lines = outcry("stats").stdout.splitlines()
    for line in (
        "memories    4: 1 decision, 1 digest, 2 findings",
        "words of    1 of a reader's closed answer, 3 of the desk",
        "tickers     2",
        "known       2022-07-01 04:00 UTC to 2022-07-02 04:00 UTC",
        "model       words, fp32, rank correlation 0.988 with the model as it was trained",
        "space       abcdef012345, 16 numbers a vector",
        "compact     not due",
    ):
        assert line in lines, lines
    told = json.loads(outcry("stats", "--json").stdout)
    assert (told["memories"], told["model"]["name"], told["space"]) == (4, "words", "abcdef012345")


def test_stats_of_another_models_vectors_say_so() -> None:
    held = Stats(memories=9, space="000000000000", dimension=4, reembedding=None, compact_due=True, unembedded=2)
    told = "\n".join(memory_text.state(held, Words(), Path("m")))
    assert "not yet abcdef012345: `outcry memory compact`" in told and "due: `outcry memory compact`" in told
    assert "2 have no vector" in told
    moving = replace(held, reembedding=(1_024, 5_000), indexed=7)
    told = " ".join("\n".join(memory_text.state(moving, Words(), Path("m"))).split())
    assert "1,024 of 5,000 embedded anew" in told and "7 of 9 in the vector index" in told


def test_compact_keeps_every_memory(outcry: Run, filled: Opened) -> None:
    done = outcry("compact")
    assert done.stdout.startswith("4 memories written anew: ") and done.exit_code == 0
    assert len(filled.memory.find()) == 4
