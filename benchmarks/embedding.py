"""The embedding part of `make bench`: texts a second beside sentence-transformers, turn about, and the ranks kept."""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openoutcry.memory.compiled import library
from openoutcry.memory.compiling import rank_correlation
from openoutcry.memory.embedder import bundled, local

Encode = Callable[[list[str]], NDArray[np.float32]]
ROUNDS = 5
SHORT, LONG = (30, 192), (120, 64)
"""Words a text, and how many texts."""
SUBJECTS = """the company|the board|its lender|the central bank|an analyst|the regulator|the airline|a court|the chip
maker|the insurer|the retailer|the drug maker|the utility|a rival|the treasury|the auditor|the union|the fund|the
exchange|the miner""".replace("\n", " ").split("|")
VERBS = """raised|cut|missed|confirmed|reported|delayed|hedged|refinanced|doubled|questioned|approved|withdrew|expects
|lowered|sold|bought""".replace("\n", "").split("|")
OBJECTS = """its dividend|the forecast of revenue|net interest income|a share buyback|the policy rate|gross margin|its
bond coupon|free cash flow|the merger|loan losses|implied volatility|orders from Asia|the product recall|fuel
costs|value at risk|inventory|short interest|the credit rating|capital spending|the settlement""".replace(
    "\n", " "
).split("|")
WHEN = """for the full year|after the close|in the third quarter|on weak demand|before the earnings report|as rates
rose|despite higher wages|at a lower price|for the second time|under pressure from investors""".replace(
    "\n", " "
).split("|")


def texts(words: int, count: int) -> list[str]:
    """Texts of that many words, the same each time: sentences of finance, cut where the words are spent."""
    chance = np.random.default_rng(words)
    parts = (SUBJECTS, VERBS, OBJECTS, WHEN)
    made: list[str] = []
    for _ in range(count):
        said: list[str] = []
        while len(said) < words:
            said += " ".join(str(chance.choice(part)) for part in parts).split()
            said[-1] += "."
        made.append(" ".join(said[:words]))
    return made


def turn_about(forms: Sequence[Encode], given: list[str]) -> tuple[list[float], list[NDArray[np.float32]]]:
    """Texts a second of each form, the median of rounds in which they take turns, and what each gave."""
    took: list[list[float]] = [[] for _ in forms]
    found = [encode(given[:8]) for encode in forms]
    for _ in range(ROUNDS):
        for i, encode in enumerate(forms):
            start = time.perf_counter()
            found[i] = encode(given)
            took[i].append(time.perf_counter() - start)
    return [len(given) / statistics.median(seconds) for seconds in took], found


def cold(code: str, cache: str = "") -> float:
    """Seconds of a process of its own, with that cache folder or this person's."""
    surroundings = dict(os.environ) | ({"XDG_CACHE_HOME": cache} if cache else {})
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, env=surroundings)
    return time.perf_counter() - start


def megabytes(folder: Path) -> float:
    """What the files of a folder take."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 1e6


def rows() -> Iterator[tuple[str, str, str]]:
    """Name, value and goal of each measurement. The model is compiled before the clock starts."""
    ours = local()
    source = bundled()
    plain = library("sentence_transformers").SentenceTransformer(str(source), device="cpu", local_files_only=True)
    for words, count in (SHORT, LONG):
        given = texts(words, count)
        (mine, theirs), (found, wanted) = turn_about((ours.embed, plain.encode), given)
        yield f"embed {count} texts of {words} words", f"{mine:.0f}/s", ""
        yield "    sentence-transformers encode", f"{theirs:.0f}/s", ""
        yield "    ours against encode", f"{mine / theirs:.2f}x", "goal: at least 2x"
        yield "    rank correlation with encode", f"{rank_correlation(wanted, found):.4f}", "goal: at least 0.98"
    yield f"kept precision, of {ours.name}", ours.precision, ""
    first = "from openoutcry.memory.embedder import local; local().embed(['rates rose'])"
    plainly = f"""
from sentence_transformers import SentenceTransformer
SentenceTransformer({str(source)!r}, device="cpu", local_files_only=True).encode(["rates rose"])"""
    for name, code in (("first vector of a new process", first), ("    sentence-transformers", plainly)):
        yield name, f"{statistics.median(cold(code) for _ in range(3)):.2f} s", ""
    with tempfile.TemporaryDirectory() as cache:
        yield "compiling it, once a machine", f"{cold(first, cache):.0f} s", ""
        yield "    on the disk, compiled / as it came", f"{megabytes(Path(cache)):.0f} / {megabytes(source):.0f} MB", ""


if __name__ == "__main__":
    for name, value, goal in rows():
        print(f"{name:<58} {value:>14}   {goal}", flush=True)
