"""Compiles a sentence-transformers model for onnxruntime: exported whole, its weights int8 where the ranks are kept."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from openoutcry.core.errors import UsageError
from openoutcry.memory.compiled import (
    ABOUT,
    MODEL,
    TOKENIZER,
    About,
    Precision,
    Runtime,
    build,
    library,
    readable,
    sha256,
    unit,
)

log = structlog.get_logger()
LEAST_RANK_CORRELATION = 0.98
TINY = 1e-9
Floats = NDArray[np.float32]

SHORT = (
    "Shares of AAPL closed higher after the company raised its dividend.",
    "The board approved a share buyback of two billion dollars.",
    "Net income fell as interest expense rose faster than sales.",
    "One-day value at risk at 99 % is 2.84 % of the position.",
    "Volatility over the last 60 trading days is well above its mean of the year.",
    "The chief financial officer resigned with immediate effect.",
    "A judge dismissed the class action over the product recall.",
    "The drug failed its late trial and the stock lost a third of its value.",
    "Gross margin widened for the fourth quarter in a row.",
    "The central bank left its policy rate where it was.",
    "Crude oil fell on signs of slower demand from Asia.",
    "The lender set aside more for loans that may not be repaid.",
    "An option's implied volatility rose ahead of the earnings report.",
    "The merger was blocked by the antitrust authority.",
    "Free cash flow covers the dividend only half.",
    "The Altman Z score of 1.2 lies in the zone of distress.",
    "Auditors found a material weakness in internal control.",
    "The retailer opened forty stores and closed nine.",
    "The yield on ten-year Treasury notes climbed to 4.3 %.",
    "Short interest doubled in a month.",
    "The worst drawdown was 38 %, from February to October.",
    "Orders for chips fell short of what analysts had expected.",
    "The airline hedged most of its fuel for the next two years.",
    "A cyber attack stopped production at three plants.",
    "Momentum has faded and the price lies below its 200-day average.",
    "The insurer reported catastrophe losses of 600 million dollars.",
    "Management cut its forecast of revenue for the full year.",
    "The company refinanced its bonds at a lower coupon.",
    "Beta to the market is 1.4, and to the oil price 0.6.",
    "The union accepted a wage offer and ended the strike.",
    "Insiders sold shares worth nine million dollars in March.",
    "A takeover bid valued the firm at 24 times earnings.",
    "The house view is a fall with a chance of 0.61 over 20 days.",
    "Inventory grew twice as fast as sales, which is a warning.",
    "The portfolio is long banks and short utilities.",
    "Rating agencies lowered the debt to below investment grade.",
)
SENTENCES = (*SHORT, *(" ".join(SHORT[i : i + 9]) for i in range(0, 36, 3)))
"""What the ranks are measured on: 36 of about 10 words, and 12 of up to about 90."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The model in sentence-transformers itself: what every compiled form is measured by, and what runs without one."""

    name: str
    space: str
    dimension: int
    model: Any
    prompt: str
    precision: Precision = "fp32"
    rank_correlation: float = 1.0
    runtime: Runtime = "sentence-transformers"
    _turn: Lock = field(default_factory=Lock)

    def embed(self, texts: Sequence[str]) -> Floats:
        """Vectors of shape (n, dimension), each of length 1; one call at a time. Raises DataError as `unit` does."""
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        with self._turn:
            given = [readable(text) for text in texts]
            found = self.model.encode(given, prompt=self.prompt, show_progress_bar=False)
        return unit(np.asarray(found, np.float32))


