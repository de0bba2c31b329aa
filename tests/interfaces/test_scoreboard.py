"""Settlement and scoreboard as a person sees them: every number of a record, in the terminal and on a page."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape
from numpy.typing import NDArray

from openoutcry.agents.settling import Scoreboard, Settlement, Unsettled
from openoutcry.core.evidence import Figure, Unit
from openoutcry.core.standing import Bin, Settled
from openoutcry.desk import Desk
from openoutcry.interfaces import scoreboard_page, settlement, standing_text, text
from openoutcry.interfaces.opened import OPENER
from openoutcry.interfaces.page import policy, scripts
from openoutcry.memory.record import Kind, Memory, Trust
from openoutcry.tools import standings

Browse = Callable[[str], tuple[str, str]]
HOSTILE = "</script><img src=x onerror=alert(1)>{{ 7 * 7 }}%{x}\x1b[2J"
MODELS = {"analyst": "house", "risk": "house", "sentiment": "new", "coordinator": "house"}
START = date(2021, 1, 4)


def viewed(
    i: int, role: str, chance: float, *, model: str = "house", horizon: int = 10, ticker: str = "ACME"
) -> Settled:
    made = START + timedelta(days=30 * i)
    return Settled(
        role=role,
        model=model,
        ticker=ticker,
        horizon=horizon,
        made=made,
        ended=made + timedelta(days=14),
        chance=chance,
        base_rate=0.6,
        happened=i % 3 > 0,
    )


def scored(views: list[Settled], waiting: int = 0) -> Scoreboard:
    return Scoreboard(as_of="2022-06-30", standings=standings.standings(views), views=tuple(views), waiting=waiting)


def board(name: str = "analyst", model: str = "house", ticker: str = "ACME") -> Scoreboard:
    right = [viewed(i, name, 0.8 if i % 3 else 0.4, model=model, ticker=ticker) for i in range(12)]
    wrong = [viewed(i, "risk", 0.5) for i in range(12)]
    desk = [viewed(i, "desk", 0.65, model="house+new") for i in range(12)]
    old = [viewed(i, "sentiment", 0.55, model="old", horizon=20) for i in range(3)]
    return scored([*desk, *right, *wrong, *old], waiting=7)


def lesson(i: int, ticker: str = "ACME") -> Memory:
    known = datetime(2022, 1, 3, 21, tzinfo=UTC).replace(tzinfo=None) + timedelta(days=i)
    return Memory(
        kind=Kind.LESSON,
        ticker=ticker,
        role="coordinator",
        model="house",
        run="20220101-000000-abcdef01",
        as_of=known,
        known_at=known,
        source="run:20220101-000000-abcdef01",
        parents=(f"mem-{i:016x}",),
        trust=Trust.DESK,
        claim="Lesson {M.i} on {M.ticker}: so that came true.",
        text="",
        figures={"i": Figure(value=i, unit=Unit.COUNT), "ticker": Figure(value=ticker, unit=Unit.TEXT)},
    )


class Double:
    """A desk with a settlement and a scoreboard made by hand."""

    def __init__(self, done: Settlement, stood: Scoreboard, seats: Mapping[str, str] = MODELS) -> None:
        self.done, self.stood = done, stood
        self.models = dict(seats)
        self.asked: list[str | None] = []

    def settle(self, as_of: str | None, watch: Callable[[int, int], None]) -> Settlement:
        self.asked.append(as_of)
        watch(1, 2)
        return self.done

    def scoreboard(self, as_of: str | None) -> Scoreboard:
        self.asked.append(as_of)
        return self.stood


def call(command: click.Command, desk: object, *arguments: str) -> Result:
    """Run the command with *desk* as what it opens."""

    def opener(_: click.Context) -> AbstractContextManager[object]:
        return nullcontext(desk)

    @click.group()
    @click.pass_context
    def outermost(ctx: click.Context) -> None:
        ctx.meta[OPENER] = opener

    outermost.add_command(command)
    return CliRunner().invoke(outermost, [str(command.name), *arguments], catch_exceptions=False)


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction] pytest calls it
    monkeypatch.setenv("COLUMNS", "100")


NOTHING = Settlement(as_of="2022-06-30")


def test_a_settlement_tells_some_lessons_and_with_all_each() -> None:
    done = NOTHING.model_copy(update={"lessons": tuple(map(lesson, range(8))), "before": 1_200})
    desk = Double(done, board())
    few = call(settlement.settle, desk, "--as-of", "2022-06-30").stdout.splitlines()
    assert few[0] == "8 views settled as of 2022-06-30; 1,200 settled before."
    assert few[1] == "  - Lesson 0 on ACME: so that came true."
    assert few[6] == "  and 3 more: --all tells each"
    assert desk.asked == ["2022-06-30"]
    every = call(settlement.settle, desk, "--all").stdout
    assert [every.count(f"Lesson {i} on") for i in range(8)] == [1] * 8
    assert "more" not in every


def test_what_waits_and_what_cannot_be_settled_is_said() -> None:
    done = Settlement(
        as_of="2022-06-30",
        waiting=1,
        next_due=date(2022, 7, 15),
        unsettled=(Unsettled(memory="mem-1", said="On 2022-01-03 it was said.", reason="no close of 2022-01-18"),),
    )
    lines = list(standing_text.settled(done))
    assert "1 view still open; the next ends on 2022-07-15." in lines
    assert lines[-2:] == ["1 view could not be settled:", "  - On 2022-01-03 it was said. no close of 2022-01-18"]
    assert list(standing_text.settled(NOTHING)) == ["no view is remembered as of 2022-06-30; `outcry ask` makes them"]


def test_a_settlement_as_json_holds_it_all() -> None:
    done = NOTHING.model_copy(update={"lessons": (lesson(1, HOSTILE),), "waiting": 2})
    result = call(settlement.settle, Double(done, board()), "--json")
    assert Settlement.model_validate(json.loads(result.stdout)) == done
    assert "\x1b" not in result.stdout and result.stderr == ""


def test_the_scoreboard_shows_every_number_of_a_record() -> None:
    shown = call(settlement.scoreboard, Double(NOTHING, board()), "--as-of", "2022-06-30")
    lines = shown.stdout.splitlines()
    assert lines[0] == "Settled views as of 2022-06-30; 7 views still open"
    stood = {(s.role, s.horizon): s for s in board().standings}
    row = lines[lines.index("analyst (house)") + 1].split()
    one = stood["analyst", 10]
    assert row[:5] == ["10", "trading", "days", "12", "12"]
    told = (one.brier, one.base_brier, one.log_score, one.base_log_score, one.gain)
    assert [float(cell.strip("()")) for cell in row[5:10]] == pytest.approx(told, abs=5e-5)
    assert row[9].startswith("+") and row[10:] == [f"{100 * weighed('analyst'):.1f}", "%"]
    assert "said 40 %, happened 0 % (4); said 80 %, happened 100 % (8)" in shown.stdout
    assert " ".join(standing_text.READING.split()[:8]) in shown.stdout
    assert all(len(line) <= 100 for line in lines)


def weighed(role: str) -> float:
    stood = {s.role: s for s in board().standings if s.horizon == 10}
    return standings.weights(("analyst", "risk"), stood)[role]


def test_weights_are_those_of_the_models_that_sit_today() -> None:
    found = standing_text.weights(board(), MODELS)
    assert {(s.role, s.horizon): w for s, w in found.items()} == {
        ("analyst", 10): weighed("analyst"),
        ("risk", 10): weighed("risk"),
    }
    assert weighed("analyst") > weighed("risk")
    lines = list(standing_text.standing(board(), found))
    assert (
        "%" not in lines[lines.index("desk (house+new)") + 1] and "%" not in lines[lines.index("sentiment (old)") + 1]
    )


def test_a_role_whose_model_changed_still_has_a_say_in_the_weights_of_the_others() -> None:
    mixed = scored(
        [*(viewed(i, "analyst", 0.8) for i in range(9)), *(viewed(i, "sentiment", 0.6, model="old") for i in range(9))]
    )
    (weight,) = standing_text.weights(mixed, MODELS).values()
    assert weight < 1


def test_the_scoreboard_as_json_has_weights_beside_its_standings() -> None:
    told = json.loads(call(settlement.scoreboard, Double(NOTHING, board()), "--json").stdout)
    by_role = {(s["role"], s["horizon"]): s.pop("weight") for s in told["standings"]}
    assert by_role["analyst", 10] == pytest.approx(weighed("analyst"))
    assert by_role["desk", 10] is None and by_role["sentiment", 20] is None
    assert Scoreboard.model_validate(told) == board()


@pytest.mark.parametrize(
    ("waiting", "words"), [(0, "`outcry ask` makes them"), (3, "`outcry settle` scores what is due")]
)
def test_an_empty_scoreboard_is_one_line_and_no_picture(waiting: int, words: str, tmp_path: Path) -> None:
    page = tmp_path / "board.html"
    done = call(settlement.scoreboard, Double(NOTHING, scored([], waiting)), "--html", str(page))
    assert len(done.stdout.splitlines()) == 1 and words in done.stdout
    html = page.read_text(encoding="utf-8")
    assert "<script" not in html and "script-src &#39;none&#39;" in html and "<table" not in html


class Tags(HTMLParser):
    """The tags of a page, its words, and what its pictures are drawn from."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self.drawn: list[dict[str, Any]] = []
        self.kind: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.kind = dict(attrs).get("type") or tag

    def handle_endtag(self, tag: str) -> None:
        self.kind = None

    def handle_data(self, data: str) -> None:
        if self.kind == "application/json":
            self.drawn.append(json.loads(data))
        elif self.kind not in ("script", "style"):
            self.words += data


