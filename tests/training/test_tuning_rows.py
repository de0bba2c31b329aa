"""Chat rows as tokens: the loss is on what the assistant says, in any chat template, and nothing is cut."""

import json
import shutil
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

import pytest

from openoutcry.core.errors import UsageError
from openoutcry.training import nano_data
from openoutcry.training.tuning import rows
from openoutcry.training.tuning.rows import IGNORED, Line

BASE = Path(str(files("openoutcry.serving"))) / "nano/base"
PLAIN = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' ~ message.role ~ '\n' -}}"
    "{%- if message.role == 'assistant' -%}"
    "{% generation %}{{- message.content -}}"
    "{%- for call in message.tool_calls or [] -%}{{- call.function.arguments | tojson -}}{%- endfor -%}"
    "{{- '<|im_end|>' -}}{% endgeneration %}{{- '\n' -}}"
    "{%- else -%}{{- message.content ~ '<|im_end|>\n' -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}{%- endif -%}"
)
FORGETFUL = PLAIN.replace("{{- message.content -}}", "{{- message.content if loop.last else '(earlier)' -}}")
"""Shows an earlier answer otherwise than when it was said, as templates do that drop what was thought."""
THINKING = PLAIN.replace("{% generation %}", "{{- '<think>' -}}{% generation %}").replace(
    "assistant\n' -}}{%- endif", "assistant\n<think>' -}}{%- endif"
)


def tokenizer(template: str = "") -> Any:
    found = rows.tokenizer_of(BASE)
    found.chat_template = template or found.chat_template
    return found


def dialogue(seed: int = 1, role: str = "risk") -> dict[str, Any]:
    made = nano_data.dialogue(Random(seed), role)
    return {"id": f"r{seed}", "role": role, "messages": list(made.messages), "tools": list(made.tools)}


def short(*said: str, **more: Any) -> dict[str, Any]:
    asked = {"role": "user", "content": "Q?"}
    messages = [m for a in said for m in (dict(asked), {"role": "assistant", "content": a} | more)]
    return {"id": "s", "role": "risk", "messages": messages, "tools": []}


def learnt(words: Any, line: Line) -> list[str]:
    """The stretches of text that the loss counts."""
    found, last = list[list[int]](), IGNORED
    for label in line.labels:
        if label != IGNORED:
            if last == IGNORED:
                found.append([])
            found[-1].append(label)
        last = label
    return [words.decode(ids) for ids in found]


def encode(words: Any, *given: dict[str, Any], most: int = 4096) -> rows.Encoded:
    return rows.encode(words, rows.stops(BASE, words), given, most)


def test_the_loss_counts_each_call_and_answer_with_its_stop_and_nothing_else() -> None:
    words, row = tokenizer(), dialogue()
    (line,) = encode(words, row).lines
    said = [m for m in row["messages"] if m["role"] == "assistant"]
    calls = said[0]["tool_calls"]
    assert len(learnt(words, line)) == len(said)
    assert learnt(words, line)[0].count("<tool_call>") == len(calls)
    assert learnt(words, line)[-1] == said[-1]["content"] + "<|im_end|>"
    assert all(label in (IGNORED, i) for i, label in zip(line.ids, line.labels, strict=True))


def test_what_is_learnt_is_what_a_server_renders_for_the_same_messages() -> None:
    words, row = tokenizer(), dialogue()
    (line,) = encode(words, row).lines
    whole = words.apply_chat_template(rows.shown(row["messages"]), tools=row["tools"], tokenize=False)
    assert words.decode(line.ids) == whole.rstrip("\n")
    first = next(i for i, m in enumerate(row["messages"]) if m["role"] == "assistant")
    asked = words.apply_chat_template(
        rows.shown(row["messages"][:first]), tools=row["tools"], add_generation_prompt=True
    )["input_ids"]
    assert line.ids[: len(asked)] == asked
    assert line.labels[len(asked) - 1] == IGNORED != line.labels[len(asked)]


def test_arguments_are_shown_as_mappings_as_vllm_shows_them() -> None:
    call: Any = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    told = {"role": "assistant", "content": "", "tool_calls": [call], "weight": 1}
    assert rows.shown([told])[0]["tool_calls"][0]["function"]["arguments"] == {"a": 1}
    assert rows.shown([{"role": "assistant", "content": "x", "tool_calls": []}]) == [
        {"role": "assistant", "content": "x"}
    ]
    words = tokenizer(PLAIN)
    (line,) = encode(words, short("ok", tool_calls=[call])).lines
    assert learnt(words, line) == ['ok{"a": 1}<|im_end|>']
    assert call["function"]["arguments"] == '{"a": 1}'


