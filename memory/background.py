"""Re-embedding in the background: a thread of low priority that fills the next table while the old one serves."""

import contextlib
import os
import threading
from collections.abc import Callable

import structlog

from openoutcry.core.errors import OutcryError
from openoutcry.memory.folder import Folder
from openoutcry.memory.rebuild import Rebuild, Stopped
from openoutcry.memory.table import NO_SPACE, SCHEMA, Name
from openoutcry.memory.vectors import Vectors

log = structlog.get_logger()
_PAUSE = 0.02


def next_space(vectors: Vectors) -> Callable[[Name], Name | None]:
    """The table to build where the one in force is not of the space of *vectors*; else None."""

    def target(name: Name) -> Name | None:
        space = vectors.space
        return None if space in (NO_SPACE, name.space) else Name(SCHEMA, space, name.turn + 1)

    return target


class Background:
    """At most one such thread of one store, begun once the embedder was made and found to be of another space."""

    def __init__(self, folder: Folder, vectors: Vectors, progress: Callable[[str], None]) -> None:
        self._folder, self._vectors, self._progress = folder, vectors, progress
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._looked = False

    def begin(self) -> None:
        """Look once, when the embedder was made, whether there is something to do, and begin it."""
        if self._looked or not self._vectors.met or (name := self._folder.name()) is None:
            return
        with self._lock:
            if self._looked:
                return
            self._looked = True
            if next_space(self._vectors)(name) is not None:
                self._progress("the embedding model changed: memories are embedded anew in the background")
                self._thread = threading.Thread(target=self._work, name="re-embedding", daemon=True)
                self._thread.start()

    def end(self) -> None:
        """Stop after the batch at hand, and wait for that."""
        with self._lock:
            self._looked = True
            self._stop.set()
            if self._thread is not None:
                self._thread.join()
                self._thread = None

    def _work(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
        work = Rebuild(self._folder, lambda _: None, self._vectors, self._stop, _PAUSE, patience=0.0)
        try:
            work.into(next_space(self._vectors))
        except Stopped:
            return
        except (OutcryError, RuntimeError, ValueError, OSError) as error:
            with contextlib.suppress(ValueError):  # whoever read what is logged may have left meanwhile
                log.warning("memories were not embedded anew", reason=str(error))