def reference(folder: Path, name: str, space: str) -> Reference:
    """Load *folder* on the processor, from the disk alone.

    Raises UsageError where it is no sentence-transformers model.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between these libraries, which are theirs to settle
        sentences, transformers = library("sentence_transformers"), library("transformers")
        transformers.logging.disable_progress_bar()
        try:
            model = sentences.SentenceTransformer(str(folder), device="cpu", local_files_only=True).eval()
            _bound_length(model)
            prompt = model.prompts.get(model.default_prompt_name) or ""
            dimension = len(model.encode("a first text", prompt=prompt, show_progress_bar=False))
        except Exception as error:  # whatever a damaged file makes these libraries raise
            told = next(iter(str(error).splitlines()), "")[:200]
            raise UsageError(
                f"expected a sentence-transformers model in {folder}, which cannot be loaded: "
                f"{type(error).__name__}: {told}: save it there again with model.save(...), or name another folder"
            ) from error
    return Reference(name, space, dimension, model, prompt)


def _bound_length(model: Any) -> None:
    """Cut texts where the model's table of positions ends, which the tokenizer's own length may lie beyond."""
    for module in model[0].modules():
        table: Any = getattr(module, "position_embeddings", None)
        if hasattr(table, "num_embeddings"):
            longest = table.num_embeddings - (0 if table.padding_idx is None else table.padding_idx + 1)
            model.max_seq_length = min(model.max_seq_length or longest, longest)


def compile_into(folder: Path, truth: Reference) -> About | None:
    """Compile into *folder*, which is made, and say what was kept; None, with a warning logged, where that fails.

    int8 is kept where its rank correlation is at least 0.98, else fp32 where that is, else nothing but the verdict.
    Raises DataError for a model of NaN, OSError where *folder* cannot be written.
    """
    folder.mkdir()
    wanted = truth.embed(SENTENCES)
    try:
        tokenizer = _tokenizer(truth)
        tokenizer.save(str(folder / TOKENIZER))
        whole, small = folder / "fp32.onnx", folder / "int8.onnx"
        _export(truth, tokenizer.encode(truth.prompt + SENTENCES[-1]).ids, whole)
        quantise_rows(whole, small)
        about = _best(truth, wanted, folder, {"int8": small, "fp32": whole})
        whole.unlink(missing_ok=True)
        small.unlink(missing_ok=True)
    except OSError:
        raise
    except Exception as error:  # an architecture that cannot be traced may raise anything; the model still runs
        log.warning("the embedding model runs uncompiled", model=truth.name, why=f"{type(error).__name__}: {error}")
        return None
    (folder / ABOUT).write_text(about.model_dump_json(), encoding="utf-8")
    return about


def rank_correlation(wanted: Floats, found: Floats) -> float:
    """Mean over texts of Spearman's correlation between what two sets of vectors say is alike.

    Both of shape (n, dimension) with rows of length 1; a text is not compared with itself.
    """
    n = len(wanted)
    apart = _ranks(wanted) - _ranks(found)
    return 1 - 6 * float((apart**2).sum()) / n / ((n - 1) * ((n - 1) ** 2 - 1))


def _ranks(vectors: Floats) -> NDArray[np.float64]:
    """Shape (n, n - 1): where each other text stands in a text's order of likeness, from 0."""
    n = len(vectors)
    alike = (vectors @ vectors.T)[~np.eye(n, dtype=bool)].reshape(n, n - 1)
    return np.asarray(alike.argsort(axis=1).argsort(axis=1), np.float64)


def _best(truth: Reference, wanted: Floats, folder: Path, forms: Mapping[Precision, Path]) -> About:
    """Keep the first of the forms that keeps the ranks, as the model's file."""
    verdict = About(
        runtime="sentence-transformers",
        precision="fp32",
        rank_correlation=1.0,
        dimension=truth.dimension,
        prompt=truth.prompt,
        files={},
    )
    for precision, path in forms.items():
        form = build(path, folder / TOKENIZER, truth.name, truth.space, verdict)
        agreed = rank_correlation(wanted, form.embed(SENTENCES))
        if agreed >= LEAST_RANK_CORRELATION:
            path.rename(folder / MODEL)
            kept = {"precision": precision, "rank_correlation": round(agreed, 4), "runtime": "onnxruntime"}
            return verdict.model_copy(update=kept | {"files": {f: sha256(folder / f) for f in (MODEL, TOKENIZER)}})
    return verdict


def _tokenizer(truth: Reference) -> Any:
    """The model's tokenizer as `tokenizers` alone runs it. Raises ValueError where it gives other tokens."""
    backend = library("tokenizers").Tokenizer.from_str(truth.model.tokenizer.backend_tokenizer.to_str())
    backend.no_padding()
    backend.no_truncation()
    if truth.model.max_seq_length:
        backend.enable_truncation(truth.model.max_seq_length, direction=truth.model.tokenizer.truncation_side)
    for text in (*SENTENCES, " ".join(SHORT)):
        wanted = truth.model.preprocess([text], prompt=truth.prompt or None)["input_ids"][0].tolist()
        if backend.encode(truth.prompt + text).ids != wanted:
            raise ValueError("its tokenizer gives other tokens outside transformers")
    return backend


