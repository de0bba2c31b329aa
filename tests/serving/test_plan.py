"""The plan against numbers worked by hand from published model cards, and against a small real folder."""

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import UsageError
from openoutcry.serving.planning import weights
from openoutcry.serving.planning.anatomy import anatomy, of, read
from openoutcry.serving.planning.box import Box, Gpu
from openoutcry.serving.planning.plan import fits, plan, refuse
from openoutcry.serving.planning.planned import Need, Planned
from openoutcry.serving.stack import Served, Shape, Stack

LLAMA_70B: dict[str, Any] = {
    "parameters": 70.55e9,
    "layers": 80,
    "hidden": 8192,
    "heads": 64,
    "kv_heads": 8,
    "head_dim": 128,
    "vocabulary": 128256,
}
QWEN_72B: dict[str, Any] = {**LLAMA_70B, "parameters": 72.7e9, "vocabulary": 152064}
MISTRAL_7B: dict[str, Any] = {
    "parameters": 7.24e9,
    "layers": 32,
    "hidden": 4096,
    "heads": 32,
    "kv_heads": 8,
    "head_dim": 128,
    "vocabulary": 32000,
}
BIG = Box(ram=64 * 10**9, ram_free=60 * 10**9, cores=16)
H100 = Gpu(name="H100", memory=80 << 30)
L4 = Gpu(name="L4", memory=24 << 30)


def stack(**models: dict[str, Any]) -> Stack:
    whole = {name: {"weights": "someone/something", "device": "cpu", **model} for name, model in models.items()}
    return Stack.model_validate({"models": whole})


def served(shape: dict[str, Any], **values: Any) -> Served:
    return stack(m={"shape": shape, **values}).models["m"]


def one(shape: dict[str, Any], box: Box = BIG, **values: Any) -> Planned:
    return plan(stack(m={"shape": shape, **values}), box).of("m")


@pytest.mark.parametrize(
    ("shape", "kibibytes"),
    [
        (LLAMA_70B, 320),  # 2 x 80 layers x 8 heads x 128 x 2 bytes = 327,680
        (QWEN_72B, 320),
        (MISTRAL_7B, 128),  # 2 x 32 x 8 x 128 x 2 = 131,072
    ],
)
def test_kv_cache_of_a_token(shape: dict[str, Any], kibibytes: int) -> None:
    model = served(shape)
    assert weights.kv_token(of(Shape(**shape)), model) == kibibytes * 1024
    assert weights.kv_token(of(Shape(**shape)), served(shape, dtype="float32")) == 2 * kibibytes * 1024
    fp8 = served(shape, flags=["--kv-cache-dtype", "fp8_e5m2"])
    assert weights.kv_token(of(Shape(**shape)), fp8) == kibibytes * 512


def test_kv_heads_are_copied_where_more_gpus_share_them() -> None:
    a = of(Shape(**MISTRAL_7B))
    assert weights.kv_token(a, served(MISTRAL_7B, tensor_parallel_size=8)) == 128 * 1024
    assert weights.kv_token(a, served(MISTRAL_7B, tensor_parallel_size=16)) == 256 * 1024


@pytest.mark.parametrize(
    ("shape", "quantisation", "published"),
    [
        (LLAMA_70B, "", 141.1e9),  # 30 files of the original, 16 bits
        (LLAMA_70B, "awq", 39.8e9),  # 9 files of the 4-bit one
        (QWEN_72B, "", 145.4e9),
        (QWEN_72B, "awq", 41.6e9),
        (MISTRAL_7B, "awq", 4.15e9),
    ],
)
def test_weights_as_the_hub_has_them(shape: dict[str, Any], quantisation: str, published: float) -> None:
    found = weights.weights(of(Shape(**shape)), served(shape, quantisation=quantisation))
    assert found == pytest.approx(published, rel=0.01)


