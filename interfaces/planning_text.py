"""The plan of a stack, and how far it was off, as lines of text."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from openoutcry.interfaces.text import wrap

if TYPE_CHECKING:
    from openoutcry.serving.planning.planned import Plan, Planned
    from openoutcry.serving.running.measuring import Measure

_HEAD = ("model", "on", "weights", "KV cache", "rest", "a replica", "fit", "whole context", "of 4k")


def plan(planned: "Plan") -> Iterator[str]:
    """The box, a line a model, and notes. Sequences are those that run at once in one replica."""
    from openoutcry.serving.planning.planned import gb

    box = planned.box
    gpus = ", ".join(f"{gpu.name} {gb(gpu.memory)}" for gpu in box.gpus) or "no GPU"
    yield wrap(f"this box: {gb(box.ram)} of RAM ({gb(box.ram_free)} free now), {box.cores} cores, {gpus}")
    yield ""
    yield from table([_HEAD, *map(_row, planned.models)])
    yield ""
    yield from _sums(planned)
    for model in planned.models:
        for note in model.notes:
            yield wrap(f"{model.name}: {note}", "  ")


def _row(model: "Planned") -> tuple[str, ...]:
    from openoutcry.serving.planning.planned import gb

    low, high = model.replicas.min, model.replicas.max
    span = f"{model.most} of {low}" + (f"-{high}" if high > low else "")
    on = f"{model.split} GPU" if model.place == "gpu" and model.split else model.place
    if model.need is None:
        known = gb(model.ram) if model.ram else ""
        return model.name, on, "", "", "", known, span, "", ""
    need = model.need
    parts = [gb(size) for size in (need.weights, need.kv, need.fixed - need.weights, need.total)]
    parts[1] = parts[1] if need.kv else "none"
    if not model.tokens:
        return model.name, on, *parts, span, "", ""
    return model.name, on, *parts, span, f"{model.full:,.1f} x {model.context:,}", f"{model.typical:,.1f}"


def _sums(planned: "Plan") -> Iterator[str]:
    """What all take together at least, and with every replica that fits."""
    from openoutcry.serving.planning.planned import gb

    here = [model for model in planned.models if model.place != "elsewhere"]
    least, most = [m.replicas.min for m in here], [m.most for m in here]
    told = [("together", least)] if not planned.fits or most == least else [("at least", least), ("at most", most)]
    for said, count in told if here else []:
        ram = sum(m.ram * n for m, n in zip(here, count, strict=True))
        cores = sum(m.cores * n for m, n in zip(here, count, strict=True))
        shares = sum(m.share * m.split * n for m, n in zip(here, count, strict=True))
        if not ram:
            continue
        gpu = f", {shares:.2f} of {len(planned.box.gpus)} GPUs" if planned.box.gpus else ""
        yield f"{said}: {gb(ram)} of RAM, {cores} cores{gpu}"


def measures(figures: "Sequence[Measure]") -> Iterator[str]:
    """What was predicted and what is, with the error of the prediction."""
    from openoutcry.serving.planning.planned import gb

    def shown(what: str, value: float) -> str:
        return gb(value) if what in ("RAM", "GPU memory") else f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"

    rows = [
        (f.replica, f.what, shown(f.what, f.predicted), shown(f.what, f.measured), f"{f.error or 0:+.1f} %")
        for f in figures
    ]
    yield from table([("replica", "what", "predicted", "measured", "error"), *rows])


def table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as their widest cell: the first two to the left, numbers to the right."""
    every = list(rows)
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    for row in every:
        cells = [cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))]
        yield "  ".join(cells).rstrip()
