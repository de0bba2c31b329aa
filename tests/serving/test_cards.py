"""Who may sit: a card for the very files and settings, the word of a person, or neither."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from openoutcry.core.errors import UsageError
from openoutcry.desk import Desk
from openoutcry.serving import cards, roster
from openoutcry.serving.cards import Card, Probe
from openoutcry.serving.registry import pointer
from openoutcry.serving.registry.seats import barred, seated, switch
from openoutcry.serving.stack import Stack, load
from openoutcry.serving.transport import Transport

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
MADE = "2026-01-05T12:00:00+00:00"
PROBES = (Probe(name="schema", ok=True, seen="obeyed"), Probe(name="long context", ok=None, seen="not to be seen"))


def stack(tmp_path: Path, **more: Any) -> Stack:
    """A model whose files are here, with two adapters, and an endpoint whose files are not."""
    for name in ("base", "one", "two"):
        (tmp_path / name).mkdir(exist_ok=True)
        (tmp_path / name / "model.safetensors").write_bytes(name.encode())
    models = {
        "m": {"weights": "./base", "adapters": {"m-risk": "./one", "m-analyst": "./two"}, **more.pop("m", {})},
        "far": {"engine": "endpoint", "url": "http://127.0.0.1:9", "weights": "tag", **more.pop("far", {})},
        "embed": {"weights": "org/e", "purpose": "embed"},
    }
    found = Stack.model_validate({"models": models, "roles": {"risk": "m-risk", "embedder": "embed"}, **more})
    return found.model_copy(update={"folder": tmp_path})


def certified(at: Stack, home: Path, name: str, role: str = "risk", *probes: Probe) -> Card:
    card = Card(
        model=name, role=role, digest=cards.key(at, name), probes=probes or PROBES, made=MADE, code="0", engine="vllm"
    )
    cards.write(home, card)
    return card


def test_a_card_is_kept_and_lets_its_pair_sit_and_no_other(tmp_path: Path) -> None:
    at = stack(tmp_path)
    assert cards.barred(at, tmp_path, "risk", "m-risk") == (
        "m-risk is not certified for risk: `outcry certify m-risk --role risk` examines it"
    )
    card = certified(at, tmp_path, "m-risk")
    assert cards.read(tmp_path, card.digest, "risk") == card
    assert not cards.barred(at, tmp_path, "risk", "m-risk")
    assert cards.barred(at, tmp_path, "analyst", "m-risk")
    assert cards.barred(at, tmp_path, "risk", "m")
    assert cards.barred(at, tmp_path, "risk", "m-analyst")


def test_a_card_on_which_something_failed_bars(tmp_path: Path) -> None:
    at = stack(tmp_path)
    failed = (
        *PROBES,
        Probe(name="numeracy", ok=False, seen="2 of 10"),
        Probe(name="injection", ok=False, seen="obeyed"),
    )
    assert not certified(at, tmp_path, "m-risk", "risk", *failed).ok
    assert "failed in numeracy, injection: `outcry certify" in cards.barred(at, tmp_path, "risk", "m-risk")


def test_a_card_without_a_probe_certifies_nothing(tmp_path: Path) -> None:
    assert not Card(model="m", role="risk", digest="0", probes=(), made=MADE, code="0").ok


def test_who_needs_no_card(tmp_path: Path) -> None:
    at = stack(tmp_path)
    assert not cards.barred(at, tmp_path, "risk", "house")
    assert not cards.barred(at, tmp_path, "risk", "")
    assert not cards.barred(at, tmp_path, "embedder", "embed")
    assert not cards.barred(stack(tmp_path, uncertified=True), tmp_path, "risk", "m-risk")
    assert not cards.barred(at, tmp_path, "risk", "m-risk", told=("m-risk",))
    assert cards.barred(at, tmp_path, "risk", "m-risk", told=("m",))


@pytest.mark.parametrize("damage", [b"", b"{", b'{"model": "m-risk"}'])
def test_a_damaged_card_is_none(tmp_path: Path, damage: bytes) -> None:
    at = stack(tmp_path)
    card = certified(at, tmp_path, "m-risk")
    (roster.folder(tmp_path) / "cards" / card.digest / "risk.json").write_bytes(damage)
    assert "is not certified for risk" in cards.barred(at, tmp_path, "risk", "m-risk")


def test_the_key_changes_with_all_that_answers_hang_on_and_with_nothing_else(tmp_path: Path) -> None:
    at = stack(tmp_path)
    keys = {name: cards.key(at, name) for name in ("m", "m-risk", "m-analyst", "far")}
    assert len(set(keys.values())) == 4
    same = stack(tmp_path, m={"memory": "3GB", "concurrency": 2, "replicas": {"min": 1, "max": 2}})
    assert cards.key(same, "m-risk") == keys["m-risk"]
    one_less = same.models["m"].model_copy(update={"adapters": {"m-risk": "./one"}})
    assert cards.key(same.model_copy(update={"models": {"m": one_less}}), "m-risk") == keys["m-risk"]
    for change in ({"temperature": 0.5}, {"max_tokens": 99}, {"tool_parser": "mistral"}, {"quantisation": "awq"}):
        assert cards.key(stack(tmp_path, m=change), "m-risk") != keys["m-risk"]
    for change in ({"weights": "other"}, {"url": "http://127.0.0.1:8"}):
        assert cards.key(stack(tmp_path, far=change), "far") != keys["far"]


@pytest.mark.parametrize("file", ["base", "one"])
def test_other_weights_under_an_adapter_or_in_it_need_another_card(tmp_path: Path, file: str) -> None:
    at = stack(tmp_path)
    certified(at, tmp_path, "m-risk")
    (tmp_path / file / "model.safetensors").write_bytes(b"trained anew")
    assert cards.barred(at, tmp_path, "risk", "m-risk")


def test_switching_needs_a_card_or_a_word_which_is_kept_with_the_seat(tmp_path: Path) -> None:
    at = stack(tmp_path)
    with pytest.raises(UsageError, match=r"not certified for risk: .*examines it, or --uncertified seats it without"):
        switch(at, tmp_path, "risk", "m", answers=True, now=NOW)
    assert pointer.read(tmp_path) == {}
    told = switch(at, tmp_path, "risk", "m", answers=True, now=NOW, uncertified=True)
    assert (told.champion, told.previous, told.uncertified) == ("m", "m-risk", ("m",))
    assert seated(at, tmp_path)["risk"].uncertified == ("m",)
    certified(at, tmp_path, "far")
    back = switch(at, tmp_path, "risk", "far", answers=True, now=NOW, uncertified=True)
    assert (back.champion, back.previous, back.uncertified) == ("far", "m", ("m",)), "a certified one needs no word"
    assert switch(at, tmp_path, "risk", "m", answers=True, now=NOW).uncertified == ("m",), "it was told of before"
    switch(at, tmp_path, "risk", "far", answers=True, now=NOW)
    assert switch(at, tmp_path, "risk", "house", answers=True, now=NOW).uncertified == ()
    with pytest.raises(UsageError, match="not certified"):
        switch(at, tmp_path, "risk", "m", answers=True, now=NOW)


def test_the_barred_are_listed_by_seat(tmp_path: Path) -> None:
    at = stack(tmp_path, previous={"risk": "m"})
    assert list(barred(at, tmp_path)) == ["risk"]
    assert [reason.split()[0] for reason in barred(at, tmp_path)["risk"]] == ["m-risk", "m"]
    certified(at, tmp_path, "m-risk")
    assert [reason.split()[0] for reason in barred(at, tmp_path)["risk"]] == ["m"]
    certified(at, tmp_path, "m")
    assert barred(at, tmp_path) == {}


@pytest.fixture
def home(sample_home: Path, tmp_path: Path) -> Path:
    at = tmp_path / "home"
    at.mkdir()
    (at / "warehouse").symlink_to(sample_home / "warehouse")
    return at


def stack_file(tmp_path: Path, url: str, more: str = "") -> Stack:
    """Two models at one endpoint, the second of them in reserve for the risk role."""
    models = "".join(f'[models.{n}]\nengine = "endpoint"\nurl = "{url}"\nseconds = 60\n' for n in ("m", "spare"))
    text = f'{more}\n[cache]\nstore = "off"\n{models}[roles]\nrisk = "m"\n[previous]\nrisk = "spare"\n'
    (tmp_path / "stack.toml").write_text(text)
    settings = f"home = {json.dumps(str(tmp_path / 'home'))}\nremember = false\n"
    (tmp_path / "desk.toml").write_text(settings)
    return load("", tmp_path)


async def asked(tmp_path: Path) -> Any:
    with Desk.open(tmp_path / "desk.toml") as desk:
        return await desk.ask("How risky is AAPL?", "2022-06-30")


async def test_a_desk_seats_no_model_without_a_card_and_says_so(double: Any, home: Path, tmp_path: Path) -> None:
    url = double("model_double")
    stack_file(tmp_path, url)
    report = await asked(tmp_path)
    assert [(s.role, s.model, s.answered) for s in report.stood_in] == [("risk", "m", "house")]
    assert (
        "house rules stood in for m (risk): m is not certified for risk: `outcry certify m --role risk`"
        in report.notice
    )
    assert await _calls(url) == [], "neither was asked"


async def test_a_certified_one_before_it_answers_in_its_place(double: Any, home: Path, tmp_path: Path) -> None:
    url = double("model_double", adapters=["spare"], max_model_len=32768)
    at = stack_file(tmp_path, url)
    certified(at, home, "spare")
    report = await asked(tmp_path)
    assert report.stood_in[0].reason.startswith("m is not certified for risk")
    assert {call["path"] for call in await _calls(url)} >= {"/v1/chat/completions"}


@pytest.mark.parametrize("way", ["card", "stack", "switch"])
async def test_with_a_card_or_a_word_it_is_asked(double: Any, home: Path, tmp_path: Path, way: str) -> None:
    url = double("model_double")
    at = stack_file(tmp_path, url, "uncertified = true" if way == "stack" else "")
    if way == "card":
        certified(at, home, "m")
    if way == "switch":
        switch(at, home, "risk", "m", answers=True, now=NOW, uncertified=True)
    report = await asked(tmp_path)
    assert await _calls(url)
    assert not any("not certified for" in s.reason for s in report.stood_in)


async def test_who_is_certified_while_the_desk_is_open_is_asked_from_then_on(
    double: Any, home: Path, tmp_path: Path
) -> None:
    url = double("model_double")
    at = stack_file(tmp_path, url)
    with Desk.open(tmp_path / "desk.toml") as desk:
        await desk.ask("How risky is AAPL?", "2022-06-30")
        assert await _calls(url) == []
        certified(at, home, "m")
        await desk.ask("How risky is AAPL?", "2022-06-30")
    assert await _calls(url)


async def _calls(url: str) -> list[Any]:
    return json.loads((await Transport().get(url, "/calls", 60)).body)