def test_the_width_of_the_mlp_follows_from_the_parameters() -> None:
    assert of(Shape(**LLAMA_70B)).intermediate == pytest.approx(28672, rel=1e-3)
    assert of(Shape(**QWEN_72B)).intermediate == pytest.approx(29568, rel=1e-3)
    assert of(Shape(**MISTRAL_7B)).intermediate == pytest.approx(14336, rel=1e-2)


def test_an_unknown_quantisation_counts_as_none_and_fp8_as_half() -> None:
    a = of(Shape(**LLAMA_70B))
    assert weights.weights(a, served(LLAMA_70B, quantisation="novel")) == pytest.approx(141.1e9)
    # 68.45e9 parameters in the layers at a byte, 2.1e9 in the embeddings at two.
    assert weights.weights(a, served(LLAMA_70B, quantisation="fp8")) == pytest.approx(72.65e9, rel=1e-3)


def test_the_issues_plan_of_72b_in_50_gb_holds_in_4_bits_only() -> None:
    asked: dict[str, Any] = {"memory": "50GB", "cores": 12, "kv_cache": "5GB"}
    held = one(QWEN_72B, **asked, quantisation="awq")
    assert held.need is not None
    assert (held.faults, held.most) == ((), 1)
    assert 48e9 < held.ram < 49.5e9
    assert held.tokens == 15258  # 5e9 / 327,680
    assert held.full == pytest.approx(15258.8 / 8192, rel=1e-3)
    assert held.typical == pytest.approx(15258.8 / 4096, rel=1e-3)
    too_much = one(QWEN_72B, **asked)
    assert too_much.most == 0
    assert "152.6 GB a replica (weights 145.4 GB" in too_much.faults[0]
    assert "grants 50.0 GB" in too_much.faults[0]
    assert 'set quantisation = "awq"' in too_much.faults[0]


def test_a_gpus_kv_cache_is_what_the_rest_leaves() -> None:
    box = Box(ram=32 << 30, ram_free=30 << 30, cores=8, gpus=(L4,))
    found = one(MISTRAL_7B, box, device="cuda", gpu_memory_utilization=0.9, max_model_len=8192)
    # 0.9 x 24 GiB, less 14.48e9 of weights, 1.6e9 of engine, activations of 2,048 tokens and 256 sequences.
    activations = 2048 * (2 * 4096 + 3 * 14336) * 2 + 256 * 32000 * 8
    assert found.need is not None
    assert found.need.activations == pytest.approx(activations, rel=0.01)
    left = 0.9 * (24 << 30) - 14.48e9 - 1.6e9 - activations
    assert found.need.kv == pytest.approx(left, rel=0.01)
    assert found.full == pytest.approx(left / (8192 * 131072), rel=0.01)
    assert found.gpus == ((0,),)


def test_128k_of_a_70b_on_two_h100() -> None:
    box = Box(ram=128 << 30, ram_free=100 << 30, cores=16, gpus=(H100, H100))
    asked: dict[str, Any] = {"device": "cuda", "quantisation": "awq", "max_model_len": 131072}
    split = one(LLAMA_70B, box, **asked, tensor_parallel_size=2)
    assert (split.faults, split.gpus) == ((), ((0, 1),))
    assert 2 < split.full < 3  # 107 GB of KV cache, 42.9 GB a sequence
    alone = one(LLAMA_70B, box, **asked)
    assert "gpu_memory_utilization 0.9 of a GPU with 85.9 GB grants 77.3 GB" in alone.faults[0]
    assert "tensor_parallel_size = 2" in alone.faults[0]


def test_a_kv_cache_below_one_context_is_refused_with_what_mends_it() -> None:
    found = one(MISTRAL_7B, quantisation="awq", max_model_len=32768, kv_cache="1GB")
    assert found.faults == (
        "holds 7,629 tokens in a KV cache of 1.0 GB, fewer than its max_model_len of 32,768: "
        'set kv_cache = "4.3GB", or max_model_len = 7168',
    )
    assert one(MISTRAL_7B, quantisation="awq", max_model_len=32768, kv_cache="4.3GB").faults == ()
    assert one(MISTRAL_7B, quantisation="awq", max_model_len=7168, kv_cache="1GB").faults == ()


