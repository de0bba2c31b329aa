"""The pictures of a report: plotly figures from evidence, each with a caption that is itself a claim."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from html import escape
from statistics import NormalDist, fmean, stdev

from openoutcry.core.evidence import Evidence, Quote, Series, show
from openoutcry.core.report import Report
from openoutcry.interfaces import book_charts, plot
from openoutcry.interfaces.plot import Picture, Spec

HUES = (plot.VERMILLION, plot.VERMILLION, plot.GREY, plot.BLUE, plot.BLUE)
TONES: dict[str, str] = dict(
    zip(("very_negative", "negative", "neutral", "positive", "very_positive"), HUES, strict=True)
)
BINS = 45


def pictures(report: Report) -> list[Picture]:
    """Every picture that the evidence allows: views, distributions, prices, tones of documents."""
    drawn = [views(report)]
    drawn += [distribution(e, gaussian(report, e)) for e in report.evidence]
    drawn += [price(e) for e in longest_closes(report)]
    drawn += [tones(e) for e in report.evidence]
    drawn += [book_charts.scenarios(e) or book_charts.contributions(e) for e in report.evidence]
    return [picture for picture in drawn if picture]


def longest_closes(report: Report) -> list[Evidence]:
    """For each ticker the evidence with most closes."""
    longest: dict[str, Evidence] = {}
    for e in report.evidence:
        if "close" in e.series:
            ticker = str(e.arguments.get("ticker", ""))
            longest[ticker] = max(longest.get(ticker, e), e, key=lambda x: len(x.series["close"].values))
    return list(longest.values())


def gaussian(report: Report, historical: Evidence) -> Evidence | None:
    """The normal-curve value at risk of the same ticker, horizon and window, if it was asked for."""
    wanted = {**historical.arguments, "method": "gaussian"}
    return next((e for e in report.evidence if e.tool == historical.tool and dict(e.arguments) == wanted), None)


def price(evidence: Evidence) -> Picture | None:
    """Closes, and beneath them, on the same dates, the fall from the running peak."""
    series = evidence.series["close"]
    if len(series.values) < 2:
        return None
    days = [d.isoformat() for d in series.dates]
    fall = [round(depth, 5) for depth in _falls(series.values)]
    traces = [
        plot.line(days, series.values, plot.BLUE, hovertemplate="%{y:$,.2f}<extra></extra>"),
        plot.line(
            days,
            fall,
            plot.VERMILLION,
            yaxis="y2",
            fill="tozeroy",
            fillcolor=plot.SHADE,
            hovertemplate="%{y:.1%}<extra></extra>",
        ),
    ]
    layout = plot.layout(
        320,
        hovermode="x unified",
        xaxis=plot.axis(type="date", anchor="y2", hoverformat="%d %b %Y", showgrid=False),
        yaxis=plot.axis("USD per share", domain=[0.43, 1], tickprefix="$"),
        yaxis2=plot.axis("Below peak", domain=[0, 0.32], tickformat=".0%", nticks=4, rangemode="tozero"),
    )
    title = f"{{{evidence.id}.ticker}}: price and drawdown"
    return Picture(title, _price_caption(evidence), plot.figure(traces, layout))


def _falls(closes: Sequence[float]) -> Iterator[float]:
    """Each close against the highest so far: 0 at a peak, -0.25 a quarter below it."""
    peak = closes[0]
    for close in closes:
        peak = max(peak, close)
        yield close / peak - 1 if peak > 0 else 0.0


def _price_caption(evidence: Evidence) -> str:
    eid = evidence.id
    what = f"Adjusted close of {{{eid}.ticker}} to {{{eid}.last_date}}, and beneath it the fall from the peak so far."
    if evidence.tool == "drawdown":
        return f"{what} The deepest was {{{eid}.max}}, on {{{eid}.trough_date}}; the last is {{{eid}.now}}."
    return f"{what} The last close is {{{eid}.below_high}} below the high of the past year."


def distribution(evidence: Evidence, normal: Evidence | None) -> Picture | None:
    """Shares of past horizon returns, those at or beyond the value at risk in vermillion; losses lie left."""
    values = evidence.series.get("horizon_returns", Series()).values
    if len(values) < 2 or min(values) == max(values):
        return None
    var, es = evidence.value("var"), evidence.value("es")
    size = bin_width(max(values) - min(values))
    low, high = min(*values, -es) - size, max(values) + size
    room = 0.12 * (high - low)
    traces = [
        _bars([v for v in values if v > -var], len(values), size, plot.BLUE),
        _bars([v for v in values if v <= -var], len(values), size, plot.VERMILLION),
        *([_curve(values, size, low, high)] if normal else []),
    ]
    over = f"Return over {escape(show(evidence.figures['horizon']))}"
    layout = plot.layout(
        320,
        barmode="stack",
        xaxis=plot.axis(over, range=[low - room, high], tickformat=".0%", showgrid=False, fixedrange=True),
        yaxis=plot.axis("Share of past spans", tickformat=".0%", fixedrange=True, rangemode="tozero"),
        shapes=[plot.upright(-var, 0.97, "solid", plot.VERMILLION), plot.upright(-es, 0.83, "dot", plot.VERMILLION)],
        annotations=[
            plot.label(-var, 0.97, f"VaR {show(evidence.figures['var'])}", "left"),
            plot.label(-es, 0.83, f"ES {show(evidence.figures['es'])}", "right"),
        ],
    )
    title = f"{{{evidence.id}.ticker}}: past returns over {{{evidence.id}.horizon}}"
    return Picture(title, _distribution_caption(evidence.id, normal), plot.figure(traces, layout))


def bin_width(spread: float) -> float:
    """The smallest of 1, 2, 2.5 or 5 times a power of ten that needs at most BINS bins."""
    raw = spread / BINS
    power = 10.0 ** math.floor(math.log10(raw))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw)


def _bars(values: Sequence[float], total: int, size: float, colour: str) -> Spec:
    counts = sorted(Counter(math.floor(v / size) for v in values).items())
    return {
        "type": "bar",
        "x": [(k + 0.5) * size for k, _ in counts],
        "y": [round(n / total, 6) for _, n in counts],
        "width": size,
        "marker": {"color": colour, "opacity": 0.75, "line": {"width": 0}},
        "hovertemplate": "around %{x:.1%}: %{y:.1%} of spans<extra></extra>",
    }


def _curve(values: Sequence[float], size: float, low: float, high: float) -> Spec:
    """The normal curve of the values' mean and standard deviation, as the share that a bin would hold."""
    bell = NormalDist(fmean(values), stdev(values))
    grid = [low + (high - low) * i / 120 for i in range(121)]
    shares = [round(bell.pdf(x) * size, 6) for x in grid]
    return plot.line([round(x, 5) for x in grid], shares, plot.GREY, hoverinfo="skip", width=2.0)


