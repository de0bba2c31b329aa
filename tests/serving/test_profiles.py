"""The shipped profiles: each loads, fits the box that it is for, and says in its comments what the plan says."""

import re

import pytest

from openoutcry.serving.planning.box import Box, Gpu
from openoutcry.serving.planning.plan import plan
from openoutcry.serving.planning.planned import Plan
from openoutcry.serving.stack import PROFILES, SEATS, load, profiles, shipped

GIB = 1 << 30
BOXES = {
    "cpu-nano": Box(ram=8 * GIB, ram_free=6 * GIB, cores=2),
    "laptop": Box(ram=16 * GIB, ram_free=8 * GIB, cores=8),
    "one-gpu": Box(ram=32 * GIB, ram_free=28 * GIB, cores=8, gpus=(Gpu(name="RTX 4090", memory=24564 << 20),)),
    "big-box": Box(ram=96 * GIB, ram_free=90 * GIB, cores=24, gpus=(Gpu(name="H100 80GB", memory=81559 << 20),) * 4),
}


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever this machine's cache of the hub holds, the shapes in the files are what is planned with."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path_factory.mktemp("hub")))


def planned(name: str) -> Plan:
    return plan(load(name), BOXES[name])


def test_these_are_shipped() -> None:
    assert profiles() == ["big-box", "cpu-nano", "house", "laptop", "one-gpu"]


@pytest.mark.parametrize("name", profiles())
def test_each_loads_and_is_explained(name: str) -> None:
    assert load(name).source == name
    text = shipped(name).read_text()
    assert text.startswith("# ")
    assert max(map(len, text.splitlines())) <= 130


@pytest.mark.parametrize("name", BOXES)
def test_each_fits_the_box_that_it_is_for(name: str) -> None:
    found = planned(name)
    assert found.fits, [model.faults for model in found.models]
    for model in found.models:
        assert model.need is not None
        assert model.full >= 1 or not model.per_token


def test_a_laptop_with_a_small_gpu_does_too() -> None:
    box = BOXES["laptop"].model_copy(update={"gpus": (Gpu(name="RTX 4060", memory=8 * GIB),)})
    assert plan(load("laptop"), box).fits


def test_the_laptop_leaves_the_memory_alone_and_the_others_seat_every_role() -> None:
    assert set(load("laptop").roles) == set(SEATS) - {"embedder"}
    for name in ("one-gpu", "big-box"):
        assert set(load(name).roles) == set(SEATS)


def test_the_big_boxs_roles_are_as_the_full_plan_has_them() -> None:
    stack = load("big-box")
    assert stack.serving(stack.roles["risk"]).reasoning_parser
    assert stack.roles["sentiment"] == stack.roles["coordinator"]
    assert stack.serving(stack.roles["sentiment"]).max_model_len == 131072
    analyst = stack.serving(stack.roles["analyst"])
    assert (analyst.cores, analyst.memory) == (12, 50_000_000_000)


@pytest.mark.parametrize(
    ("name", "model", "claims"),
    [
        ("laptop", "small", {"about ([0-9.]+) GB of memory": "total", r"([0-9,]+) tokens": "tokens"}),
        ("one-gpu", "chat", {"([0-9.]+) GB of weights": "weights", r"([0-9,]+) tokens, so two": "tokens"}),
        (
            "big-box",
            "analyst-72b",
            {"([0-9.]+) GB of weights, 5": "weights", r"\(([0-9,]+) tokens\)": "tokens", "are ([0-9.]+) GB": "total"},
        ),
        ("big-box", "strategy-70b", {"context: ([0-9.]+) GB of weights": "weights"}),
    ],
)
def test_the_numbers_in_the_comments_are_the_plans(name: str, model: str, claims: dict[str, str]) -> None:
    text = (PROFILES / f"{name}.toml").read_text().replace("\n# ", " ")
    found = planned(name).of(model)
    assert found.need is not None
    says = {"total": found.need.total / 1e9, "weights": found.need.weights / 1e9, "tokens": found.tokens}
    for pattern, what in claims.items():
        match = re.search(pattern, text)
        assert match is not None, pattern
        assert float(match[1].replace(",", "")) == pytest.approx(says[what], rel=0.03), (pattern, says[what])
