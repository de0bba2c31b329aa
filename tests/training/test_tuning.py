"""Fine-tunes of the shipped nano: what they learn, that they go on after a kill, and what is written down of them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from openoutcry.core.errors import DataError, UsageError
from openoutcry.memory.embedder import bundled
from openoutcry.serving.asking.tones import labels
from openoutcry.serving.digest import digest
from openoutcry.training.tuning import checkpoints, losses, runs
from openoutcry.training.tuning.recipe import Recipe
from openoutcry.training.tuning.run import Tuned, tune
from openoutcry.training.tuning.watching import Halted, Step
from tests.training.tunings import BOX, NANO, RECIPE, chats, pairs, stored, tones

torch: Any = import_module("torch")
transformers: Any = import_module("transformers")
peft: Any = import_module("peft")
load_file: Any = import_module("safetensors.torch").load_file
BASE = NANO / "base"
STEPS = list[Step]()


@pytest.fixture(scope="module", autouse=True)
def alone() -> Iterator[None]:
    """One thread: several that wait for each other on a busy machine take minutes for small matrices."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def tuned(home: Path) -> Tuned:
    data = stored(home, "chat", "risk", chats(96), chats(16, 9, held_out=True))
    return tune(home, BASE, data, RECIPE, watch=STEPS.append, base_name="nano", box=BOX)


def weights(of: Tuned) -> dict[str, Any]:
    return load_file(of.folder / "adapter_model.safetensors")


def test_the_losses_fall_on_rows_learnt_from_and_on_rows_held_back(tuned: Tuned) -> None:
    train = [loss.train for loss in tuned.losses if loss.train is not None]
    valid = [loss.valid for loss in tuned.losses if loss.valid is not None]
    assert len(train) == 30
    assert sum(train[-5:]) < 0.2 * sum(train[:5])
    assert valid[-1] < valid[0]
    assert losses.read(tuned.run.folder) == list(tuned.losses)
    assert (tuned.run.folder / "losses.csv").read_text().splitlines()[0] == "step,train,valid"


def test_progress_tells_each_update_its_loss_pace_and_what_is_left(tuned: Tuned) -> None:
    told = [step for step in STEPS if step.train is not None]
    assert [step.step for step in told] == list(range(1, 31))
    assert all(step.of == 30 and step.tokens > 0 for step in told)
    assert told[-1].left == 0 < (told[0].left or 0)


def test_the_adapter_is_in_the_form_that_a_server_loads_and_names_no_folder(tuned: Tuned) -> None:
    told = json.loads((tuned.folder / "adapter_config.json").read_text())
    assert (told["r"], told["peft_type"], told["base_model_name_or_path"]) == (16, "LORA", "nano")
    assert sorted(f.name for f in tuned.folder.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    assert not any("embed" in name or "lm_head" in name for name in weights(tuned))
    assert str(BASE) not in json.dumps(told) + tuned.made.model_dump_json()


def test_what_was_made_is_written_down_for_the_registry(tuned: Tuned) -> None:
    made = tuned.made
    assert (made.kind, made.role, made.base_name, made.base) == ("adapter", "risk", "nano", digest(BASE))
    assert made.data["digest"] == tuned.run.begun.data
    assert made.recipe["seed"] == 7
    assert made.recipe["versions"]["torch"] == torch.__version__
    assert made.recipe["losses"]["train"][-1] == tuned.losses[-1].train


def _said(model: Any, words: Any, row: Any, upto: int) -> str:
    told: Any = {"tools": list(row.tools), "add_generation_prompt": True, "return_tensors": "pt"}
    asked = words.apply_chat_template(list(row.messages[:upto]), **told)["input_ids"]
    with torch.no_grad():
        given = model.generate(input_ids=asked, max_new_tokens=96, do_sample=False)
    return str(words.decode(given[0, asked.shape[1] :]))


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # of transformers, to peft
def test_the_adapter_changes_the_answer_and_merged_it_is_the_same_model(tuned: Tuned) -> None:
    words = transformers.AutoTokenizer.from_pretrained(BASE)
    base = transformers.AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32).eval()
    row: Any = next(r for r in chats(20, 11, held_out=True) if "value_at_risk" in str(r) and "adapter" not in str(r))
    before = _said(base, words, row, len(row.messages) - 1)
    adapted = peft.PeftModel.from_pretrained(base, tuned.folder).eval()
    ids = words("How risky is AAPL?", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        apart = adapted(input_ids=ids).logits
        after = _said(adapted, words, row, len(row.messages) - 1)
        merged = adapted.merge_and_unload()(input_ids=ids).logits
    assert before != after
    assert torch.allclose(apart, merged, atol=1e-4)


def test_the_same_again_returns_at_once_and_another_recipe_is_another_run(home: Path, tuned: Tuned) -> None:
    data = stored(home, "chat", "risk", chats(96), chats(16, 9, held_out=True))
    seen = list[Step]()
    again = tune(home, BASE, data, RECIPE, watch=seen.append, base_name="nano", box=BOX)
    assert (again, seen) == (tuned, [])
    begun = tuned.run.begun
    assert begun.model_copy(update={"recipe": begun.recipe.model_copy(update={"seed": 8})}).name != tuned.name
    assert begun.model_copy(update={"recipe": begun.recipe.model_copy(update={"threads": 8})}).name == tuned.name


KILLED = """
import sys, time
from pathlib import Path
from openoutcry.training.examples.dataset import load
from openoutcry.training.tuning.recipe import Recipe
from openoutcry.training.tuning.run import tune
from openoutcry.serving.planning.box import Box
home, base, told, stands = sys.argv[1:]
box = Box(ram=32 << 30, ram_free=32 << 30, cores=1)
def watch(step):
    if step.step == int(stands):
        time.sleep(600)
recipe = Recipe.model_validate_json(told)
tune(Path(home), Path(base), load(Path(home), "last"), recipe, watch=watch, base_name="nano", box=box)
"""
"""Its last word is the update at which it stands still; -1 for none."""


def test_the_peak_is_near_what_was_planned(tmp_path: Path) -> None:
    """In a process of its own: another test's memory is not its peak."""
    stored(tmp_path, "chat", "risk", chats(12))
    recipe = Recipe(steps=4, threads=1, batch=2)
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(BASE), recipe.model_dump_json(), "-1"]
    subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
    (run,) = runs.listing(tmp_path)
    assert run.done is not None
    assert 0.5 < run.done.peak / run.done.planned < 2.0


