"""Recipes, sizes and plans: what is chosen where nothing is said, what a fine-tune takes, and when it is refused."""

import json
import struct
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from openoutcry.core.errors import UsageError
from openoutcry.serving.planning.box import Box, Gpu
from openoutcry.training.tuning import fsdp, plan, plan_text, recipe, runs, sizes
from openoutcry.training.tuning.plan import memory, planned
from openoutcry.training.tuning.prepare import Prepared, prepare
from openoutcry.training.tuning.recipe import Recipe, settled
from openoutcry.training.tuning.sizes import Size
from tests.training.tunings import BOX, NANO, chats, stored

SEVEN = {"hidden_size": 4096, "intermediate_size": 11008, "num_attention_heads": 32, "num_hidden_layers": 32}


def folder(at: Path, **config: Any) -> Path:
    """A model's folder with the header of a 7B's weights, and none of them."""
    at.mkdir()
    told = {"model_type": "llama", "vocab_size": 32000, "dtype": "bfloat16", **SEVEN, **config}
    (at / "config.json").write_text(json.dumps(told))
    h, i, v = 4096, 11008, 32000
    shapes: dict[str, list[int]] = {"model.embed_tokens.weight": [v, h], "lm_head.weight": [v, h]}
    for n in range(32):
        name = f"model.layers.{n}"
        shapes |= {f"{name}.self_attn.{p}_proj.weight": [h, h] for p in "qkvo"}
        shapes |= {f"{name}.mlp.{p}_proj.weight": [i, h] for p in ("gate", "up")}
        shapes |= {f"{name}.mlp.down_proj.weight": [h, i], f"{name}.input_layernorm.weight": [h]}
    header = {k: {"dtype": "BF16", "shape": s, "data_offsets": [0, 0]} for k, s in shapes.items()}
    content = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    (at / "model.safetensors").write_bytes(struct.pack("<Q", len(content)) + content)
    return at


def data(rows: int = 1000, longest: int = 1024) -> Prepared:
    return Prepared("chat", None, [None] * rows, [], Counter(), rows * 500, longest)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # of transformers, to peft
def test_the_size_is_that_of_the_real_model() -> None:
    transformers: Any = import_module("transformers")
    peft: Any = import_module("peft")
    model = transformers.AutoModelForCausalLM.from_pretrained(NANO / "base")
    size = sizes.read(NANO / "base")
    assert size.parameters == sum(p.numel() for p in model.parameters())
    assert 0 < (NANO / "base/model.safetensors").stat().st_size - size.stored < 10_000
    assert (size.layers, size.hidden, size.keys) == (4, 128, 64)
    for targets in ((), ("q_proj", "down_proj")):
        told = peft.LoraConfig(r=16, target_modules=list(targets) or "all-linear", task_type="CAUSAL_LM")
        given = peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(NANO / "base"), told)
        assert size.factors(16, targets) == sum(p.numel() for n, p in given.named_parameters() if "lora" in n)


def test_a_seven_billion_base_is_counted_without_its_weights(tmp_path: Path) -> None:
    size = sizes.read(folder(tmp_path / "seven"))
    assert 6.7e9 < size.parameters < 6.8e9
    assert size.factors(16, ()) == pytest.approx(40e6, rel=0.01)
    assert size.factors(16, ("q_proj",)) == 32 * 16 * 2 * 4096


def test_folders_that_hold_no_model_to_train_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="expected a Hugging Face model's folder"):
        sizes.read(tmp_path)
    with pytest.raises(UsageError, match="quantised: name the originals"):
        sizes.read(folder(tmp_path / "awq", quantization_config={"bits": 4}))
    bare = folder(tmp_path / "bare")
    (bare / "model.safetensors").write_bytes(b"xx")
    with pytest.raises(UsageError, match="expected the header of a safetensors file"):
        sizes.read(bare)
    (bare / "model.safetensors").unlink()
    with pytest.raises(UsageError, match=r"as \.safetensors"):
        sizes.read(bare)


