"""Settlement: views scored by what happened, lessons known only from then, and roles weighed by their record."""

import math
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from openoutcry.agents.settling import naive, views_of
from openoutcry.core.clock import AsOf
from openoutcry.core.standing import DESK
from openoutcry.desk import Desk
from openoutcry.memory.record import Kind, Memory, Trust
from openoutcry.tools.figures import count, day, fraction, probability, sessions, text
from openoutcry.tools.standings import once

MakeDesk = Callable[..., Desk]
RISKY = "How risky is AAPL over the next 10 days?"
FIRST, THEN = "2022-05-31", "2022-06-30"


async def test_a_view_whose_horizon_passed_is_scored_by_the_closes(desk: Desk) -> None:
    await desk.ask(RISKY, FIRST)
    early = desk.settle("2022-06-10")
    assert (len(early.lessons), early.waiting, early.next_due) == (0, 1, date(2022, 6, 14))
    done = desk.settle(THEN)
    (lesson,) = done.lessons
    closes = desk.warehouse().view(AsOf.parse(THEN)).prices("AAPL")
    place = list(closes.dates.astype("datetime64[D]").tolist()).index(date(2022, 5, 31))
    change = closes.values[place + 10] / closes.values[place] - 1
    assert lesson.figures["return"].value == pytest.approx(change)
    assert bool(lesson.figures["happened"].value) == (change > 0)
    chance = float(lesson.figures["p_up"].value)
    happened = change > 0
    assert lesson.figures["brier"].value == pytest.approx((chance - happened) ** 2)
    assert lesson.figures["log_score"].value == pytest.approx(-math.log(chance if happened else 1 - chance))
    assert ("did not come true" in lesson.claim) == (not happened)


async def test_settling_twice_adds_nothing(desk: Desk) -> None:
    await desk.ask(RISKY, FIRST)
    assert len(desk.settle(THEN).lessons) == 1
    again = desk.settle(THEN)
    assert (len(again.lessons), again.before, again.waiting) == (0, 1, 0)
    assert len(desk.memory.find(kinds=(Kind.LESSON,))) == 1


async def test_a_lesson_is_known_from_its_settlement_on_and_to_no_run_before(desk: Desk) -> None:
    await desk.ask(RISKY, FIRST)
    (lesson,) = desk.settle("2022-12-01").lessons
    settled = AsOf.parse("2022-06-14").date
    assert lesson.known_at.date() in (settled, settled + timedelta(days=1))
    before, after = await desk.ask(RISKY, "2022-06-13"), await desk.ask(RISKY, "2022-06-15")
    assert lesson.id not in desk.load(before.run).remembered.ids
    assert lesson.id in desk.load(after.run).remembered.ids
    assert any("come true" in c or "came true" in c for c in after.claims)
    assert "lesson" not in desk.load(before.run).remembered.model_dump_json()


async def test_one_decision_asked_twice_counts_once(desk: Desk) -> None:
    await desk.ask(RISKY, FIRST)
    await desk.ask("What is the risk of AAPL over 10 days?", FIRST)
    desk.settle(THEN)
    assert all(s.settled == 1 for s in desk.scoreboard(THEN).standings)


async def test_a_comparison_is_settled_too(desk: Desk) -> None:
    await desk.ask("Compare AAPL and MSFT over 10 days", FIRST)
    (lesson,) = desk.settle(THEN).lessons
    assert lesson.ticker == "AAPL/MSFT"
    ahead = lesson.figures["return"].value > lesson.figures["other_return"].value  # type: ignore[operator]
    assert bool(lesson.figures["happened"].value) == ahead
    report = await desk.ask("Compare AAPL and MSFT over 10 days", "2022-07-29")
    assert lesson.id in desk.load(report.run).remembered.ids


