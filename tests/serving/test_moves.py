"""Moves in a seat: what they need, what they leave behind, and that one alone of two wins."""

import multiprocessing
import os
import signal
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from openoutcry.core.errors import DataError, OutcryError, UsageError
from openoutcry.serving import digest
from openoutcry.serving.registry import artifact, ledger, pointer, seats, vouched
from openoutcry.serving.registry.force import mend
from openoutcry.serving.registry.ledger import Kind, reading
from openoutcry.serving.registry.pointer import Pointer, Seats
from openoutcry.serving.registry.standings import standings
from openoutcry.serving.stack import HOUSE
from tests.serving.trained import NOW, Trained, trained


@pytest.fixture
def at(tmp_path: Path) -> Trained:
    return trained(tmp_path)


def vouched_for(at: Trained, what: str, champion: str = HOUSE, **more: Any) -> str:
    """An adapter with a record against *champion*; its name."""
    name = at.adapter(what).name
    at.record(name, champion, **more)
    return name


def truth(at: Trained) -> Pointer:
    with reading(at.home) as told:
        assert told
        return told.pointers()["risk"]


def kinds(at: Trained) -> list[Kind]:
    with reading(at.home) as told:
        assert told
        return [event.kind for event in told.events()]


def test_a_promotion_moves_the_champion_to_previous_and_is_watched(at: Trained) -> None:
    one = vouched_for(at, "a")
    moved = at.moves().promote("risk", one)
    assert (moved.champion, moved.previous, moved.challenger) == (one, HOUSE, "")
    assert moved.until is not None
    assert (moved.until - NOW).total_seconds() == 24 * 3600
    two = vouched_for(at, "b", one)
    moved = at.moves(1).promote("risk", two, expected=one)
    assert (moved.champion, moved.previous) == (two, one)
    assert set(moved.records) == {one, two}
    assert at.moves(2).settle("risk").until is None
    assert pointer.read(at.home)["risk"] == truth(at) == Seats(at.home).of("risk")
    assert kinds(at) == ["registered", "evaluated", "promoted"] * 2 + ["settled"]
    assert at.moves(3).promote("risk", two) == truth(at), "who sits there already is not moved"


def test_from_the_shadow_over_a_share_into_the_seat(at: Trained) -> None:
    one = vouched_for(at, "a")
    assert (at.moves().shadow("risk", one).challenger, truth(at).share) == (one, 0)
    assert at.moves().canary("risk", one, 25).share == 25
    other = vouched_for(at, "b")
    with pytest.raises(UsageError, match=f"{one} challenges the risk now"):
        at.moves().shadow("risk", other)
    assert at.moves().promote("risk", one).challenger == ""
    for share in (0, 100, -1):
        with pytest.raises(UsageError, match="between 1 and 99"):
            at.moves().canary("risk", other, share)
    with pytest.raises(UsageError, match="is the champion of the risk already"):
        at.moves().shadow("risk", one)


def test_a_rollback_brings_the_one_before_back_and_shuts_the_other_out(at: Trained) -> None:
    one = vouched_for(at, "a")
    at.moves().promote("risk", one)
    two = vouched_for(at, "b", one)
    at.moves().promote("risk", two)
    assert at.moves().rollback("risk", "slow", expected=one) == truth(at), "another one sits there"
    back = at.moves().rollback("risk", "slow", expected=two)
    assert (back.champion, back.previous, set(back.records)) == (one, HOUSE, {one})
    assert {each.name: each.state for each in standings(at.home)} == {one: "champion", two: "quarantined"}
    for move in (at.moves().promote, at.moves().shadow):
        with pytest.raises(UsageError, match="may sit no more: quarantined: slow"):
            move("risk", two)
    at.adapter("b")
    assert two not in at.stack.models["nano"].names, "registering it anew changes nothing"
    with pytest.raises(UsageError, match="which is quarantined: slow; train another"):
        at.adapter("b", recipe={"seed": 99})


def test_a_rollback_of_a_challenger_leaves_the_champion(at: Trained) -> None:
    one, two = vouched_for(at, "a"), vouched_for(at, "b")
    at.moves().promote("risk", one)
    at.record(two, one)
    at.moves(1).canary("risk", two, 5)
    back = at.moves(1).rollback("risk", "it garbles")
    assert (back.champion, back.challenger, back.share, set(back.records)) == (one, "", 0, {one})


