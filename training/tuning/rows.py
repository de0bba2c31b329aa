"""Chat rows as token ids with labels: the loss counts what the assistant says, and nothing else."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from typing import Any, cast

from openoutcry.core.errors import UsageError

IGNORED = -100
Message = dict[str, Any]
Tokenizer = Any
"""A fast tokenizer of transformers, whose own types are only partly known."""


@dataclass(frozen=True, slots=True)
class Line:
    """One sequence: token ids, and for each its id again where it is to be learnt, else IGNORED."""

    ids: list[int]
    labels: list[int]


@dataclass(frozen=True, slots=True)
class Encoded:
    """What there is to learn, and how many rows were left out, by why."""

    lines: list[Line] = field(default_factory=list[Line])
    left_out: Counter[str] = field(default_factory=Counter[str])

    @property
    def tokens(self) -> int:
        """Tokens of all lines."""
        return sum(len(line.ids) for line in self.lines)

    @property
    def longest(self) -> int:
        """Tokens of the longest line."""
        return max((len(line.ids) for line in self.lines), default=0)


def tokenizer_of(base: Path) -> Tokenizer:
    """The tokenizer of a model's folder. Raises UsageError where it has none that says where its tokens stand."""
    transformers: Any = import_module("transformers")
    try:
        found: Tokenizer = transformers.AutoTokenizer.from_pretrained(
            base, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        first = str(error).strip().split("\n", 1)[0]
        raise UsageError(f"expected a model's folder with a tokenizer at {base}, got: {first}") from None
    if not found.is_fast:
        raise UsageError(f"expected a tokenizer.json in {base}, found a tokenizer without: convert it to a fast one")
    return found


def stops(base: Path, tokenizer: Tokenizer) -> tuple[str, ...]:
    """The tokens that end an answer, as text: the tokenizer's own, and those that the model's files name."""
    ids: set[int] = {int(tokenizer.eos_token_id)} if tokenizer.eos_token_id is not None else set()
    for name in ("generation_config.json", "config.json"):
        try:
            told: Any = json.loads((base / name).read_bytes()).get("eos_token_id")
        except (OSError, ValueError, AttributeError):
            continue
        ids |= {int(i) for i in (cast("list[int]", told) if isinstance(told, list) else [told]) if i is not None}
    return tuple(str(tokenizer.convert_ids_to_tokens(i)) for i in sorted(ids))


def encode(tokenizer: Tokenizer, ends: Sequence[str], rows: Iterable[Message], max_length: int) -> Encoded:
    """Rows as lines. None is cut: one longer than *max_length* is left out and counted.

    A row is one line where the chat template shows earlier turns as they were when they were said, and else a line for
    each turn, since a model has to be asked as it is later. Raises UsageError where the template cannot show a row.
    """
    made = Encoded()
    for row in rows:
        parts = list(_parts(tokenizer, ends, row))
        lines = [_line(tokenizer, text, spans) for text, spans in parts]
        if not any(label != IGNORED for line in lines for label in line.labels):
            made.left_out["nothing to learn in it"] += 1
        elif any(len(line.ids) > max_length for line in lines):
            made.left_out[f"longer than {max_length:,} tokens"] += 1
        else:
            made.lines.extend(lines)
    return made


def shown(messages: Sequence[Message]) -> list[Message]:
    """Messages as vLLM hands them to a chat template: the arguments of calls as mappings, no empty lists of calls."""
    return [_shown(message) for message in messages]


def _shown(message: Message) -> Message:
    kept = {key: value for key, value in message.items() if key not in ("weight", "tool_calls")}
    calls: list[Message] = message.get("tool_calls") or []
    if not calls:
        return kept
    return {**kept, "tool_calls": [{**c, "function": {**c["function"], "arguments": _arguments(c)}} for c in calls]}


def _arguments(call: Message) -> Any:
    given: Any = call["function"].get("arguments") or {}
    return json.loads(given) if isinstance(given, str) else given


def rendered(tokenizer: Tokenizer, row: Message, upto: int | None = None, *, answer: bool = False) -> str:
    """The text of a row's first *upto* messages, all without it; `answer`: ready for the next one to be said."""
    more: dict[str, Any] = {"tokenize": False, "add_generation_prompt": answer}
    try:
        messages = shown(row["messages"][:upto])
        return str(tokenizer.apply_chat_template(messages, tools=row.get("tools") or None, **more))
    except Exception as error:  # a template is a program of its own, which raises what it likes
        raise UsageError(
            f"expected a chat template that can show row {row.get('id', '?')}, got {type(error).__name__}: {error}; "
            "choose another base or give its folder a template that knows tools"
        ) from None


def _parts(tokenizer: Tokenizer, ends: Sequence[str], row: Message) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Texts, each with the places (start, end) in it of what is to be learnt."""
    whole, together = rendered(tokenizer, row), list[tuple[int, int]]()
    for i, message in enumerate(row["messages"]):
        if message["role"] != "assistant" or message.get("weight") == 0:
            continue
        asked, text = rendered(tokenizer, row, i, answer=True), rendered(tokenizer, row, i + 1)
        start = _agree(asked, text)
        end = _end(text, start, ends, row)
        if message.get("tool_calls") and not _told(tokenizer, row, i, text):
            raise UsageError(
                f"expected a chat template that shows calls of tools, but that of the base leaves them out of row "
                f"{row.get('id', '?')}: choose another base or give its folder a template that knows tools"
            )
        if whole[:end] == text[:end]:
            together.append((start, end))
        else:
            yield text[:end], [(start, end)]
    if together:
        yield whole[: together[-1][1]], together


def _told(tokenizer: Tokenizer, row: Message, place: int, text: str) -> bool:
    """Whether the calls of a message are seen in *text*, in which it is the last."""
    said = row["messages"][place]
    without = {key: value for key, value in said.items() if key != "tool_calls"}
    return rendered(tokenizer, {**row, "messages": [*row["messages"][:place], without]}) != text


def _agree(first: str, second: str) -> int:
    """How many characters two texts begin with in common."""
    same = takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    return len(first) if second.startswith(first) else sum(1 for _ in same)


def _end(text: str, start: int, ends: Sequence[str], row: Message) -> int:
    """Where what is said ends: after the token that stops it, which a model has to say itself."""
    found = max((at + len(stop) for stop in ends if (at := text.rfind(stop, start)) >= 0), default=-1)
    if found < 0:
        raise UsageError(
            f"expected the chat template to end an answer with {' or '.join(ends) or 'a stop token'}, found none in "
            f"row {row.get('id', '?')}: a model would not learn to stop; name its stop token in generation_config.json"
        )
    return found


def _line(tokenizer: Tokenizer, text: str, spans: Sequence[tuple[int, int]]) -> Line:
    told: Any = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids: list[int] = list(told["input_ids"])
    places: list[tuple[int, int]] = list(told["offset_mapping"])
    # Some tokenizers tell places without blanks: that of a blank alone is (end, end).
    said = [any(s <= a and s < b <= e for s, e in spans) for a, b in places]
    return Line(ids, [i if learnt else IGNORED for i, learnt in zip(ids, said, strict=True)])
