"""A registered model for Ollama: the Modelfile, and its creation through a double of the published API."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from openoutcry.core.errors import DataError, ModelRefused, UsageError
from openoutcry.core.sync import run_sync
from openoutcry.serving import modelfile, ollama
from openoutcry.serving.registry.artifact import Made, Registered, register
from openoutcry.serving.registry.overlay import stack_with
from openoutcry.serving.running import control
from openoutcry.serving.running.adapters import await_loaded, loaded
from openoutcry.serving.stack import Served, Stack
from openoutcry.serving.transport import Transport

NOW = datetime(2026, 1, 2, tzinfo=UTC)
Double = Callable[..., str]


def made(tmp_path: Path, kind: str = "adapter", **files: str) -> Registered:
    source = tmp_path / "source"
    source.mkdir(parents=True)
    for name, content in files.items():
        (source / name.replace("__", ".")).write_text(content)
    return register(
        tmp_path / "home", source, Made.model_validate({"kind": kind, "role": "risk", "base_name": "m"}), NOW
    )


def served(url: str, **more: object) -> Served:
    told = {"name": "m", "engine": "ollama", "url": url, "weights": "base:8b", "max_model_len": 16384, **more}
    return Served.model_validate(told)


def test_an_adapter_stands_over_its_base_and_a_whole_model_alone(tmp_path: Path) -> None:
    one = made(tmp_path, adapter_config__json="{}", adapter_model__safetensors="one")
    lines = modelfile.rendered(served("http://127.0.0.1:1"), one).splitlines()
    assert lines[:2] == ["FROM base:8b", f"ADAPTER {one.files}"]
    assert lines[2:] == ["PARAMETER num_ctx 16384", "PARAMETER num_predict 1024", "PARAMETER temperature 0.0"]
    other = made(tmp_path / "other", "model", weights__gguf="two")
    assert modelfile.rendered(served("http://127.0.0.1:1"), other).startswith(f"FROM {other.files}/weights.gguf\n")


def test_what_is_registered_is_created_under_its_name_once_it_is_awaited(tmp_path: Path, double: Double) -> None:
    url = double("ollama_double", **{"base:8b": {"longest": 32768}})
    one = made(tmp_path, adapter_config__json="{}", adapter_model__safetensors="one", notes__txt="no part of it")
    home, stack = tmp_path / "home", Stack(models={"m": served(url)})
    now = stack_with(stack, home)
    assert now.serving(one.name).name == "m"
    assert "Ollama does not have it yet" in loaded(now, home, one.name)
    (standing,) = control.status(now, home).replicas
    assert (standing.adapters, list(standing.lacking)) == ((), [one.name])
    said = list[str]()
    assert await_loaded(now, home, one.name, 1, said.append) == ""
    assert said == [f"Ollama creates {one.name}"]
    assert loaded(now, home, one.name) == ""
    assert control.status(now, home).replicas[0].adapters == (one.name,)
    found = run_sync(ollama.show(Transport(), url, one.name))
    assert found is not None
    assert found.context == 16384
    asked = json.dumps({"model": one.name}).encode()
    about = json.loads(run_sync(Transport().post(url, "/api/show", asked, 60)).body)
    assert about["details"]["made"] == {"adapter_config.json": "{}", "adapter_model.safetensors": "one"}
    assert about["details"]["from"] == "base:8b"
    assert (one.folder / "Modelfile").read_text() == modelfile.rendered(served(url), one)
    assert await_loaded(now, home, one.name, 1, said.append) == ""
    assert len(said) == 1


def test_what_ollama_says_against_it_is_told(tmp_path: Path, double: Double) -> None:
    one = made(tmp_path, adapter_config__json="{}")
    with pytest.raises(ModelRefused, match=f"expected Ollama to create {one.name}, got pull model manifest: base:8b"):
        run_sync(modelfile.create(Transport(), served(double("ollama_double")), one))
    with pytest.raises(ModelRefused, match=r"expected Ollama at .* to take adapter_config.json, got status 400"):
        run_sync(modelfile.create(Transport(), served(double("model_double")), one))


def test_a_flipped_byte_and_what_is_too_long_are_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, double: Double
) -> None:
    url = double("ollama_double", **{"base:8b": {}})
    one = made(tmp_path, adapter_config__json="{}", adapter_model__safetensors="one")
    monkeypatch.setattr(modelfile, "MOST", 2)
    with pytest.raises(UsageError, match=rf"run `ollama create {one.name} -f .*Modelfile`"):
        run_sync(modelfile.create(Transport(), served(url), one))
    assert (one.folder / "Modelfile").is_file()
    (one.files / "adapter_config.json").chmod(0o644)
    (one.files / "adapter_config.json").write_text("[]")
    with pytest.raises(DataError, match="is not as it was registered"):
        run_sync(modelfile.create(Transport(), served(url), one))
    assert [m.name for m in run_sync(ollama.models(Transport(), url))] == ["base:8b"]


def test_a_server_of_a_persons_own_is_looked_at_and_not_changed(tmp_path: Path, double: Double) -> None:
    one = made(tmp_path, adapter_config__json="{}")
    home = tmp_path / "home"
    for has, said in ((["x"], "have it load the adapter under this name"), ([one.name], "")):
        far = Served(name="m", engine="endpoint", url=double("model_double", adapters=has))
        now = stack_with(Stack(models={"m": far}), home)
        assert (said in await_loaded(now, home, one.name, 0)) if said else not await_loaded(now, home, one.name, 0)