def _export(truth: Reference, ids: Sequence[int], to: Path) -> None:
    """Write the whole pipeline, pooling and all, as one graph from `ids` (1, tokens) to `vector` (1, dimension).

    One text at a time has no padding, so the graph has no mask; plain attention is what onnxruntime fuses best.
    """
    torch = library("torch")
    model = truth.model
    more = {k: v for k, v in model.preprocess(["a"], prompt=truth.prompt or None).items() if k == "prompt_length"}

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            torch.nn.Module.__init__(self)
            self.inner = model

        def forward(self, ids: Any) -> Any:
            return self.inner({"input_ids": ids, **more})["sentence_embedding"]

    model[0].auto_model.set_attn_implementation("eager")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer's: of its age, and of sizes that it takes as constant
        torch.onnx.export(
            Whole().eval(),
            (torch.tensor([ids]),),
            str(to),
            input_names=["ids"],
            output_names=["vector"],
            dynamic_axes={"ids": {1: "tokens"}},
            opset_version=18,
            dynamo=False,
        )


WEIGHT = 63
"""Steps of a weight's largest size. Of 127, two products could pass 16 bits, where processors without VNNI add them up:
the ranks would be lost there, and vectors would differ between machines.
"""


def quantise_rows(whole: Path, to: Path) -> None:
    """Write the graph with each product of an activation and a weight matrix in int8, symmetric on both sides.

    A weight has one scale a column (its largest size over WEIGHT), an activation one a token (over 127). One scale for
    a whole activation, which is what onnxruntime's own dynamic quantisation takes, is set by the few tokens that are
    far larger than the rest, and costs most of the ranks that are lost.
    """
    onnx = library("onnx")
    model = onnx.load(str(whole))
    graph, array, node = model.graph, onnx.numpy_helper.from_array, onnx.helper.make_node
    weights: dict[str, Floats] = {w.name: onnx.numpy_helper.to_array(w) for w in graph.initializer if len(w.dims) == 2}
    made: dict[str, NDArray[Any]] = {
        "int8_step": np.array(1 / 127, np.float32),
        "int8_zero": np.array(128, np.uint8),
        "int8_axis": np.array([-1], np.int64),
        "int8_floor": np.array(TINY, np.float32),
    }
    nodes: list[Any] = []
    for old in graph.node:
        x, w = (*old.input, "", "")[:2]
        if old.op_type != "MatMul" or w not in weights:
            nodes.append(old)
            continue
        if all(f"{x}_int8" not in n.output for n in nodes):
            nodes += [
                node("Abs", [x], [f"{x}_sizes"]),
                node("ReduceMax", [f"{x}_sizes", "int8_axis"], [f"{x}_most"], keepdims=1),
                node("Max", [f"{x}_most", "int8_floor"], [f"{x}_size"]),
                node("Div", [x, f"{x}_size"], [f"{x}_unit"]),
                node("QuantizeLinear", [f"{x}_unit", "int8_step", "int8_zero"], [f"{x}_int8"]),
            ]
        made[f"{w}_step"] = (np.maximum(np.abs(weights[w]).max(axis=0), TINY) / WEIGHT).astype(np.float32)
        made[f"{w}_int8"] = np.round(weights[w] / made[f"{w}_step"]).astype(np.int8)
        out, given = old.output[0], [f"{x}_int8", f"{w}_int8", "int8_step", f"{w}_step", "int8_zero"]
        nodes.append(node("MatMulIntegerToFloat", given, [f"{out}_unit"], domain="com.microsoft"))
        nodes.append(node("Mul", [f"{out}_unit", f"{x}_size"], [out]))
    used = {name for n in nodes for name in n.input}
    kept = [w for w in graph.initializer if w.name in used] + [array(value, name) for name, value in made.items()]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, str(to))