def test_a_blank_is_learnt_where_the_tokenizer_tells_its_place_as_nothing() -> None:
    processors: Any = import_module("tokenizers.processors")
    words, row = tokenizer(PLAIN), short("Of 10 20 and 30.")
    (line,) = encode(words, row).lines
    words.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    assert any(a == b for a, b in words("Of 10 20 and 30.", return_offsets_mapping=True)["offset_mapping"])
    assert encode(words, row).lines == [line]


def test_with_generation_marks_the_mask_is_that_of_the_marks() -> None:
    words, row = tokenizer(PLAIN), short("first", "second")
    (line,) = encode(words, row).lines
    marked = words.apply_chat_template(row["messages"], return_dict=True, return_assistant_tokens_mask=True)
    assert [int(label != IGNORED) for label in line.labels] == marked["assistant_masks"][: len(line.labels)]


def test_a_message_of_no_weight_is_read_and_not_learnt() -> None:
    words, row = tokenizer(PLAIN), short("wrong", "right")
    row["messages"][1]["weight"] = 0
    (line,) = encode(words, row).lines
    assert learnt(words, line) == ["right<|im_end|>"]
    assert "wrong" in words.decode(line.ids)


def test_where_a_template_shows_earlier_turns_otherwise_each_turn_is_a_line_of_its_own() -> None:
    words = tokenizer(FORGETFUL)
    lines = encode(words, short("one", "two")).lines
    assert [learnt(words, line) for line in lines] == [["one<|im_end|>"], ["two<|im_end|>"]]
    assert "(earlier)" in words.decode(lines[1].ids)


def test_what_the_prompt_for_an_answer_holds_already_is_not_learnt() -> None:
    words = tokenizer(THINKING)
    (line,) = encode(words, short("one")).lines
    assert learnt(words, line) == ["one<|im_end|>"]


def test_rows_too_long_or_with_nothing_to_learn_are_left_out_and_counted_and_none_is_cut() -> None:
    words = tokenizer(PLAIN)
    silent = short("x", weight=0)
    fits = encode(words, short("one")).longest
    made = encode(words, short("one"), short("one " * 50), silent, most=fits)
    assert len(made.lines) == 1
    assert made.left_out == {f"longer than {fits:,} tokens": 1, "nothing to learn in it": 1}
    assert made.longest == made.tokens == fits


def test_a_template_that_never_stops_or_cannot_show_a_row_is_refused() -> None:
    with pytest.raises(UsageError, match="would not learn to stop"):
        encode(tokenizer(PLAIN.replace("<|im_end|>", "")), short("one"))
    with pytest.raises(UsageError, match="can show row s, got TemplateError: no tools"):
        encode(tokenizer("{{ raise_exception('no tools') }}"), short("one"))


def test_a_template_that_leaves_calls_out_is_refused() -> None:
    """A model would learn to say nothing where it is to call."""
    deaf = PLAIN.replace("{%- for call in message.tool_calls or [] -%}", "{%- for call in [] -%}")
    with pytest.raises(UsageError, match="expected a chat template that shows calls of tools"):
        encode(tokenizer(deaf), dialogue(1))


def test_code_in_a_bases_folder_is_neither_run_nor_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def yes(_: str) -> str:
        return "y"

    monkeypatch.setattr("builtins.input", yes)
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    shutil.copytree(BASE, tmp_path, dirs_exist_ok=True)
    told = json.loads((tmp_path / "tokenizer_config.json").read_text())
    told |= {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": [None, "own.Own"]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(told))
    (tmp_path / "config.json").write_text('{"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}')
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(UsageError, match="expected a model's folder with a tokenizer"):
        rows.tokenizer_of(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_the_stops_are_all_that_the_models_files_name(tmp_path: Path) -> None:
    words = tokenizer()
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [0, 2]}))
    assert rows.stops(tmp_path, words) == ("<|endoftext|>", "<|im_end|>")
    with pytest.raises(UsageError, match="with a tokenizer"):
        rows.tokenizer_of(tmp_path)
