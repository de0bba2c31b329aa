"""The suites of numbers: each case can be met by who calls the right tool, and by nobody who takes another figure."""

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import pytest

from openoutcry.agents import questions
from openoutcry.agents.house.model import HouseModel, Result, Step
from openoutcry.agents.role import Answer, Brief
from openoutcry.core.report import Kind, Lean, Question
from openoutcry.eval.fixtures import Fixtures
from openoutcry.eval.lineup import Candidate, Lineup
from openoutcry.eval.outcome import Outcome
from openoutcry.eval.scenario import Bank, Made, Scenario
from openoutcry.eval.stage import Stage
from openoutcry.eval.suite import SHIPPED, load
from openoutcry.eval.templates import Template, Templates
from openoutcry.eval.worlds.case import Case, made
from openoutcry.eval.worlds.rivals import FIGURES, SPANS
from openoutcry.serving.toml import read_toml
from openoutcry.wiring import house_models

SUITES = ("risk", "analyst")
BANKS: tuple[tuple[Bank, str], ...] = (("dev", ""), ("gate", "2026-11"), ("sealed", "2026Q4"))
FALLS = {"a tenth": -0.1, "a fifth": -0.2, "two fifths": -0.4}


class Way(NamedTuple):
    """What a scripted model does with a question: a call, and the figures of it that it then cites."""

    tool: str
    cites: str
    arguments: Callable[[Question, Sequence[Result]], dict[str, Any]]
    """Raises StopIteration where a result that they come from is not there yet."""


Taken = Callable[[Sequence[Result]], dict[str, Any]]


def nothing(_: Sequence[Result]) -> dict[str, Any]:
    return {}


def lines(results: Sequence[Result]) -> dict[str, Any]:
    """The tickers of the book, as the screen of it names them."""
    screen = next(r for r in results if r.tool == "risk_screen")
    return {"tickers": [n.removeprefix("volatility_").upper() for n in screen.figures if n.startswith("volatility_")]}


def way(tool: str, cites: str, *, at: str = "ticker", take: Taken = nothing, **more: Any) -> Way:
    """*at* names what of the question goes into the call, as `ticker=other` where it goes in under another name."""

    def arguments(question: Question, results: Sequence[Result]) -> dict[str, Any]:
        known = {
            "ticker": question.tickers[0] if question.tickers else "",
            "other": question.tickers[-1] if question.tickers else "",
            "horizon": question.horizon,
            "confidence": question.confidence,
            "equity": next((v for k, v in FALLS.items() if k in question.text), None),
        }
        return {n.partition("=")[0]: known[n.rpartition("=")[2]] for n in at.split()} | more | take(results)

    return Way(tool, cites, arguments)


