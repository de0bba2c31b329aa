"""Recall at ten thousand and a million memories: speed, and what it finds against every row compared.

`python benchmarks/recall.py [ROWS...]` runs alone; the memory is built in a temporary folder and removed. Nothing here
is asserted. The embedder is a double that makes vectors of low intrinsic dimension, in clusters, from the text alone;
its own time is left out of every figure. What a real embedder takes for a question comes on top.
"""

import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.evidence import Figure, Unit
from openoutcry.memory.record import Kind, Memory, Trust
from openoutcry.memory.store import Store
from openoutcry.memory.wanted import Wanted

SIZES = (10_000, 1_000_000)
QUERIES, CHUNK, TICKERS, DIMENSION = 50, 20_000, 500, 384
FIRST, SPAN = datetime.fromisoformat("2018-01-01"), timedelta(days=5 * 365)
KINDS, ROLES = list(Kind)[:3], ("analyst", "risk", "sentiment", "coordinator")

Line = tuple[str, str, str]
"""What was measured, the value, and the goal."""


class Clustered:
    """Vectors in 2,000 clusters of 48 dimensions, laid into 384; the same text gives the same vector."""

    name, space, dimension = "clustered", "c1057e4ed000", DIMENSION

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self._basis = (rng.normal(size=(48, DIMENSION)) / DIMENSION**0.5).astype(np.float32)
        self._centres = rng.normal(size=(2_000, 48)).astype(np.float32)
        self._near = rng.normal(size=(65_536, 48)).astype(np.float32)
        self._noise = rng.normal(size=(4_096, DIMENSION)).astype(np.float32)
        self.seconds = 0.0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (n, 384), each of length 1."""
        start = time.perf_counter()
        seeds = np.array([[zlib.crc32(f"{part}{text}".encode()) for part in "abc"] for text in texts])
        inner = self._centres[seeds[:, 0] % 2_000] + 0.6 * self._near[seeds[:, 1] % 65_536]
        rows = inner @ self._basis + 0.03 * self._noise[seeds[:, 2] % 4_096]
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        self.seconds += time.perf_counter() - start
        return rows


@dataclass(slots=True)
class Truth:
    """Every row's cosine with every query, in double precision, and what the conditions look at."""

    queries: NDArray[np.float64]
    cosines: list[NDArray[np.float64]] = field(default_factory=list[NDArray[np.float64]])
    ids: list[str] = field(default_factory=list[str])
    known: list[datetime] = field(default_factory=list[datetime])
    tickers: list[str] = field(default_factory=list[str])

    def note(self, memories: Sequence[Memory], vectors: NDArray[np.float32]) -> None:
        """Keep what is needed of a chunk."""
        self.cosines.append(self.queries @ vectors.astype(np.float64).T)
        self.ids += [m.id for m in memories]
        self.known += [m.known_at for m in memories]
        self.tickers += [m.ticker for m in memories]

    def best(self, allowed: NDArray[np.bool_]) -> list[set[str]]:
        """The ten nearest allowed rows of each query."""
        rows = np.flatnonzero(allowed)
        near = np.concatenate(self.cosines, axis=1)[:, rows]
        return [{self.ids[rows[i]] for i in np.argsort(-line)[:10]} for line in near]


def made(count: int, seed: int) -> Iterator[list[Memory]]:
    """Chunks of memories of 18 words each, drawn as words are: few often, most seldom."""
    rng = np.random.default_rng(seed)
    weights = 1 / np.arange(30, 20_030)
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        words = rng.choice(20_000, size=(size, 18), p=weights / weights.sum())
        seconds = rng.integers(0, int(SPAN.total_seconds()), size)
        draws = rng.integers(0, 12_000, size)
        yield [
            memory(f"m{seed}n{start + i} " + " ".join(f"w{w}" for w in words[i]), int(seconds[i]), int(draws[i]))
            for i in range(size)
        ]