def test_what_a_recipe_leaves_open_is_chosen_by_size_and_kind() -> None:
    big = settled(Recipe(), "chat", 7_000_000_000, 800, gpu=True, cores=8)
    assert (big.method, big.checkpointing, big.precision, big.steps, big.threads) == ("lora", "on", "bfloat16", 300, 8)
    assert big.rate == pytest.approx(7.6e-5)
    small = settled(Recipe(), "chat", 1_000_000, 800, gpu=False, cores=2)
    assert (small.rate, small.checkpointing, small.precision, small.keep_every) == (5e-3, "off", "float32", 30)
    reader = settled(Recipe(accumulate=2, epochs=1), "tone", 100_000_000, 17, gpu=False, cores=2)
    assert (reader.method, reader.rate, reader.steps) == ("full", 4e-5, 2)
    assert settled(big, "chat", 7_000_000_000, 800, gpu=True, cores=8) == big
    with pytest.raises(UsageError, match="none that fit"):
        settled(Recipe(), "chat", 1, 0, gpu=False, cores=1)


def test_a_recipe_is_read_from_toml_and_faults_are_told_by_their_key(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text('rank = 8\ntargets = ["q_proj"]\n')
    assert recipe.read(file) == Recipe(rank=8, targets=("q_proj",))
    assert recipe.read(None) == Recipe()
    for text, told in (("ranks = 8", "has no 'ranks'"), ("rank = 0", "rank: .* got 0 in"), ("rank", "none")):
        file.write_text(text)
        with pytest.raises(UsageError, match=told):
            recipe.read(file)
    with pytest.raises(UsageError, match="No such file"):
        recipe.read(tmp_path / "none.toml")


def test_a_7b_takes_lora_on_one_large_gpu_and_all_weights_on_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "gpu_torch", lambda: True)
    size, card = sizes.read(folder(tmp_path / "seven")), Gpu(name="NVIDIA H100", memory=80 << 30)
    box = BOX.model_copy(update={"gpus": (card,)})
    lora = planned(tmp_path, size, data(), Recipe(), box)
    assert not lora.refused
    assert lora.parts["weights"] == pytest.approx(2 * size.parameters, rel=0.02)
    assert lora.parts["optimiser"] == 2 * lora.parts["gradients"] == 8 * lora.learnt
    full = planned(tmp_path, size, data(), Recipe(method="full"), box)
    assert full.refused.startswith("it needs 1")
    assert "optimiser 53.9 GB" in full.refused
    assert 'method = "lora"' in full.refused
    shared = planned(tmp_path, size, data(), Recipe(method="full"), box, 4)
    assert not shared.refused
    assert shared.parts["weights"] == full.parts["weights"] // 4
    long = planned(tmp_path, size, data(longest=4096), Recipe(batch=64), box)
    assert "smaller batch and raise accumulate" in long.refused
    kept = planned(tmp_path, size, data(), Recipe(checkpointing="off", batch=16), box)
    assert 'checkpointing = "on"' in kept.refused
    tiny = box.model_copy(update={"gpus": (card.model_copy(update={"memory": 8 << 30}),)})
    assert "choose a smaller base" in planned(tmp_path, size, data(), Recipe(), tiny).refused


def test_more_of_anything_takes_more_memory() -> None:
    size = sizes.read(NANO / "base")

    def total(length: int = 256, **told: Any) -> int:
        settings = settled(Recipe(**told), "chat", size.parameters, 100, gpu=False, cores=1)
        return sum(memory(size, settings, "chat", length, 1000, gpu=False).values())

    assert total(batch=16) > total(batch=8) > total(batch=8, checkpointing="on")
    assert total(512) > total(256)
    assert total(precision="bfloat16") < total()


def test_the_time_is_an_estimate_until_this_box_has_run_the_like(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "probe", lambda: 1e9)  # a busy machine gives another speed each time
    size = sizes.read(NANO / "base")
    made = planned(tmp_path, size, data(), Recipe(threads=1), BOX)
    told = dict(plan_text.listed(made))
    assert "an estimate, good to a factor of three" in told["time"]
    work = 4 * size.parameters + 6 * made.learnt
    assert made.seconds == pytest.approx(made.rows * 500 * 3 * work / 1e8 + 0.02 * made.recipe.steps)
    twice = planned(tmp_path, size, data(), Recipe(threads=1, steps=2 * made.recipe.steps), BOX)
    assert twice.seconds > made.seconds
    assert "LoRA of rank 16 on every linear layer" in told["learns"]


