"""Trains the tiny tone classifier: `python -m openoutcry.training.nano_classifier --minutes 1 --out FOLDER`."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from random import Random
from typing import Any

from openoutcry.agents.reader import Tone
from openoutcry.training.nano_headlines import document_title
from openoutcry.training.nano_start import Model
from openoutcry.training.nano_tokenizer import Tokenizer

VOCABULARY, BATCH, RATE = 1536, 64, 1e-3
PAD, UNKNOWN, FIRST, LAST = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
TONES = tuple(Tone)


def headlines(rng: Random, count: int, *, held_out: bool = False) -> tuple[list[str], list[int]]:
    """Made-up headlines and the places of their tones in TONES."""
    labels = [rng.randrange(len(TONES)) for _ in range(count)]
    return [document_title(rng, TONES[i], held_out) for i in labels], labels


def tokenizer_of(texts: Sequence[str]) -> Tokenizer:
    """A WordPiece tokenizer of lower-case words that frames a text as BERT does."""
    import tokenizers
    from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    whole = tokenizers.Tokenizer(models.WordPiece(unk_token=UNKNOWN))
    whole.normalizer = normalizers.BertNormalizer(lowercase=True)
    whole.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    whole.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=[PAD, UNKNOWN, FIRST, LAST], show_progress=False
    )
    whole.train_from_iterator(texts, trainer)
    ends = [(t, whole.token_to_id(t)) for t in (FIRST, LAST)]
    whole.post_processor = processors.TemplateProcessing(
        single=f"{FIRST} $A {LAST}", pair=f"{FIRST} $A {LAST} $B:1 {LAST}:1", special_tokens=ends
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=whole, pad_token=PAD, unk_token=UNKNOWN, cls_token=FIRST, sep_token=LAST, model_max_length=128
    )


def blank(tokenizer: Tokenizer) -> Model:
    """An untrained classifier of about a fifth of a million parameters."""
    from transformers import BertConfig, BertForSequenceClassification

    return BertForSequenceClassification(
        BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=128,
            max_position_embeddings=128,
            id2label={i: str(tone) for i, tone in enumerate(TONES)},
            label2id={str(tone): i for i, tone in enumerate(TONES)},
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def fit(
    model: Model,
    tokenizer: Tokenizer,
    rng: Random,
    seconds: float,
    tell: Callable[[str], None],
) -> None:
    """Train for *seconds* of one core."""
    torch: Any = import_module("torch")
    descent = torch.optim.AdamW(model.parameters(), lr=RATE)
    began, told = time.process_time(), 0.0
    while (done := (time.process_time() - began) / seconds) < 1:
        texts, labels = headlines(rng, BATCH)
        for group in descent.param_groups:
            group["lr"] = RATE * max(0.02, min(1.0, 2 * (1 - done)))
        framed = tokenizer(texts, padding=True, return_tensors="pt")
        cost = model(**framed, labels=torch.tensor(labels)).loss
        cost.backward()
        descent.step()
        descent.zero_grad()
        if done >= told:
            tell(f"{100 * done:3.0f} %  loss {cost.item():.4f}")
            told += 0.1


def right(model: Model, tokenizer: Tokenizer, count: int = 512) -> float:
    """The share of held-out headlines whose tone is named."""
    torch: Any = import_module("torch")
    texts, labels = headlines(Random("held out"), count, held_out=True)
    with torch.no_grad():
        best = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.argmax(-1).tolist()
    return sum(b == label for b, label in zip(best, labels, strict=True)) / count


def main() -> None:
    """Train, score and write the classifier."""
    torch: Any = import_module("torch")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1, help="minutes of one core")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True, help="folder for the classifier")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    rng = Random(options.seed)
    tokenizer = tokenizer_of(headlines(rng, 5000)[0])
    model = blank(tokenizer)
    fit(model, tokenizer, rng, 60 * options.minutes, lambda line: print(line, file=sys.stderr, flush=True))
    half = model.eval().to(torch.bfloat16)
    half.save_pretrained(options.out)
    tokenizer.save_pretrained(options.out)
    print(f"right tones {right(half, tokenizer):.1%}")


if __name__ == "__main__":
    main()