def drawn(stood: Scoreboard) -> Tags:
    return Tags(scoreboard_page.page(stood, standing_text.weights(stood, MODELS)))


def test_the_page_shows_what_the_text_shows_and_two_pictures() -> None:
    page = drawn(board())
    assert (page.tags.count("figure"), page.tags.count("script")) == (2, 4)
    for s in board().standings:
        for number in (f"{s.brier:.4f}", f"({s.base_brier:.4f})", f"{s.log_score:.4f}", f"{s.gain:+.4f}"):
            assert number in page.words
        assert standing_text.calibration(s) in page.words
    assert f"{100 * weighed('risk'):.1f} %" in page.words
    assert [[trace["name"] for trace in picture["data"]] for picture in page.drawn] == [
        ["analyst", "risk", "sentiment", "desk"]
    ] * 2
    assert "7 views still open." in page.words


def test_words_of_others_stay_words_on_the_page_and_in_the_terminal() -> None:
    hostile = board(HOSTILE, HOSTILE, HOSTILE)
    page = drawn(hostile)
    assert page.tags == drawn(board()).tags
    assert "49" not in page.words and "<img src=x" in page.words
    assert "<img" not in json.dumps(page.drawn) and "&lt;img" in json.dumps(page.drawn)
    lines = "\n".join(standing_text.standing(hostile, {}))
    assert "\x1b" not in lines and "\\x1b[2J" in lines
    told = "\n".join(standing_text.settled(NOTHING.model_copy(update={"lessons": (lesson(1, HOSTILE),)})))
    assert "\x1b" not in told