VAR, DAY = "ticker horizon confidence", "ticker confidence"
Ways = tuple[Way, ...]
SCREEN = way("risk_screen", "", at="")
WAYS: dict[str, tuple[Ways, Ways]] = {
    "var-history": ((way("value_at_risk", "var", at=VAR),), (way("value_at_risk", "var", at=VAR, method="gaussian"),)),
    "var-normal": ((way("value_at_risk", "var", at=VAR, method="gaussian"),), (way("value_at_risk", "var", at=VAR),)),
    "es-history": ((way("value_at_risk", "es", at=VAR),), (way("value_at_risk", "es", at=DAY, horizon=20),)),
    "volatility-year": ((way("volatility", "volatility"),), (way("volatility", "recent per_period"),)),
    "volatility-weighted": ((way("volatility", "volatility", method="ewma"),), (way("volatility", "volatility"),)),
    "var-student": (
        (way("value_at_risk", "var", at=DAY, horizon=1, method="student_t"),),
        (way("value_at_risk", "var", at=DAY, horizon=1, method="gaussian"),),
    ),
    "var-modified": (
        (way("value_at_risk", "var", at=DAY, horizon=1, method="cornish_fisher"),),
        (way("value_at_risk", "var", horizon=1, confidence=0.95, method="cornish_fisher"),),
    ),
    "es-tail": (
        (way("value_at_risk", "es", at=DAY, horizon=1),),
        (way("value_at_risk", "var", at=DAY, horizon=1),),
    ),
    "extreme": (
        (way("extreme_value", "var es", confidence=0.999),),
        (way("extreme_value", "var es", confidence=0.99),),
    ),
    "garch": ((way("garch", "forecast_volatility_annual"),), (way("garch", "long_run_volatility_annual"),)),
    "deepest": ((way("drawdown", "max trough_date"),), (way("drawdown", "max trough_date", window=40),)),
    "second-deepest": ((way("drawdown", "max", rank=2),), (way("drawdown", "max"),)),
    "exceptions": (
        (way("var_backtest", "exceptions zone", at=DAY),),
        (way("var_backtest", "exceptions zone", confidence=0.95),),
    ),
    "puts": ((way("position", "options_value delta_shares"),), (way("position", "value shares"),)),
    "spans": (
        (way("returns", "share_up worst", at="ticker horizon"),),
        (way("returns", "share_up mean", at="ticker horizon"),),
    ),
    "least-variance": (
        (SCREEN, way("optimal_weights", "weight_$ volatility", at="", take=lines, allow_short=True)),
        (SCREEN, way("optimal_weights", "weight_$ volatility", at="", take=lines)),
    ),
    "kelly": (
        (SCREEN, way("kelly_from_returns", "kelly_$", at="", take=lines)),
        (SCREEN, way("kelly_from_returns", "half_kelly_$", at="", take=lines)),
    ),
    "book-tested": (
        (way("portfolio_var_backtest", "exceptions", at="confidence"), way("risk_screen", "highest_volatility", at="")),
        (
            way("portfolio_var_backtest", "exceptions", at="", confidence=0.9),
            way("risk_screen", "highest_volatility", at=""),
        ),
    ),
    "book-var": (
        (way("portfolio_value_at_risk", "var", at="horizon confidence"),),
        (way("portfolio_value_at_risk", "var", at="confidence", horizon=20),),
    ),
    "book-part": (
        (way("portfolio_value_at_risk", "largest largest_component", at="horizon confidence", method="gaussian"),),
        (way("portfolio_value_at_risk", "largest largest_component", at="horizon confidence"),),
    ),
    "book-shock": ((way("stress_test", "profit_own", at="equity"),), (way("stress_test", "profit_own", equity=-0.3),)),
    "limits": (
        (way("portfolio_value_at_risk", "var", at="horizon confidence"),),
        (way("portfolio_value_at_risk", "var", at="horizon", confidence=0.95),),
    ),
    "young-var": ((way("value_at_risk", "var", at=VAR),), (way("drawdown", "max"),)),
    "young-position": ((way("position", "value"),), (way("drawdown", "max"),)),
    "net-margin": ((way("margins", "net"),), (way("margins", "net", basis="year"),)),
    "gross-margin-year": ((way("margins", "gross", basis="year"),), (way("margins", "gross"),)),
    "return-on-equity": (
        (way("dupont", "roe equity_multiplier"),),
        (way("dupont", "roe equity_multiplier", balances="average"),),
    ),
    "altman": ((way("altman_z", "z"),), (way("altman_z", "z", variant="private"),)),
    "piotroski": ((way("piotroski_f", "f_score"),), (way("piotroski_f", "f_roa", assets="end"),)),
    "beneish": ((way("beneish_m", "m"),), (way("beneish_m", "m", model="five"),)),
    "growth-quarter": ((way("growth", "revenue_growth"),), (way("growth", "revenue_growth", basis="year"),)),
    "growth-year": ((way("growth", "revenue_growth", basis="year"),), (way("growth", "revenue_growth"),)),
    "growth-income": ((way("growth", "net_income_growth"),), (way("growth", "revenue_growth"),)),
    "price-to-earnings": ((way("valuation", "pe"),), (way("valuation", "price_to_sales"),)),
    "earnings-yield": ((way("valuation", "earnings_yield"),), (way("valuation", "pe"),)),
    "price-to-sales": ((way("valuation", "price_to_sales"),), (way("valuation", "pe"),)),
    "as-first-filed": ((way("growth", "revenue_growth filed"),), (way("growth", "revenue_growth period_end"),)),
    "as-restated": (
        (way("growth", "revenue_growth"), way("margins", "net")),
        (way("growth", "revenue_growth"), way("margins", "net", basis="year")),
    ),
    "race": (
        (way("relative_return", "return other_return", at="ticker other"),),
        (way("relative_return", "return other_return", at="ticker other", window=63),),
    ),
    "both-margins": (
        (way("margins", "net"), way("margins", "net", at="ticker=other")),
        (way("margins", "net"), way("margins", "gross", at="ticker=other")),
    ),
    "beta": (
        (way("beta", "beta", at="ticker benchmark=other"),),
        (way("beta", "beta_adjusted", at="ticker benchmark=other"),),
    ),
    "change": (
        (way("price_summary", "return_span"),),
        (way("price_summary", "return_month return_quarter return_year"),),
    ),
    "below-high": ((way("price_summary", "below_high"),), (way("price_summary", "high return_year"),)),
    "above-average": (
        (way("moving_average", "distance", at="ticker length=horizon"),),
        (way("moving_average", "distance", length=20),),
    ),
    "no-multiple": ((way("valuation", "pe"),), (way("price_summary", "close"),)),
    "no-year-ago": (
        (way("growth", "revenue_growth"), way("margins", "net")),
        (way("margins", "net"),),
    ),
    "no-statements": ((way("margins", "net"),), (way("price_summary", "close"),)),
    "no-earnings": ((way("valuation", "eps"),), (way("valuation", "earnings_yield"),)),
}
"""For each template what meets it, and what does not: another method, horizon, period or figure."""
EDGES: dict[str, Ways] = {
    "still": (way("volatility", "volatility"),),
    "ninety-five": (way("value_at_risk", "var", at=VAR),),
    "word-ticker": (way("volatility", "volatility recent"), way("margins", "net")),
    "horizon-in-words": (way("value_at_risk", "var", at=VAR),),
    "holiday": (way("volatility", "volatility last_date"),),
    "unknown-ticker": (way("value_at_risk", "var", at=VAR),),
    "puts": (way("position", "contracts options_value delta_shares"),),
    "before-listing": (way("value_at_risk", "var", at=VAR),),
    "stale": (way("drawdown", "now last_date"),),
    "half-percent": (way("value_at_risk", "var", at=VAR), way("margins", "net")),
    "no-second-fall": (way("drawdown", "max", rank=2),),
    "only-up": (way("drawdown", "max recovered"),),
    "too-few": (way("value_at_risk", "var", at=VAR),),
    "just-enough": (way("value_at_risk", "var", at=VAR),),
    "negative-equity": (way("dupont", "roe"),),
    "loss": (way("valuation", "earnings_yield"),),
    "equal-quarters": (way("growth", "revenue_growth"),),
    "eve-of-filing": (way("margins", "period net"),),
    "split": (way("valuation", "pe"),),
    "after-a-loss": (way("growth", "revenue_growth net_income_growth"),),
    "twin-years": (way("piotroski_f", "f_score"),),
    "no-revenue": (way("margins", "net"),),
    "not-yet-listed": (way("valuation", "pe"),),
    "lacking-receivables": (way("beneish_m", "m"),),
    "same-again": (way("growth", "revenue_growth filed"),),
    "old": (way("dupont", "roe period"),),
    "more-than-all": (way("margins", "net"),),
}
"""What meets the cases that are written by hand."""
BOOK = ("book-var", "book-part", "book-shock", "limits", "least-variance", "kelly", "book-tested")
PRICE = ("change", "below-high", "above-average")
COMPARED = ("race", "both-margins", "beta")


