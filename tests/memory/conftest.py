"""A deterministic embedder of word stems, and memories made from a few words."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from openoutcry.core.evidence import Figure, Unit
from openoutcry.memory.arrow import Rows
from openoutcry.memory.folder import Folder
from openoutcry.memory.record import Kind, Memory, Trust
from openoutcry.memory.store import Store
from openoutcry.memory.table import SCHEMA, Name


class HashingEmbedder:
    """The sum of one random direction a word, brought to length 1; *salt* makes another space of it.

    `embedded` counts the texts so far, and `slow` is how long a call takes more, in seconds. A call of several texts
    waits for `gate` once `free` of them went through, so that a test says how far a rebuild has come.
    """

    name = "hashing"

    def __init__(self, salt: str = "", dimension: int = 32) -> None:
        self.space = hashlib.sha256(f"hashing {salt} {dimension}".encode()).hexdigest()[:12]
        self.dimension = dimension
        self.salt = salt
        self.embedded = 0
        self.slow = 0.0
        self.gate: threading.Event | None = None
        self.free = 0

    def _word(self, word: str) -> NDArray[np.float32]:
        seed = int.from_bytes(hashlib.sha256(f"{self.salt}{word}".encode()).digest()[:8])
        return np.random.default_rng(seed).normal(size=self.dimension).astype(np.float32)

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape (n, dimension); the zero vector for a text without words."""
        self.embedded += len(texts)
        rows = np.zeros((len(texts), self.dimension), dtype=np.float32)
        if len(texts) > 1 and self.gate is not None:
            if self.free == 0:
                self.gate.wait(300)
            self.free -= 1
        if self.slow:
            time.sleep(self.slow)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split():
                row += self._word(word.strip(".,?!"))
            row /= np.linalg.norm(row) or 1.0
        return rows


def make_memory(text: str = "margins fell", **more: Any) -> Memory:
    """A memory of AAPL's analyst; whatever is named is put in place of what it has."""
    moment = more.pop("known_at", datetime.fromisoformat("2022-01-03T21:00"))
    values: dict[str, Any] = {
        "kind": Kind.FINDING,
        "ticker": "AAPL",
        "role": "analyst",
        "model": "house",
        "run": "r1",
        "evidence": ("E1", "E2"),
        "as_of": moment,
        "known_at": moment,
        "source": "run:r1",
        "trust": Trust.DESK,
        "claim": f"{text}: {{M.growth}}",
        "text": text,
        "figures": {"growth": Figure(value=0.25, unit=Unit.FRACTION)},
        "details": {"note": "said 'so'"},
    }
    return Memory.model_validate(values | more)


@pytest.fixture(scope="session")
def memory() -> Callable[..., Memory]:
    return make_memory


@pytest.fixture(scope="session")
def embedder() -> Callable[..., HashingEmbedder]:
    """Make an embedder: `embedder("b")` is of another space than `embedder()`."""
    return HashingEmbedder


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[..., Store]]:
    """Open the store in the test's folder, with the given embedder; each is closed at the end."""
    opened: list[Store] = []

    def open_(given: HashingEmbedder | None = None, progress: Callable[[str], None] = lambda _: None) -> Store:
        used = given or HashingEmbedder()
        opened.append(Store.open(tmp_path / "memory", lambda: used, progress))
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    return open_store()


@pytest.fixture
def older(tmp_path: Path) -> Callable[[Store, int], Folder]:
    """Put memories into a table of a made-up schema before the present one, in which `role` was called `speaker`."""

    def make(store: Store, count: int) -> Folder:
        store.add([make_memory(f"row {i}") for i in range(count)])
        folder = Folder(tmp_path / "memory")
        name = folder.name()
        assert name is not None
        rows: Rows = folder.open(name).to_arrow()
        old = Name(SCHEMA - 1, name.space)
        renamed = rows.rename_columns(["speaker" if n == "role" else n for n in rows.column_names])
        folder.connect().create_table(str(old), renamed)
        folder.point(old)
        folder.drop(name)
        return folder

    return make
