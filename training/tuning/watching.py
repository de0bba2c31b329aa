"""What a trainer tells and is told while it runs: progress, losses for the record, marks on checkpoints, a stop."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openoutcry.core.evidence import Frozen
from openoutcry.training.tuning import checkpoints, losses

KEEP_AFTER = 600.0
"""Seconds without a checkpoint after which one is kept out of turn: a kill costs no more than that."""

WRITE_AFTER = 2.0
"""Seconds between two writings of the losses, which wait for the disk; a checkpoint holds them too."""


class Step(Frozen):
    """How far a run is. `tokens` is tokens a second since it began or went on, `left` seconds to the end."""

    step: int
    of: int
    train: float | None = None
    valid: float | None = None
    tokens: float = 0.0
    left: float | None = None


Watch = Callable[[Step], None]
Stopping = Callable[[], object]
"""Asked at each update: true once a run is to stop."""


class Halted(Exception):
    """A run was asked to stop and did before its end; the same call goes on from its last checkpoint."""


def silent(_: Step) -> None:
    """Progress that nobody watches."""


def never() -> bool:
    """A run that nobody stops."""
    return False


def callback(
    folder: Path,
    watch: Watch,
    tokens: float,
    stopping: Stopping = never,
    clock: Callable[[], float] = time.monotonic,
) -> Any:
    """A callback for a trainer that writes to *folder*; *tokens* are those of one update, on the average.

    A run that is *stopping* keeps a checkpoint after its update and trains no more. While it looks at the rows held
    back, which may take minutes, Halted is raised at once.
    """
    from transformers import TrainerCallback

    class Watching(TrainerCallback):
        def __init__(self) -> None:
            self._from, self._began, self._kept, self._wrote = 0, clock(), clock(), 0.0

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self._from, self._began, self._kept = state.global_step, clock(), clock()
            if state.is_world_process_zero:
                watch(Step(step=state.global_step, of=state.max_steps))

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if args.world_size == 1 and clock() - self._kept >= KEEP_AFTER:
                control.should_save = True
            if state.global_step >= state.max_steps:
                control.should_log, control.should_evaluate = True, args.eval_strategy != "no"
            elif stopping():
                control.should_evaluate, control.should_save, control.should_training_stop = False, True, True

        def on_prediction_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if stopping():
                raise Halted

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            told: dict[str, float] = logs or {}
            if not state.is_world_process_zero or not told.keys() & {"loss", "eval_loss"}:
                return
            if clock() - self._wrote >= WRITE_AFTER:
                losses.write(folder, losses.of(state.log_history))
                self._wrote = clock()
            done, took = state.global_step - self._from, clock() - self._began
            pace = done / took if took > 0 else 0.0
            watch(
                Step(
                    step=state.global_step,
                    of=state.max_steps,
                    train=told.get("loss"),
                    valid=told.get("eval_loss"),
                    tokens=pace * tokens,
                    left=(state.max_steps - state.global_step) / pace if pace else None,
                )
            )

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self._kept = clock()
            if state.is_world_process_zero:
                checkpoints.seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")

    return Watching()
