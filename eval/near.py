"""Near-duplicates: does a text, such as a row of training data, hold what a case of a suite asks or reads?

Words are compared, with numbers, tickers and made-up names masked, in runs of five (Broder 1997, shingles). Whatever
cannot be told is an error and never "no overlap".
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from openoutcry.core.errors import DataError, UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.eval.corpus import Given
from openoutcry.eval.scenario import Scenario
from openoutcry.eval.suite import Suite
from openoutcry.eval.worlds.case import made
from openoutcry.eval.worlds.names import FIRST, LAST
from openoutcry.tools.data import files

RUN = 5
"""Words of a shingle."""
SHORT = 8
"""A question of fewer words overlaps a text by whole sentences: within longer ones its words are everybody's."""
LEAST = 3
"""Words without which a question can be anybody's."""
CONTAINED = 0.8
"""The share of a case's shingles in a text, or of a text's in a case, from which on they overlap."""
ALIKE = 0.5
"""The Jaccard similarity from which on they overlap."""
TELLING = 12
"""Shingles that a text needs for being found in a case: a phrase of a few words is everybody's."""
BODY = ("body", "text", "content")
"""The names that ingest knows a document's own words by."""
NUMBER, NAME = "0", "@"
_TOKEN = re.compile(r"[^\W\d_]+|\d[\d.,]*")
_SENTENCE = re.compile(r'[.?!]+(?=["\s]|$)|["\n]')
_TICKER = range(2, 7)

Shingle = tuple[str, ...]


class Overlap(Frozen):
    """A text and a case that share too much. `contained` is the larger of both containments."""

    source: str
    suite: str
    scenario: str
    part: str
    """`question` or `document`."""
    contained: float
    jaccard: float


class _Piece(Frozen):
    suite: str
    scenario: str
    part: str
    shingles: frozenset[Shingle]


def overlaps(texts: Iterable[Given], suites: Sequence[Suite]) -> list[Overlap]:
    """Each text that overlaps a case of *suites*, with the case of each suite that it overlaps most.

    Raises UsageError where there is nothing to compare, DataError for a text that is too short to tell, and whatever
    making the data of a case raises.
    """
    if not suites:
        raise UsageError("expected at least one suite to compare with, got none")
    index = _Index(suites)
    found, count = list[Overlap](), 0
    for count, (source, text) in enumerate(texts, 1):  # noqa: B007 the count is of use below
        found += index.overlaps(source, text)
    if not count:
        raise UsageError("expected texts to compare, got none")
    return found


class _Index:
    """The shingles of all cases, by which a text finds the cases that it shares some with."""

    def __init__(self, suites: Sequence[Suite]) -> None:
        self._names = _names(suites)
        self._known, self._loud = dict[str, str](), dict[str, str]()
        """Words as they were masked; in a text that is all capitals, they do not tell a ticker from a word."""
        self._pieces = list(self._all(suites))
        self._where: dict[Shingle, list[int]] = {}
        for number, piece in enumerate(self._pieces):
            for shingle in piece.shingles:
                self._where.setdefault(shingle, []).append(number)

    def overlaps(self, source: str, text: str) -> Iterator[Overlap]:
        words = self._words(text)
        if len(words) < RUN:
            raise DataError(
                f"{source}: expected at least {RUN} words, got {len(words)}: too short to tell; leave it out"
            )
        runs = _runs(words)
        theirs = runs | self._sentences(text)
        hits = Counter(number for shingle in theirs for number in self._where.get(shingle, ()))
        best: dict[str, Overlap] = {}
        for number, shared in hits.items():
            one = self._overlap(source, self._pieces[number], shared, len(runs))
            if one and (one.suite not in best or one.contained > best[one.suite].contained):
                best[one.suite] = one
        yield from best.values()

    def _overlap(self, source: str, piece: _Piece, shared: int, full: int) -> Overlap | None:
        inside = shared / len(piece.shingles)
        within = shared / full if full >= TELLING else 0.0
        contained = max(inside, within)
        jaccard = shared / (len(piece.shingles) + full - shared)
        if contained < CONTAINED and jaccard < ALIKE:
            return None
        at = {"suite": piece.suite, "scenario": piece.scenario, "part": piece.part}
        return Overlap(source=source, contained=min(1.0, contained), jaccard=min(1.0, jaccard), **at)

    def _all(self, suites: Sequence[Suite]) -> Iterator[_Piece]:
        """What the cases ask and read; cases that say the same share one."""
        seen: set[tuple[str, frozenset[Shingle]]] = set()
        for suite in suites:
            for scenario, part, text in texts(suite):
                piece = self._piece(suite, scenario, part, text)
                if (piece.suite, piece.shingles) not in seen:
                    seen.add((piece.suite, piece.shingles))
                    yield piece

    def _piece(self, suite: Suite, scenario: Scenario, part: str, text: str) -> _Piece:
        words = self._words(text)
        if len(words) < LEAST:
            raise DataError(f"case {scenario.id}: expected a {part} of at least {LEAST} words, got {text!r}")
        shingles = frozenset(self._sentences(text) if len(words) < SHORT else _runs(words))
        known = f"{suite.name} {suite.bank} {suite.rotation}".strip()
        return _Piece(suite=known, scenario=scenario.id, part=part, shingles=shingles)

    def _words(self, text: str) -> list[str]:
        """The words, in lower case; numbers, tickers and names of companies masked."""
        plain = _plain(text)
        known = self._loud if plain.isupper() else self._known
        return [known.get(token) or self._masked(token, known) for token in _TOKEN.findall(plain)]

    def _masked(self, token: str, known: dict[str, str]) -> str:
        lower = token.casefold()
        if token[0].isdigit():
            lower = NUMBER
        elif lower in self._names or (known is self._known and token.isupper() and len(token) in _TICKER):
            lower = NAME
        known[token] = lower
        return lower

    def _sentences(self, text: str) -> set[Shingle]:
        """The short sentences, each as a whole."""
        parts = (tuple(self._words(part)) for part in _SENTENCE.split(text))
        return {("", *words) for words in parts if 0 < len(words) < SHORT}