def test_the_page_fetches_nothing() -> None:
    from plotly.offline import get_plotlyjs  # pyright: ignore[reportMissingTypeStubs] plotly ships no types

    html = scoreboard_page.page(board(), {})
    own = html.replace(get_plotlyjs(), "")
    assert "://" not in own and "@import" not in own and not re.search(r"\b(src|href|action)=", own)
    assert f'content="{escape(policy(scripts()))}"' in own


def test_a_dot_stands_where_chance_and_frequency_meet_and_grows_with_its_views() -> None:
    dots = scoreboard_page.reliability(board()).figure.data[0]
    assert (list(dots.x), list(dots.y)) == ([0.4, 0.8], [0, 1])
    small, large = dots.marker.size
    assert large / small == pytest.approx(math.sqrt(2), abs=0.01)


def test_the_gain_so_far_ends_at_all_that_was_gained() -> None:
    views = [*board().views, *board().views]
    for role in ("analyst", "risk", "desk"):
        path = list(scoreboard_page.gained(v for v in standings.once(views) if v.role == role))
        (stood,) = (s for s in board().standings if s.role == role)
        assert path[-1][1] == pytest.approx(stood.gain * stood.settled)
        assert path[0] == (START.isoformat(), 0.0)
        assert [day for day, _ in path[1:]] == sorted({v.ended.isoformat() for v in views if v.role == role})


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 50), st.floats(0, 1)), min_size=1, max_size=20))
def test_merged_bins_keep_every_view_and_every_outcome(parts: list[tuple[int, int, float]]) -> None:
    records = [
        [Bin(low=n / 10, high=(n + 1) / 10, views=v, mean_chance=(n + 0.5) / 10, frequency=f)] for n, v, f in parts
    ]
    bins = list(scoreboard_page.merged(records))
    assert [b.low for b in bins] == sorted({n / 10 for n, _, _ in parts})
    assert sum(b.views for b in bins) == sum(v for _, v, _ in parts)
    assert sum(b.views * b.frequency for b in bins) == pytest.approx(sum(v * f for _, v, f in parts))
    assert all(b.low < b.mean_chance < b.high for b in bins)


