"""Whether a view came true: closes picked by hand, at any clock, and every end that cannot be settled is refused."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from openoutcry.cli import main
from openoutcry.core.errors import NotComputed, UnknownTicker, UsageError
from openoutcry.core.evidence import Evidence
from openoutcry.tools import outcomes
from openoutcry.tools.data.given import Given
from openoutcry.tools.data.view import View, Warehouse
from openoutcry.tools.lean import combine_views

Row = dict[str, Any]
MakeHome = Callable[..., Path]
ViewOf = Callable[..., View]

view_outcome: Any = outcomes.view_outcome
"""As a command line calls it: with text for dates and lists."""
NEW_YORK = ZoneInfo("America/New_York")
# NYSE, "Holidays & Trading Hours", as published for 2022; the day after Thanksgiving closed at one.
HOLIDAYS = {date(2022, *map(int, d.split("-"))) for d in "1-17 2-21 4-15 5-30 6-20 7-4 9-5 11-24 12-26".split()}
YEAR = [d for i in range(362) if (d := date(2022, 1, 3) + timedelta(i)).weekday() < 5 and d not in HOLIDAYS]
EARLY = date(2022, 11, 25)


def closes(ticker: str, values: list[float], days: list[date] = YEAR) -> list[Row]:
    cells = zip(days, values, strict=False)
    return [{"ticker": ticker, "date": d, "close": repr(v), "adj_close": repr(v)} for d, v in cells]


def walk(seed: int) -> list[float]:
    """Closes in whole dollars, so that many spans end where they began."""
    return (100 + np.cumsum(np.random.default_rng(seed).integers(-2, 3, len(YEAR)))).astype(float).tolist()


def restated(rows: list[Row], seed: int) -> list[Row]:
    """Later words on every fifth close, far from it, each known some weeks on."""
    random = np.random.default_rng(seed)
    return [
        row
        | {"close": repr(v := float(row["close"]) * float(random.choice([0.5, 0.9, 1.1, 2.0]))), "adj_close": repr(v)}
        | {"known_at": f"{row['date'] + timedelta(int(random.integers(1, 60)))}T09:00:00"}
        for row in rows[::5]
    ]


def rows_of_walks() -> list[Row]:
    first, second = closes("AAA", walk(1)), closes("BBB", walk(2))
    stamped = [row | {"known_at": ""} for row in (*first, *second)]
    return [*stamped, *restated(first, 3), *restated(second, 4)]


WALKS = rows_of_walks()


@pytest.fixture(scope="module")
def walks(make_home: MakeHome) -> Path:
    return make_home(prices=WALKS)


@pytest.fixture(scope="module")
def home(make_home: MakeHome) -> Path:
    """UP rises a dollar a session; the others each have a fault."""
    up = [100.0 + i for i in range(len(YEAR))]
    halted = [d for d in YEAR if not date(2022, 3, 8) <= d <= date(2022, 3, 10)]
    halved = [v if d < date(2022, 6, 6) else v / 2 for d, v in zip(YEAR, up, strict=True)]
    split = [{k: v for k, v in row.items() if k != "adj_close"} for row in closes("SPLIT", halved)]
    raw = [{k: v for k, v in row.items() if k != "adj_close"} for row in closes("RAW", up)]
    late = {"ticker": "LATE", "close": "1.0", "adj_close": "1.0"}
    return make_home(
        prices=[
            *closes("UP", up),
            *closes("FLAT", [50.0] * len(YEAR)),
            *closes("HALT", up, halted),
            *closes("GONE", up, [d for d in YEAR if d < date(2022, 9, 1)]),
            *split,
            *raw,
            *({**row, "close": repr(float(row["close"]) * 2)} for row in closes("BOTH", up)),
            late | {"date": date(2022, 12, 1), "known_at": ""},
        ]
    )


def by_hand(ticker: str, made: date, ended: date, by: datetime) -> tuple[float, datetime] | None:
    """The return, and when both closes were known, of rows known by then; None where either is not."""
    found: list[tuple[float, datetime]] = []
    for day in (made, ended):
        known = [(known_at(r), float(r["adj_close"])) for r in WALKS if (r["ticker"], r["date"]) == (ticker, day)]
        seen = [pair for pair in known if pair[0] <= by]
        if not seen:
            return None
        found.append((max(seen)[1], max(seen)[0]))
    return found[1][0] / found[0][0] - 1, max(found[0][1], found[1][1])


def known_at(row: Row) -> datetime:
    moment = str(row["known_at"]) or f"{row['date']}T16:00:00"
    return datetime.fromisoformat(moment).replace(tzinfo=NEW_YORK).astimezone(UTC)


@settings(max_examples=300)
@given(
    tickers=st.sampled_from([["AAA"], ["BBB"], ["AAA", "BBB"], ["BBB", "AAA"], ["AAA", "AAA"]]),
    place=st.integers(0, len(YEAR) - 2),
    horizon=st.integers(1, 40),
    wait=st.floats(0, 90),
)
def test_what_happened_is_what_the_closes_known_by_then_say(
    walks: Path, view_of: ViewOf, tickers: list[str], place: int, horizon: int, wait: float
) -> None:
    """Each close has later words, most of them yet unknown: none of those may count."""
    end = min(place + horizon, len(YEAR) - 1)
    by = datetime.combine(YEAR[end], datetime.min.time(), NEW_YORK) + timedelta(days=wait)
    by = min(by, datetime(2022, 12, 30, 17, tzinfo=NEW_YORK)).replace(microsecond=0)
    view = view_of(walks, by.isoformat())
    spans = [by_hand(t, YEAR[place], YEAR[end], by.astimezone(UTC)) for t in tickers]
    if None in spans:
        with pytest.raises(NotComputed, match="unsettled"):
            view_outcome(view, tickers, YEAR[place], end - place)
        return
    first, *rest = [s for s in spans if s]
    made = view_outcome(view, tickers, YEAR[place], end - place)
    assert made.value("return") == pytest.approx(first[0], abs=1e-12)
    assert made.value("happened") == (first[0] > (rest[0][0] if rest else 0.0))
    assert made.known_at == max(s[1] for s in (first, *rest)).replace(tzinfo=None)
    assert made.known_at <= view.as_of.moment.replace(tzinfo=None)
    assert made.figures["ended"].value == YEAR[end].isoformat()


@pytest.mark.parametrize(("tickers", "horizon"), [(("AAA",), 1), (("BBB",), 7), (("AAA", "BBB"), 3), (("UP",), 2)])
def test_it_is_the_event_that_the_desk_gives_a_chance(
    walks: Path, home: Path, view_of: ViewOf, tickers: tuple[str, ...], horizon: int
) -> None:
    """The base rate counts the outcomes of every span: each settled one by one gives the same."""
    view = view_of(home if "UP" in tickers else walks, "2022-06-30")
    base = combine_views(view, tickers, horizon, {})
    days = [d for d in YEAR if d <= date(2022, 6, 30)][:-horizon]
    found = [view_outcome(view, tickers, d, horizon) for d in days]
    assert base.value("windows") == len(found)
    share = sum(e.value("happened") for e in found) / len(found)
    assert base.value("base_rate") == pytest.approx(min(max(share, 0.01), 0.99))
    assert {e.conventions["event"] for e in found} == {base.conventions["event"]}
    assert base.figures["last_date"].value == "2022-06-30"


def test_the_end_is_counted_over_holidays_and_early_closes(home: Path, view_of: ViewOf) -> None:
    view = view_of(home, "2022-12-30")
    for made, horizon, ended in (
        ("2022-11-23", 1, "2022-11-25"),  # Thanksgiving, then a session that closes at one
        ("2022-11-25", 1, "2022-11-28"),
        ("2022-07-01", 1, "2022-07-05"),  # Independence Day and a weekend
        ("2022-04-14", 2, "2022-04-19"),  # Good Friday and a weekend
    ):
        found = view_outcome(view, ["UP"], made, horizon)
        assert (found.figures["made"].value, found.figures["ended"].value) == (made, ended)
        assert found.value("happened") == 1
        assert found.value("return") == pytest.approx(horizon / (100 + YEAR.index(date.fromisoformat(made))))


def test_it_settles_when_its_last_close_is_known_and_not_before(home: Path, view_of: ViewOf) -> None:
    with pytest.raises(NotComputed, match="a span that has ended; this one ends on 2022-03-15, after the as-of"):
        view_outcome(view_of(home, "2022-03-14"), ["UP"], "2022-03-01", 10)
    with pytest.raises(NotComputed, match="a close of UP on 2022-03-15, when the span ended; none is known by 2022-03"):
        view_outcome(view_of(home, "2022-03-15T15:59:59"), ["UP"], "2022-03-01", 10)
    for as_of in ("2022-03-15T16:00", "2022-03-15", "2022-10-10"):
        found = view_outcome(view_of(home, as_of), ["UP"], "2022-03-01", 10)
        assert found.value("happened") == 1
        assert found.known_at == datetime(2022, 3, 15, 20)  # noqa: DTZ001  # stored moments carry no zone and are UTC


def test_nothing_known_later_is_named_as_its_moment(walks: Path, view_of: ViewOf) -> None:
    """Other closes of the ticker became known long after; the outcome's moment is that of its own two."""
    found = view_outcome(view_of(walks, "2022-12-30"), ["AAA"], YEAR[1], 1)
    assert found.known_at == datetime.combine(YEAR[2], datetime.min.time()) + timedelta(hours=21)


