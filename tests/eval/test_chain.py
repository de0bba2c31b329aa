"""The chain of records. As a script, `test_chain.py HOME NAME COUNT`, it appends records from a process of its own."""

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core import seals
from openoutcry.core.errors import DataError, UsageError
from openoutcry.eval.gate import alpha, chain, keys
from openoutcry.eval.gate.record import FIRST, Record, Sealed, canonical, hashed, settle
from openoutcry.eval.outcome import Outcome
from openoutcry.eval.terms import ANCHOR, CHALLENGER, CHAMPION, Side, Terms

TERMS = Terms(draws=200, safety_cases=1, margin=0.5)
Sides = tuple[Side, Side, Side]


def outcome(side: str, case: int, epoch: int, score: float, category: str) -> Outcome:
    return Outcome(
        scenario=f"case {case}",
        digest=f"{case:016x}",
        category=category,
        cluster=f"Firma {case} Ö",
        lineup=side,
        epoch=epoch,
        score=score,
        seconds=0.1,
    )


def side(name: str, cases: int, right: bool) -> Side:
    epochs = range(3 if cases > 1 else 1)
    played = [outcome(name, c, e, float(right or c % 2), "tail") for c in range(cases) for e in epochs]
    return Side(
        name=name,
        models={"risk": name},
        cases="cases",
        prompts={"risk": "prompt"},
        decoding={},
        outcomes=tuple(played),
        safety=tuple(outcome(name, 99, e, 1.0, "safety") for e in epochs if cases > 1),
    )


def sides(cases: int) -> Sides:
    return side(CHAMPION, cases, False), side(CHALLENGER, cases, True), side(ANCHOR, cases, False)


def record(number: int, previous: str, look: str = "look", turn: int = 0, cases: int = 1) -> Record:
    level, met = alpha.granted(TERMS.alpha, turn or number), sides(cases)
    return Record(
        number=number,
        look=look,
        begun="2026-11-29T01:00:00+00:00",
        made="2026-11-29T02:00:00+00:00",
        role="risk",
        challenger="new",
        champion="old",
        anchor="house",
        suite="risk",
        safety="safety",
        bank="gate",
        rotation="2026-11",
        month="2026-11",
        turn=turn or number,
        alpha=level,
        terms=TERMS,
        detectable=0.04,
        seeds=(0, 1, 2),
        runs=("a", "b"),
        environment={"python": "3.11"},
        sides=met,
        verdict=settle("risk", TERMS, met, level, (0, None)),
        previous=previous,
    )


def chained(home: Path, count: int, cases: int = 1) -> Path:
    for i in range(count):
        chain.append(home, f"look {i}", partial(record, look=f"look {i}", cases=cases))
    return home


def file(home: Path, number: int) -> Path:
    return home / "gate" / "records" / f"{number:06d}.json"


def wrong(home: Path, key: Path | None = None) -> list[int]:
    return [checked.number for checked in chain.verify(home, key) if not checked.ok]


def told(home: Path) -> str:
    return "\n".join(f"{one.number}: {one.said}" for one in chain.verify(home) if not one.ok)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chained(tmp_path_factory.mktemp("large"), 1, cases=40)


def test_a_chain_checks_with_the_key_that_a_person_holds(tmp_path: Path) -> None:
    home = chained(tmp_path / "home", 3)
    held = tmp_path / "held.pem"
    held.write_bytes((home / "gate" / seals.PUBLIC).read_bytes())

    assert [(c.number, c.ok) for c in chain.verify(home, held)] == [(1, True), (2, True), (3, True)]
    assert [r.number for r in chain.records(home)] == [1, 2, 3]
    assert chain.records(home)[0].previous == FIRST
    other = chained(tmp_path / "other", 1)
    assert wrong(home, other / "gate" / seals.PUBLIC) == [1, 2, 3, 0]


def test_a_flip_of_any_byte_is_found(tmp_path: Path) -> None:
    path = file(chained(tmp_path, 1), 1)
    content = path.read_bytes()
    missed: list[int] = []
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1 << place % 8
        path.write_bytes(changed)
        missed += [] if 1 in wrong(tmp_path) else [place]
    assert missed == []


