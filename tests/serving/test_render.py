"""What is rendered for other boxes: the chart's values by the types that its schema has, and Ray's config by ours.

The types below say in our words what values.schema.json of vLLM's production stack allows of the parts that
we write; Ray's own classes are asked in tests/live.
"""

from itertools import takewhile
from pathlib import Path
from typing import Any, Literal, NotRequired

import pytest
import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from openoutcry.core.egress import SWITCHES
from openoutcry.core.errors import UsageError
from openoutcry.serving.planning.render import render
from openoutcry.serving.stack import Stack, load

STRICT = ConfigDict(extra="forbid", strict=True)


@with_config(STRICT)
class VllmConfig(TypedDict):
    enablePrefixCaching: NotRequired[bool]
    maxModelLen: NotRequired[int]
    dtype: NotRequired[str]
    tensorParallelSize: NotRequired[int]
    gpuMemoryUtilization: NotRequired[float]
    maxLoras: NotRequired[int]
    runner: NotRequired[Literal["auto", "pooling"]]
    convert: NotRequired[Literal["token_embed", "embed", "token_classify", "classify", "score"]]
    extraArgs: NotRequired[list[str]]


@with_config(STRICT)
class Keda(TypedDict):
    enabled: bool
    minReplicaCount: int
    maxReplicaCount: int
    pollingInterval: int
    cooldownPeriod: int
    initialCooldownPeriod: int


@with_config(STRICT)
class ModelSpec(TypedDict):
    name: str
    repository: str
    tag: str
    modelURL: str
    replicaCount: int
    requestCPU: int
    requestMemory: NotRequired[str]
    requestGPU: NotRequired[int]
    vllmConfig: VllmConfig
    env: list[dict[str, str]]
    extraVolumes: NotRequired[list[dict[str, Any]]]
    extraVolumeMounts: NotRequired[list[dict[str, Any]]]
    keda: NotRequired[Keda]


@with_config(STRICT)
class Engines(TypedDict):
    enableEngine: bool
    modelSpec: list[ModelSpec]


@with_config(STRICT)
class Router(TypedDict):
    enableRouter: bool
    replicaCount: int
    serviceType: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]
    serviceDiscovery: Literal["k8s", "static"]
    routingLogic: Literal[
        "roundrobin", "session", "prefixaware", "kvaware", "disaggregated_prefill", "disaggregated_prefill_orchestrated"
    ]


@with_config(STRICT)
class Values(TypedDict):
    servingEngineSpec: Engines
    routerSpec: Router


VALUES = TypeAdapter(Values)


def kubernetes(stack: Stack) -> Values:
    return VALUES.validate_python(yaml.safe_load(render(stack, "kubernetes")))


def llms(stack: Stack, **options: str) -> dict[str, dict[str, Any]]:
    text = yaml.safe_load(render(stack, "ray", **options))
    (application,) = text["applications"]
    assert application["import_path"] == "ray.serve.llm:build_openai_app"
    configs: list[dict[str, Any]] = application["args"]["llm_configs"]
    return {config["model_loading_config"]["model_id"]: config for config in configs}


def made(**values: Any) -> Stack:
    return Stack.model_validate({"models": {"Some_Model.v1": {"weights": "someone/something", **values}}})