def test_no_change_is_not_higher_and_no_ticker_beats_itself(home: Path, view_of: ViewOf) -> None:
    view = view_of(home, "2022-12-30")
    assert view_outcome(view, "FLAT", "2022-03-01", 5).value("happened") == 0
    assert view_outcome(view, "UP,UP", "2022-03-01", 5).value("happened") == 0
    beat = view_outcome(view, "up,flat", "2022-03-01", 5)
    assert (beat.value("happened"), beat.value("other_return")) == (1, 0)
    assert view_outcome(view, "FLAT,UP", "2022-03-01", 5).value("happened") == 0
    assert beat.figures["other"].value == "FLAT"


@pytest.mark.parametrize(
    ("tickers", "made", "horizon", "words"),
    [
        (
            "UP",
            "2022-07-04",
            5,
            "a session of the exchange as made; 2022-07-04 is none, the one before it is",
        ),
        ("UP", "2022-07-02", 5, "2022-07-02 is none, the one before it is 2022-07-01"),
        ("HALT", "2022-03-08", 5, "a close of HALT on 2022-03-08, when the view was made; none is known"),
        ("HALT", "2022-03-03", 4, "a close of HALT on 2022-03-09, .* the newest before it is of 2022-03-07"),
        ("UP,HALT", "2022-03-03", 4, "a close of HALT on 2022-03-09"),
        ("GONE", "2022-08-30", 10, "on 2022-09-14, .* the newest before it is of 2022-08-31: the view stays unsettled"),
        ("SPLIT", "2022-06-01", 5, "needs adj_close; the close of SPLIT jumps on 2022-06-06, as in a split"),
        ("LATE", "2022-03-01", 5, "a close of LATE on 2022-03-01, when the view was made; none is known"),
        ("UP", "1960-01-04", 5, "needs a day from 1970"),
    ],
)
def test_what_cannot_be_settled_is_refused(
    home: Path, view_of: ViewOf, tickers: str, made: str, horizon: int, words: str
) -> None:
    with pytest.raises(NotComputed, match=words) as caught:
        view_outcome(view_of(home, "2022-12-30"), tickers, made, horizon)
    assert "\n" not in str(caught.value)


