"""The pictures of an evaluation: differences and scores with their intervals, and how long cases took."""

from collections.abc import Callable, Sequence
from html import escape
from textwrap import wrap
from typing import TYPE_CHECKING

from openoutcry.interfaces import plot
from openoutcry.interfaces.plot import Picture, Spec

if TYPE_CHECKING:
    from openoutcry.eval.comparison import Difference, Summary

ROW, FRAME = 36, 92
"""Pixels of a row, and of what stands around the rows."""
APART = 0.26
"""Of a row: how far the dots of two lineups stand from each other."""
OVERALL, LARGE, SMALL = "overall", 13, 9
"""The row that stands for all cases, and pixels of its dots and of all others."""
WHOLE = 99.9
"""Points from which on an interval says nothing: too few clusters bound it."""
LETTERS, LINE = 40, 16
"""Letters of a line of the legend, on a narrow screen too, and its pixels."""
LEGEND: Spec = {"orientation": "h", "x": 0, "xanchor": "left", "y": 1, "yanchor": "bottom"}
Sides = Sequence[tuple[str, "Sequence[Summary]"]]
Dot = tuple[float, float, float, float]
"""Row, value, and both ends of the line through it."""


def differences(found: "Sequence[Difference]", margin: float = 0.0, of: str = "the second minus the first") -> Picture:
    """A dot and its interval for the whole and each category; *margin* draws how much worse one may be."""
    traces = [
        _whiskers(
            sure,
            [(i, *_points(d)) for i, d in enumerate(found) if _side(d) == side],
            hue,
            "%{x:+.1f} points",
            _whole([d.name for d in found]),
        )
        for side, hue, sure in ((0, plot.GREY, "open"), (1, plot.BLUE, "better"), (-1, plot.VERMILLION, "worse"))
    ]
    furthest = max([*map(abs, _ends(found)), 100 * margin, 1.0])
    layout = _layout(
        [d.name for d in found],
        plot.axis(f"points, {of}", range=[-1.1 * furthest, 1.1 * furthest], fixedrange=True),
        shapes=[plot.upright(0, 1, "solid", plot.GREY), *_margin(margin)],
        annotations=[plot.label(-100 * margin, 1, "margin", "center", "bottom")] if margin else [],
    )
    caption = (
        "Case by case, how much better or worse: the dot is the mean, the line its 95 % interval by clusters. Blue "
        "lies above 0 as a whole, red below it; grey may be chance."
    )
    wide = " A line that runs out of the picture tells nothing: there are too few clusters." if _wide(found) else ""
    told = " The dashed line is how much worse a category may be." if margin else ""
    return Picture("Differences", caption + wide + told, plot.figure([t for t in traces if t["x"]], layout))


def scores(sides: Sides) -> Picture:
    """The score of each category with its interval, a colour a lineup."""
    axis = plot.axis("cases right, %", range=[-3, 103], dtick=25, fixedrange=True)
    caption = "The share of cases in which all that was expected held, with its 95 % interval by clusters."
    drawn = _grouped(sides, lambda s: (100 * s.score, 100 * s.low, 100 * s.high), axis, "%{x:.1f} %")
    return Picture("Scores", caption, drawn)


def latency(sides: Sides) -> Picture:
    """From the median to the 95th percentile of the seconds of a case, a colour a lineup."""
    axis = plot.axis("seconds a case", rangemode="tozero", fixedrange=True)
    caption = "The dot is the median of the seconds that a case took, the end of its line the 95th percentile."
    drawn = _grouped(sides, lambda s: (s.seconds_p50, s.seconds_p50, s.seconds_p95), axis, "median %{x:.2f} s")
    return Picture("How long a case took", caption, drawn)


def _grouped(
    sides: Sides, measure: "Callable[[Summary], tuple[float, float, float]]", axis: Spec, hover: str
) -> object:
    """A row a category, and in it a dot with its line for each lineup."""
    names = list(dict.fromkeys(s.name for _, summed in sides for s in summed))
    hues = (plot.BLUE,) if len(sides) == 1 else (plot.GREY, plot.BLUE, plot.VERMILLION)
    traces = [
        _whiskers(
            side,
            [(names.index(s.name) + APART * (i - (len(sides) - 1) / 2), *measure(s)) for s in summed],
            hues[i % len(hues)],
            hover,
            _whole(names),
        )
        for i, (side, summed) in enumerate(sides)
    ]
    lines = sum(len(_folded(side)) for side, _ in sides) if len(sides) > 1 else 0
    return plot.figure(traces, _layout(names, axis, lines, showlegend=lines > 0, legend=LEGEND))


def _folded(name: str) -> list[str]:
    """The lines of a name in the legend; all of it is shown, for names may differ at their end alone."""
    return wrap(name, LETTERS, break_on_hyphens=False)


def _whiskers(name: str, dots: Sequence[Dot], hue: str, hover: str, whole: float) -> Spec:
    """Dots, and the line through each from one end to the other; those above the row *whole* are larger."""
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "<br>".join(map(escape, _folded(name))),
        "x": [round(x, 4) for _, x, _, _ in dots],
        "y": [y for y, _, _, _ in dots],
        "marker": {
            "color": hue,
            "size": [LARGE if y < whole else SMALL for y, _, _, _ in dots],
            "opacity": 1,
            "line": {"width": 0},
        },
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [round(high - x, 4) for _, x, _, high in dots],
            "arrayminus": [round(x - low, 4) for _, x, low, _ in dots],
            "color": hue,
            "thickness": 2,
            "width": 0,
        },
        "hovertemplate": f"{hover}<extra>{escape(name)}</extra>",
    }


def _layout(names: Sequence[str], axis: Spec, legend_lines: int = 0, **more: object) -> Spec:
    """The frame around rows with *names*, the first on top, and above them a legend of so many lines."""
    rows = plot.axis(
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=[f"<b>{escape(name)}</b>" if i < _whole(names) else escape(name) for i, name in enumerate(names)],
        range=[len(names) - 0.5, -0.5],
        showgrid=False,
        fixedrange=True,
        ticklabelstandoff=10,
    )
    top = 40 if legend_lines or more.get("annotations") else 12
    over = LINE * max(legend_lines - 2, 0)
    height, top = FRAME + ROW * len(names) + over, top + over
    return plot.layout(height, margin={"l": 8, "r": 16, "t": top, "b": 28}, xaxis=axis, yaxis=rows, **more)


def _whole(names: Sequence[str]) -> float:
    """The lower edge of the rows that stand for all cases: of the first one, or of none."""
    return 0.5 if names[0] == OVERALL else -0.5


def _margin(margin: float) -> list[Spec]:
    return [plot.upright(-100 * margin, 1, "dash", plot.VERMILLION)] if margin else []


def _points(d: "Difference") -> tuple[float, float, float]:
    return 100 * d.difference, 100 * d.low, 100 * d.high


def _ends(found: "Sequence[Difference]") -> list[float]:
    """The dots and the ends of their lines, without those that reach to 100 points: of these nothing is known."""
    return [value for d in found for value in _points(d) if abs(value) < WHOLE]


def _wide(found: "Sequence[Difference]") -> bool:
    return any(abs(value) >= WHOLE for d in found for value in _points(d))


def _side(d: "Difference") -> int:
    """1 and -1 where the whole interval lies above 0, or below; else 0."""
    return (d.low > 0) - (d.high < 0)