def memory(text: str, second: int, draw: int) -> Memory:
    """One memory, of a ticker out of 500."""
    moment = FIRST + timedelta(seconds=second)
    return Memory(
        kind=KINDS[draw % 3],
        ticker=f"T{draw % TICKERS}",
        role=ROLES[draw % 4],
        model=f"model {draw % 3}",
        run=f"r{draw}",
        as_of=moment,
        known_at=moment,
        source=f"run:r{draw}",
        trust=Trust(1 + draw % 2),
        claim=f"{text}: {{M.level}}",
        text=text,
        figures={"level": Figure(value=second / 1e6, unit=Unit.FRACTION)},
        details={"note": f"note {draw}"},
    )


def milliseconds(store: Store, asked: Sequence[Wanted]) -> tuple[float, float]:
    """The median and the 95th percentile of a recall, after one round to warm up."""
    times: list[float] = []
    for turn in range(2):
        for wanted in asked:
            start = time.perf_counter()
            store.recall(wanted)
            if turn:
                times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def measured(count: int, folder: Path) -> Iterator[Line]:
    """The lines of one size."""
    embedder = Clustered()
    store = Store.open(folder, lambda: embedder, lambda text: print(text, file=sys.stderr))
    texts = [" ".join(m.text.split()[1:7]) for chunk in made(QUERIES, 7) for m in chunk]
    truth = Truth(embedder.embed(texts).astype(np.float64))
    spent, embedder.seconds = 0.0, 0.0
    for chunk in made(count, 1):
        start, before = time.perf_counter(), embedder.seconds
        store.add(chunk)
        spent += time.perf_counter() - start - (embedder.seconds - before)
        truth.note(chunk, embedder.embed([m.text for m in chunk]))
    yield f"{count:,} memories: add in chunks of {CHUNK:,}", f"{count / spent:,.0f} rows/s", ""
    start = time.perf_counter()
    store.compact(lambda text: None)
    yield "    compact, indices and all", f"{time.perf_counter() - start:.0f} s", "minutes at a million"
    yield "    disk, per million", f"{store.stats().size / count * 1e6 / 1e9:.2f} GB", ""
    yield from found(store, embedder, truth, texts)
    singles = [memory(f"single {i}", i, i) for i in range(100)]
    start = time.perf_counter()
    for one in singles:
        store.add([one])
    yield "    add, one at a time", f"{(time.perf_counter() - start) * 10:.1f} ms each", ""
    store.close()


def found(store: Store, embedder: Clustered, truth: Truth, texts: Sequence[str]) -> Iterator[Line]:
    """Speed and recall@10 under conditions that pass ever fewer rows."""
    known, tickers = np.array(truth.known), np.array(truth.tickers)
    by_age = np.sort(known)
    everything = by_age[-1]
    asked: list[tuple[str, datetime, tuple[str, ...]]] = [("no condition but the as-of, all pass", everything, ())]
    asked += [(f"as-of, {share} % pass", by_age[len(by_age) * share // 100], ()) for share in (50, 10, 1)]
    asked += [("one ticker of 500", everything, ("T7",)), ("half, and one ticker", by_age[len(by_age) // 2], ("T7",))]
    for name, as_of, named in asked:
        allowed = (known <= as_of) & (np.isin(tickers, named) if named else True)
        plain = [Wanted(text=t, as_of=as_of, tickers=named, limit=10, mode="vector") for t in texts]
        nearest = [{hit.memory.id for hit in store.recall(w)} for w in plain]
        hits = [len(a & b) / max(1, len(b)) for a, b in zip(nearest, truth.best(allowed), strict=True)]
        before = embedder.seconds
        middle, late = milliseconds(store, [w.model_copy(update={"mode": "hybrid"}) for w in plain])
        own = (embedder.seconds - before) * 1000 / (2 * len(plain))
        yield f"    {name}: recall@10", f"{np.mean(hits):.3f}", "at least 0.95"
        yield f"    {name}: p50 / p95", f"{middle - own:.1f} / {late - own:.1f} ms", "p50 under 20 ms"


def rows(sizes: Sequence[int] = SIZES) -> Iterator[Line]:
    """Every line: what was measured, the value, the goal."""
    for count in sizes:
        with tempfile.TemporaryDirectory() as folder:
            yield from measured(count, Path(folder) / "memory")


if __name__ == "__main__":
    for name, value, goal in rows([int(given) for given in sys.argv[1:]] or SIZES):
        print(f"{name:<58} {value:>18}   {goal}", flush=True)