@pytest.mark.parametrize("words", ["analyst", HOSTILE], ids=["plain", "hostile"])
def test_a_browser_draws_both_pictures_and_refuses_nothing(tmp_path: Path, browse: Browse, words: str) -> None:
    path = tmp_path / "board.html"
    path.write_text(scoreboard_page.page(board(words, words), {}), encoding="utf-8")
    dom, log = browse(path.as_uri())
    assert not re.search("Refused|Content Security Policy|Uncaught|CONSOLE", log), log
    assert dom.count("js-plotly-plot") >= 2
    assert len(re.findall(r'<g class="trace ', dom)) == 8
    assert '<img src="x"' not in dom


class Flat:
    """An embedder to which all texts are alike."""

    name, space, dimension = "flat", "abcdef012345", 8

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.full((len(texts), 8), 8**-0.5, np.float32)


def flat(*_: object) -> Flat:
    return Flat()


def test_a_desk_settles_what_it_said_and_stands_by_it(
    sample_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("openoutcry.memory.embedder.local", flat)
    (tmp_path / "warehouse").symlink_to(sample_home / "warehouse")
    with Desk.open(home=tmp_path) as desk:
        for as_of in ("2022-02-01", "2022-03-01", "2022-06-28"):
            desk.ask_sync("What is the outlook for AAPL over 10 days?", as_of)
        asked = ("--as-of", "2022-06-30")
        first, again = (call(settlement.settle, desk, *asked).stdout.splitlines() for _ in range(2))
        stood = call(settlement.scoreboard, desk, *asked).stdout
        page = tmp_path / "board.html"
        told = json.loads(call(settlement.scoreboard, desk, *asked, "--json", "--html", str(page)).stdout)
        later = desk.ask_sync("What is the outlook for AAPL over 10 days?", "2022-06-30")
    assert (first[0], again[0]) == (
        "2 views settled as of 2022-06-30; 0 settled before.",
        "0 views settled as of 2022-06-30; 2 settled before.",
    )
    assert "1 view still open; the next ends on 2022-07-13." in first
    assert "analyst (house)" in stood and "10 trading days         2         2" in stood
    weights = {s["role"]: s["weight"] for s in told["standings"]}
    assert weights["desk"] is None and sum(w for w in weights.values() if w) == pytest.approx(1)
    assert "analyst" in page.read_text(encoding="utf-8")
    assert any("(2 settled, 2 separate, gain" in line for line in text.view(later))