def _over(text: str) -> str:
    """The return over the span that a question names."""
    return FIGURES[next(sessions for span, sessions in SPANS.items() if re.search(rf"\b{span}\b", text))]


def _first(results: Sequence[Result]) -> str:
    found = (n for r in results if r.tool == "risk_screen" for n in r.figures if n.startswith("volatility_"))
    return min(found, default="", key=len).removeprefix("volatility_")


def scripted(ways: Ways) -> HouseModel:
    """A model that goes these ways once, and then says what came of them: nothing where nothing was computed.

    `$` in what it cites is the ticker of the book that comes first.
    """
    asked: dict[int, Step] = {}

    def ready(question: Question, results: Sequence[Result]) -> Iterator[int]:
        for place, one in enumerate(ways):
            with contextlib.suppress(StopIteration):
                if place not in asked:
                    asked[place] = Step(one.tool, one.arguments(question, results))
                    yield place

    def rules(prompt: str, results: Sequence[Result]) -> list[Step] | Answer:
        question = Brief.model_validate_json(prompt).question
        if steps := [asked[place] for place in ready(question, results)]:
            return steps
        claims = [
            f"It is {result.ref(name)}."
            for result in results
            for place, one in enumerate(ways)
            if place in asked and (one.tool, asked[place].arguments) == (result.tool, result.arguments)
            for cites in one.cites.split()
            for name in (_over(question.text) if cites == "return_span" else cites.replace("$", _first(results)),)
            if name in result
        ]
        return Answer(claims=claims, lean=Lean.NONE)

    return HouseModel(rules)