@given(data=st.data())
def test_any_change_of_any_byte_of_a_large_record_is_found(large: Path, data: st.DataObject) -> None:
    path = file(large, 1)
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda v: v != content[place]))
    try:
        path.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
        assert 1 in wrong(large)
    finally:
        path.write_bytes(content)
    assert wrong(large) == []


def test_a_removed_record_is_named(tmp_path: Path) -> None:
    file(chained(tmp_path, 3), 2).unlink()

    assert wrong(tmp_path) == [2, 3]
    assert "2: expected a record" in told(tmp_path)
    with pytest.raises(DataError, match="eval verify"):
        chain.append(tmp_path, "next", record)


def test_the_newest_record_cut_off_is_found(tmp_path: Path) -> None:
    file(chained(tmp_path, 2), 2).unlink()

    assert "0: the head counts 2 records and 1 are there" in told(tmp_path)
    with pytest.raises(DataError, match="counts 2 records and 1 are there"):
        chain.append(tmp_path, "next", record)


def test_all_records_cut_off_are_found(tmp_path: Path) -> None:
    file(chained(tmp_path, 1), 1).unlink()

    assert "counts 1 records and 0 are there" in told(tmp_path)
    with pytest.raises(DataError):
        chain.append(tmp_path, "next", record)


def test_reordered_records_are_named(tmp_path: Path) -> None:
    chained(tmp_path, 3)
    first, second = file(tmp_path, 1).read_bytes(), file(tmp_path, 2).read_bytes()
    file(tmp_path, 1).write_bytes(second)
    file(tmp_path, 2).write_bytes(first)

    assert wrong(tmp_path) == [1, 2, 3]
    assert "1: it is record 2, in the place of 1" in told(tmp_path)


def test_a_record_of_another_chain_is_named(tmp_path: Path) -> None:
    home, other = chained(tmp_path / "home", 2), chained(tmp_path / "other", 2, cases=2)
    file(home, 2).write_bytes(file(other, 2).read_bytes())

    assert 2 in wrong(home)
    assert "signature is not of this key" in told(home)


@pytest.mark.parametrize("length", [0, 1, 400, -1])
def test_a_truncated_record_is_named(tmp_path: Path, length: int) -> None:
    path = file(chained(tmp_path, 1), 1)
    path.write_bytes(path.read_bytes()[:length])

    assert 1 in wrong(tmp_path)


def test_a_head_that_is_gone_changed_or_of_another_time_is_found(tmp_path: Path) -> None:
    head = chained(tmp_path, 1) / "gate" / "head.json"
    early = head.read_bytes()
    chained(tmp_path, 2)
    late = head.read_bytes()

    head.write_bytes(early)
    assert "counts 1 records and 2 are there" in told(tmp_path)
    head.write_bytes(late.replace(b'"count":2', b'"count":3'))
    assert "head's signature" in told(tmp_path)
    with pytest.raises(DataError, match="head"):
        chain.append(tmp_path, "next", record)
    head.unlink()
    assert "expected the signed head" in told(tmp_path)


def test_a_flip_of_any_byte_of_the_head_is_found(tmp_path: Path) -> None:
    head = chained(tmp_path, 1) / "gate" / "head.json"
    content = head.read_bytes()
    missed: list[int] = []
    for place in range(len(content)):
        head.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        missed += [] if wrong(tmp_path) == [0] else [place]
    assert missed == []
    head.write_bytes(content + b"\n")
    assert wrong(tmp_path) == [0]


def forged(home: Path, **changes: object) -> None:
    """The only record changed by somebody who has the key."""
    signer = keys.signer(home)
    changed = Record.model_validate(chain.records(home)[0].model_dump() | changes)
    signature = signer.sign(seals.RECORD + hashed(changed).encode()).hex()
    file(home, 1).write_bytes(canonical(Sealed(hash=hashed(changed), record=changed, signature=signature)))
    at = chain.Count(count=1, newest=hashed(changed))
    head = chain.Head(at=at, signature=signer.sign(chain.HEAD + canonical(at)).hex())
    (home / "gate" / "head.json").write_bytes(canonical(head))