CHANGE = re.compile(r'(max_model_len|kv_cache|quantisation|memory|tensor_parallel_size) = ("[^"]+"|\d+)')


@given(
    shape=st.sampled_from([LLAMA_70B, QWEN_72B, MISTRAL_7B]),
    context=st.sampled_from([2048, 8192, 32768, 131072]),
    memory=st.integers(4, 120),
    kv=st.integers(1, 60),
    quantisation=st.sampled_from(["", "awq"]),
    gpus=st.integers(0, 4),
)
def test_each_change_that_is_named_mends_it(
    shape: dict[str, Any], context: int, memory: int, kv: int, quantisation: str, gpus: int
) -> None:
    box = Box(ram=128 * 10**9, ram_free=0, cores=64, gpus=(H100,) * gpus)
    asked: dict[str, Any] = {"max_model_len": context, "quantisation": quantisation, "device": "auto"}
    asked |= {} if gpus else {"memory": f"{memory}GB", "kv_cache": f"{kv}GB"}
    for fault in one(shape, box, **asked).faults:
        for change in fault.partition(": set ")[2].split(", or ") if ": set " in fault else ():
            named = {key: json.loads(value) for key, value in CHANGE.findall(change)}
            changed = one(shape, box, **{**asked, **named})
            assert named
            assert changed.faults == (), (fault, named)


def test_the_others_leave_too_little() -> None:
    shape, box = MISTRAL_7B, Box(ram=20 * 10**9, ram_free=0, cores=4)
    both = plan(stack(a={"shape": shape}, b={"shape": shape, "kv_cache": "2GB"}), box)
    assert both.of("a").faults == ()
    assert re.match(r"needs 18\.\d GB of RAM, and the others leave 2\.\d GB of 20\.0 GB", both.of("b").faults[0])
    with pytest.raises(UsageError, match=r"this stack does not fit this box\nb needs 18"):
        refuse(both)
    few = plan(stack(a={"shape": shape, "cores": 8}), box)
    assert few.of("a").faults == ("needs 8 cores, and this box has 4: set cores = 4",)


def test_further_replicas_are_admitted_while_there_is_room() -> None:
    box = Box(ram=200 * 10**9, ram_free=0, cores=5)
    spans = {"replicas": {"min": 1, "max": 3}, "shape": MISTRAL_7B}
    found = plan(stack(a=spans, b=spans), box)
    assert [m.most for m in found.models] == [3, 2]
    assert found.fits
    assert found.of("b").notes == ("2 of at most 3 replicas fit",)
    assert fits(found, "b", 2)
    assert not fits(found, "b", 3)
    refuse(found)
    two = plan(stack(a={"shape": MISTRAL_7B, "replicas": {"min": 2, "max": 2}, "cores": 3}), box)
    assert "replica 2 of at least 2" in two.of("a").faults[0]
    assert "set replicas.min = 1" in two.of("a").faults[0]


def test_a_registered_model_shares_the_cores_of_its_base() -> None:
    box = BIG.model_copy(update={"gpus": (H100, H100)})
    taken = {"shape": MISTRAL_7B, "device": "cuda", "cores": 12}
    found = plan(stack(m={**taken, "replicas": {"min": 1, "max": 2}}, **{"risk-0123456789ab": taken}), box)
    assert [(model.faults, model.gpus) for model in found.models] == [((), ((0,),)), ((), ((1,),))]
    found = plan(stack(m={**taken, "cores": 8, "replicas": {"min": 1, "max": 2}}), box)
    light = {**taken, "gpu_memory_utilization": 0.1}
    both = stack(m={**taken, "cores": 8, "gpu_memory_utilization": 0.4, "replicas": {"min": 1, "max": 2}})
    both = both.model_copy(update={"models": {**both.models, **stack(**{"risk-0123456789ab": light}).models}})
    assert (found.of("m").most, plan(both, box).of("m").most) == (2, 2)