def lineup(seat: str, ways: Ways) -> Lineup:
    models = {**house_models(), seat: scripted(ways)}
    return Lineup("scripted", models, {s: Candidate(name=s) for s in models}, seat)


def template_of(scenario: Scenario) -> str:
    return scenario.source.removeprefix("template ").split(",")[0]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    fixtures = Fixtures(tmp_path_factory.mktemp("worlds"))
    yield Stage(fixtures)
    fixtures.close()


def play(stage: Stage, suite: str, scenario: Scenario, ways: Ways) -> Outcome:
    return asyncio.run(stage.play(scenario, lineup(suite, ways), 0)).outcome


def generated(suite: str, bank: Bank, rotation: str) -> list[Scenario]:
    return [s for s in load(suite, bank, rotation).scenarios if s.source.startswith("template ")]


def few(suite: str, bank: Bank, rotation: str) -> list[Scenario]:
    """One case of each template, of the first company of its situation."""
    return list({template_of(s): s for s in reversed(generated(suite, bank, rotation))}.values())


@pytest.mark.parametrize("suite", SUITES)
def test_who_calls_the_right_tool_passes_each_template_and_who_does_not_fails(stage: Stage, suite: str) -> None:
    for scenario in few(suite, "dev", ""):
        right, wrong = WAYS[template_of(scenario)]
        good, bad = play(stage, suite, scenario, right), play(stage, suite, scenario, wrong)
        assert good.score == 1, (scenario.id, good.failure, [c for c in good.checks if not c.ok])
        assert bad.score == 0, scenario.id
        assert not bad.failure, (scenario.id, bad.failure)


@pytest.mark.parametrize(("bank", "rotation", "first"), [("gate", "2026-11", 0), ("sealed", "2026Q4", 1)])
@pytest.mark.parametrize("suite", SUITES)
def test_the_other_sets_can_be_met_too(stage: Stage, suite: str, bank: Bank, rotation: str, first: int) -> None:
    """Every second template of each: they differ from dev in words, names and numbers alone."""
    for scenario in few(suite, bank, rotation)[first::2]:
        outcome = play(stage, suite, scenario, WAYS[template_of(scenario)][0])
        assert outcome.score == 1, (scenario.id, outcome.failure, [c for c in outcome.checks if not c.ok])


