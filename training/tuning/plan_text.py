"""Whether a planned fine-tune fits, and the plan as a person reads it."""

from collections.abc import Iterator

from openoutcry.core.progress import duration
from openoutcry.training.tuning.planned import Plan


def refusal(made: Plan) -> str:
    """Why this box cannot hold it, with the numbers and what to do; empty where it can."""
    if made.bytes <= made.free:
        return ""
    where = f"free on the {made.gpu}" if made.gpu else "free here"
    return (
        f"it needs {gigabytes(made.bytes)} ({told(made.parts)}) and there are {gigabytes(made.free)} {where}: "
        f"{_emptied(made)}{_mend(made)}"
    )


def _emptied(made: Plan) -> str:
    """What to do where it would fit if nothing else ran here."""
    if made.bytes > made.total:
        return ""
    return f"stop what else takes its part of {gigabytes(made.total)} (`outcry stack down` stops the models), or "


def _mend(made: Plan) -> str:
    """What would make it fit, the cheapest first."""
    recipe, over = made.recipe, made.bytes - made.free
    fixed = made.bytes - made.parts["activations"] - made.parts["logits"]
    if fixed < made.free and recipe.checkpointing == "off":
        return 'set checkpointing = "on", or a smaller batch with accumulate raised as much'
    if fixed < made.free and (recipe.batch > 1 or made.longest > 1):
        return "set a smaller batch and raise accumulate as much, or a smaller max_length"
    if recipe.method == "full" and made.kind == "chat":
        return 'set method = "lora", or choose a smaller base'
    return (
        "choose a smaller base, or share it over several GPUs (`outcry train render fsdp`); "
        f"{gigabytes(over)} are missing"
    )


def told(parts: dict[str, int]) -> str:
    """Parts as a person reads them, the largest first; those under a hundredth are left out."""
    least = sum(parts.values()) / 100
    return ", ".join(f"{k} {gigabytes(v)}" for k, v in sorted(parts.items(), key=lambda p: -p[1]) if v >= least)


def gigabytes(count: float) -> str:
    """Bytes as a person reads them."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def listed(made: Plan) -> Iterator[tuple[str, str]]:
    """The plan in lines of a name and what there is to say."""
    r, s = made.recipe, made.size
    left = "".join(f"; {n:,} left out: {why}" for why, n in made.left_out.items())
    yield "base", f"{s.kind}, {s.parameters:,} parameters, {s.layers} layers of {s.hidden}"
    yield "data", f"{made.rows:,} sequences to learn from, {made.valid:,} to check with, {made.tokens:,} tokens{left}"
    how = (
        f"LoRA of rank {r.rank} on {' '.join(r.targets) or 'every linear layer'}"
        if r.method == "lora"
        else "all weights"
    )
    yield "learns", f"{how}: {made.learnt:,} parameters in {r.precision}"
    sum_ = f"{r.batch} x {r.accumulate}" if r.accumulate > 1 else f"{r.batch}"
    yield "steps", f"{r.steps:,} of {sum_} rows, the longest of {made.longest:,} tokens; rate {r.rate:g}, {r.schedule}"
    yield "memory", f"{gigabytes(made.bytes)} of {gigabytes(made.free)} free: {told(made.parts)}"
    guess = "an estimate, good to a factor of three; the first run measures it"
    by = f"at the pace of run {made.measured}" if made.measured else guess
    yield "time", f"{duration(made.seconds)}, {by}"