def test_models_share_a_gpu_up_to_the_whole_of_it() -> None:
    box = Box(ram=200 << 30, ram_free=0, cores=32, gpus=(L4, L4))

    def on(share: float, **values: Any) -> dict[str, Any]:
        return {"shape": MISTRAL_7B, "device": "cuda", "quantisation": "awq", "gpu_memory_utilization": share, **values}

    found = plan(stack(a=on(0.6), b=on(0.4), c=on(0.9)), box)
    assert [m.gpus for m in found.models] == [((0,),), ((0,),), ((1,),)]
    full = plan(stack(a=on(0.6), b=on(0.5), c=on(0.9)), box)
    assert full.of("c").faults == (
        "needs 0.9 of 1 GPU, and the others leave 0.40, 0.50: lower what it or another model takes, or leave one out",
    )
    split = plan(stack(a=on(0.5, tensor_parallel_size=2), b=on(0.5, replicas={"min": 1, "max": 4})), box)
    assert [m.gpus for m in split.models] == [((0, 1),), ((0,), (1,))]


@given(
    boxes=st.builds(
        Box,
        ram=st.integers(1, 300).map(lambda n: n * 10**9),
        ram_free=st.just(0),
        cores=st.integers(1, 32),
        gpus=st.lists(st.sampled_from([H100, L4]), max_size=4).map(tuple),
    ),
    models=st.lists(
        st.fixed_dictionaries(
            {
                "shape": st.sampled_from([LLAMA_70B, QWEN_72B, MISTRAL_7B]),
                "device": st.sampled_from(["auto", "cpu", "cuda"]),
                "quantisation": st.sampled_from(["", "awq"]),
                "cores": st.integers(1, 8),
                "tensor_parallel_size": st.sampled_from([1, 2]),
                "gpu_memory_utilization": st.sampled_from([0.2, 0.3, 0.5, 0.9]),
                "replicas": st.tuples(st.integers(0, 2), st.integers(2, 4)).map(
                    lambda t: dict(zip(("min", "max"), t, strict=True))
                ),
            }
        ),
        max_size=4,
    ),
)
def test_what_is_admitted_never_exceeds_the_box(boxes: Box, models: list[dict[str, Any]]) -> None:
    found = plan(stack(**{f"m{n}": model for n, model in enumerate(models)}), boxes)
    assert sum(m.ram * m.most for m in found.models) <= boxes.ram
    assert sum(m.cores * m.most for m in found.models) <= boxes.cores
    for gpu in range(len(boxes.gpus)):
        assert sum(m.share for m in found.models for places in m.gpus if gpu in places) <= 1 + 1e-6
    for model in found.models:
        assert model.most <= model.replicas.max
        assert bool(model.faults) == (model.most < model.replicas.min) or model.faults
        assert all(len(set(places)) == model.split for places in model.gpus)


