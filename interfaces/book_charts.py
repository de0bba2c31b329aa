"""The pictures of the book: what each stress scenario would do to it, and what each line adds to its risk."""

from collections.abc import Sequence

from openoutcry.core.evidence import Evidence, show
from openoutcry.interfaces import plot
from openoutcry.interfaces.plot import Picture, Spec

SHARE, COMPONENT = "share_", "component_"


def scenarios(evidence: Evidence) -> Picture | None:
    """A bar a stress scenario, the worst at the top; losses lie left."""
    names = [n for n in evidence.figures if n.startswith(SHARE)]
    if evidence.tool != "stress_test" or not names:
        return None
    names.sort(key=evidence.value)
    eid = evidence.id
    caption = (
        f"The book, revalued in full, under each of {{{eid}.scenarios}} scenarios, as a share of its gross value of "
        f"{{{eid}.gross_value}}. The worst, {{{eid}.worst}}, is {{{eid}.worst_profit}}."
    )
    labels = [n.removeprefix(SHARE).replace("_", " ") for n in names]
    return Picture("The book under stress", caption, _bars(evidence, names, labels))


def contributions(evidence: Evidence) -> Picture | None:
    """A bar a line of the book, the largest part of its value at risk at the top; what lowers it lies left."""
    names = [n for n in evidence.figures if n.startswith(COMPONENT)]
    if evidence.tool != "portfolio_value_at_risk" or len(names) < 2:
        return None
    names.sort(key=evidence.value, reverse=True)
    eid = evidence.id
    caption = (
        f"What each line adds to the value at risk of {{{eid}.var}} over {{{eid}.horizon}} at {{{eid}.confidence}} "
        f"confidence; the parts sum to it. {{{eid}.largest}} adds most, {{{eid}.largest_component}}."
    )
    labels = [n.removeprefix(COMPONENT).upper() for n in names]
    return Picture("What adds to the book's risk", caption, _bars(evidence, names, labels, losses=True))


def _bars(evidence: Evidence, names: Sequence[str], labels: Sequence[str], *, losses: bool = False) -> Spec:
    """Horizontal bars with their figures; losses in vermillion, whichever sign they have."""
    values = [evidence.value(n) for n in names]
    lost = [v > 0 if losses else v < 0 for v in values]
    trace: Spec = {
        "type": "bar",
        "orientation": "h",
        "x": values,
        "y": list(labels),
        "text": [show(evidence.figures[n]) for n in names],
        "textposition": "outside",
        "cliponaxis": False,
        "hoverinfo": "skip",
        "marker": {"color": [plot.VERMILLION if bad else plot.BLUE for bad in lost], "opacity": 0.8},
    }
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.35 * (high - low or 1.0)
    layout = plot.layout(
        70 + 24 * len(names),
        margin={"l": 8, "r": 8, "t": 8, "b": 28},
        xaxis=plot.axis(
            range=[low - room * (low < 0), high + room * 0.7],
            tickformat=".0%",
            fixedrange=True,
            zeroline=True,
            zerolinecolor=plot.GREY,
        ),
        yaxis=plot.axis(type="category", autorange="reversed", showgrid=False, fixedrange=True),
    )
    return plot.figure([trace], layout)
