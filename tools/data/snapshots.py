"""The snapshots of a data folder, each opened once and shared."""

import threading
from pathlib import Path

from openoutcry.core.clock import AsOf
from openoutcry.core.evidence import Query
from openoutcry.tools.data import warehouse
from openoutcry.tools.data.view import Warehouse


class Snapshots:
    """Opened snapshots of the data in *home*, old ones beside the new. Safe to share between threads."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._open: dict[Path, Warehouse] = {}
        self._lock = threading.Lock()

    def current(self) -> Warehouse:
        """The one in force. Raises EmptyWarehouse."""
        return self._opened(warehouse.current(self._home))

    def named(self, snapshot: str) -> Warehouse | None:
        """That *snapshot*; None where it is no longer here."""
        path = warehouse.folder(self._home) / f"{snapshot}.duckdb"
        return self._opened(path) if path.is_file() else None

    def again(self, snapshot: str, as_of: str, query: Query) -> str:
        """Run a statement once more on a *snapshot* as known then, and say whether the rows are the same."""
        there = self.named(snapshot)
        return (
            there.again(query, AsOf.parse(as_of)) if there else f"not possible: snapshot {snapshot} is no longer here"
        )

    def close(self) -> None:
        """Release all of them."""
        with self._lock:
            for opened in self._open.values():
                opened.close()
            self._open.clear()

    def _opened(self, path: Path) -> Warehouse:
        with self._lock:
            if path not in self._open:
                self._open[path] = Warehouse(path)
            return self._open[path]
