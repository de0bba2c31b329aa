"""The page: every digit leads to its evidence, words of others stay words, and nothing can be fetched."""

import base64
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plotly.offline import get_plotlyjs  # pyright: ignore[reportMissingTypeStubs] plotly ships no types

from openoutcry.core.claims import faults, references
from openoutcry.core.evidence import Evidence, Figure, Query, Quote, Series, Unit, show
from openoutcry.core.report import Dropped, Finding, Kind, Lean, NoFinding, NotDone, Question, Report
from openoutcry.interfaces import charts, plot, text
from openoutcry.interfaces.page import Shown, fragment, page, policy

Draw = Callable[[Report], str]
HOSTILE = '</script><!--<img src=x onerror=alert(1)><a href="https://evil.example">{{ 7 * 7 }}</a>'
Browse = Callable[[str], tuple[str, str]]
RETURNS = (-0.16, -0.14, *(0.01 + 0.05 * math.sin(i * 0.7) * math.cos(i * 0.3) for i in range(200)))
CLOSES = tuple(100 + 20 * math.sin(i / 40) for i in range(300))
DAYS = tuple(date(2021, 1, 4) + timedelta(days=i) for i in range(300))


def figures(ticker: str, **named: tuple[float | str, Unit]) -> dict[str, Figure]:
    pairs = {"ticker": (ticker, Unit.TEXT), **named}
    return {name: Figure(value=value, unit=unit) for name, (value, unit) in pairs.items()}


def evidence(eid: str, tool: str, shown: dict[str, Figure], **more: Any) -> Evidence:
    more = {"arguments": {"ticker": shown["ticker"].value}, **more}
    known = datetime(2022, 6, 30, 20, tzinfo=UTC)
    return Evidence(id=eid, tool=tool, as_of="2022-06-30", known_at=known, figures=shown, **more)


def value_at_risk(eid: str, ticker: str, method: str, var: float, es: float, **more: Any) -> Evidence:
    shown = figures(
        ticker,
        var=(var, Unit.FRACTION),
        es=(es, Unit.FRACTION),
        horizon=(10, Unit.SESSIONS),
        confidence=(0.99, Unit.PROBABILITY),
    )
    arguments = {"ticker": ticker, "horizon": 10, "method": method}
    return evidence(eid, "value_at_risk", shown, arguments=arguments, **more)


def drawdown(ticker: str = "ACME") -> Evidence:
    shown = figures(
        ticker,
        max=(0.3333, Unit.FRACTION),
        now=(0.05, Unit.FRACTION),
        trough_date=("2021-07-01", Unit.DATE),
        last_date=("2021-10-30", Unit.DATE),
    )
    return evidence("E1", "drawdown", shown, series={"close": Series(dates=DAYS, values=CLOSES)})


def historical(ticker: str = "ACME", said: str = "a loss") -> Evidence:
    return value_at_risk(
        "E3",
        ticker,
        "historical",
        0.1234567,
        0.15,
        series={"horizon_returns": Series(values=RETURNS)},
        conventions={"sign": said},
        queries=(Query(sql=f"SELECT '{said}'", rows=8188, sha256="c0ffee"),),
        missing=(said,),
    )


def documents(ticker: str = "ACME", said: str = "Sales rose.") -> Evidence:
    counts = {name: (count, Unit.COUNT) for name, count in (("negative", 1), ("neutral", 0), ("positive", 1))}
    quotes = tuple(
        Quote(document=f"d{i}", published=day, kind=said, tone=tone, text=said)
        for i, (day, tone) in enumerate((("2022-06-01", "very_positive"), ("2022-06-02", "negative")))
    )
    return evidence("E42", "read_documents", figures(ticker, **counts), quotes=quotes)


def combined(ticker: str = "ACME", said: str = "a higher close") -> Evidence:
    chances = {"p_up": 0.6, "p_down": 0.4, "base_rate": 0.59, "risk_p_up": 0.53, "analyst_p_up": 0.65}
    shown = figures(
        ticker,
        horizon=(10, Unit.SESSIONS),
        **{name: (p, Unit.PROBABILITY) for name, p in chances.items()},
        disagreement=(0.12, Unit.FRACTION),
    )
    return evidence("E61", "combine_views", shown, conventions={"event": said})


