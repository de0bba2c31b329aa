"""The stack file: what it may say, and one line for what it may not."""

from pathlib import Path

import pytest
from pydantic import ByteSize

from openoutcry.core import settings
from openoutcry.core.errors import UsageError
from openoutcry.serving import stack
from openoutcry.serving.stack import Purpose, Served, load, profiles

WHOLE = """
allow = ["10.0.0.7"]
[cache]
store = "redis://127.0.0.1:6379/1"
seconds = 60
[models.big]
weights = "weights/big"
quantisation = "awq"
memory = "50GB"
cores = 12
replicas = { min = 1, max = 3 }
[models.big.adapters]
big-risk = "adapters/risk"
[models.tone]
purpose = "classify"
weights = "some/classifier"
[roles]
risk = "big-risk"
analyst = "big"
reader = "tone"
coordinator = "house"
[previous]
risk = "big"
"""


def test_a_whole_stack_is_read(tmp_path: Path) -> None:
    (tmp_path / "stack.toml").write_text(WHOLE)
    (tmp_path / "weights/big").mkdir(parents=True)
    found = load("", tmp_path)
    big = found.serving("big-risk")
    assert (big.name, big.quantisation, big.memory, big.cores) == ("big", "awq", ByteSize(50_000_000_000), 12)
    assert (big.replicas.min, big.replicas.max, big.names) == (1, 3, ("big", "big-risk"))
    assert found.models["tone"].purpose is Purpose.CLASSIFY
    assert (found.roles["risk"], found.previous["risk"]) == ("big-risk", "big")
    assert found.path("weights/big") == tmp_path / "weights/big"
    assert found.weights(found.models["tone"]) == "some/classifier"
    assert found.path("adapters/risk") is None
    assert found.path("./adapters/risk") == tmp_path / "adapters/risk"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("colour = 1", "colour in {file}: there is no such key; there are engine, allow, models"),
        ("[models.a]\nweight = 'x'", "models.a.weight in {file}: there is no such key; there are name, purpose"),
        (
            "[models.a.replicas]\nmax = 2\nmost = 3",
            "models.a.replicas.most in {file}: there is no such key; there are min, max",
        ),
        ("[models.a]\nweights = 'x'\nreplicas = { min = 3, max = 1 }", "max 1 is below min 3"),
        ("[models.a]\nweights = 'x'\nmemory = 'much'", "models.a.memory"),
        ("[models.a]", "needs `weights`"),
        ("[models.a]\nengine = 'ollama'\nweights = 'x'", "needs the `url`"),
        ("[models.'-a']\nweights = 'x'", "-a"),
        ("[roles]\nrisk = 'gone'", "the risk is to be 'gone', which is no model here; there are house"),
        ("[roles]\ntrader = 'house'", "'analyst', 'sentiment', 'risk'"),
        (
            "[models.a]\nweights = 'x'\npurpose = 'embed'\n[roles]\nrisk = 'a'",
            "the risk needs a model for chat; a is for embed",
        ),
        ("[models.a]\nweights = 'x'\n[roles]\nembedder = 'a'", "the embedder needs a model for embed; a is for chat"),
        ("[models.a]\nweights = 'x'\nadapters = { b = 'p' }\n[models.b]\nweights = 'y'", "b stands twice"),
        ("[models", "is not readable TOML"),
    ],
)
def test_what_a_stack_cannot_be_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "stack.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as raised:
        load("", tmp_path)
    assert said.format(file=file) in str(raised.value)
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_endpoint_holds_no_password(tmp_path: Path) -> None:
    """It would stand in every run and metric."""
    (tmp_path / "stack.toml").write_text("[models.a]\nengine = 'endpoint'\nurl = 'http://bob:s3cret@127.0.0.1:8000'")
    with pytest.raises(UsageError, match=r"models\.a\.url in .*an endpoint without a user or password") as told:
        load("", tmp_path)
    assert "s3cret" not in str(told.value)


def test_what_a_server_calls_a_model() -> None:
    def called(name: str, **more: str) -> str:
        return Served.model_validate({"name": "m", "adapters": {"m-risk": "./risk"}, **more}).wire_name(name)

    far = "http://127.0.0.1:1"
    assert called("m", weights="org/w") == "m"
    assert called("m", engine="ollama", url=far, weights="qwen:7b") == "qwen:7b"
    assert called("m", engine="endpoint", url=far) == "m"
    assert called("m-risk", engine="endpoint", url=far, weights="org/w") == "m-risk"


def test_without_a_file_house_rules_sit_everywhere(tmp_path: Path) -> None:
    found = load("", tmp_path)
    assert (found.source, found.models, found.roles) == ("house", {}, {})


def test_a_profile_that_there_is_not_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"profiles .*cpu-nano, house.*got 'mainframe'"):
        load("mainframe", tmp_path)


def test_every_profile_is_a_stack_whose_shipped_files_are_there() -> None:
    assert {"house", "laptop", "one-gpu", "big-box", "cpu-nano"} == set(profiles())
    for name in profiles():
        found = load(name)
        assert found.source == name
        for model in found.models.values():
            for given in (model.weights, *model.adapters.values()):
                if given.startswith(stack.SHIPPED):
                    assert (found.path(given) or Path("/nowhere")).is_dir(), given


def test_the_settings_find_the_stack_beside_them(tmp_path: Path) -> None:
    desk = tmp_path / "desk.toml"
    desk.write_text("")
    assert settings.load(desk).stack == ""
    (tmp_path / "stack.toml").write_text("")
    assert settings.load(desk).stack == str(tmp_path / "stack.toml")
    desk.write_text("stack = 'laptop'")
    assert settings.load(desk).stack == "laptop"
    (tmp_path / "mine.toml").write_text("")
    desk.write_text("stack = 'mine.toml'")
    assert settings.load(desk).stack == str(tmp_path / "mine.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("models = 3", "models in {file}: Input should be a valid dictionary"),
        ("[[models]]\nweights = 'x'", "models in {file}: Input should be a valid dictionary"),
        ("[models.house]\nweights = 'x'", "the file in {file}: house is what the rules are called: give the model"),
        ("[models.a]\nweights = 'x'\nadapters = {house = './a'}", "the file in {file}: house is what the rules"),
        ("[models.a]\nengine = 'endpoint'\nurl = 'http://127.0.0.1:x'", "models.a.url in {file}: Port could not be"),
        ("[cache]\nstore = 'redis://127.0.0.1:x'", "cache.store in {file}: Port could not be cast"),
    ],
)
def test_what_would_fall_over_later_is_refused_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "stack.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load("", tmp_path)
    assert str(caught.value).startswith(said.format(file=file))


def test_an_endpoint_may_be_written_with_its_v1(tmp_path: Path) -> None:
    file = tmp_path / "stack.toml"
    for url in ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/"):
        file.write_text(f"[models.a]\nengine = 'endpoint'\nurl = '{url}'")
        assert load("", tmp_path).models["a"].url == "http://127.0.0.1:8000"
    file.write_text("[models.a]\nengine = 'endpoint'\nurl = '127.0.0.1:8000'")
    with pytest.raises(UsageError, match=r"models\.a\.url in .*expected an endpoint such as"):
        load("", tmp_path)


def test_a_key_of_the_whole_file_under_roles_is_told_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "stack.toml").write_text("[roles]\nengine = 'python'")
    with pytest.raises(UsageError, match=r"roles\.engine in .*such as `engine`, stands above the first \[section\]"):
        load("", tmp_path)
