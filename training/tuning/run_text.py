"""How a fine-tune went, in lines of a name and what there is to say."""

from collections.abc import Iterator, Sequence

from openoutcry.core.progress import duration
from openoutcry.training.tuning.losses import Loss
from openoutcry.training.tuning.plan_text import gigabytes
from openoutcry.training.tuning.runs import OUT, Run


def listed(run: Run, losses: Sequence[Loss]) -> Iterator[tuple[str, str]]:
    """The lines; those of what is not known yet are left out."""
    begun, done = run.begun, run.done
    yield "run", run.name
    yield "base", f"{begun.base_name} ({begun.base})"
    yield "data", f"{begun.kind} for the {begun.role} ({begun.data[:12]})"
    r = begun.recipe
    yield (
        "recipe",
        f"{f'LoRA of rank {r.rank}' if r.method == 'lora' else 'all weights'}, rate {r.rate:g}, seed {r.seed}",
    )
    for name, values in (("loss", [c.train for c in losses]), ("held back", [c.valid for c in losses])):
        if known := [value for value in values if value is not None]:
            yield name, f"{known[0]:.3f} at first, {known[-1]:.3f} at last"
    if done is None:
        yield "updates", f"{run.step:,} of {r.steps:,} kept; `outcry train run` with the same words goes on"
        return
    resumed = f", the last {done.steps:,} of {r.steps:,} updates" if done.steps < r.steps else ""
    yield "time", f"{duration(done.seconds)}{resumed}; planned {duration(done.planned_seconds)}"
    yield "pace", f"{done.tokens:,.0f} tokens a second"
    off = (done.planned - done.peak) / done.peak if done.peak else 0.0
    yield "memory", f"{gigabytes(done.peak)} at the peak; planned {gigabytes(done.planned)} ({off:+.0%})"
    for why, count in done.left_out.items():
        yield "left out", f"{count:,}: {why}"
    yield "made", str(run.folder / OUT)