def test_a_halt_or_split_outside_the_span_does_not_matter(home: Path, view_of: ViewOf) -> None:
    view = view_of(home, "2022-12-30")
    over = view_outcome(view, "HALT", "2022-03-07", 4)  # no close on three sessions between
    assert (over.figures["ended"].value, over.value("happened")) == ("2022-03-11", 1)
    assert view_outcome(view, "SPLIT", "2022-06-06", 5).value("happened") == 1
    assert view_outcome(view, "SPLIT", "2022-05-27", 4).value("happened") == 1  # ends on the session before it


def test_the_basis_is_that_of_the_desk(home: Path, view_of: ViewOf) -> None:
    view = view_of(home, "2022-12-30")
    for ticker, basis in (("RAW", "close"), ("BOTH", "adj_close")):
        assert (
            view_outcome(view, ticker, "2022-03-01", 5).conventions["returns"].startswith(f"simple returns on {basis}")
        )


def test_closes_after_the_span_do_not_change_its_basis(make_home: MakeHome, view_of: ViewOf) -> None:
    """A later session without adj_close would turn the whole series to closes as traded."""
    rows = [row | {"close": repr(200.0 - i)} for i, row in enumerate(closes("AAA", [100.0 + i for i in range(40)]))]
    view = view_of(make_home(prices=[*rows[:30], *(row | {"adj_close": ""} for row in rows[30:])]))
    assert view_outcome(view, "AAA", YEAR[5], 10).value("happened") == 1
    assert view.prices("AAA").basis == "close"


@pytest.mark.parametrize("tickers", [[], ["UP", "FLAT", "RAW"], ["no good"]])
def test_one_ticker_or_two(home: Path, view_of: ViewOf, tickers: list[str]) -> None:
    with pytest.raises(UsageError, match="tickers"):
        view_outcome(view_of(home), tickers, "2022-03-01", 5)


def test_a_ticker_that_is_not_known_and_a_file_say_so(home: Path, view_of: ViewOf) -> None:
    with pytest.raises(UnknownTicker, match="no price of NONE is known by 2022-12-30"):
        view_outcome(view_of(home, "2022-12-30"), "NONE", "2022-03-01", 5)
    file = Given.of({"UP": [100.0 + i for i in range(40)]}, "prices", YEAR[:40])
    with pytest.raises(NotComputed, match="needs the warehouse"):
        view_outcome(file, "UP", YEAR[3].isoformat(), 5)


def test_on_the_command_line(home: Path) -> None:
    asked = "tool view_outcome --tickers up,flat --made 2022-11-23 --horizon 1 --as-of 2022-12-01 --json".split()
    done = CliRunner().invoke(main, ["--home", str(home), *asked])
    made = Evidence.model_validate(json.loads(done.stdout))
    assert (made.value("happened"), made.figures["ended"].value) == (1, EARLY.isoformat())
    assert made.arguments == {"tickers": ["UP", "FLAT"], "made": "2022-11-23", "horizon": 1}


def test_its_statements_give_the_same_rows_again(home: Path) -> None:
    with closing(Warehouse.open(home)) as warehouse:
        view = warehouse.view()
        made = view_outcome(view, "UP,FLAT", "2022-03-01", 5)
        assert len(made.queries) == 2
        assert {warehouse.again(q, view.as_of) for q in made.queries} == {"the same rows"}


def test_the_year_here_is_the_exchange_s() -> None:
    assert len(YEAR) == 251
    assert EARLY in YEAR
    assert all(a < b for a, b in pairwise(YEAR))