def weighed(**record: tuple[float | str, Unit]) -> Evidence:
    """A view of two roles, with their weights and what else is known of their records."""
    weights = {"risk_weight": (0.375, Unit.FRACTION), "analyst_weight": (0.625, Unit.FRACTION), **record}
    more = {name: Figure(value=value, unit=unit) for name, (value, unit) in weights.items()}
    view = combined()
    return view.model_copy(update={"figures": {**view.figures, **more}})


RECORD: dict[str, tuple[float | str, Unit]] = {
    "analyst_settled": (23, Unit.COUNT),
    "analyst_separate": (12, Unit.COUNT),
    "analyst_gain": (0.0123, Unit.NUMBER),
}


def with_view(view: Evidence) -> Report:
    report = risky()
    return report.model_copy(update={"evidence": (*report.evidence[:-1], view)})


def memory(said: str = "a finding") -> Evidence:
    shown = figures("ACME", made=("2022-05-31", Unit.DATE), var=(0.0987, Unit.FRACTION))
    return evidence(
        "M1",
        "recall",
        shown,
        arguments={"memory": "mem-0123456789abcdef", "kind": "finding", "role": "risk", "ticker": "ACME"},
        sources={"var": "E3.var", "ticker": "E3.ticker"},
        conventions={"memory": said},
    )


def risky(ticker: str = "ACME", said: str = "plain words") -> Report:
    gaussian = value_at_risk("E4", ticker, "gaussian", 0.1111, 0.13)
    told = (drawdown(ticker), historical(ticker, said), gaussian, documents(ticker, said), combined(ticker, said))
    return Report(
        run="20260101-000000-abcdef",
        question=Question(text=f"How risky is it? {said}", kind=Kind.RISK),
        as_of="2022-06-30",
        snapshot="5eed",
        headline="{E3.ticker} loses no more than {E3.var} over {E3.horizon}.",
        claims=("The desk says {E61.p_up}.", f"It is so, {said.translate(str.maketrans('', '', '{}0123456789'))}."),
        findings=(
            Finding(role="risk", model="house", claims=("It fell {E1.max} by {E1.trough_date}.",), lean=Lean.DOWN),
            Finding(role="analyst", model="house", claims=("A curve says {E4.var}.",), lean=Lean.STRONG_UP),
            NoFinding(role="sentiment", model="house", reason=f"nothing was read: {said}"),
        ),
        view="E61",
        evidence=told,
        dropped=(Dropped(role="risk", claim=said, reason=said),),
        not_computed=(NotDone(role="risk", tool="volatility", ticker=ticker, reason=said),),
        missing=(said,),
        notice="Answered by house rules.",
        timings={"risk": 0.1, "total": 0.25},
    )