def texts(suite: Suite) -> Iterator[tuple[Scenario, str, str]]:
    """The conversation of each case, each turn that is long enough by itself, and each document that it reads."""
    read: set[str] = set()
    for scenario in suite.scenarios:
        asked = [scenario.bare.prompt] if scenario.bare else [turn.question for turn in scenario.asked]
        yield from ((scenario, "question", text) for text in dict.fromkeys(["\n".join(asked), *_long(asked)]))
        for where, body in _documents(suite, scenario, read):
            if not body.strip():
                raise DataError(f"case {scenario.id}: expected words in a document of {where}, found none")
            yield scenario, "document", body


def _long(asked: Sequence[str]) -> list[str]:
    return [text for text in asked if len(_TOKEN.findall(text)) >= RUN]


def _documents(suite: Suite, scenario: Scenario, read: set[str]) -> Iterator[tuple[str, str]]:
    """The documents of a case that no case before it reads, and what they are of. The sample's are open to all."""
    for one in scenario.fixture.made:
        if (known := one.model_dump_json(by_alias=True)) not in read:
            read.add(known)
            yield from ((one.situation, _body(row)) for row in made(one).rows.get("documents", ()))
    for name in scenario.fixture.files:
        path = suite.beside / name
        if str(path) not in read:
            read.add(str(path))
            yield from ((name, text) for text in _filed(path))


def _filed(path: Path) -> Iterator[str]:
    """The documents of a file, read as ingest reads them; none where it holds other rows.

    Raises BadFile for a file that cannot be read, and DataError for such a row.
    """
    for row in files.read(path):
        if row.broken:
            raise DataError(f"{path}: expected rows that can be read, found line {row.line}: {row.broken}")
        if any(name in row.values for name in BODY):
            yield _body(row.values)


def _body(row: Mapping[str, Any]) -> str:
    return next((str(row[name]) for name in BODY if row.get(name)), "")


def _names(suites: Sequence[Suite]) -> frozenset[str]:
    """Every made-up name, in lower case: those that can be made, and those that the suites' cases have."""
    every = {(first + last).casefold() + more for first in FIRST for last in LAST for more in ("", *"abcdefgh")}
    ones = (one for suite in suites for case in suite.scenarios for one in case.fixture.made)
    named = {name for one in ones for name in (one.name, one.ticker)}
    own = {word.casefold() for name in named for word in _TOKEN.findall(name)}
    return frozenset(every | own)


def _plain(text: str) -> str:
    """Letters in one form, without marks that are not seen, such as soft hyphens: they would hide a copy."""
    return "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")


def _runs(words: Sequence[str]) -> set[Shingle]:
    return set(zip(*(words[start:] for start in range(RUN)), strict=False))