def lessons(role: str, chances: np.ndarray, happened: np.ndarray, rng: np.random.Generator) -> Iterator[Memory]:
    """Settled decisions on AAPL whose spans stand apart; *role* gave *chances*, risk the base rate."""
    for i, (chance, came) in enumerate(zip(chances.tolist(), happened.tolist(), strict=True)):
        made = date(2000, 1, 3) + timedelta(days=21 * i)
        ended = made + timedelta(days=14)
        moment = datetime.combine(ended, datetime.min.time())
        yield Memory(
            kind=Kind.LESSON,
            ticker="AAPL",
            role="coordinator",
            model="house",
            run=f"run-{i}",
            as_of=moment,
            known_at=moment,
            source=f"run:{i}",
            parents=(f"mem-{i:016x}",),
            trust=Trust.DESK,
            claim="On {M.made} the desk gave {M.p_up}.",
            text="lesson",
            figures={
                "ticker": text("AAPL"),
                "horizon": sessions(10),
                "made": day(made),
                "ended": day(ended),
                "p_up": probability((chance + 0.5) / 2),
                "base_rate": probability(0.5),
                f"{role}_p_up": probability(chance),
                "risk_p_up": probability(0.5),
                "return": fraction(0.01 if came else -0.01),
                "happened": count(came),
            },
            details={f"model of {role}": "house", "model of risk": "house", f"model of {DESK}": "house"},
        )


def taught(desk: Desk, n: int, *, good: bool) -> None:
    rng = np.random.default_rng(7)
    chances = np.where(rng.random(n) < 0.5, 0.65, 0.35)
    happened = rng.random(n) < (chances if good else 1 - chances)
    desk.memory.add(list(lessons("analyst", chances, happened, rng)))


@pytest.mark.parametrize("good", [True, False])
async def test_the_coordinator_weighs_roles_by_their_record(desk: Desk, good: bool) -> None:
    taught(desk, 300, good=good)
    report = await desk.ask("How is AAPL doing?", "2022-12-20")
    view = report.by_id[report.view]
    weights = {n.removesuffix("_weight"): view.value(n) for n in view.figures if n.endswith("_weight")}
    assert sum(weights.values()) == pytest.approx(1)
    assert (weights["analyst"] > weights["risk"]) == good
    assert view.value("analyst_settled") == 300
    base = math.log(view.value("base_rate") / (1 - view.value("base_rate")))
    odds = {r: math.log(view.value(f"{r}_p_up") / (1 - view.value(f"{r}_p_up"))) for r in weights}
    pooled = sum(weights[r] * odds[r] for r in weights)
    assert view.value("p_up") == pytest.approx(1 / (1 + math.exp(-pooled)))
    assert math.isfinite(base)
    assert (await desk.replay(report.run)).same_as(report)


async def test_a_thin_record_leaves_the_roles_near_equal(desk: Desk) -> None:
    taught(desk, 5, good=True)
    report = await desk.ask("How is AAPL doing?", "2022-12-20")
    view = report.by_id[report.view]
    weights = [view.value(n) for n in view.figures if n.endswith("_weight")]
    assert max(weights) - min(weights) < 0.05


async def test_the_record_is_that_of_the_model_in_the_seat(make_desk: MakeDesk, speaker: Any) -> None:
    answer = {"claims": ["It is {E1.close}."], "lean": "up"}
    desk = make_desk({"analyst": speaker([("price_summary", {"ticker": "AAPL"})], answer)})
    taught(desk, 300, good=True)
    report = await desk.ask("How is AAPL doing?", "2022-12-20")
    view = report.by_id[report.view]
    assert "analyst_settled" not in view.figures
    assert view.value("risk_settled") == 300


async def test_the_record_known_then_alone_weighs(desk: Desk) -> None:
    taught(desk, 300, good=True)
    middle = naive(AsOf.parse("2022-01-10"))
    for lesson in (m for m in desk.memory.find(kinds=(Kind.LESSON,)) if m.known_at > middle):
        assert lesson.known_at > middle
    known = len(desk.memory.find(kinds=(Kind.LESSON,), as_of=middle))
    report = await desk.ask("How is AAPL doing?", "2022-01-10")
    assert report.by_id[report.view].value("analyst_settled") == known