def test_a_challenger_that_sat_there_before_goes_out_whole(at: Trained) -> None:
    one = vouched_for(at, "a")
    at.moves().promote("risk", one)
    seats.switch(at.stack, at.home, "risk", "nano", answers=True, now=NOW)
    at.record(one, "nano")
    assert at.moves().canary("risk", one, 5).previous == one
    back = at.moves().rollback("risk", "it garbles")
    assert (back.champion, back.names, back.records) == ("nano", ("nano",), {})


def test_rollbacks_end_at_who_may_sit(at: Trained) -> None:
    names = [vouched_for(at, "a")]
    at.moves().promote("risk", names[0])
    for what in "bc":
        names.append(vouched_for(at, what, names[-1]))
        at.moves().promote("risk", names[-1])
    assert {each.name: each.state for each in standings(at.home)}[names[0]] == "archived", "two sat there since"
    back = at.moves().rollback("risk", "worse")
    assert (back.champion, back.previous) == (names[1], "")
    assert at.moves().rollback("risk", "worse").champion == HOUSE
    with pytest.raises(UsageError, match="expected somebody who sat there before house"):
        at.moves().rollback("risk", "worse")


def test_a_rollback_needs_no_file_of_what_goes(at: Trained) -> None:
    one = vouched_for(at, "a")
    at.moves().promote("risk", one)
    (artifact.find(at.home, one).folder / "artifact.json").write_text("{")
    assert seats.seated(at.stack, at.home)["risk"].champion == HOUSE
    back = at.moves().rollback("risk", "damaged")
    assert back.champion == HOUSE
    assert kinds(at)[-1] == Kind.QUARANTINED


def test_where_the_champion_is_gone_the_one_before_sits(at: Trained) -> None:
    one = vouched_for(at, "a")
    at.moves().promote("risk", one)
    two = vouched_for(at, "b", one)
    moved = at.moves().promote("risk", two)
    (artifact.find(at.home, two).folder / "artifact.json").write_text("{")
    sits = seats.seated(at.stack, at.home)["risk"]
    assert (sits.champion, sits.previous, sits.until) == (one, "", None)
    assert truth(at) == moved, "the seat itself is as it was"
    assert at.moves().rollback("risk", "damaged", expected=two).champion == one