def test_after_a_kill_it_goes_on_from_the_last_whole_checkpoint_to_the_same_weights(tmp_path: Path) -> None:
    recipe = Recipe(steps=12, keep_every=2, threads=1, rate=0.008, batch=2, dropout=0.1)
    apart = tmp_path / "apart"
    stored(apart, "chat", "risk", chats(12))
    command = [sys.executable, "-c", KILLED, str(apart), str(BASE), recipe.model_dump_json(), "5"]
    child = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    while child.poll() is None and not list(apart.glob("training/runs/*/checkpoints/checkpoint-4/whole.json")):
        time.sleep(0.01)
    assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    (run,) = runs.listing(apart)
    assert (run.done, kept := run.step) == (None, 4)
    cut = run.folder / runs.CHECKPOINTS / "checkpoint-11"
    cut.mkdir()
    (cut / "adapter_model.safetensors").write_bytes(b"half of it")
    seen = list[Step]()
    data = stored(apart, "chat", "risk", chats(12))
    after = tune(apart, BASE, data, recipe, watch=seen.append, base_name="nano", box=BOX)
    assert seen[0].step == kept
    whole = tune(tmp_path, BASE, stored(tmp_path, "chat", "risk", chats(12)), recipe, base_name="nano", box=BOX)
    assert after.name == whole.name
    assert [loss.step for loss in after.losses] == list(range(1, 13))
    assert after.losses == whole.losses
    one, other = weights(after), weights(whole)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_that_is_to_stop_stops_after_its_update_with_a_checkpoint(tmp_path: Path) -> None:
    """Though its points of the curve, at which it tells its loss, are two updates apart."""
    data, recipe = stored(tmp_path, "chat", "risk", chats(2), chats(1)), Recipe(steps=200, batch=1, threads=1)
    asked = iter([*[False] * 2, True])
    with pytest.raises(Halted):
        tune(tmp_path, BASE, data, recipe, box=BOX, stopping=lambda: next(asked))
    (run,) = runs.listing(tmp_path)
    assert (run.step, run.done, next(asked, None)) == (3, None, None)


def test_a_run_that_is_to_stop_does_not_look_at_all_rows_held_back_first(tmp_path: Path) -> None:
    data, recipe = stored(tmp_path, "chat", "risk", chats(2), chats(3, 9)), Recipe(steps=1, batch=1, threads=1)
    asked = list[bool]()
    with pytest.raises(Halted):
        tune(tmp_path, BASE, data, recipe, box=BOX, stopping=lambda: asked.append(True) or len(asked) == 2)
    assert len(asked) == 2


