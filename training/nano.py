"""Trains the nano model from nothing: `python -m openoutcry.training.nano --minutes 10 --out FOLDER`."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

from openoutcry.training import nano_data, nano_start, nano_tokenizer
from openoutcry.training.nano_data import KINDS, Dialogue
from openoutcry.training.nano_start import Model, Tensor
from openoutcry.training.nano_tokenizer import Tokenizer

BATCH = 16
PEAK_RATE = 3e-3
COPY_ONLY, COPY_MIXED, MIXED_SHARE = 0.03, 0.6, 0.15
"""The first of the time goes into copying alone, and until the second a share of the batches."""
SLOT_WEIGHT = 3.0
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Example:
    """Token ids of a dialogue, and the spans (start, end) in them that the assistant said."""

    role: str
    ids: list[int]
    spans: list[tuple[int, int]]


Batch = tuple[Tensor, Tensor]


def encode(tokenizer: Tokenizer, dialogues: Sequence[Dialogue]) -> list[Example]:
    """Render and cut into tokens; a span reaches to the end mark, which the model has to say itself."""
    texts = [nano_tokenizer.render(tokenizer, d) for d in dialogues]
    opening: list[int] = tokenizer(f"{nano_tokenizer.START}assistant\n", add_special_tokens=False)["input_ids"]
    stop = int(tokenizer.eos_token_id)
    encoded: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [Example(d.role, ids, _spans(ids, opening, stop)) for d, ids in zip(dialogues, encoded, strict=True)]


def _spans(ids: list[int], opening: list[int], stop: int) -> list[tuple[int, int]]:
    starts = [i + len(opening) for i in range(len(ids)) if ids[i : i + len(opening)] == opening]
    return [(start, ids.index(stop, start) + 1) for start in starts]


def collate(examples: Sequence[Example]) -> Batch:
    """Inputs and labels, padded on the right, (batch, length); labels outside the spans are ignored."""
    import torch

    length = max(len(e.ids) for e in examples)
    inputs = torch.zeros(len(examples), length, dtype=torch.long)
    labels = torch.full((len(examples), length), IGNORED)
    for row, example in enumerate(examples):
        inputs[row, : len(example.ids)] = torch.tensor(example.ids)
        for start, end in example.spans:
            labels[row, start:end] = torch.tensor(example.ids[start:end])
    return inputs, labels


def draw(rng: Random, make: Callable[[Random], Dialogue], tokenizer: Tokenizer) -> Iterator[Batch]:
    """Endless batches of dialogues that are about equally long."""
    while True:
        examples = sorted(encode(tokenizer, [make(rng) for _ in range(8 * BATCH)]), key=lambda e: len(e.ids))
        batches = [collate(examples[i : i + BATCH]) for i in range(0, len(examples), BATCH)]
        rng.shuffle(batches)
        yield from batches


def any_role(rng: Random) -> Dialogue:
    """A training dialogue of any role."""
    return nano_data.plain(rng) if rng.random() < 0.02 else nano_data.dialogue(rng, rng.choice(list(KINDS)))


def copying(rng: Random, slots: Sequence[int], words: int, length: int = 80) -> Batch:
    """Random tokens said again and again: the habit of looking back and copying, (batch, length)."""
    import torch

    inputs = torch.empty(BATCH, length, dtype=torch.long)
    labels = torch.full((BATCH, length), IGNORED)
    for row in range(BATCH):
        share, size = rng.random(), rng.randint(3, 30)
        said = [rng.choice(slots) if rng.random() < share else rng.randrange(3, words) for _ in range(size)]
        line: list[int] = []
        while len(line) < length:
            line += said + [rng.randrange(3, words) for _ in range(rng.choice((0, 0, 1, 3)))]
        inputs[row] = torch.tensor(line[:length])
        labels[row, size + 1 :] = inputs[row, size + 1 :]
    return inputs, labels


def blank(tokenizer: Tokenizer) -> Model:
    """An untrained model of about one million parameters, with heads that copy already in place.

    It is Qwen2's architecture under the name of Llama with biases: for the name Qwen2, transformers puts Qwen2's way of
    cutting words in the place of the tokenizer's own.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=nano_tokenizer.VOCABULARY,
            hidden_size=128,
            intermediate_size=384,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=4096,
            rope_parameters={"rope_type": "default", "rope_theta": 1e6},
            initializer_range=0.06,
            attention_bias=True,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
        )
    )
    nano_start.look_back(model)
    return model


def load(folder: Path) -> tuple[Model, Tokenizer]:
    """A written model, in single precision, and its tokenizer."""
    transformers: Any = import_module("transformers")
    model = transformers.LlamaForCausalLM.from_pretrained(folder, dtype="float32")
    return model, transformers.PreTrainedTokenizerFast.from_pretrained(folder)