def _distribution_caption(eid: str, normal: Evidence | None) -> str:
    said = (
        f"How {{{eid}.ticker}} ended past, overlapping spans of {{{eid}.horizon}}. At {{{eid}.confidence}} confidence"
        f" the loss stays within {{{eid}.var}} (VaR); the losses beyond, in orange, average {{{eid}.es}} (ES)."
    )
    if normal:
        said += f" The grey curve is normal with the same mean and spread: its VaR would be {{{normal.id}.var}}."
    return said


def views(report: Report) -> Picture | None:
    """A dot a role at its probability, joined to the base rate, and the desk's as a diamond."""
    seen = report.by_id.get(report.view)
    if seen is None or not (roles := [n for n in seen.figures if n.endswith("_p_up")]):
        return None
    base = seen.value("base_rate")
    chances = [*(seen.value(name) for name in roles), seen.value("p_up")]
    rows = [*(escape(name.removesuffix("_p_up")) for name in roles), "<b>desk</b>"]
    shown = [*(show(seen.figures[name]) for name in roles), f"<b>{show(seen.figures['p_up'])}</b>"]
    over = f"Chance over {escape(show(seen.figures['horizon']))}"
    traces = [_stems(rows, base, chances), _dots(rows, base, chances, shown)]
    layout = plot.layout(
        92 + 44 * len(rows),
        margin={"l": 8, "r": 56, "t": 28, "b": 28},
        xaxis=plot.axis(over, **_scale(chances), tickformat=".0%", fixedrange=True),
        yaxis=plot.axis(type="category", range=[len(rows) - 0.4, -0.6], showgrid=False, fixedrange=True),
        shapes=[plot.upright(base, 1, "dash", plot.GREY)],
        annotations=[plot.label(base, 1, f"base rate {show(seen.figures['base_rate'])}", "center", yanchor="bottom")],
    )
    eid = seen.id
    caption = (
        f"Each role's chance, starting from the base rate of {{{eid}.base_rate}} (dashed: how often it"
        f" happened before); the diamond is the desk, at {{{eid}.p_up}}."
    )
    return Picture("Where the roles stand", caption, plot.figure(traces, layout))