def test_the_time_is_that_of_a_run_before_for_each_device_that_it_had(tmp_path: Path) -> None:
    size = sizes.read(NANO / "base")
    made = planned(tmp_path, size, data(), Recipe(threads=1), BOX)
    begun = {"kind": "chat", "role": "risk", "base": "b", "base_name": "b", "path": "p", "data": "d"}
    run = runs.begin(tmp_path, runs.Begun.model_validate(begun | {"recipe": made.recipe}))
    what: dict[str, Any] = {"kind": "adapter", "role": "risk", "base": "b", "base_name": "b", "data": {}, "recipe": {}}
    went: dict[str, Any] = dict.fromkeys(("planned", "peak", "planned_seconds", "seconds", "steps"), 1)
    pace = {"tokens": 4000, "processes": 4, "parameters": size.parameters}
    runs.end(run, runs.Done.model_validate(went | pace | {"made": what, "output": "o", "left_out": {}}))
    one, four = (planned(tmp_path, size, data(), Recipe(threads=1), BOX, over) for over in (1, 4))
    assert one.measured == run.name
    assert one.seconds == pytest.approx(1000 * 500 * 3 / 1000)
    assert four.seconds == pytest.approx(one.seconds / 4, rel=0.01)


def test_a_cores_speed_is_measured_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, real = set[int](), plan.np.matmul
    pools: Any = import_module("threadpoolctl")

    def matmul(a: Any, b: Any) -> Any:
        threads.update(pool["num_threads"] for pool in pools.threadpool_info() if pool["user_api"] == "blas")
        return real(a, b)

    monkeypatch.setattr(plan.np, "matmul", matmul)
    with pools.threadpool_limits(2):
        assert plan.probe(rounds=2, width=8) > 0
    assert threads == {1}


def test_a_gpu_that_others_use_is_held_to_what_is_free_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "gpu_torch", lambda: True)
    size, card = sizes.read(folder(tmp_path / "seven")), Gpu(name="NVIDIA H100", memory=80 << 30, free=8 << 30)
    made = planned(tmp_path, size, data(), Recipe(), BOX.model_copy(update={"gpus": (card,)}))
    assert "there are 8.6 GB free on the NVIDIA H100: stop what else takes its part of 85.9 GB" in made.refused


def test_the_plan_counts_the_real_rows(tmp_path: Path) -> None:
    seen = prepare(NANO / "base", stored(tmp_path, "chat", "risk", chats(20), chats(4, 5)), 4096)
    made = planned(tmp_path, sizes.read(NANO / "base"), seen, Recipe(), BOX)
    assert (made.rows, made.valid) == (20, 4)
    assert made.longest == max(len(line.ids) for line in seen.train)
    assert made.tokens == sum(len(line.ids) for line in seen.train)
    short = prepare(NANO / "base", stored(tmp_path, "chat", "risk", chats(20)), made.longest - 1)
    assert sum(short.left_out.values()) >= 1
    told = dict(plan_text.listed(planned(tmp_path, sizes.read(NANO / "base"), short, Recipe(), BOX)))
    assert "left out: longer than" in told["data"]


def test_accelerate_reads_the_config_that_is_rendered(tmp_path: Path) -> None:
    settings: Any = import_module("accelerate.commands.config.config_args")
    file = tmp_path / "fsdp.yaml"
    words = fsdp.words(Path("model dir"), "abc", Path("r.toml"), Path("home"), "risk", "seven")
    file.write_text(fsdp.render(4, words))
    loaded = settings.load_config_from_file(str(file))
    assert (loaded.num_processes, str(loaded.distributed_type.value), loaded.mixed_precision) == (4, "FSDP", "bf16")
    plugin: Any = import_module("accelerate.utils").FullyShardedDataParallelPlugin
    assert {key.removeprefix("fsdp_").replace("version", "fsdp_version") for key in loaded.fsdp_config} <= set(
        plugin.__dataclass_fields__
    )
    assert "accelerate launch --config_file fsdp.yaml -m openoutcry.training.tuning" in file.read_text()
    assert "--base 'model dir'" in file.read_text()
    with pytest.raises(UsageError, match="two or more"):
        fsdp.config(1)


def test_the_numbers_of_a_box_without_gpus_are_its_free_memory(tmp_path: Path) -> None:
    size: Size = sizes.read(NANO / "base")
    box = Box(ram=2 << 30, ram_free=10_000_000, cores=1)
    made = planned(tmp_path, size, data(), Recipe(), box)
    assert made.free == 10_000_000
    assert "there are 10 MB free here" in made.refused
