"""Where answers are kept: a SQLite file in the data folder, which many processes share, or a Redis."""

import sqlite3
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import structlog
from filelock import FileLock

from openoutcry.core import egress
from openoutcry.core.errors import UsageError
from openoutcry.serving.stack import CacheSettings

BUDGET = 0.05
"""Seconds that a store may take to get or to put."""
TOGETHER = 32
"""Rows that go at once: the oldest where there is no room, and of the oldest, with each put, those whose time is up."""
OPENING = (
    "PRAGMA synchronous = OFF",
    "PRAGMA journal_mode = WAL",
    f"PRAGMA journal_size_limit = {4 * 1024 * 1024}",
    "CREATE TABLE IF NOT EXISTS answers (id INTEGER PRIMARY KEY, key TEXT UNIQUE, until REAL, value BLOB)",
)
OLDEST = f"SELECT id FROM answers ORDER BY id LIMIT {TOGETHER}"

log = structlog.get_logger()


class Store(Protocol):
    """Keeps bytes by key; safe to share among threads. *now* is seconds since 1970. May raise anything."""

    threaded: bool
    """Whether a call waits for another process, and so has to run beside the event loop; it keeps to BUDGET itself."""

    def get(self, key: str, now: float) -> bytes | None:
        """What was put under *key*, unless its time is up."""
        ...

    def put(self, key: str, value: bytes, now: float, seconds: float) -> None:
        """Keep *value* for *seconds*."""
        ...

    def close(self) -> None:
        """Release what is open."""
        ...


def store_of(settings: CacheSettings, home: Path, allow: Iterable[str] = ()) -> Store | None:
    """The store that the stack names, not opened yet; None where it is off.

    Raises UsageError for any other, and for a Redis that is neither on this machine nor named in *allow*.
    """
    if settings.store == "off":
        return None
    if settings.store == "sqlite":
        return Sqlite(home / "stack" / "answers.sqlite", settings.most)
    try:
        parts = urlsplit(settings.store)
        if parts.scheme == "unix":
            return RedisStore(settings.store, "unix")
        if parts.scheme == "redis" and parts.hostname:
            place = parts.netloc.rpartition("@")[2]
            port = "" if parts.port else ":6379"
            return RedisStore(settings.store, egress.check(f"http://{place}{port}", allow))
    except ValueError:
        pass
    shown = settings.store.rpartition("@")[2]  # what stands before may be a password
    raise UsageError(
        f"expected the cache's store to be sqlite, off, or such as redis://127.0.0.1:6379/0; got {shown!r}"
    )


class Sqlite:
    """A table in a file, opened when it is first needed. Where it takes more than *most* bytes, the oldest rows go.

    Answers are not synced to the disk one by one: after a power cut the last may be missing, or the file damaged. A
    damaged file is set aside as `<name>.damaged`, and begun anew.
    """

    threaded = False

    def __init__(self, path: Path, most: int) -> None:
        self._path, self._most = path, most
        self._open: sqlite3.Connection | None = None
        self._inode = 0
        self._lock = threading.Lock()

    def get(self, key: str, now: float) -> bytes | None:
        """What was put under *key*, unless its time is up. Raises sqlite3.Error or OSError."""
        with self._lock:
            try:
                found = (
                    self._connection()
                    .execute("SELECT value FROM answers WHERE key = ? AND until > ?", (key, now))
                    .fetchone()
                )
            except sqlite3.DatabaseError as error:
                self._mend(error)
                return None
        return found[0] if found else None

    def put(self, key: str, value: bytes, now: float, seconds: float) -> None:
        """Keep *value*, unless it is larger than all that may be kept. Raises sqlite3.Error or OSError."""
        if len(value) > self._most:
            return
        with self._lock:
            try:
                self._put(self._connection(), (key, now + seconds, value), now)
            except sqlite3.DatabaseError as error:
                self._mend(error)

    def close(self) -> None:
        """Close the file; it is opened again where it is needed again."""
        with self._lock:
            self._shut()

    def _put(self, opened: sqlite3.Connection, row: tuple[str, float, bytes], now: float) -> None:
        with opened:
            opened.execute("BEGIN IMMEDIATE")
            opened.execute(f"DELETE FROM answers WHERE id IN ({OLDEST}) AND until <= ?", (now,))
            while self._size(opened) + len(row[2]) > self._most:
                if not opened.execute(f"DELETE FROM answers WHERE id IN ({OLDEST})").rowcount:
                    break
            opened.execute("INSERT OR REPLACE INTO answers (key, until, value) VALUES (?, ?, ?)", row)

    @staticmethod
    def _size(opened: sqlite3.Connection) -> int:
        """Bytes of the pages in use."""
        total, free, page = (
            opened.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
        )
        return (total - free) * page

    def _connection(self) -> sqlite3.Connection:
        if self._open is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._open = sqlite3.connect(self._path, BUDGET / 2, check_same_thread=False, isolation_level=None)
                self._inode = self._path.stat().st_ino
                for statement in OPENING:
                    self._open.execute(statement)
        return self._open

    def _mend(self, error: sqlite3.DatabaseError) -> None:
        """Set a damaged file aside, unless another process did. Raises *error* where it is of another kind."""
        self._shut()
        if type(error) is not sqlite3.DatabaseError:  # its subclasses say other things than that the file is damaged
            raise error
        with self._alone():
            if self._path.exists() and self._path.stat().st_ino == self._inode:
                log.warning("the cache is damaged, and begins anew", file=str(self._path), reason=str(error))
                self._path.replace(f"{self._path}.damaged")
                for beside in ("-wal", "-shm"):
                    Path(f"{self._path}{beside}").unlink(missing_ok=True)

    def _alone(self) -> FileLock:
        """No two processes open the file, or set it aside, at once."""
        return FileLock(self._path.with_suffix(".lock"), timeout=BUDGET / 2)

    def _shut(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


class RedisStore:
    """A Redis at *url*, connected when it is first needed; it keeps time, and what goes first, by itself.

    *where* is its name in the ledger of what was sent: keys and values count.
    """

    threaded = True

    def __init__(self, url: str, where: str) -> None:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._where = where
        self._client = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]  # its options are not typed
            url, socket_timeout=BUDGET, socket_connect_timeout=BUDGET, retry=Retry(NoBackoff(), 0)
        )

    def get(self, key: str, now: float) -> bytes | None:
        """What was put under *key*, unless its time is up. Raises redis.RedisError."""
        egress.sent(self._where, len(key))
        found: Any = self._client.get(f"outcry:{key}")
        return found

    def put(self, key: str, value: bytes, now: float, seconds: float) -> None:
        """Keep *value*. Raises redis.RedisError, such as where Redis has no room and may drop nothing."""
        egress.sent(self._where, len(key) + len(value))
        self._client.set(f"outcry:{key}", value, px=max(1, round(seconds * 1000)))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