def test_a_verdict_that_does_not_follow_is_found_though_it_is_signed(tmp_path: Path) -> None:
    verdict = chain.records(chained(tmp_path, 1))[0].verdict
    assert verdict.decision != "PROMOTE"

    forged(tmp_path, verdict=verdict.model_copy(update={"decision": "PROMOTE"}).model_dump())
    assert "1: its outcomes give INCONCLUSIVE, it says PROMOTE" in told(tmp_path)
    forged(tmp_path, verdict=verdict.model_copy(update={"criteria": verdict.criteria[1:]}).model_dump())
    assert "for other reasons" in told(tmp_path)
    forged(tmp_path, verdict=verdict.model_dump(), role="nobody", judged=1)
    assert "no verdict can be made" in told(tmp_path)
    forged(tmp_path, verdict=verdict.model_dump(), role="risk", judged=0)
    assert told(tmp_path) == ""


def test_a_look_that_used_more_than_its_level_is_found_though_it_is_signed(tmp_path: Path) -> None:
    chained(tmp_path, 1)
    forged(tmp_path, turn=2)

    assert "look 2 of the month may use alpha 0.007" in told(tmp_path)


def test_two_records_of_one_turn_are_found(tmp_path: Path) -> None:
    for look in ("a", "b"):
        chain.append(tmp_path, look, partial(record, look=look, turn=1))

    assert "0: two records are of the same look of a month" in told(tmp_path)


def test_a_file_that_is_no_record_is_named(tmp_path: Path) -> None:
    (chained(tmp_path, 1) / "gate" / "records" / "1.json").write_text("{}")

    assert "1.json lies among the records" in told(tmp_path)


def test_a_chain_rolled_back_is_found_by_the_ledger_of_looks(tmp_path: Path) -> None:
    head = chained(tmp_path, 1) / "gate" / "head.json"
    early = head.read_bytes()
    chained(tmp_path, 2)
    asked = {"role": "risk", "bank": "gate", "rotation": "2026-11", "level": 0.025}
    for turn in (1, 2):
        one = alpha.Asked.model_validate({"look": f"look {turn - 1}", **asked, "challenger": f"c{turn}"})
        alpha.begin(tmp_path, one, datetime(2026, 11, 29, tzinfo=UTC), alpha.granted(0.025, turn))
        alpha.close(tmp_path, one.look, turn)
    assert told(tmp_path) == ""
    file(tmp_path, 2).unlink()
    head.write_bytes(early)

    assert "have no record: 1" in told(tmp_path)


def test_a_look_has_one_record(tmp_path: Path) -> None:
    one = chain.append(tmp_path, "look", record)

    assert chain.append(tmp_path, "look", record) == one == chain.of_look(tmp_path, "look")
    assert len(chain.records(tmp_path)) == 1
    assert chain.of_look(tmp_path, "another") is None


def test_a_crash_between_record_and_head_is_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chained(tmp_path, 1)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(chain, "_count", crash)
        chain.append(tmp_path, "second", partial(record, look="second"))
    assert "mends it when it is given again" in told(tmp_path)
    chain.append(tmp_path, "second", partial(record, look="second"))

    assert told(tmp_path) == ""
    assert [r.look for r in chain.records(tmp_path)] == ["look 0", "second"]


def test_processes_that_append_at_once_make_one_chain(tmp_path: Path) -> None:
    command = [sys.executable, __file__, str(tmp_path)]
    processes = [subprocess.Popen([*command, name, "3"]) for name in ("a", "b")]
    assert [process.wait(300) for process in processes] == [0, 0]

    assert told(tmp_path) == ""
    assert sorted(r.look for r in chain.records(tmp_path)) == ["a0", "a1", "a2", "b0", "b1", "b2"]


def test_no_chain_is_no_clean_chain(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="found none"):
        chain.verify(tmp_path)


def test_the_private_key_is_its_owners_alone(tmp_path: Path) -> None:
    path = chained(tmp_path, 1) / "gate" / keys.PRIVATE
    assert path.stat().st_mode & 0o777 == 0o600

    path.chmod(0o644)
    with pytest.raises(DataError, match="chmod 600"):
        keys.signer(tmp_path)
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(DataError, match="none that can be read"):
        keys.signer(tmp_path)
    path.unlink()
    with pytest.raises(DataError, match="bring it back"):
        chain.append(tmp_path, "next", record)


