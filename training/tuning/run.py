"""A fine-tune from beginning to end: planned, refused or trained, gone on with after a kill, and done once."""

import errno
import shutil
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from openoutcry.core.errors import DataError, UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.serving.digest import digest
from openoutcry.serving.planning.box import Box
from openoutcry.serving.planning.box import box as this_box
from openoutcry.serving.registry.artifact import Made
from openoutcry.training.examples.dataset import Dataset
from openoutcry.training.examples.rows import KINDS as SEATS
from openoutcry.training.tuning import chat, checkpoints, losses, peak, pooling, runs, sizes
from openoutcry.training.tuning.arguments import first, hushed, processes
from openoutcry.training.tuning.losses import Loss
from openoutcry.training.tuning.plan import planned
from openoutcry.training.tuning.plan_text import gigabytes
from openoutcry.training.tuning.planned import Plan
from openoutcry.training.tuning.prepare import Prepared, prepare
from openoutcry.training.tuning.recipe import Recipe, steps_an_epoch
from openoutcry.training.tuning.runs import Begun, Done, Run
from openoutcry.training.tuning.watching import Halted, Stopping, Watch, callback, never, silent

KINDS = {"tone": "classifier", "pairs": "embedder"}
"""What is made from data of a kind that does not write."""
Telling = Callable[[float], Any]
"""Gives a trainer its callback, by the tokens of one update."""


class Tuned(Frozen):
    """What was made: its folder, what the registry is to know of it, and how it went."""

    run: Run
    folder: Path
    made: Made
    losses: tuple[Loss, ...]

    @property
    def name(self) -> str:
        """The run's."""
        return self.run.name


def tune(
    home: Path,
    base: Path,
    dataset: Dataset,
    recipe: Recipe,
    *,
    watch: Watch = silent,
    base_name: str = "",
    role: str = "",
    box: Box | None = None,
    says: Callable[[Plan], None] = lambda _: None,
    stopping: Stopping = never,
) -> Tuned:
    """Fine-tune *base*; the same call goes on with what was stopped, and returns at once where it is done.

    *base_name* is what the stack calls the base (default: its folder's name), *role* the seat that it is for (default:
    the data's). *says* hears the plan before the start. On a CPU the same data, recipe and thread count give the same
    weights, bit for bit, stopped or not. Raises UsageError where the box cannot hold it or another process trains it,
    DataError for damaged data, Halted where it is *stopping*.
    """
    kind, seat = dataset.manifest.kind, role or dataset.manifest.role
    if SEATS.get(seat, kind) != kind:
        raise UsageError(f"expected data of kind {SEATS[seat]} for the {seat}, got {kind}: name a data set made for it")
    size, data = sizes.read(base), prepare(base, dataset, recipe.max_length)
    made = planned(home, size, data, recipe, box or this_box(), processes())
    begun = Begun(
        kind=data.kind,
        role=seat,
        base=digest(base),
        base_name=base_name or base.resolve().name,
        path=str(base.resolve()),
        data=dataset.manifest.digest,
        recipe=made.recipe,
    )
    if not runs.is_done(home, begun):
        says(made)
        if made.refused:
            raise UsageError(f"this box cannot hold the fine-tune: {made.refused}")
    run = runs.begin(home, begun)
    if run.done is None:
        folder = run.folder
        run = _alone(run, base, dataset, data, made, lambda tokens: callback(folder, watch, tokens, stopping))
    runs.check(run)
    if run.done is None:
        raise DataError(f"{run.name}: the first process of this launch did not finish it; start the launch again")
    shutil.rmtree(run.folder / runs.CHECKPOINTS, ignore_errors=True)
    return Tuned(run=run, folder=run.folder / runs.OUT, made=run.done.made, losses=tuple(losses.read(run.folder)))


def _alone(run: Run, base: Path, dataset: Dataset, data: Prepared, made: Plan, telling: Telling) -> Run:
    """Train while no other process does; the processes of one launch count as one."""
    if not first():
        _train(run, base, dataset, data, made, telling)
        return runs.read(run.folder)
    try:
        with FileLock(run.folder / "lock", timeout=0):
            again = runs.read(run.folder)
            if again.done:
                return again
            with _spelt(run, made):
                return _train(run, base, dataset, data, made, telling)
    except Timeout:
        raise UsageError(f"another process trains {run.name} now; `outcry train list` shows how far it is") from None


