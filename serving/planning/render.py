"""The same stack for many boxes: a Ray Serve LLM config, or values for the Helm chart of vLLM's production stack.

What stands elsewhere (Ollama, other endpoints) is left out. Weights in a folder keep their path, which has to lead to
the same files on every node. A model that leaves its device open runs on GPUs there.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from openoutcry.core.egress import SWITCHES
from openoutcry.core.errors import UsageError
from openoutcry.serving.planning.autoscale import DOWN_AFTER, EVERY, HIGH, HIGH_LOOKS, UP_AFTER
from openoutcry.serving.planning.weights import room_for_rank
from openoutcry.serving.stack import KV_CACHE, Purpose, Served, Stack

Target = Literal["ray", "kubernetes"]
IMAGE = ("vllm/vllm-openai", "latest")
"""The engine's image where GPUs are, and its tag: pin it to the version that you tested."""
CPU_IMAGE = ("vllm/vllm-openai-cpu", "latest")
TELEMETRY = ("DO_NOT_TRACK", "HF_HUB_DISABLE_TELEMETRY", "VLLM_DO_NOT_TRACK", "VLLM_NO_USAGE_STATS")
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
"""Switches that would keep a node from fetching weights that it has only by repository id."""


def render(stack: Stack, target: Target, accelerator: str = "", adapters: str = "") -> str:
    """YAML for *target*. *accelerator* is Ray's name of the GPU to ask for, such as H100.

    *adapters* is where Ray finds LoRA adapters, a folder in cloud storage with one by name in each of its folders;
    without it they are left out for Ray. Raises UsageError where no model of the stack runs on vLLM.
    """
    import yaml

    models = [model for model in stack.models.values() if model.engine == "vllm"]
    if not models:
        raise UsageError(f"expected a stack with models on vLLM, but {stack.source} has none; nothing to render")
    if target == "ray":
        head, values = _RAY, ray(stack, models, accelerator, adapters)
        lost = sorted(name for model in models for name in model.adapters if not adapters)
        head += "".join(map(_unsaid, models))
        head += f"# Left out, since Ray loads adapters from cloud storage only: {', '.join(lost)}.\n" if lost else ""
    else:
        head, values = _KUBERNETES, kubernetes(stack, models)
    return head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=110)


def _unsaid(model: Served) -> str:
    """What is set for a model by the engine's own options, whose names in Python are a person's to find."""
    parts = [*(("--chat-template", model.chat_template) if model.chat_template else ()), *model.flags]
    told = " ".join(json.dumps(part)[1:-1] for part in parts)
    return f"# Left out of {model.name}, add them to its engine_kwargs: {told}\n" if told else ""


_RAY = """\
# A Ray Serve application, rendered from a stack file by `outcry stack render ray`. Start it with `serve run FILE`.
# Roles ask for an adapter as MODEL:ADAPTER there.
"""
_KUBERNETES = """\
# Values for the Helm chart of vLLM's production stack, rendered from a stack file by `outcry stack render kubernetes`.
# `keda` needs KEDA and Prometheus in the cluster; pin the images' tags to the version that you tested.
"""


def ray(stack: Stack, models: Sequence[Served], accelerator: str = "", adapters: str = "") -> dict[str, Any]:
    """The config of a Ray Serve application: one LLMConfig a model, behind one OpenAI-compatible front."""
    application = {
        "name": "outcry",
        "route_prefix": "/",
        "import_path": "ray.serve.llm:build_openai_app",
        "args": {"llm_configs": [_llm(stack, model, accelerator, adapters) for model in models]},
    }
    return {"applications": [application]}


def _llm(stack: Stack, model: Served, accelerator: str, adapters: str) -> dict[str, Any]:
    config: dict[str, Any] = {
        "model_loading_config": {"model_id": model.name, "model_source": stack.weights(model)},
        "engine_kwargs": _arguments(stack, model, with_adapters=bool(adapters)),
        "deployment_config": {
            "autoscaling_config": {
                "min_replicas": model.replicas.min,
                "max_replicas": model.replicas.max,
                "target_ongoing_requests": max(round(HIGH * model.concurrency / model.replicas.max), 1),
                "upscale_delay_s": HIGH_LOOKS * EVERY,
                "downscale_delay_s": DOWN_AFTER,
            },
            "max_ongoing_requests": model.concurrency,
        },
        "runtime_env": {"env_vars": _environment(stack, model)},
    }
    if model.device == "cpu":
        config["accelerator_config"] = {"kind": "cpu"}
        config["placement_group_config"] = {"bundle_per_worker": {"CPU": model.cores}}
    elif accelerator:
        config["accelerator_type"] = accelerator
    if model.adapters and adapters:
        places = {"dynamic_lora_loading_path": adapters, "max_num_adapters_per_replica": len(model.adapters)}
        config["lora_config"] = places
    return config


