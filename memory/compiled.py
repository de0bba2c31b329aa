"""A compiled embedding model as it lies in a folder, and how it runs: onnxruntime and tokenizers, without torch."""

import functools
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from openoutcry.core import egress
from openoutcry.core.errors import DataError
from openoutcry.core.evidence import Frozen

MODEL, TOKENIZER, ABOUT = "model.onnx", "tokenizer.json", "compiled.json"
MOST_THREADS = 8
Precision = Literal["int8", "fp32"]
Runtime = Literal["onnxruntime", "sentence-transformers"]


class About(Frozen):
    """What was compiled: `files` holds the SHA-256 of each file beside it.

    `rank_correlation` is the mean Spearman correlation, over the rows of a similarity matrix, with what
    sentence-transformers gives. Where that was too low for every precision, `runtime` is sentence-transformers itself
    and `files` is empty.
    """

    runtime: Runtime
    precision: Precision
    rank_correlation: float
    dimension: int
    prompt: str
    files: Mapping[str, str]


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The rows at length 1, float32. Raises DataError for a row that is zero or holds NaN or an infinity."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise DataError("expected a direction for every text, got a zero or NaN vector: use another embedding model")
    return np.asarray(vectors / lengths, np.float32)


def readable(text: str) -> str:
    """The text with a question mark for each half of a broken surrogate pair, which no tokenizer takes."""
    return text.encode(errors="replace").decode()


def library(name: str) -> Any:
    """Import one of the libraries that run models, kept from calling out.

    onnxruntime reports home by default, and reads its switch once, at import.
    """
    egress.quiet()
    return import_module(name)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(folder: Path, digest_of: Callable[[Path], str] = sha256) -> About | None:
    """What lies in *folder*, or None where nothing does, or anything there is damaged."""
    try:
        about = About.model_validate_json((folder / ABOUT).read_bytes())
        whole = all(digest_of(folder / name) == digest for name, digest in about.files.items())
    except (OSError, ValidationError):
        return None
    return about if whole else None


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A model in onnxruntime, a text at a time, as many at once as there are processors.

    So a text's vector depends on nothing but the text: int8 takes its scales from what it is given, and a text in a
    batch would be scaled by its neighbours. It is also the faster way: nothing is padded, and the threads never wait
    for one another.
    """

    name: str
    space: str
    dimension: int
    precision: Precision
    rank_correlation: float
    runtime: Runtime
    _prompt: str
    _session: Any
    _tokenizer: Any
    _threads: ThreadPoolExecutor

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors of shape (n, dimension), each of length 1; safe to call from several threads.

        A text past the model's longest is cut there. Raises DataError where the model gives no direction.
        """
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        found = map(self._vector, texts) if len(texts) == 1 else self._threads.map(self._vector, texts)
        return unit(np.stack(list(found)))

    def _vector(self, text: str) -> NDArray[np.float32]:
        ids = self._tokenizer.encode(self._prompt + readable(text)).ids
        return self._session.run(None, {"ids": np.array([ids], np.int64)})[0][0]


def session(model: Path) -> Any:
    """An onnxruntime session of one thread a call, silent below an error."""
    runtime = library("onnxruntime")
    runtime.disable_telemetry_events()  # for where another package imported it first
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])


def build(model: Path, tokenizer: Path, name: str, space: str, about: About) -> Compiled:
    """The model and the tokenizer of two files, ready to embed."""
    words = library("tokenizers").Tokenizer.from_file(str(tokenizer))
    threads = ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_THREADS), "embed")
    return Compiled(
        name=name,
        space=space,
        dimension=about.dimension,
        precision=about.precision,
        rank_correlation=about.rank_correlation,
        runtime=about.runtime,
        _prompt=about.prompt,
        _session=session(model),
        _tokenizer=words,
        _threads=threads,
    )


@functools.cache
def opened(folder: Path, name: str, space: str, about: str) -> Compiled:
    """The compiled model in *folder*, loaded once in a process; *about* is its `About` as JSON."""
    return build(folder / MODEL, folder / TOKENIZER, name, space, About.model_validate_json(about))