@contextmanager
def _spelt(run: Run, made: Plan) -> Generator[None]:
    """A disk that takes no more, and a GPU that does, are one line: the libraries say it in errors of their own."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise DataError(
                f"{run.name}: expected {gigabytes(made.bytes)} to do on the GPU, got out of memory; stop what else "
                "runs there, or set a smaller batch and raise accumulate as much"
            ) from None
        said = str(error).strip().split("\n", 1)[0]
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
        if full or type(error).__name__ == "SafetensorError" or "PytorchStreamWriter" in said:
            raise DataError(
                f"{run.name}: expected room for its files, got {said}; make room, and the same command goes on"
            ) from None
        raise


def _train(run: Run, base: Path, dataset: Dataset, data: Prepared, made: Plan, telling: Telling) -> Run:
    recipe, folder = made.recipe, run.folder / runs.CHECKPOINTS
    with hushed(recipe):
        peak.begin()
        a_step = data.tokens / steps_an_epoch(recipe, -(-len(data.train) // processes()))
        if first():
            checkpoints.sweep(folder)
        last = checkpoints.newest(folder, recipe.steps)
        trainer, save = _trainer(run, base, data, recipe, folder, [telling(a_step)])
        began = time.monotonic()
        trainer.train(resume_from_checkpoint=str(last) if last else None)
        if trainer.state.global_step < recipe.steps:
            raise Halted
        took = time.monotonic() - began
        out = run.folder / runs.OUT
        if first():
            losses.write(run.folder, losses.of(trainer.state.log_history))
            shutil.rmtree(out, ignore_errors=True)
        save(trainer, out)
        if first():
            run = runs.end(run, _done(run, dataset, made, peak.taken(), took, checkpoints.step(last), a_step))
        trainer.accelerator.wait_for_everyone()
    return run


def _done(run: Run, dataset: Dataset, made: Plan, taken: int, took: float, since: int, a_step: float) -> Done:
    """How it went, in the process that trained from the update *since* to the end."""
    steps = made.recipe.steps - since
    return Done(
        made=_made(run, dataset),
        output=digest(run.folder / runs.OUT),
        planned=made.bytes,
        peak=taken,
        planned_seconds=made.seconds * steps / made.recipe.steps,
        seconds=took,
        steps=steps,
        tokens=steps * a_step / took,
        parameters=made.size.parameters,
        left_out=made.left_out,
        processes=processes(),
    )


Save = Callable[[Any, Path], None]


def _trainer(
    run: Run, base: Path, data: Prepared, recipe: Recipe, folder: Path, callbacks: Sequence[Any]
) -> tuple[Any, Save]:
    """The trainer of this kind of data, and what writes what it learnt."""
    given = (data.train, data.valid, recipe, folder, callbacks)
    if data.kind == "tone":
        return pooling.classifier(base, *given), pooling.save_classifier
    if data.kind == "pairs":
        return pooling.embedder(base, *given), pooling.save_embedder

    def save(trainer: Any, out: Path) -> None:
        chat.save(trainer, base, run.begun.base_name, data.tokenizer, out)

    return chat.trainer(base, data.tokenizer, *given), save


def _made(run: Run, dataset: Dataset) -> Made:
    """What the registry is to know: the recipe with what it ran on, and where the losses began and ended."""
    begun, curve = run.begun, losses.read(run.folder)
    train, valid = ([v for c in curve if (v := getattr(c, part)) is not None] for part in ("train", "valid"))
    recipe = begun.recipe.model_dump(mode="json") | {"versions": dict(runs.versions()), "run": run.name}
    recipe["losses"] = {"train": train[:1] + train[-1:], "valid": valid[:1] + valid[-1:]}
    kind = KINDS.get(begun.kind) or ("adapter" if begun.recipe.method == "lora" else "model")
    return Made(
        kind=kind,  # pyright: ignore[reportArgumentType]  # one of the four by what stands above
        role=begun.role,
        base=begun.base,
        base_name=begun.base_name,
        data=dataset.manifest.model_dump(mode="json"),
        recipe=recipe,
    )
