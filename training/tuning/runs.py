"""Where fine-tunes lie, and what is known of each: one that began, one that goes on, one that is done.

<home>/training/runs/<sha12>/run.json         what it is of: base, data, recipe; written first
<home>/training/runs/<sha12>/checkpoints/     the last two, each with its mark
<home>/training/runs/<sha12>/losses.json      as they came, and losses.csv
<home>/training/runs/<sha12>/out/             what was made: an adapter or a model
<home>/training/runs/<sha12>/done.json        how it went; written last
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from openoutcry.core import durable
from openoutcry.core.errors import DataError, UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.serving.digest import digest
from openoutcry.serving.registry.artifact import Made
from openoutcry.training.examples.rows import Kind
from openoutcry.training.tuning import checkpoints
from openoutcry.training.tuning.recipe import Recipe

CHECKPOINTS, OUT, DONE = "checkpoints", "out", "done.json"


class Begun(Frozen):
    """What a run is of. `base` is the digest of the folder `path`, `data` that of the data set."""

    kind: Kind
    role: str
    base: str
    base_name: str
    path: str
    data: str
    recipe: Recipe

    @property
    def name(self) -> str:
        """12 hex digits over all that changes what is made; the number of threads and the path do not."""
        told = self.model_dump(exclude={"path": True, "recipe": {"threads"}})
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]


class Done(Frozen):
    """How a run went. Bytes and seconds as planned, and as they were in the process that ended it."""

    made: Made
    output: str
    planned: int
    peak: int
    planned_seconds: float
    seconds: float
    steps: int
    """Updates in that process: fewer than all where it went on from a checkpoint."""
    tokens: float
    """Tokens a second."""
    parameters: int
    """Of the base."""
    left_out: dict[str, int]
    processes: int = 1
    """How many trained together, whose tokens are counted as one."""


class Run(Frozen):
    """A run in its folder."""

    name: str
    folder: Path
    begun: Begun
    done: Done | None

    @property
    def step(self) -> int:
        """The update that it can go on from, all where it is done."""
        steps = self.begun.recipe.steps
        return steps if self.done else checkpoints.step(checkpoints.newest(self.folder / CHECKPOINTS, steps))


def folder(home: Path) -> Path:
    """Where the runs lie."""
    return home / "training/runs"


def is_done(home: Path, begun: Begun) -> bool:
    """Whether the run of that name came to its end."""
    return (folder(home) / begun.name / DONE).exists()


def begin(home: Path, begun: Begun) -> Run:
    """The run of that name, begun now or before."""
    there = folder(home) / begun.name
    if not (there / "run.json").exists():
        durable.put(there / "run.json", begun.model_dump_json(indent=2).encode())
    return read(there)


def end(run: Run, done: Done) -> Run:
    """Put down how it went."""
    durable.put(run.folder / DONE, done.model_dump_json(indent=2).encode())
    return run.model_copy(update={"done": done})


def read(there: Path) -> Run:
    """The run in a folder. Raises DataError where its files, or what it made, are damaged."""
    try:
        begun = Begun.model_validate_json((there / "run.json").read_bytes())
        file = there / DONE
        done = Done.model_validate_json(file.read_bytes()) if file.exists() else None
    except (OSError, ValidationError) as error:
        raise DataError(f"expected a fine-tune in {there}, got {type(error).__name__}: delete the folder") from None
    return Run(name=there.name, folder=there, begun=begun, done=done)


def check(run: Run) -> None:
    """See that what a finished run made is as it was made. Raises DataError."""
    if run.done and (not (run.folder / OUT).is_dir() or digest(run.folder / OUT) != run.done.output):
        raise DataError(f"{run.name}: what it made was changed since; delete {run.folder} to train it again")


def listing(home: Path) -> list[Run]:
    """All runs, the newest last; damaged ones are left out, and `find` says why."""
    found: list[tuple[float, Run]] = []
    for there in folder(home).iterdir() if folder(home).is_dir() else ():
        try:
            found.append(((there / "run.json").stat().st_mtime, read(there)))
        except (DataError, OSError):
            continue
    return [run for _, run in sorted(found, key=lambda pair: pair[0])]


def find(home: Path, given: str) -> Run:
    """The run of a name, of a beginning that fits one alone, or the `last`. Raises UsageError."""
    every = listing(home)
    fit = every[-1:] if given == "last" else [r for r in every if r.name.startswith(given)]
    if len(fit) == 1:
        return fit[0]
    if (folder(home) / given / "run.json").is_file():
        return read(folder(home) / given)
    known = ", ".join(run.name for run in every) or "none yet"
    raise UsageError(f"expected one fine-tune, but {len(fit)} fit {given!r}; there are {known}")


def versions() -> Mapping[str, Any]:
    """The versions of the libraries that make a run what it is."""
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "transformers", "trl", "peft", "sentence-transformers")}