def test_killed_after_its_last_update_it_goes_on_to_the_same_weights_and_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its steps are no whole number of epochs, in which the library would train one update more than it was told."""
    recipe = Recipe(steps=3, batch=1, keep_every=2, threads=1, rate=0.008, schedule="constant")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    def tuned_in(home: Path) -> Tuned:
        return tune(home, BASE, stored(home, "chat", "risk", chats(2)), recipe, base_name="nano", box=BOX)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(runs, "end", killed)
        tuned_in(tmp_path / "one")
    one, other = tuned_in(tmp_path / "one"), tuned_in(tmp_path / "other")
    assert one.run.done and other.run.done
    assert one.losses == other.losses
    assert digest(one.folder) == digest(other.folder)


def test_checkpoints_that_a_kill_left_beside_what_was_done_are_swept(tmp_path: Path) -> None:
    data, recipe = stored(tmp_path, "chat", "risk", chats(2)), Recipe(steps=1, batch=1, threads=1)
    left = tune(tmp_path, BASE, data, recipe, box=BOX).run.folder / runs.CHECKPOINTS
    (left / "checkpoint-1").mkdir(parents=True)
    tune(tmp_path, BASE, data, recipe, box=BOX)
    assert not left.exists()


def test_a_gpu_that_is_full_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(transformers.Trainer, "train", full)
    data, recipe = stored(tmp_path, "chat", "risk", chats(2)), Recipe(steps=1, batch=1, threads=1)
    with pytest.raises(DataError, match="to do on the GPU, got out of memory; stop what else runs there"):
        tune(tmp_path, BASE, data, recipe, box=BOX)


def test_a_checkpoint_counts_only_where_every_file_is_as_long_as_its_mark_says(tmp_path: Path) -> None:
    for step in (2, 10, 9):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}/state").write_bytes(b"1234")
        checkpoints.seal(tmp_path / f"checkpoint-{step}")
    assert checkpoints.step(checkpoints.newest(tmp_path, 11)) == 10
    assert checkpoints.step(checkpoints.newest(tmp_path, 10)) == 9
    (tmp_path / "checkpoint-10/state").write_bytes(b"12")
    assert checkpoints.step(checkpoints.newest(tmp_path, 11)) == 9
    (tmp_path / "checkpoint-9/whole.json").unlink()
    checkpoints.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-2"]


def test_all_weights_of_a_small_model_are_learnt_and_stored_as_wide_as_before(tmp_path: Path) -> None:
    data = stored(tmp_path, "chat", "risk", chats(16))
    told = tune(tmp_path, BASE, data, Recipe(method="full", steps=4, batch=4, threads=1), box=BOX)
    before, after = (load_file(folder / "model.safetensors") for folder in (BASE, told.folder))
    assert told.made.kind == "model"
    assert before.keys() == after.keys()
    assert {value.dtype for value in after.values()} == {torch.bfloat16}
    assert not torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    assert (told.folder / "chat_template.jinja").read_text() == (BASE / "chat_template.jinja").read_text()


def test_a_classifier_learns_tones_that_it_did_not_know(tmp_path: Path) -> None:
    flipped = {"negative": "positive", "positive": "negative", "neutral": "neutral"}
    plain: list[Any] = tones(300)
    rows = [row.model_copy(update={"label": flipped[row.label]}) for row in plain]
    data = stored(tmp_path, "tone", "reader", rows, rows[:20])
    told = tune(tmp_path, NANO / "classifier", data, Recipe(steps=60, batch=32, threads=1, rate=2e-3), box=BOX)
    assert told.made.kind == "classifier"
    assert labels(told.folder) == labels(NANO / "classifier")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(told.folder).eval()
    words = transformers.AutoTokenizer.from_pretrained(told.folder)
    with torch.no_grad():
        best = model(**words([r.text for r in rows[:100]], padding=True, return_tensors="pt")).logits.argmax(-1)
    right = sum(model.config.id2label[int(b)] == r.label for b, r in zip(best, rows[:100], strict=True))
    assert right > 90
    assert (told.losses[-1].valid or 9) < (told.losses[0].train or 0)


def test_a_base_without_the_labels_gets_a_head_of_the_three_tones(tmp_path: Path) -> None:
    base = tmp_path / "base"
    model = transformers.AutoModelForSequenceClassification.from_pretrained(NANO / "classifier")
    model.config.id2label, model.config.label2id = {0: "LABEL_0", 1: "LABEL_1"}, {"LABEL_0": 0, "LABEL_1": 1}
    model.bert.save_pretrained(base)
    transformers.AutoTokenizer.from_pretrained(NANO / "classifier").save_pretrained(base)
    told = tune(tmp_path, base, stored(tmp_path, "tone", "reader", tones(16)), Recipe(steps=2, threads=1), box=BOX)
    assert labels(told.folder) == ("negative", "neutral", "positive")


def test_an_embedder_moves_the_texts_of_a_pair_together(tmp_path: Path) -> None:
    library: Any = import_module("sentence_transformers")
    words = [(f"What of item {n}?", f"{a} {b}") for n, (a, b) in enumerate(zip("abcdefgh", "hgfedcba", strict=True))]
    data = stored(tmp_path, "pairs", "embedder", pairs(words))
    told = tune(tmp_path, bundled(), data, Recipe(steps=6, threads=1, rate=5e-4), box=BOX)

    def apart(folder: Path) -> float:
        model = library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        first, second = (model.encode([pair[i] for pair in words]) for i in (0, 1))
        alike = model.similarity(first, second)
        return float(alike.diagonal().mean() - alike.mean())

    assert told.made.kind == "embedder"
    assert apart(told.folder) > apart(bundled()) + 0.02


def test_what_can_not_be_is_refused_in_one_line(home: Path, tuned: Tuned, tmp_path: Path) -> None:
    data = stored(tmp_path, "tone", "reader", tones(4))
    with pytest.raises(UsageError, match="only chat takes LoRA"):
        tune(tmp_path, NANO / "classifier", data, Recipe(method="lora"), box=BOX)
    with pytest.raises(UsageError, match="expected data of kind chat for the risk, got tone"):
        tune(tmp_path, NANO / "classifier", data, Recipe(), role="risk", box=BOX)
    with pytest.raises(UsageError, match=r"expected a Hugging Face model's folder at .*nowhere"):
        tune(tmp_path, tmp_path / "nowhere", data, Recipe(), box=BOX)
    small = BOX.model_copy(update={"ram_free": 600_000_000})
    chat = stored(home, "chat", "risk", chats(96), chats(16, 9, held_out=True))
    with pytest.raises(UsageError, match=r"needs .* MB \(libraries .*\) and there are 600 MB free here"):
        tune(tmp_path, BASE, chat, RECIPE, box=small)


def test_a_disk_that_is_full_is_one_line_and_the_same_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault: Any = import_module("safetensors").SafetensorError("I/O error: No space left on device (os error 28)")

    def full(*_: Any, **__: Any) -> None:
        raise fault

    data, recipe = stored(tmp_path, "chat", "risk", chats(2)), Recipe(steps=1, batch=1, threads=1)
    with monkeypatch.context() as patched, pytest.raises(DataError, match="expected room for its files, got I/O error"):
        patched.setattr(peft.PeftModel, "save_pretrained", full)
        tune(tmp_path, BASE, data, recipe, box=BOX)
    assert tune(tmp_path, BASE, data, recipe, box=BOX).run.done


def test_two_processes_do_not_train_the_same_run(tmp_path: Path) -> None:
    data, recipe = stored(tmp_path, "chat", "risk", chats(4)), Recipe(steps=2, batch=1, threads=1)
    with pytest.raises(UsageError):
        tune(tmp_path, BASE, data, recipe, box=BOX.model_copy(update={"ram_free": 1}))
    assert not runs.listing(tmp_path), "what was refused never began"
    with pytest.raises(Halted):
        tune(tmp_path, BASE, data, recipe, box=BOX, stopping=lambda: True)
    (run,) = runs.listing(tmp_path)
    with FileLock(run.folder / "lock"), pytest.raises(UsageError, match="another process trains"):
        tune(tmp_path, BASE, data, recipe, box=BOX)


def test_what_was_made_and_then_changed_is_told(home: Path, tuned: Tuned) -> None:
    data = stored(home, "chat", "risk", chats(96), chats(16, 9, held_out=True))
    file = tuned.folder / "adapter_config.json"
    before = file.read_bytes()
    file.write_bytes(before + b" ")
    with pytest.raises(DataError, match="was changed since"):
        tune(home, BASE, data, RECIPE, base_name="nano", box=BOX)
    file.write_bytes(before)