def test_a_move_holds_until_the_stack_names_another(at: Trained) -> None:
    one = vouched_for(at, "a")
    at.moves().promote("risk", one)
    other = Trained(at.root, {"roles": {"risk": "spare"}})
    assert seats.seated(other.stack, at.home)["risk"].champion == "spare"
    with pytest.raises(UsageError, match="against house, and spare sits there now"):
        other.moves().promote("risk", one)
    with pytest.raises(UsageError, match="sat there before spare"):
        other.moves().rollback("risk", "worse")
    other.record(one, "spare")
    moved = other.moves().promote("risk", one)
    assert (moved.champion, moved.previous, moved.over) == (one, "spare", "spare")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "reject": ({"verdict": {"decision": "REJECT"}}, "says REJECT for the risk, not PROMOTE"),
    "role": ({"role": "analyst"}, "expected a record of the gate for .* found none"),
    "champion": ({"sides": [{"models": {"risk": "rules of old"}}]}, "is of .* against house, and house sits there now"),
    "suite": ({"suite": "easy"}, "is over the suite easy, not risk; --record 1 relies on it"),
    "safety": ({"safety": "soft"}, "has soft for safety"),
    "terms": ({"terms": {"epochs": 1}}, "has laxer terms than usual: epochs 1"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_record_that_does_not_carry(at: Trained, what: str) -> None:
    more, said = REFUSED[what]
    name = at.adapter("a").name
    sides: dict[str, Any] = {}
    if "sides" in more:
        sides["sides"] = [*more["sides"], {"models": {"risk": at.known(name)}}, {"models": {}}]
    at.record(name, **{**more, **sides})
    for move in (at.moves().promote, at.moves().shadow):
        with pytest.raises(UsageError, match=said):
            move("risk", name)
    assert pointer.read(at.home) == {}
    assert Kind.PROMOTED not in kinds(at)
    if what in ("suite", "safety", "terms"):
        assert at.moves().promote("risk", name, record=1).champion == name


def test_a_record_of_another_model_base_or_setting(at: Trained) -> None:
    one, two = at.adapter("a").name, at.adapter("b").name
    number = at.record(two)
    with pytest.raises(UsageError, match=f"expected a record of {one}, got one of {two}"):
        at.moves().evaluated(one, number)
    at.record(one)
    set_otherwise = Trained(at.root, {"models": {"nano": {"weights": "./base", "tool_parser": "mistral"}}})
    with pytest.raises(UsageError, match=r"is not of .* as it is served now"):
        set_otherwise.moves().promote("risk", one)
    (at.root / "base" / "model.safetensors").write_bytes(b"trained anew")
    with pytest.raises(UsageError, match="expected a model of this stack"):
        at.moves().promote("risk", one)


def test_a_newer_record_counts(at: Trained) -> None:
    name = vouched_for(at, "a")
    at.record(name, verdict={"decision": "REJECT"})
    with pytest.raises(UsageError, match="record 2 of the gate says REJECT"):
        at.moves().promote("risk", name)
    with pytest.raises(UsageError, match="expected the gate's record 7"):
        at.moves().promote("risk", name, record=7)


def test_only_what_is_made_for_a_seat_takes_it(at: Trained) -> None:
    name = at.adapter("a").name
    at.record(name, role="analyst")
    with pytest.raises(UsageError, match=f"for the analyst, but {name} is made for the risk"):
        at.moves().promote("analyst", name)
    with pytest.raises(UsageError, match="expected a seat among"):
        at.moves().promote("cook", name)
    embedder = at.adapter("e", role="embedder").name
    with pytest.raises(
        UsageError, match=r"`outcry models switch embedder embedder-[0-9a-f]{12}` seats it on your word"
    ):
        at.moves().promote("embedder", embedder)


def test_a_flipped_byte_takes_no_seat(at: Trained) -> None:
    name = vouched_for(at, "a")
    weights = artifact.find(at.home, name).files / "adapter_model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(b"b" * 9)
    with pytest.raises(UsageError, match=r"its files, its base, .* register it anew if one is damaged"):
        at.moves().promote("risk", name)
    assert pointer.read(at.home) == {}


def test_a_byte_that_the_quick_digest_passes_over_is_found_too(at: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "WHOLE", 4)
    monkeypatch.setattr(digest, "END", 2)
    name = vouched_for(at, "a")
    weights = artifact.find(at.home, name).files / "adapter_model.safetensors"
    weights.chmod(0o644)
    weights.write_bytes(b"aaaabaaaa")
    with pytest.raises(DataError, match="is not as it was registered"):
        at.moves().promote("risk", name)
    assert pointer.read(at.home) == {}


def test_every_byte_is_read_of_what_nothing_else_speaks_against(at: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(artifact, "check", lambda there: read.append(there.name))  # pyright: ignore
    name = vouched_for(at, "a", suite="easy")
    with pytest.raises(UsageError, match="is over the suite easy"):
        at.moves().promote("risk", name)
    assert read == []
    assert at.moves().promote("risk", name, record=1).champion == name
    assert read == [name]


def test_who_is_under_way_into_a_seat_is_not_passed_over(at: Trained) -> None:
    one, two = vouched_for(at, "a"), vouched_for(at, "b")
    at.moves().canary("risk", one, 5)
    with pytest.raises(UsageError, match=f"{one} challenges the risk now; `outcry models rollback risk` ends that"):
        at.moves().promote("risk", two)
    assert truth(at).challenger == one


def test_a_watch_that_begins_in_the_future_is_none(at: Trained) -> None:
    one = vouched_for(at, "a")
    at.moves(3650).promote("risk", one)
    two = vouched_for(at, "b", one)
    with pytest.raises(UsageError, match="nobody challenges it before; `--share 100` seats a model at once"):
        at.moves(3649.5).shadow("risk", two)
    assert at.moves().shadow("risk", two).challenger == two


def test_without_a_card_nobody_sits(tmp_path: Path) -> None:
    at = trained(tmp_path, uncertified=False)
    name = vouched_for(at, "a")
    with pytest.raises(UsageError, match="is not certified for risk: `outcry certify"):
        at.moves().promote("risk", name)


def test_what_is_archived_is_offered_no_more(at: Trained) -> None:
    one = vouched_for(at, "a")
    at.moves().shadow("risk", one)
    with pytest.raises(UsageError, match="is in that of risk"):
        at.moves().archive(one)
    other = at.adapter("b").name
    for _ in range(2):
        at.moves().archive(other, "no use")
    assert kinds(at).count(Kind.ARCHIVED) == 1
    assert other not in at.stack.models["nano"].names
    at.record(one)
    with pytest.raises(UsageError, match="archived: no use"):
        at.moves().promote("risk", other)


def test_who_saw_another_champion_moves_nothing(at: Trained) -> None:
    one = vouched_for(at, "a")
    with pytest.raises(UsageError, match="expected spare in the seat of the risk, found house: look again"):
        at.moves().promote("risk", one, expected="spare")
    assert kinds(at) == ["registered"]


def _promotes(root: Path, name: str, barrier: Any, said: Any) -> None:
    at, admit = Trained(root, {"uncertified": True}), vouched.fault

    def waits(*given: Any) -> str:
        barrier.wait(300)  # both have looked at the seat, and neither has moved it
        return admit(*given)

    vouched.fault = waits
    try:
        at.moves().promote("risk", name)
        said.put("won")
    except OutcryError as error:
        said.put(str(error))


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told(at: Trained) -> None:
    names = [vouched_for(at, "a"), vouched_for(at, "b")]
    there = multiprocessing.get_context("fork")
    barrier, said = there.Barrier(2), there.Queue()
    workers = [there.Process(target=_promotes, args=(at.root, name, barrier, said)) for name in names]
    for worker in workers:
        worker.start()
    try:
        lost, won = sorted((said.get(timeout=300), said.get(timeout=300)), key=lambda word: word == "won")
        for worker in workers:
            worker.join(300)
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert won == "won"
    assert lost.startswith("the seat of the risk was moved meanwhile: risk-")
    assert truth(at) == pointer.read(at.home)["risk"]
    assert kinds(at).count(Kind.PROMOTED) == 1


class Mortal(sqlite3.Connection):
    """A connection before each of whose statements the process may die."""

    steps: ClassVar[list[Callable[[], None]]] = []

    def execute(self, *given: Any) -> Any:
        """Step, then execute."""
        for step in self.steps:
            step()
        return super().execute(*given)


def dies(work: Callable[[], object], steps: int) -> bool:
    """Whether a process that does *work* was killed before its step *steps* + 1; else the work is done."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    left = steps

    def step() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def mortal(call: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*given: Any, **more: Any) -> Any:
            step()
            return call(*given, **more)

        return stepping

    Mortal.steps.append(step)
    connect = sqlite3.connect
    ledger.sqlite3.connect = lambda *given, **more: connect(*given, factory=Mortal, **more)  # pyright: ignore
    for name in ("fsync", "replace", "rename", "mkdir", "chmod", "fchmod"):
        setattr(os, name, mortal(getattr(os, name)))
    try:
        work()
        os._exit(0)
    finally:
        os._exit(9)


def whole(at: Trained, *names: str) -> None:
    """One of *names* sits in the seat, and may; after mending too, and then as the ledger says."""
    for _ in range(2):
        seat = seats.standing(at.stack, "risk", Seats(at.home).of("risk"))
        assert seat.champion in names
        assert not vouched.unvouched(at.stack, at.home, "risk", seat.champion, seat.records.get(seat.champion, ""))
        mend(at.home)
    with reading(at.home) as told:
        pointers = told.pointers() if told else {}
    assert pointer.read(at.home) == pointers


def killed(at: Trained, work: Callable[[], object], *names: str) -> int:
    """Kill *work* before each of its steps, and see the seat whole each time; how many steps there are."""
    steps = 0
    while dies(work, steps):
        whole(at, *names)
        steps += 1
    whole(at, *names)
    return steps


def test_killed_between_any_two_steps_of_a_registration(at: Trained) -> None:
    steps = killed(at, lambda: at.adapter("a"), HOUSE)
    assert steps > 15
    one = at.adapter("a")
    artifact.check(one)
    assert kinds(at) == ["registered"]


def test_killed_between_any_two_steps_of_a_promotion(at: Trained) -> None:
    one = vouched_for(at, "a")
    assert killed(at, lambda: at.moves().promote("risk", one), HOUSE, one) > 15
    assert truth(at).champion == one
    assert kinds(at).count(Kind.PROMOTED) == kinds(at).count(Kind.EVALUATED) == 1


def test_killed_between_any_two_steps_of_a_rollback(at: Trained) -> None:
    one = vouched_for(at, "a")
    at.moves().promote("risk", one)
    two = vouched_for(at, "b", one)
    at.moves().promote("risk", two)
    assert killed(at, lambda: at.moves().rollback("risk", "worse", expected=two), one, two) > 10
    assert (truth(at).champion, kinds(at).count(Kind.ROLLED_BACK)) == (one, 1)


def test_a_reader_keeps_the_last_whole_word(at: Trained) -> None:
    there, file = Seats(at.home), pointer.folder(at.home) / "risk.json"
    assert there.of("risk") is None
    pointer.write(at.home, "risk", Pointer(champion="spare", number=1))
    seen = there.of("risk")
    assert seen is there.of("risk")
    assert seen == Pointer(champion="spare", number=1)
    for damage in (b"", b"{", b'{"champion": 3}', b'{"champion": "x", "share": 101}'):
        file.write_bytes(damage)
        assert there.of("risk") == seen
    file.unlink()
    assert there.of("risk") == seen
    file.write_text('{"champion": "nano", "number": 2}')
    assert there.of("risk") == Pointer(champion="nano", number=2)


class Wheel(RuleBasedStateMachine):
    """Moves in any order, allowed or not."""

    root: Path

    @initialize()
    def begin(self) -> None:
        """A fresh home with four adapters."""
        self.at = trained(Path(tempfile.mkdtemp(dir=Wheel.root)))
        self.names = [self.at.adapter(what).name for what in "abcd"]
        self.number = 0

    @rule(which=st.integers(0, 3), how=st.sampled_from(["promote", "shadow", "canary"]), look=st.booleans())
    def challenge(self, which: int, how: str, look: bool) -> None:
        """Move one in, mostly after a look against who sits there."""
        name, moves = self.names[which], self.at.moves()
        sits = seats.seated(self.at.stack, self.at.home)["risk"].champion
        if look and not moves.shut(name):
            self.at.record(name, sits)
        self._tried(lambda: moves.canary("risk", name, 5) if how == "canary" else getattr(moves, how)("risk", name))

    @rule()
    def back(self) -> None:
        """Roll back."""
        self._tried(lambda: self.at.moves().rollback("risk", "worse"))

    @rule(which=st.integers(0, 3))
    def shelve(self, which: int) -> None:
        """Archive one."""
        self._tried(lambda: self.at.moves().archive(self.names[which]))

    @rule(name=st.sampled_from([HOUSE, "spare", "nano"]))
    def switch(self, name: str) -> None:
        """A person seats a model of the stack file."""
        seats.switch(self.at.stack, self.at.home, "risk", name, answers=True, now=NOW)

    @rule()
    def settle(self) -> None:
        """End the watch."""
        self.at.moves().settle("risk")

    @rule()
    def lose(self) -> None:
        """The file of the seat is lost, and made anew."""
        (pointer.folder(self.at.home) / "risk.json").unlink(missing_ok=True)
        mend(self.at.home)

    def _tried(self, move: Callable[[], object]) -> None:
        try:
            move()
        except UsageError:
            return

    @invariant()
    def one_champion(self) -> None:
        """The file is what the ledger says, everybody in it may sit there, and numbers grow."""
        if not hasattr(self, "at"):
            return
        with reading(self.at.home) as told:
            truth = told.pointers() if told else {}
            shut = told.shut() if told else {}
        assert pointer.read(self.at.home) == truth
        seat = truth.get("risk", Pointer(champion=HOUSE))
        assert seat.number >= self.number
        self.number = seat.number
        assert seat.champion
        assert seat.champion not in (seat.previous, seat.challenger)
        for name in filter(artifact.is_name, seat.names):
            assert artifact.find(self.at.home, name).digest not in shut
            kept = vouched.records(self.at.home, artifact.find(self.at.home, name))
            assert seat.records[name] in {record["hash"] for record in kept}
            assert not vouched.unvouched(self.at.stack, self.at.home, "risk", name, seat.records[name])


QUICK = settings(max_examples=8, stateful_step_count=12, deadline=None, phases=[Phase.explicit, Phase.generate])
"""Without shrinking, which would take minutes over real files."""


def test_any_moves_in_any_order(tmp_path: Path) -> None:
    Wheel.root = tmp_path
    run_state_machine_as_test(Wheel, settings=QUICK)
