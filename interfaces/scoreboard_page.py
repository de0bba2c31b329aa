"""The scoreboard as a page: the table, how chances and outcomes agree, and what each role gained over time."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import accumulate, groupby

from openoutcry.agents.settling import Scoreboard
from openoutcry.core.standing import DESK, Bin, Settled, Standing
from openoutcry.interfaces import plot
from openoutcry.interfaces.page import policy, scripts, templates
from openoutcry.interfaces.plot import Picture, Spec
from openoutcry.interfaces.standing_text import READING, calibration, empty
from openoutcry.tools.standings import once

GREEN, PURPLE = "#2f9e77", "#a868b8"
HUES = (plot.BLUE, plot.VERMILLION, GREEN, PURPLE)
DASHES = ("solid", "dash", "dashdot")
LEGEND: Spec = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
SMALLEST, LARGEST = 8, 26


def page(board: Scoreboard, weighed: Mapping[Standing, float]) -> str:
    """One HTML document that fetches nothing. *weighed* gives the standings of today's models their weights."""
    drawn = pictures(board)
    run = scripts() if drawn else ()
    return (
        templates()
        .get_template("scoreboard.html.j2")
        .render(
            board=board,
            weighed=weighed,
            pictures=drawn,
            scripts=run,
            policy=policy(run),
            reading=READING,
            calibration=calibration,
            empty=empty,
        )
    )


def pictures(board: Scoreboard) -> list[Picture]:
    """The pictures that the settled views allow."""
    return [reliability(board), gains(board)] if board.standings and board.views else []


def reliability(board: Scoreboard) -> Picture:
    """A trace a role: the mean chance of like views against how often they came true; a dot's area counts views."""
    binned = {role: list(merged(s.bins for s in board.standings if s.role == role)) for role in _roles(board)}
    most = max((b.views for bins in binned.values() for b in bins), default=1)
    traces = [_dots(role, bins, most, look) for (role, bins), look in zip(binned.items(), _looks(binned), strict=True)]
    layout = plot.layout(
        400,
        margin={"l": 8, "r": 16, "t": 40, "b": 28},
        showlegend=True,
        legend=LEGEND,
        xaxis=plot.axis("Chance that was given", range=_span(binned.values()), tickformat=".0%", fixedrange=True),
        yaxis=plot.axis("How often it came true", range=[-0.06, 1.06], tickformat=".0%", dtick=0.25, fixedrange=True),
        shapes=[_diagonal()],
    )
    caption = (
        "Like views together, over all horizons and models of a role: the chance that was given, on average, against "
        "how often it came true; a larger dot stands for more views. On the dashed line the two agree."
    )
    return Picture("Were the chances right?", caption, plot.figure(traces, layout))


def gains(board: Scoreboard) -> Picture:
    """A trace a role: the log score gained over the base rate so far, in nats, by the session that a view ended."""
    roles = _roles(board)
    traces = [
        _steps(role, list(gained(v for v in once(board.views) if v.role == role)), look)
        for role, look in zip(roles, _looks(roles), strict=True)
    ]
    layout = plot.layout(
        400,
        margin={"l": 8, "r": 16, "t": 40, "b": 28},
        showlegend=True,
        legend=LEGEND,
        hovermode="x unified",
        xaxis=plot.axis(type="date", showgrid=False, hoverformat="%d %b %Y"),
        yaxis=plot.axis("Gain so far, nats", zeroline=True, zerolinecolor=plot.GREY, rangemode="tozero", nticks=7),
    )
    caption = (
        "What the views of each role have gained over the base rate, summed as they settled: a line that rises tells "
        "more than the base rate does, one that falls tells less. Views whose spans overlap rise and fall together."
    )
    return Picture("What did they gain?", caption, plot.figure(traces, layout))


def merged(records: Iterable[Sequence[Bin]]) -> Iterator[Bin]:
    """Bins of like bounds made one, lowest first: views add up, chances and frequencies are means over them."""
    bins = sorted((b for bins in records for b in bins), key=lambda b: (b.low, b.high))
    for (low, high), group in groupby(bins, lambda b: (b.low, b.high)):
        same = list(group)
        views = sum(b.views for b in same)
        chance, frequency = (
            math.fsum(getattr(b, name) * b.views for b in same) / views for name in ("mean_chance", "frequency")
        )
        yield Bin(low=low, high=high, views=views, mean_chance=chance, frequency=frequency)


def gained(views: Iterable[Settled]) -> Iterator[tuple[str, float]]:
    """The session on which views ended, and the log score gained over the base rate up to then, in nats.

    It begins with nothing, on the day on which the first view was made.
    """
    ended = sorted(views, key=lambda v: v.ended)
    days = [(day, math.fsum(map(_gain, group))) for day, group in groupby(ended, lambda v: v.ended)]
    yield min(v.made for v in ended).isoformat(), 0.0
    yield from zip((day.isoformat() for day, _ in days), accumulate(g for _, g in days), strict=True)


def _gain(view: Settled) -> float:
    given, base = (p if view.happened else 1 - p for p in (view.chance, view.base_rate))
    return math.log(given / base)


def _roles(board: Scoreboard) -> list[str]:
    """Roles by name, the desk last."""
    return sorted({s.role for s in board.standings}, key=lambda role: (role == DESK, role))


def _looks(roles: Iterable[str]) -> Iterator[tuple[str, str]]:
    """A colour and a dash for each role; the desk is grey and dotted, so that a role beneath it shows."""
    for i, role in enumerate(roles):
        yield (plot.GREY, "dot") if role == DESK else (HUES[i % len(HUES)], DASHES[i // len(HUES) % len(DASHES)])


def _dots(role: str, bins: Sequence[Bin], most: int, look: tuple[str, str]) -> Spec:
    hue, dash = look
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": escape(role),
        "x": [round(b.mean_chance, 4) for b in bins],
        "y": [round(b.frequency, 4) for b in bins],
        "text": [f"{b.views:,} view{'' if b.views == 1 else 's'}" for b in bins],
        "hovertemplate": "given %{x:.1%}, came true %{y:.1%} of %{text}",
        "line": {"color": hue, "width": 1.5, "dash": dash},
        "marker": {
            "color": hue,
            "opacity": 0.85,
            "symbol": "diamond-open" if role == DESK else "circle",
            "line": {"width": 2.5 if role == DESK else 0},
            "size": [round(max(SMALLEST, LARGEST * math.sqrt(b.views / most)), 1) for b in bins],
        },
        "cliponaxis": False,
    }


def _steps(role: str, path: Sequence[tuple[str, float]], look: tuple[str, str]) -> Spec:
    hue, dash = look
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": escape(role),
        "x": [day for day, _ in path],
        "y": [round(total, 5) for _, total in path],
        "hovertemplate": "%{y:+.3f}",
        "line": {"color": hue, "width": 3 if role == DESK else 1.8, "dash": dash, "shape": "hv"},
        "marker": {"color": hue, "size": 7 if len(path) < 40 else 0.1},
    }


def _span(binned: Iterable[Sequence[Bin]]) -> list[float]:
    """The axis of chances: narrowed about one half where all lie near it."""
    chances = [b.mean_chance for bins in binned for b in bins]
    near = all(0.3 <= chance <= 0.7 for chance in chances)
    return [0.25, 0.75] if near else [-0.03, 1.03]


def _diagonal() -> Spec:
    line = {"color": plot.GREY, "width": 1.5, "dash": "dash"}
    return {"type": "line", "x0": 0, "y0": 0, "x1": 1, "y1": 1, "line": line, "layer": "below"}
