"""The picture of a run's losses: a page of its own with two curves, drawn without a library."""

from collections.abc import Sequence
from html import escape
from math import floor, log10

from openoutcry.training.tuning.losses import Loss

WIDTH, HEIGHT = 880, 460
LEFT, RIGHT, TOP, BOTTOM = 72, 20, 24, 56
TRAIN, VALID, GRID, INK = "#9aa7b5", "#c2410c", "#e5e9ee", "#1f2933"
Points = list[tuple[int, float]]


def page(title: str, lines: Sequence[tuple[str, str]], losses: Sequence[Loss]) -> str:
    """A self-contained HTML page: *title*, the curves, and the *lines* of name and value under them."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in lines)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: {INK}; max-width: {WIDTH}px; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.25rem; font-weight: 600 }}
svg {{ width: 100%; height: auto }}
table {{ border-collapse: collapse; margin-top: 1rem }}
th {{ text-align: left; font-weight: 500; padding: .15rem 1.5rem .15rem 0; vertical-align: top; color: #52606d }}
td {{ padding: .15rem 0 }}
</style></head><body><h1>{escape(title)}</h1>
{svg(losses)}
<table>{rows}</table></body></html>
"""


def svg(losses: Sequence[Loss]) -> str:
    """The curves of loss by update: grey for rows learnt from, orange for rows held back."""
    train = [(loss.step, loss.train) for loss in losses if loss.train is not None]
    valid = [(loss.step, loss.valid) for loss in losses if loss.valid is not None]
    every: Points = [*train, *valid]
    if not every:
        return "<p>No loss was written yet.</p>"
    most = max(step for step, _ in every)
    ticks = _ticks(max(value for _, value in every))
    top = ticks[-1] or 1.0

    def at(point: tuple[int, float]) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * point[0] / most
        return round(x, 1), round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * point[1] / top, 1)

    parts = [_grid(at((0, tick))[1], _number(tick)) for tick in ticks]
    parts += [
        _under(at((int(tick), 0.0))[0], f"{int(tick):,}") for tick in _ticks(most) if tick <= most and tick % 1 == 0
    ]
    for points, colour, name, width in ((train, TRAIN, "learnt from", 1.5), (valid, VALID, "held back", 2.5)):
        parts.append(_curve([at(p) for p in points], colour, width))
        if points:
            parts.append(_legend(colour, f"{name}, last {points[-1][1]:.3g}", first=name == "learnt from"))
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 12}" text-anchor="middle">updates</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">loss</text>')
    drawn = "\n".join(parts)
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="loss by update"'
    return f'{head} font-family="system-ui, sans-serif" font-size="13" fill="{INK}">\n{drawn}\n</svg>'


def _ticks(most: float, about: int = 5) -> list[float]:
    """Round numbers from nothing to the first at or past *most*."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / about
    size = 10 ** floor(log10(rough))
    step = next(m * size for m in (1, 2, 2.5, 5, 10) if m * size >= rough)
    count = -(-most // step)
    return [round(i * step, 10) for i in range(int(count) + 1)]


def _number(value: float) -> str:
    return f"{value:.10g}"


def _grid(y: float, label: str) -> str:
    line = f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="{GRID}"/>'
    return f'{line}<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{label}</text>'


def _under(x: float, label: str) -> str:
    y = HEIGHT - BOTTOM
    return f'<text x="{x}" y="{y + 20}" text-anchor="middle">{label}</text>'


def _curve(points: Sequence[tuple[float, float]], colour: str, width: float) -> str:
    """A line through the points, and a dot on each where they are few."""
    path = " ".join(f"{x},{y}" for x, y in points)
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>' for x, y in points) if len(points) <= 25 else ""
    return f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"/>{dots}'


def _legend(colour: str, text: str, *, first: bool) -> str:
    x, y = WIDTH - RIGHT - 190, TOP + (8 if first else 28)
    line = f'<line x1="{x}" x2="{x + 24}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
    return f'{line}<text x="{x + 32}" y="{y + 4}">{escape(text)}</text>'
