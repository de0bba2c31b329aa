"""The embedder at hand, made when the first text needs it."""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import structlog
from numpy.typing import NDArray

from openoutcry.core.errors import ModelError
from openoutcry.memory.table import NO_SPACE

if TYPE_CHECKING:
    from openoutcry.memory.embedder import Embedder

log = structlog.get_logger()
BATCH = 256
"""Texts embedded at a time."""


class Vectors:
    """Vectors of one space, from an embedder that is made once, when first asked for.

    Where there is no embedder the space is `none`, and no text has a vector.
    """

    def __init__(self, make: "Callable[[], Embedder] | None") -> None:
        self._make = make
        self._made: Embedder | None = None
        self._lock = threading.Lock()

    @property
    def space(self) -> str:
        """The name of the space."""
        made = self._embedder()
        return made.space if made else NO_SPACE

    @property
    def dimension(self) -> int:
        """How many numbers a vector has; 1 where there is no embedder."""
        made = self._embedder()
        return made.dimension if made else 1

    @property
    def met(self) -> bool:
        """Whether the embedder was made already."""
        return self._made is not None

    def of(self, texts: Sequence[str]) -> NDArray[np.float32] | None:
        """Shape (n, dimension), each of length 1; None where there is no embedder, or its server is away.

        What is written then has no vector, and is found by its words.
        """
        made = self._embedder()
        if made is None:
            return None
        try:
            parts = [made.embed(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
        except ModelError as error:
            log.warning("texts go without vectors", texts=len(texts), reason=str(error))
            return None
        return np.concatenate(parts) if parts else np.zeros((0, made.dimension), dtype=np.float32)

    def _embedder(self) -> "Embedder | None":
        with self._lock:
            if self._made is None and self._make is not None:
                self._made = self._make()
            return self._made