@pytest.mark.parametrize("content", [b"", b"no key", None])
def test_what_is_no_public_key_is_refused(tmp_path: Path, content: bytes | None) -> None:
    chained(tmp_path, 1)
    held = tmp_path / "held.pem"
    if content is not None:
        held.write_bytes(content)
    with pytest.raises(UsageError, match="public key"):
        chain.verify(tmp_path, held)


def test_a_signature_has_one_form(tmp_path: Path) -> None:
    key = keys.signer(tmp_path)
    signature = key.sign(b"x").hex()

    assert seals.genuine(key.public_key(), signature, b"x")
    for other in (signature.upper(), f" {signature}", signature[:-2], "zz", "Ä"):
        assert not seals.genuine(key.public_key(), other, b"x")


def sealed(change: Callable[[str], str] = lambda text: text) -> Sealed:
    one = record(1, FIRST)
    return Sealed.read(change(canonical(Sealed(hash=hashed(one), record=one, signature="00")).decode()).encode())


def test_a_record_reads_back_as_it_was() -> None:
    assert sealed().record == record(1, FIRST)
    assert "Firma 0 Ö" in canonical(sealed()).decode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (",", ", "),
        ('"number":1', '"number":1.0'),
        ('"number":1', '"number":"1"'),
        ('"number":1', '"number":1,"number":1'),
        ('"seconds":0.1', '"seconds":0.10'),
        ('"score":1.0', '"score":1'),
        ('"detectable":0.04', '"detectable":NaN'),
        ('"look":"look"', '"look":"look","more":1'),
        ('"role":"risk"', '"role":"ri\\u0073k"'),
        ("Ö", "\\u00d6"),
        ('"seeds":[0,1,2],', ""),
    ],
)
def test_what_has_another_form_is_refused(old: str, new: str) -> None:
    with pytest.raises(DataError):
        sealed(lambda text: _changed(text, old, new))


def _changed(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


def test_the_canonical_form_is_that_of_json(tmp_path: Path) -> None:
    content = file(chained(tmp_path, 1), 1).read_bytes()

    assert (
        content == json.dumps(json.loads(content), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    )


@pytest.mark.parametrize("number", [1, 2])
def test_a_record_that_the_key_did_not_sign_is_nobodys_verdict(tmp_path: Path, number: int) -> None:
    home = chained(tmp_path, 2)
    path = file(home, number)
    sealed = Sealed.read(path.read_bytes())
    forged = sealed.record.model_copy(update={"challenger": "another"})
    path.write_bytes(canonical(sealed.model_copy(update={"record": forged, "hash": hashed(forged)})))

    for told_of in (lambda: chain.records(home), lambda: chain.again(home, f"look {number - 1}")):
        with pytest.raises(DataError, match=r"not as the gate's key signed it|not signed by its key"):
            told_of()


def test_a_number_far_away_and_a_head_without_end_are_faults_at_once(tmp_path: Path) -> None:
    home = chained(tmp_path, 2)
    file(home, 999_999_999_999).write_text("{}")
    assert wrong(home)[:2] == [3, 999_999_999_999]
    file(home, 999_999_999_999).unlink()
    (home / "gate" / "head.json").write_text("[" * 100_000)
    assert wrong(home) == [0] and "signed head" in told(home)


def test_a_chain_that_may_only_be_read_is_checked_as_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = chained(tmp_path, 2)
    assert alpha.looks(home, "risk", datetime(2026, 11, 29, tzinfo=UTC)) == 0
    (home / "gate" / "chain.lock").unlink(missing_ok=True)

    def denied(path: Path, mode: int) -> bool:
        return False

    monkeypatch.setattr("os.access", denied)

    assert wrong(home) == [0] and "does not hold: 2" in told(home)
    assert not (home / "gate" / "chain.lock").exists()


def test_a_folder_in_the_place_of_a_record_is_told_in_a_line(tmp_path: Path) -> None:
    home = chained(tmp_path, 1)
    file(home, 1).unlink()
    file(home, 1).mkdir()
    with pytest.raises(DataError, match="Is a directory"):
        list(chain.backwards(home, role="risk"))


if __name__ == "__main__":
    for place in range(int(sys.argv[3])):
        named = f"{sys.argv[2]}{place}"
        chain.append(Path(sys.argv[1]), named, partial(record, look=named))