def _arguments(stack: Stack, model: Served, with_adapters: bool) -> dict[str, Any]:
    """The engine's arguments by the names that vLLM has for them in Python, unset ones left out."""
    chat, on_cpu = model.purpose is Purpose.CHAT, model.device == "cpu"
    every: dict[str, Any] = {
        "max_model_len": model.max_model_len,
        "dtype": model.dtype,
        "quantization": model.quantisation or None,
        "gpu_memory_utilization": None if on_cpu else model.gpu_memory_utilization,
        "tensor_parallel_size": None if on_cpu else model.tensor_parallel_size,
        "kv_cache_memory_bytes": int(model.kv_cache or KV_CACHE) if on_cpu else None,
        "enforce_eager": True if on_cpu else None,
        "enable_auto_tool_choice": True if chat and model.tool_parser else None,
        "tool_call_parser": (model.tool_parser or None) if chat else None,
        "reasoning_parser": (model.reasoning_parser or None) if chat else None,
        "runner": None if chat else "pooling",
        "convert": None if chat else model.purpose.value,
        "enable_lora": True if model.adapters and with_adapters else None,
        "max_loras": len(model.adapters) if model.adapters and with_adapters else None,
        "max_lora_rank": room_for_rank(stack, model) if model.adapters and with_adapters else None,
    }
    return {name: value for name, value in every.items() if value is not None}


def _environment(stack: Stack, model: Served) -> dict[str, str]:
    """The switches that keep a model's server from calling out, but for fetching weights that are no folder here."""
    here = stack.path(model.weights) is not None
    return {name: SWITCHES[name] for name in (*TELEMETRY, *(OFFLINE if here else ()))}


def kubernetes(stack: Stack, models: Sequence[Served]) -> dict[str, Any]:
    """Values for the chart: an engine deployment a model, and a router that keeps a prefix with its replica."""
    return {
        "servingEngineSpec": {"enableEngine": True, "modelSpec": [_spec(stack, model) for model in models]},
        "routerSpec": {
            "enableRouter": True,
            "replicaCount": 1,
            "serviceType": "ClusterIP",
            "serviceDiscovery": "k8s",
            "routingLogic": "prefixaware",
        },
    }


def _spec(stack: Stack, model: Served) -> dict[str, Any]:
    on_cpu = model.device == "cpu"
    repository, tag = CPU_IMAGE if on_cpu else IMAGE
    spec: dict[str, Any] = {
        "name": _label(model.name),
        "repository": repository,
        "tag": tag,
        "modelURL": stack.weights(model),
        "replicaCount": max(model.replicas.min, 1),
        "requestCPU": model.cores,
    }
    if model.memory:
        spec["requestMemory"] = f"{-(-int(model.memory) // 1_000_000)}M"
    if not on_cpu:
        spec["requestGPU"] = model.tensor_parallel_size
    spec["vllmConfig"] = _config(stack, model)
    spec["env"] = [{"name": name, "value": value} for name, value in _environment(stack, model).items()]
    if folders := sorted({str(folder) for folder in _folders(stack, model)}):
        names = [f"files-{number}" for number in range(len(folders))]
        files = list(zip(names, folders, strict=True))
        spec["extraVolumes"] = [{"name": name, "hostPath": {"path": path}} for name, path in files]
        spec["extraVolumeMounts"] = [{"name": name, "mountPath": path, "readOnly": True} for name, path in files]
    if model.replicas.max > model.replicas.min:
        spec["keda"] = {
            "enabled": True,
            "minReplicaCount": model.replicas.min,
            "maxReplicaCount": model.replicas.max,
            "pollingInterval": int(EVERY),
            "cooldownPeriod": int(DOWN_AFTER),
            "initialCooldownPeriod": int(UP_AFTER),
        }
    return spec


def _config(stack: Stack, model: Served) -> dict[str, Any]:
    """The chart's `vllmConfig`. Without a word of the prefix cache the chart turns it off."""
    config: dict[str, Any] = {"enablePrefixCaching": True, "maxModelLen": model.max_model_len, "dtype": model.dtype}
    if model.device != "cpu":
        config["gpuMemoryUtilization"] = model.gpu_memory_utilization
        config["tensorParallelSize"] = model.tensor_parallel_size
    if model.purpose is not Purpose.CHAT:
        config |= {"runner": "pooling", "convert": model.purpose.value}
    return {**config, "extraArgs": list(_flags(stack, model))}


def _flags(stack: Stack, model: Served) -> Iterator[str]:
    """What the chart has no value for, as the engine's options."""
    yield from ("--served-model-name", model.name)
    if model.quantisation:
        yield from ("--quantization", model.quantisation)
    if model.device == "cpu":
        yield from ("--enforce-eager", "--kv-cache-memory-bytes", str(int(model.kv_cache or KV_CACHE)))
    if model.purpose is Purpose.CHAT and model.tool_parser:
        yield from ("--enable-auto-tool-choice", "--tool-call-parser", model.tool_parser)
    if model.reasoning_parser:
        yield from ("--reasoning-parser", model.reasoning_parser)
    if template := stack.path(model.chat_template) if model.chat_template else None:
        yield from ("--chat-template", str(template.absolute()))
    if model.adapters:
        yield from ("--enable-lora", "--max-loras", str(len(model.adapters)))
        yield from ("--max-lora-rank", str(room_for_rank(stack, model)), "--lora-modules")
        yield from (f"{name}={stack.path(given) or given}" for name, given in model.adapters.items())
    yield from model.flags


def _folders(stack: Stack, model: Served) -> Iterator[Path]:
    """Folders of this machine that a model's server reads."""
    for given in (model.weights, *model.adapters.values(), model.chat_template):
        if given and (path := stack.path(given)) is not None:
            yield (path.parent if given == model.chat_template else path).absolute()


def _label(name: str) -> str:
    """A model's name as Kubernetes takes it: small letters, digits and dashes, 40 at most."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
