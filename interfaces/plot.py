"""The house's plotly style: colours, and the few specs that every picture is made of.

Colours are mid-tones, blue against vermillion (after Okabe and Ito), that keep apart for colour-blind
people and on light and dark paper. Text that came from data is escaped: plotly reads markup in labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

BLUE, VERMILLION, GREY = "#3b86c4", "#d5611d", "#8a929b"
SHADE, GRID, CLEAR = "rgba(213,97,29,0.18)", "rgba(128,136,144,0.22)", "rgba(0,0,0,0)"
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'

Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Picture:
    """A plotly figure; *title* and *caption* hold references such as `{E3.var}`, never digits."""

    title: str
    caption: str
    figure: Any


def line(x: Sequence[Any], y: Sequence[Any], colour: str, width: float = 1.5, **more: Any) -> Spec:
    """A line."""
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "line": {"color": colour, "width": width}, **more}


def upright(x: float, top: float, dash: str, colour: str) -> Spec:
    """An upright line across the whole height."""
    line = {"color": colour, "width": 1.5, "dash": dash}
    return {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": top, "yref": "paper", "line": line, "layer": "above"}


def label(x: float, y: float, text: str, anchor: str, yanchor: str = "top") -> Spec:
    """Words beside an upright line; *anchor* is the side of the words that touches it."""
    shift = {"left": 6, "right": -6}.get(anchor, 0)
    place = {"x": x, "y": y, "yref": "paper", "xanchor": anchor, "yanchor": yanchor, "xshift": shift}
    return {**place, "text": escape(text), "showarrow": False}


def axis(title: str = "", **more: Any) -> Spec:
    """An axis, titled or not."""
    named = {"title": {"text": title, "standoff": 10}} if title else {}
    return {**named, "gridcolor": GRID, "zeroline": False, "automargin": True, **more}


def layout(height: int, **more: Any) -> Spec:
    """What all pictures share."""
    return {
        "template": {},
        "height": height,
        "margin": {"l": 8, "r": 16, "t": 12, "b": 28},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "showlegend": False,
        "font": {"family": FONT, "size": 12, "color": GREY},
        "hoverlabel": {"bgcolor": "#23282f", "bordercolor": "#23282f", "font": {"color": "#ffffff"}},
        **more,
    }


def figure(traces: Sequence[Spec], layout: Spec) -> Any:
    """The one place that touches plotly, whose types are not declared; it checks names and values."""
    from plotly.graph_objects import Figure  # pyright: ignore[reportMissingTypeStubs] plotly ships no types

    return Figure(data=list(traces), layout=layout)