class Elements(HTMLParser):
    """Every element with its attributes, and the text straight inside it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.inside: list[int] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "br"):
            self.inside.append(len(self.found))
        self.found.append((tag, dict(attrs)))
        self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.found[self.inside.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[self.inside[-1]] += data

    def of(self, tag: str) -> Iterator[tuple[dict[str, str | None], str]]:
        return ((attributes, text) for (t, attributes), text in zip(self.found, self.texts, strict=True) if t == tag)


@cache
def parsed(html: str) -> Elements:
    return Elements(html)


def said_in(report: Report) -> list[str]:
    found = [c for f in report.findings if isinstance(f, Finding) for c in f.claims]
    return [report.headline, *report.claims, *found, *(p.caption for p in charts.pictures(report))]


@pytest.mark.parametrize("prefix, draw", [("", page), (f"{risky().run}-", fragment)])
def test_every_reference_is_its_digits_with_a_link_to_its_evidence(prefix: str, draw: Draw) -> None:
    report = risky()
    elements = parsed(draw(report))
    links = {(a["href"], text): str(a.get("title")) for a, text in elements.of("a")}
    ids = {attributes.get("id") for _, attributes in elements.found}
    cited = [reference for claim in said_in(report) for reference in references(claim)]
    assert len(cited) > 10
    for eid, name in cited:
        figure = report.by_id[eid].figures[name]
        title = links[f"#{prefix}{eid}.{name}", show(figure)]
        assert title.startswith(f"{eid}.{name}: {report.by_id[eid].tool}")
        assert isinstance(figure.value, str) or f"exactly {figure.value!r}" in title
    assert {href for href, _ in links} <= {f"#{prefix}{i.removeprefix(prefix)}" for i in ids if i}
    assert {f"{prefix}{e.id}" for e in report.evidence} <= {a.get("id") for a, _ in elements.of("details")}


def test_the_page_says_all_that_the_report_holds() -> None:
    text = " ".join(parsed(page(risky(said="plain words"))).texts)
    for words in (
        "Answered by house rules.",
        "leans strongly up",
        "nothing was read",
        "Not computed",
        "volatility of ACME",
        "Missing data",
        "Left out because it could not be grounded",
        "very positive",
        "known 2022-06-30 20:00 UTC",
        "SELECT 'plain words'",
        "8,188 rows",
        "c0ffee",
        "20260101-000000-abcdef",
        "data 5eed",
        "total 0.25 s",
        "Nothing was fetched",
    ):
        assert words in text, words


def test_nothing_outside_is_named_but_in_the_script_of_plotly() -> None:
    html = page(risky())
    assert "://" not in html.replace(get_plotlyjs(), "")
    for tag, attributes in parsed(html).found:
        assert not attributes.keys() & {"src", "srcset", "action", "data", "onclick", "onload"}, tag
        assert str(attributes.get("href", "#")).startswith("#")
    assert "@import" not in html.replace(get_plotlyjs(), "")
    assert len(html) < len(get_plotlyjs()) + 200_000


def test_the_policy_allows_exactly_the_scripts_in_the_page() -> None:
    elements = parsed(page(risky()))
    allowed = next(str(a["content"]) for a, _ in elements.of("meta") if "http-equiv" in a)
    rules = {rule.split()[0]: rule.split()[1:] for rule in allowed.split("; ")}
    scripts = [text for attributes, text in elements.of("script") if attributes.get("type") != "application/json"]
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts]
    assert len(scripts) == 2
    assert rules["script-src"] == [f"'sha256-{digest}'" for digest in digests]
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == ["'none'"]
    assert rules["img-src"] == ["data:", "blob:"]
    assert rules.keys() == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    assert policy([]).split("; ")[1] == "script-src 'none'"


@pytest.mark.parametrize("draw", [page, fragment])
def test_words_of_others_stay_words(draw: Draw) -> None:
    hostile, plain = parsed(draw(risky(HOSTILE, HOSTILE))), parsed(draw(risky()))
    assert [tag for tag, _ in hostile.found] == [tag for tag, _ in plain.found]
    assert all(str(a["href"]).startswith("#") for a, _ in hostile.of("a"))
    assert "49" not in "".join(text for _, text in hostile.of("p"))
    drawn = [text for a, text in hostile.of("script") if a.get("type") == "application/json"]
    assert not set("<>&") & set("".join(drawn))
    labels = json.dumps([json.loads(text) for text in drawn])
    assert "&lt;img" in labels and "<img" not in labels


def test_a_series_with_a_gap_is_still_json() -> None:
    gap = drawdown().model_copy(update={"series": {"close": Series(dates=DAYS[:3], values=(1.0, math.nan, 2.0))}})
    elements = parsed(
        page(risky().model_copy(update={"evidence": (gap,), "view": "", "headline": "", "claims": (), "findings": ()}))
    )
    drawn = [json.loads(text) for a, text in elements.of("script") if a.get("type") == "application/json"]
    assert drawn[0]["data"][0]["y"] == [1.0, None, 2.0]


def test_a_declined_report_says_so_and_runs_no_script() -> None:
    declined = Report(
        run="r", question=Question(text="A poem?", kind=Kind.UNKNOWN), as_of="now", snapshot="s", declined="Not here."
    )
    elements = parsed(page(declined))
    assert [text for _, text in elements.of("h1")] == ["Not here."]
    assert not list(elements.of("script")) and not list(elements.of("h2"))
    assert policy([]) in [a.get("content") for a, _ in elements.of("meta")]


def test_a_report_without_a_finding_gives_the_reasons() -> None:
    silent = Report(
        run="r",
        question=Question(text="How?", kind=Kind.RISK),
        as_of="now",
        snapshot="s",
        findings=tuple(NoFinding(role=role, model="m", reason=f"{role} is blind") for role in ("risk", "analyst")),
    )
    elements = parsed(page(silent))
    text = " ".join(elements.texts)
    assert "risk is blind" in text and "analyst is blind" in text
    assert not list(elements.of("figure")) and not list(elements.of("h1"))


def test_a_view_without_a_role_says_so_and_is_not_drawn() -> None:
    alone = combined()
    kept = {name: f for name, f in alone.figures.items() if not name.endswith("_p_up")}
    report = risky().model_copy(
        update={"evidence": (*risky().evidence[:-1], alone.model_copy(update={"figures": kept}))}
    )
    assert charts.views(report) is None
    assert "no role takes a side" in page(report)


def test_the_view_says_what_each_role_weighs_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    report = with_view(weighed(**RECORD))
    lines = "analyst 62.50 % (23 settled, 12 separate, gain 0.0123)"
    assert f"  weights: risk 37.50 % (no record), {lines}" in list(text.view(report))
    links = {(str(a["href"]), digits) for a, digits in parsed(page(report)).of("a")}
    assert {("#E61.analyst_weight", "62.50 %"), ("#E61.risk_weight", "37.50 %")} <= links
    assert {("#E61.analyst_settled", "23"), ("#E61.analyst_separate", "12"), ("#E61.analyst_gain", "0.0123")} <= links


def test_weights_without_a_record_are_one_short_line_and_of_one_role_none() -> None:
    assert list(text.view(with_view(weighed())))[-1] == "  weights: equal, without a record"
    assert "<p>weights: equal, without a record</p>" in page(with_view(weighed()))
    alone = weighed(**RECORD)
    one = alone.model_copy(update={"figures": {n: f for n, f in alone.figures.items() if not n.startswith("risk_")}})
    for report in (with_view(one), risky()):
        assert not any("weights" in line for line in text.view(report))
        assert "<p>weights:" not in page(report)


def test_a_memory_is_shown_as_what_was_remembered() -> None:
    report = risky()
    told = report.model_copy(update={"evidence": (*report.evidence, memory(HOSTILE)), "claims": ("It was {M1.var}.",)})
    elements = parsed(page(told))
    words = " ".join(elements.texts)
    assert "What the desk remembered" in words and "the memory became known" in words
    assert "mem-0123456789abcdef, finding, risk, ACME" in words
    assert " from E3.ticker" not in words
    rows = [a.get("id") for a, _ in elements.of("tr")]
    assert "M1.var" in rows
    assert ("#M1.var", "9.87 %") in {(a["href"], digits) for a, digits in elements.of("a")}
    cells = [digits for _, digits in elements.of("td")]
    assert "E3.var" in cells and "E3.ticker" in cells
    plain = page(risky())
    assert "became known" in plain and "the memory became known" not in plain and "in its run" not in plain


def test_a_reference_to_a_memory_stays_with_its_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    for words in range(1, 30):
        folded = text.wrap(f"{'x ' * words}9.87 % [M1.var] and 3 [E1.close]")
        assert "9.87 % [M1.var]" in folded and "3 [E1.close]" in folded


def test_a_notebook_shows_the_fragment_and_carries_plotly_once() -> None:
    shown = Shown.of(risky())
    html = shown._repr_html_()  # pyright: ignore[reportPrivateUsage] the name that notebooks call
    assert html == fragment(risky())
    assert html.count(get_plotlyjs()) == 1
    assert "<html" not in html.replace(get_plotlyjs(), "") and "<body" not in html.replace(get_plotlyjs(), "")
    assert isinstance(shown, Report) and shown.same_as(Shown.of(risky()))


def test_styles_of_the_fragment_touch_nothing_outside_it() -> None:
    style = next(text for _, text in parsed(fragment(risky())).of("style"))
    rules = re.sub(r"@media [^{]+\{(.*)\}", r"\1", style)
    selectors = [s for rule in re.findall(r"([^{}]+)\{", rules) for s in re.sub(r"\([^)]*\)", "", rule).split(",")]
    assert len(selectors) > 40
    assert [s for s in selectors if ".openoutcry" not in s] == []


def test_captions_are_claims_that_hold() -> None:
    report = risky()
    drawn = charts.pictures(report)
    assert len(drawn) == 4
    assert [faults(said, report.by_id) for p in drawn for said in (p.title, p.caption)] == [[]] * 8
    described = [a for a, _ in parsed(page(report)).of("div") if a.get("role") == "img"]
    assert len(described) == 4 and all(len(str(a["aria-label"])) > 40 for a in described)


def test_the_distribution_marks_its_losses() -> None:
    drawn = charts.distribution(historical(), None)
    assert drawn is not None
    body, tail = drawn.figure.data
    assert [shape.x0 for shape in drawn.figure.layout.shapes] == [-0.1234567, -0.15]
    assert [a.text for a in drawn.figure.layout.annotations] == ["VaR 12.35 %", "ES 15.00 %"]
    assert sum(tail.y) == pytest.approx(sum(r <= -0.1234567 for r in RETURNS) / len(RETURNS), abs=1e-5)
    assert sum(body.y) + sum(tail.y) == pytest.approx(1, abs=1e-4)


def test_the_normal_curve_needs_the_same_question() -> None:
    other = value_at_risk("E4", "OTHER", "gaussian", 0.1, 0.2)
    same = value_at_risk("E5", "ACME", "gaussian", 0.1, 0.2)
    report = risky().model_copy(update={"evidence": (historical(), other, same)})
    assert charts.gaussian(report, historical()) == same
    drawn = charts.distribution(historical(), same)
    assert drawn is not None
    assert "{E5.var}" in drawn.caption
    curve = drawn.figure.data[2]
    step = curve.x[1] - curve.x[0]
    assert sum(curve.y) * step / drawn.figure.data[0].width == pytest.approx(1, abs=0.05)


def test_the_price_falls_from_its_peak() -> None:
    closes = drawdown().model_copy(update={"series": {"close": Series(dates=DAYS[:4], values=(100, 75, 200, 150))}})
    drawn = charts.price(closes)
    assert drawn is not None
    assert list(drawn.figure.data[1].y) == [0, -0.25, 0, -0.25]
    assert drawn.figure.data[0].x == drawn.figure.data[1].x


def test_one_price_a_ticker_from_the_longest_series() -> None:
    brief = drawdown().model_copy(update={"id": "E9", "series": {"close": Series(dates=DAYS[:2], values=(1, 2))}})
    report = risky().model_copy(update={"evidence": (brief, drawdown(), drawdown("OTHER"))})
    assert charts.longest_closes(report) == [drawdown(), drawdown("OTHER")]


def test_roles_stand_on_their_side_of_the_base_rate() -> None:
    drawn = charts.views(risky())
    assert drawn is not None
    dots = drawn.figure.data[1]
    assert list(dots.x) == [0.53, 0.65, 0.6]
    assert list(dots.marker.color) == [plot.VERMILLION, plot.BLUE, plot.BLUE]
    assert list(dots.text) == ["53 %", "65 %", "<b>60 %</b>"]


@given(st.floats(min_value=1e-6, max_value=100))
def test_bins_are_round_and_not_too_many(spread: float) -> None:
    size = charts.bin_width(spread)
    assert spread / size <= charts.BINS * (1 + 1e-9)
    assert spread / size > charts.BINS / 2.5
    assert min(abs(size / 10.0 ** round(math.log10(size / m)) - m) for m in (1, 2, 2.5, 5)) < 1e-9


@pytest.mark.parametrize("words", ["plain words", HOSTILE], ids=["plain", "hostile"])
def test_a_browser_draws_every_picture_and_refuses_nothing(tmp_path: Path, words: str, browse: Browse) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(risky(words, words)), encoding="utf-8")
    dom, log = browse(f"{path.as_uri()}#E3.var")
    assert not re.search("Refused|Content Security Policy|Uncaught|CONSOLE", log), log
    elements = Elements(dom)
    assert sum("js-plotly-plot" in str(a.get("class")) for a, _ in elements.of("div")) == 4
    groups = [str(a.get("class")) for a, _ in elements.of("g")]
    assert sum(name.startswith("subplot ") for name in groups) == 5
    assert sum(name.startswith("trace ") for name in groups) == 8
    assert all(a.get("d") for a, _ in elements.of("path") if a.get("class") in ("js-line", "point"))
    assert not [a for a, _ in elements.of("img") if a.get("src") == "x"]
    assert all(str(a.get("href", a.get("xlink:href"))).startswith("#") for a, _ in elements.of("a"))
    assert [a["id"] for a, _ in elements.of("details") if "open" in a] == ["E3"]