@pytest.mark.parametrize("profile", ["laptop", "one-gpu", "big-box", "cpu-nano"])
def test_values_of_each_profile_hold_by_the_charts_types(profile: str) -> None:
    stack = load(profile)
    specs = kubernetes(stack)["servingEngineSpec"]["modelSpec"]
    assert [spec["modelURL"] for spec in specs] == [stack.weights(model) for model in stack.models.values()]
    for spec in specs:
        assert len(spec["name"]) <= 40
        assert set(spec["name"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_wrong_values_do_not_hold() -> None:
    values = yaml.safe_load(render(load("laptop"), "kubernetes"))
    values["servingEngineSpec"]["modelSpec"][0]["vllmConfig"]["maxModelLength"] = 4096
    with pytest.raises(ValidationError, match="maxModelLength"):
        VALUES.validate_python(values)


def test_the_full_plan_in_kubernetes() -> None:
    specs = {spec["name"]: spec for spec in kubernetes(load("big-box"))["servingEngineSpec"]["modelSpec"]}
    analyst, strategy, risk = specs["analyst-72b"], specs["strategy-70b"], specs["risk-70b"]
    assert (analyst["requestCPU"], analyst.get("requestMemory"), analyst.get("requestGPU")) == (12, "50000M", None)
    assert strategy.get("requestGPU") == 2
    assert strategy["vllmConfig"].get("tensorParallelSize") == 2
    assert strategy["vllmConfig"].get("maxModelLen") == 131072
    assert option(risk, "--reasoning-parser") == "deepseek_r1"
    assert option(risk, "--tool-call-parser") == "llama3_json"
    assert option(analyst, "--kv-cache-memory-bytes") == "5000000000"
    assert (specs["tone"]["vllmConfig"].get("convert"), specs["embed"]["vllmConfig"].get("convert")) == (
        "classify",
        "embed",
    )


def option(spec: ModelSpec, name: str) -> str:
    flags = spec["vllmConfig"].get("extraArgs", [])
    return flags[flags.index(name) + 1]


def test_a_model_keeps_its_name_whatever_kubernetes_calls_it() -> None:
    (spec,) = kubernetes(made())["servingEngineSpec"]["modelSpec"]
    assert spec["name"] == "some-model-v1"
    assert option(spec, "--served-model-name") == "Some_Model.v1"


def test_adapters_and_folders_are_mounted_where_they_lie() -> None:
    stack = load("cpu-nano")
    spec = kubernetes(stack)["servingEngineSpec"]["modelSpec"][0]
    flags = spec["vllmConfig"].get("extraArgs", [])
    modules = list(takewhile(lambda flag: flag[:2] != "--", flags[flags.index("--lora-modules") + 1 :]))
    mounted = {mount["mountPath"] for mount in spec.get("extraVolumeMounts", [])}
    assert [name.partition("=")[0] for name in modules] == ["nano-analyst", "nano-sentiment", "nano-risk"]
    assert {name.partition("=")[2] for name in modules} | {spec["modelURL"]} == mounted
    assert mounted == {volume["hostPath"]["path"] for volume in spec.get("extraVolumes", [])}


def test_only_a_model_that_may_grow_is_scaled() -> None:
    specs = {spec["name"]: spec for spec in kubernetes(load("cpu-nano"))["servingEngineSpec"]["modelSpec"]}
    keda = specs["nano"].get("keda")
    assert keda is not None
    assert (keda["minReplicaCount"], keda["maxReplicaCount"], keda["pollingInterval"]) == (1, 2, 30)
    assert "keda" not in specs["nano-tone"]


@pytest.mark.parametrize(("weights", "offline"), [("someone/something", False), ("shipped:nano/base", True)])
def test_telemetry_is_off_and_weights_from_a_hub_may_be_fetched(weights: str, offline: bool) -> None:
    stack = made(weights=weights)
    (spec,) = kubernetes(stack)["servingEngineSpec"]["modelSpec"]
    env = {entry["name"]: entry["value"] for entry in spec["env"]}
    assert env["VLLM_NO_USAGE_STATS"] == env["DO_NOT_TRACK"] == "1"
    assert ("HF_HUB_OFFLINE" in env) is offline
    assert env.items() <= SWITCHES.items()
    assert llms(stack)["Some_Model.v1"]["runtime_env"]["env_vars"] == env


def test_the_full_plan_for_ray() -> None:
    found = llms(load("big-box"), accelerator="H100")
    assert list(found) == ["analyst-72b", "strategy-70b", "risk-70b", "tone", "embed"]
    analyst, strategy = found["analyst-72b"], found["strategy-70b"]
    assert analyst["placement_group_config"] == {"bundle_per_worker": {"CPU": 12}}
    assert "accelerator_type" not in analyst
    assert strategy["accelerator_type"] == "H100"
    assert strategy["engine_kwargs"] == {
        "max_model_len": 131072,
        "dtype": "auto",
        "quantization": "awq",
        "gpu_memory_utilization": 0.9,
        "tensor_parallel_size": 2,
        "enable_auto_tool_choice": True,
        "tool_call_parser": "llama3_json",
    }
    assert found["risk-70b"]["engine_kwargs"]["reasoning_parser"] == "deepseek_r1"
    assert found["embed"]["engine_kwargs"]["runner"] == "pooling"


def test_ray_scales_between_the_stacks_bounds() -> None:
    scaling = llms(made(concurrency=30, replicas={"min": 2, "max": 3}))["Some_Model.v1"]["deployment_config"]
    assert scaling["autoscaling_config"]["min_replicas"] == 2
    assert scaling["autoscaling_config"]["max_replicas"] == 3
    assert scaling["autoscaling_config"]["target_ongoing_requests"] == 8  # 0.8 of the ten that a replica carries


def test_ray_has_adapters_from_cloud_storage_only() -> None:
    stack = load("cpu-nano")
    assert "# Left out, since Ray loads adapters from cloud storage only: nano-analyst" in render(stack, "ray")
    assert "lora_config" not in llms(stack)["nano"]
    given = llms(stack, adapters="s3://bucket/adapters")["nano"]
    assert given["lora_config"] == {
        "dynamic_lora_loading_path": "s3://bucket/adapters",
        "max_num_adapters_per_replica": 3,
    }
    assert given["engine_kwargs"]["enable_lora"] is True


def test_what_stands_elsewhere_is_left_out() -> None:
    far = {"engine": "ollama", "url": "http://127.0.0.1:11434", "weights": "llama3"}
    both = Stack.model_validate({"models": {"near": {"weights": "a/b"}, "far": far}})
    assert list(llms(both)) == ["near"]
    with pytest.raises(UsageError, match="house has none; nothing to render"):
        render(load("house"), "ray")


def test_adapters_have_room_for_their_rank(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text('{"r": 24}')
    stack = made(adapters={"one": str(tmp_path)})
    assert option(kubernetes(stack)["servingEngineSpec"]["modelSpec"][0], "--max-lora-rank") == "32"
    assert llms(stack, adapters="s3://b/a")["Some_Model.v1"]["engine_kwargs"]["max_lora_rank"] == 32


def test_what_ray_is_not_given_is_said() -> None:
    text = render(made(flags=["--kv-cache-dtype", "fp8"], chat_template="./t.jinja"), "ray")
    assert (
        "# Left out of Some_Model.v1, add them to its engine_kwargs: --chat-template ./t.jinja --kv-cache-dtype fp8\n"
        in text
    )