def test_what_cannot_be_settled_is_told_and_tried_again(make_home: Any, price_rows: Any) -> None:
    values = [100 + i % 5 for i in range(300)]
    rows = price_rows("AAA", values, "2020-01-02") + price_rows("HALT", values[:90], "2020-01-02")
    with Desk.open(home=make_home(prices=rows)) as desk:
        desk.ask_sync("How risky is HALT over 10 days?", str(rows[-1]["date"]))
        moment = naive(AsOf.parse(rows[-1]["date"])) + timedelta(seconds=1)
        assert [m.known_at for m in desk.memory.find(kinds=(Kind.DECISION,))] == [moment]
        done = desk.settle(str(rows[299]["date"]))
        assert not done.lessons and len(done.unsettled) == 1
        assert "HALT" in done.unsettled[0].reason
        assert len(desk.settle(str(rows[299]["date"])).unsettled) == 1


def test_the_scoreboard_of_an_empty_memory_is_empty(desk: Desk) -> None:
    board = desk.scoreboard(THEN)
    assert (board.standings, board.views, board.waiting) == ((), (), 0)


def test_views_of_a_lesson_are_those_of_desk_and_roles() -> None:
    rng = np.random.default_rng(1)
    (lesson,) = lessons("analyst", np.array([0.7]), np.array([True]), rng)
    views = {v.role: v for v in views_of([lesson])}
    assert {r: v.chance for r, v in views.items()} == {DESK: 0.6, "analyst": 0.7, "risk": 0.5}
    assert all(v.happened and v.base_rate == 0.5 for v in views.values())


async def test_of_two_views_on_one_close_the_first_given_counts(desk: Desk) -> None:
    for ticker in ("KO", "AAPL", "JPM", "WMT"):
        first = await desk.ask(f"How is {ticker} doing?", "2022-07-01")
        await desk.ask(f"What is the news on {ticker}?", "2022-07-03")
        desk.settle("2022-08-31")
        board = desk.scoreboard("2022-08-31")
        counted = next(v for v in once(board.views) if v.ticker == ticker and v.role == DESK)
        assert counted.chance == first.by_id[first.view].figures["p_up"].value


def test_a_view_given_after_its_end_teaches_nothing(make_home: Any, price_rows: Any) -> None:
    values = [100 + i % 5 for i in range(300)]
    rows = price_rows("AAA", values, "2020-01-02") + price_rows("LATE", values[:90], "2020-01-02")
    home = make_home(prices=rows)
    later = price_rows("LATE", values, "2020-01-02")[90:]
    file = home.parent / "later.csv"
    file.write_text(
        "ticker,date,close,adj_close\n" + "".join(f"LATE,{r['date']},{r['close']},{r['adj_close']}\n" for r in later)
    )
    with Desk.open(home=home) as desk:
        desk.ask_sync("How risky is LATE over 10 days?", str(rows[150]["date"]))
        desk.ingest(file)
        done = desk.settle()
        assert not done.lessons
        assert "was known when this one was given" in done.unsettled[0].reason


def test_a_restated_close_changes_no_lesson(make_home: Any, price_rows: Any) -> None:
    values = [100 + i % 5 for i in range(300)]
    found: list[dict[str, Any]] = []
    for early in (True, False):
        rows = price_rows("AAA", values, "2020-01-02")
        home = make_home(prices=rows)
        end = rows[150]["date"]
        file = home.parent / "restated.csv"
        file.write_text(f"ticker,date,close,adj_close,known_at\nAAA,{end},250,250,{rows[200]['date']}\n")
        with Desk.open(home=home) as desk:
            desk.ask_sync("How risky is AAA over 5 days?", str(rows[145]["date"]))
            if early:
                desk.settle(str(rows[160]["date"]))
            desk.ingest(file)
            desk.settle()
            (lesson,) = desk.memory.find(kinds=(Kind.LESSON,))
            found.append({n: f.value for n, f in lesson.figures.items()} | {"known": lesson.known_at})
    assert found[0] == found[1]