def loss(model: Model, batch: Batch, heavy: Tensor) -> Tensor:
    """Cross-entropy over what the assistant says; capital letters and digits, where it copies, weigh more."""
    import torch

    inputs, labels = batch
    hidden = model.model(input_ids=inputs).last_hidden_state[:, :-1]
    said = labels[:, 1:] != IGNORED
    targets = labels[:, 1:][said]
    each = torch.nn.functional.cross_entropy(model.lm_head(hidden[said]), targets, reduction="none")
    weights = heavy[targets]
    return (each * weights).sum() / weights.sum()


def rate(done: float, peak: float) -> float:
    """The learning rate after a share *done* of the time: a short rise, a long stand, a fall to nothing."""
    return peak * min(1.0, done / 0.01 + 0.02, max(0.02, 2 * (1 - done)))


def optimizer(parameters: Iterator[Any]) -> Any:
    """AdamW that decays matrices and leaves norms and biases alone."""
    import torch

    every = list(parameters)
    decayed = {"params": [p for p in every if p.ndim > 1], "weight_decay": 0.05}
    free = {"params": [p for p in every if p.ndim < 2], "weight_decay": 0.0}
    return torch.optim.AdamW([decayed, free], lr=PEAK_RATE, betas=(0.9, 0.98))


def fit(
    model: Model,
    batches: Callable[[float], Batch],
    heavy: Tensor,
    seconds: float,
    tell: Callable[[str], None],
    *,
    peak: float = PEAK_RATE,
) -> None:
    """Train for *seconds* of one core; `batches(done)` gives the next batch by the share of time that is done."""
    import torch

    descent = optimizer(p for p in model.parameters() if p.requires_grad)
    began, steps, told = time.process_time(), 0, 0.0
    while (done := (time.process_time() - began) / seconds) < 1:
        for group in descent.param_groups:
            group["lr"] = rate(done, peak)
        cost = loss(model, batches(done), heavy)
        cost.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        descent.step()
        descent.zero_grad()
        steps += 1
        if done >= told:
            tell(f"{100 * done:3.0f} %  step {steps}  loss {cost.item():.4f}")
            told += 0.05


def exact(
    model: Model,
    tokenizer: Tokenizer,
    role: str,
    *,
    extra: Sequence[str] = (),
    count: int = 128,
) -> tuple[float, float]:
    """The shares of held-out dialogues whose first tool calls, and whose last answer, are right word for word.

    For a role without tools both are that of the answer. Every token is the likeliest after the right ones before it,
    so a whole span is right exactly where greedy decoding says it.
    """
    import torch

    rng = Random(f"held out {role}")
    examples = encode(tokenizer, [nano_data.dialogue(rng, role, held_out=True, extra=extra) for _ in range(count)])
    first = last = 0
    for start in range(0, count, BATCH):
        some = examples[start : start + BATCH]
        inputs, _ = collate(some)
        with torch.no_grad():
            best = model(input_ids=inputs).logits.argmax(-1)
        for example, row in zip(some, best, strict=True):
            right = [row[s - 1 : e - 1].tolist() == example.ids[s:e] for s, e in example.spans]
            first, last = first + right[0], last + right[-1]
    return first / count, last / count


def heavy_slots(tokenizer: Tokenizer) -> Tensor:
    """The weight of each token in the loss, (vocabulary,)."""
    import torch

    weights = torch.ones(nano_tokenizer.VOCABULARY)
    weights[nano_tokenizer.slots(tokenizer)] = SLOT_WEIGHT
    return weights


def train(minutes: float, seed: int, tell: Callable[[str], None], begun: Path | None = None) -> tuple[Model, Tokenizer]:
    """A tokenizer and a model, made in *minutes* of one core: from nothing, or from the model in *begun*."""
    torch: Any = import_module("torch")
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    rng = Random(seed)
    if begun:
        model, tokenizer = load(begun)
    else:
        tokenizer = nano_tokenizer.build([any_role(rng) for _ in range(4000)])
        model = blank(tokenizer)
    tell(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(tokenizer):,} tokens")
    dialogues, slots = draw(rng, any_role, tokenizer), nano_tokenizer.slots(tokenizer)

    def batches(done: float) -> Batch:
        share = 1.0 if done < COPY_ONLY else MIXED_SHARE if done < COPY_MIXED else 0.0
        return copying(rng, slots, len(tokenizer)) if rng.random() < share else next(dialogues)

    fit(model, batches, heavy_slots(tokenizer), 60 * minutes, tell)
    return model.eval(), tokenizer


def main() -> None:
    """Train, score on held-out wordings and tickers, and write the model."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="minutes of one core")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--begun", type=Path, help="folder of a model to go on from, instead of from nothing")
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    options = parser.parse_args()

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    model, tokenizer = train(options.minutes, options.seed, tell, options.begun)
    half = model.to(torch.bfloat16)
    half.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    for role in KINDS:
        calls, answers = exact(half, tokenizer, role)
        print(f"{role}: right first calls {calls:.1%}, right answers {answers:.1%}")


if __name__ == "__main__":
    main()