def folder(path: Path, tensors: int, **config: Any) -> Path:
    """A folder as transformers writes one, with a weight file of that many bytes of tensors."""
    path.mkdir(parents=True)
    base = {"num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 1000}
    (path / "config.json").write_text(json.dumps({**base, "intermediate_size": 128, "dtype": "float32", **config}))
    header = json.dumps({"w": {"dtype": "F32", "shape": [tensors // 4], "data_offsets": [0, tensors]}}).encode()
    (path / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(tensors))
    return path


def local(tmp_path: Path, **values: Any) -> tuple[Stack, Served]:
    made = stack(m={"weights": "./m", **values}).model_copy(update={"folder": tmp_path})
    return made, made.models["m"]


def test_files_that_are_here_count_as_they_are(tmp_path: Path) -> None:
    path = folder(tmp_path / "m", 400_000, num_key_value_heads=2)
    size = (path / "model.safetensors").stat().st_size
    (path / "consolidated.safetensors").write_bytes(bytes(999_999))
    full, model = local(tmp_path, dtype="float32")
    a = anatomy(full, model)
    assert a is not None
    assert (a.stored, a.kv_heads, a.head_dim, a.width, a.sliding) == (size, 2, 16, 4, 0)
    assert weights.weights(a, model) == size
    _, half = local(tmp_path)
    assert weights.weights(a, half) == round(size / 2)
    assert weights.kv_token(a, half) == 2 * 4 * 2 * 16 * 2


def test_an_index_names_the_files(tmp_path: Path) -> None:
    path = folder(tmp_path / "m", 4000)
    (path / "part.safetensors").write_bytes(bytes(123))
    (path / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "part.safetensors", "b": "part.safetensors"}})
    )
    assert read(path).stored == 123


def test_quantised_files_are_not_scaled(tmp_path: Path) -> None:
    path = folder(tmp_path / "m", 4000, quantization_config={"quant_method": "awq"}, dtype="float16")
    full, model = local(tmp_path, quantisation="awq", dtype="float16")
    a = anatomy(full, model)
    assert a is not None
    assert weights.weights(a, model) == (path / "model.safetensors").stat().st_size


def test_sliding_layers_keep_their_window(tmp_path: Path) -> None:
    kinds = ["sliding_attention", "full_attention"] * 2
    a = read(folder(tmp_path / "mixed", 4000, sliding_window=1024, layer_types=kinds))
    model = served(MISTRAL_7B)
    layer = 2 * 4 * 16 * 2
    # Two layers see 16,384 tokens; two see 1,023 and the batch of 2,048 in flight.
    assert weights.kv_sequence(a, model, 16384, 2048) == layer * (2 * 16384 + 2 * (1023 + 2048))
    assert weights.kv_sequence(a, model, 1000, 2048) == layer * 4 * 1000
    off = read(folder(tmp_path / "off", 4000, sliding_window=1024, use_sliding_window=False))
    assert weights.kv_sequence(off, model, 16384, 2048) == layer * 4 * 16384
    every = read(folder(tmp_path / "every", 4000, sliding_window=1024))
    assert every.sliding == 4


def test_a_repository_in_the_hubs_cache_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    cached = tmp_path / "models--someone--something"
    folder(cached / "snapshots/abc", 4000)
    made = stack(m={})
    assert anatomy(made, made.models["m"]) is None
    (cached / "refs").mkdir()
    (cached / "refs/main").write_text("abc")
    found = anatomy(made, made.models["m"])
    assert found is not None
    assert found.layers == 4


@pytest.mark.parametrize("damage", ["{", "{}", "[]", '{"num_attention_heads": 0, "hidden_size": 8}'])
def test_a_damaged_folder_falls_back_to_the_shape(tmp_path: Path, damage: str) -> None:
    path = folder(tmp_path / "m", 4000)
    (path / "config.json").write_text(damage)
    full, model = local(tmp_path)
    assert anatomy(full, model) is None
    full, model = local(tmp_path, shape=MISTRAL_7B)
    assert anatomy(full, model) == of(Shape(**MISTRAL_7B))


def test_what_nobody_knows_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    found = plan(stack(m={"memory": "3GB"}), BIG).of("m")
    assert (found.need, found.ram, found.most, found.faults) == (None, 3_000_000_000, 1, ())
    assert found.notes == ("what it takes is not known: its weights are not here, so give a `shape`",)


def test_adapters_take_room_at_the_largest_rank(tmp_path: Path) -> None:
    for name, rank in (("one", 8), ("two", 12)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text(json.dumps({"r": rank}))
    full, model = local(tmp_path, adapters={"x": "./one", "y": "./two"})
    a = of(Shape(**MISTRAL_7B))
    # q and o: 4096 + 4096; k and v: 4096 + 1024; gate, up and down: 4096 + intermediate; rank 12 goes in room of 16.
    sides = 2 * 8192 + 2 * 5120 + 3 * (4096 + a.intermediate)
    assert weights.adapters(full, a, model) == 2 * 32 * sides * 16 * 2


def test_embedders_and_classifiers_have_no_kv_cache() -> None:
    found = one(MISTRAL_7B, purpose="embed")
    assert found.need is not None
    assert (found.need.kv, found.tokens, found.full, found.faults) == (0, 0, 0.0, ())


def test_models_that_stand_elsewhere_are_not_counted() -> None:
    found = plan(stack(m={"engine": "ollama", "url": "http://127.0.0.1:11434"}), BIG).of("m")
    assert (found.place, found.ram, found.most) == ("elsewhere", 0, 1)


def test_a_gpu_model_without_a_gpu_says_what_it_would_need() -> None:
    found = one(LLAMA_70B, device="cuda", quantisation="awq")
    assert found.faults[0].startswith("needs 4")
    assert "this box shows no GPU" in found.faults[0]
    assert found.most == 0


@pytest.mark.parametrize(
    ("tokens", "hidden", "layers", "kv", "measured"),
    [  # two random models on vLLM 0.32's CPU engine, float32, proportional set size after eight requests at once
        (2048, (128, 512, 4, 2, 32, 19_573_496), 4, 256 << 20, 1841 << 20),
        (2048, (128, 512, 4, 2, 32, 19_573_496), 4, 1 << 30, 2649 << 20),
        (2048, (1024, 2816, 16, 4, 64, 666_275_656), 12, 512 << 20, 2935 << 20),
    ],
)
def test_the_prediction_is_within_5_percent_of_what_was_measured(
    tmp_path: Path, tokens: int, hidden: tuple[int, ...], layers: int, kv: int, measured: int
) -> None:
    width, intermediate, heads, kv_heads, _, stored = hidden
    path = folder(
        tmp_path / "m",
        0,
        hidden_size=width,
        intermediate_size=intermediate,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        num_hidden_layers=layers,
        vocab_size=30522,
    )
    with (path / "model.safetensors").open("ab") as file:
        file.truncate(stored)
    full, _ = local(
        tmp_path, dtype="float32", kv_cache=kv, max_model_len=4096, flags=[f"--max-num-batched-tokens={tokens}"]
    )
    found = plan(full, BIG).of("m")
    assert found.ram == pytest.approx(measured, rel=0.05)
    # vLLM said 131,072, 524,288 and 21,760 tokens (whole blocks of 128).
    assert found.tokens == pytest.approx({256 << 20: 131072, 1 << 30: 524288, 512 << 20: 21760}[kv], rel=0.005)


def test_a_need_adds_up() -> None:
    need = Need(weights=1, kv=2, activations=4, adapters=8, engine=16)
    assert (need.fixed, need.total) == (29, 31)


@pytest.mark.parametrize(
    ("config", "sliding"),
    [
        ({"model_type": "mistral"}, 12),
        ({"model_type": "gemma2"}, 6),  # every second layer sees all
        ({"model_type": "gemma3_text"}, 10),  # every sixth
        ({"model_type": "another", "sliding_window_pattern": 3}, 8),
        ({"model_type": "qwen2", "use_sliding_window": True, "max_window_layers": 8}, 4),  # those from there on
    ],
)
def test_which_layers_slide_where_the_file_does_not_list_them(
    tmp_path: Path, config: dict[str, Any], sliding: int
) -> None:
    at = folder(tmp_path / "m", 4000, sliding_window=1024, **{"num_hidden_layers": 12, **config})
    assert read(at).sliding == sliding