@pytest.mark.parametrize("bank", ["dev", "gate", "sealed"])
@pytest.mark.parametrize("suite", SUITES)
def test_cases_at_the_edges_can_be_met(stage: Stage, suite: str, bank: Bank) -> None:
    edges = [s for s in load(suite, bank, "").scenarios if not s.source.startswith("template ")]
    assert len(edges) >= 3
    for scenario in edges:
        outcome = play(stage, suite, scenario, EDGES[scenario.id.removeprefix(f"{suite}-{bank}-edge-")])
        assert outcome.score == 1, (scenario.id, outcome.failure, [c for c in outcome.checks if not c.ok])


@pytest.mark.parametrize("suite", SUITES)
def test_gate_holds_enough_cases_of_each_category_from_few_templates(suite: str) -> None:
    templates = Templates.model_validate(read_toml(SHIPPED / suite / "templates.toml"))
    assert sum(len(s.template) for s in templates.situation) <= 24
    for bank, rotation in BANKS[1:]:
        cases = load(suite, bank, rotation).scenarios
        by_category = Counter(s.category for s in cases)
        assert len(cases) >= 600
        assert len(by_category) <= 8
        assert min(by_category.values()) >= 60, by_category
        assert len({s.of for s in cases}) >= 100


@pytest.mark.parametrize("suite", SUITES)
def test_another_rotation_has_other_numbers(suite: str) -> None:
    ours, theirs = (generated(suite, "gate", r) for r in ("2026-11", "2026-12"))
    assert len(ours) == len(theirs)
    assert not {s.digest for s in ours} & {s.digest for s in theirs}


def test_a_suite_is_the_same_to_the_byte_in_another_process() -> None:
    code = "from openoutcry.eval.suite import load; print([load(s, 'dev').digest for s in ('risk', 'analyst')])"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert found.stdout == f"{[load(s, 'dev').digest for s in SUITES]}\n"


def wordings() -> Iterator[tuple[str, Template, Case, Bank, str]]:
    for suite in SUITES:
        templates = Templates.model_validate(read_toml(SHIPPED / suite / "templates.toml"))
        for situated in templates.situation:
            for seed in range(6):
                one = Made.model_validate(
                    {"situation": situated.name, "seed": seed, "ticker": "ORVUMO", "name": "Orvumo"}
                )
                case = made(one)
                for template in situated.template:
                    for bank, _ in BANKS:
                        for words in getattr(template.turns[0], bank):
                            yield suite, template, case, bank, words


def kind_of(suite: str, template: str) -> Kind:
    if template in BOOK:
        return Kind.BOOK
    if template in COMPARED:
        return Kind.COMPARE
    if template in PRICE:
        return Kind.OVERVIEW
    return Kind.RISK if suite == "risk" else Kind.VALUATION


def test_each_wording_is_read_as_what_it_means() -> None:
    for suite, template, case, _, words in wordings():
        names = {str(c["ticker"]): str(c["name"]) for c in case.rows["companies"]} | {"ZANTEK": "Zantek"}
        question = questions.read(words.format_map(case.words), list(names), names)
        assert question.kind is kind_of(suite, template.name), words
        assert question.by == "words"
        assert question.tickers[:1] == (() if template.name in BOOK else ("ORVUMO",)), words
        assert "{horizon}" not in words or question.horizon == case.truths["days"], words
        assert "{confidence}" not in words or question.confidence == case.truths["level"], words
        if template.name == "limits":
            assert (question.horizon, question.confidence) == (10, 0.99), words


def test_no_two_sets_share_a_sentence_frame() -> None:
    framed: dict[str, dict[str, set[str]]] = {}
    for _, template, _, bank, words in wordings():
        framed.setdefault(bank, {})[words] = grams(words)
        assert len(getattr(template.turns[0], bank)) >= 2
    for one, other in combinations(framed, 2):
        for words, mine in framed[one].items():
            for others, theirs in framed[other].items():
                assert len(mine & theirs) / len(mine | theirs) < 0.4, (words, others)


def grams(words: str) -> set[str]:
    """Runs of three words, with what is filled in masked."""
    parts = re.findall(r"[a-z]+|#", re.sub(r"\{\w+\}|[\d.]+%?", "#", words.lower()))
    return {" ".join(parts[i : i + 3]) for i in range(len(parts) - 2)}