def _scale(chances: Sequence[float]) -> Spec:
    """An axis about one half, so that left of the middle is unlikely; narrowed where all lie near it."""
    if all(0.3 <= chance <= 0.7 for chance in chances):
        return {"range": [0.25, 0.75], "dtick": 0.1}
    return {"range": [0, 1], "dtick": 0.25}


def _stems(rows: Sequence[str], base: float, chances: Sequence[float]) -> Spec:
    ends = [x for chance in chances for x in (base, chance, None)]
    return plot.line(ends, [y for row in rows for y in (row, row, None)], plot.GREY, hoverinfo="skip", width=2.0)


def _dots(rows: Sequence[str], base: float, chances: Sequence[float], shown: Sequence[str]) -> Spec:
    hues = [
        plot.GREY if math.isclose(chance, base) else plot.BLUE if chance > base else plot.VERMILLION
        for chance in chances
    ]
    symbols = [*["circle"] * (len(rows) - 1), "diamond"]
    return {
        "type": "scatter",
        "mode": "markers+text",
        "x": chances,
        "y": rows,
        "text": shown,
        "textposition": ["middle left" if hue == plot.VERMILLION else "middle right" for hue in hues],
        "cliponaxis": False,
        "hoverinfo": "skip",
        "marker": {"color": hues, "symbol": symbols, "size": 14, "opacity": 1, "line": {"width": 0}},
    }


def tones(evidence: Evidence) -> Picture | None:
    """When documents were published and how each reads: it shows what their counts hide, a turn of tone."""
    known = [quote for quote in evidence.quotes if quote.tone in TONES]
    if len(known) < 2:
        return None
    order: Spec = {"type": "category", "categoryorder": "array", "categoryarray": [_plain(tone) for tone in TONES]}
    layout = plot.layout(
        280,
        xaxis=plot.axis(type="date", showgrid=False, fixedrange=True),
        yaxis=plot.axis(**order, range=[-0.5, len(TONES) - 0.5], fixedrange=True),
    )
    eid = evidence.id
    told: list[str] = []
    if "negative" in evidence.figures:
        counts = f"{{{eid}.negative}} read negative, {{{eid}.neutral}} neutral and {{{eid}.positive}} positive"
        told.append(f"of those on {{{eid}.ticker}}, {counts}")
    if "market" in evidence.figures:
        told.append(f"{{{eid}.market}} are on the market")
    caption = f"Each dot is a document that was quoted, by the day it was published: {'; '.join(told)}."
    return Picture(f"{{{eid}.ticker}}: tone of the documents", caption, plot.figure([_documents(known)], layout))


def _documents(quotes: Sequence[Quote]) -> Spec:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [escape(q.published) for q in quotes],
        "y": [_plain(q.tone) for q in quotes],
        "text": [escape(q.kind) for q in quotes],
        "hovertemplate": "%{x|%d %b %Y}: %{text}<extra></extra>",
        "marker": {"color": [TONES[q.tone] for q in quotes], "size": 12, "opacity": 0.75, "line": {"width": 0}},
    }


def _plain(tone: str) -> str:
    return tone.replace("_", " ")
