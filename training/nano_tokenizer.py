"""The nano model's tokenizer, and a chat template that shortens the desk's long prompts to what it can hold."""

from collections.abc import Iterable, Sequence
from typing import Any

from openoutcry.agents.reader import Relevance, Tone
from openoutcry.training.nano_data import Dialogue
from openoutcry.training.nano_words import SENTENCES

Tokenizer = Any
"""A PreTrainedTokenizerFast; the library's own types are only partly known, as are those of its models."""
VOCABULARY = 1536
END, START, STOP = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
TOOLS = sorted(name for name in SENTENCES if " " not in name and name != "nothing_of_its_own")
TEMPLATE = """\
{%- macro words(content) -%}
{%- if content is string -%}{{- content -}}
{%- elif content -%}{%- for part in content -%}{{- part.text -}}{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- macro compact(text) -%}
{{- text | replace('": ', '":') | replace(', "', ',"') -}}
{%- endmacro -%}
{%- macro spaced(text) -%}
{{- text | replace('":', '": ') | replace(',"', ', "') -}}
{%- endmacro -%}
{%- macro measured(seen) -%}
{{- seen.split('"')[0] ~ ' ' ~ seen.split('"tool":"')[1].split('"')[0] -}}
{%- for name in ['tone', 'return_year', 'revenue_growth'] -%}
{%- if '"' ~ name ~ '":[' in seen -%}
{%- set value = seen.split('"' ~ name ~ '":[')[1].split(',')[0] | float -%}
{{- ' down' if value < 0 else ' up' if value > 0 else ' neutral' -}}
{%- endif -%}
{%- endfor -%}
{%- endmacro -%}
{%- macro evidence(text) -%}
{%- set listed = namespace(count=0) -%}
{%- for seen in text.split('{"id":"')[1:] -%}
{%- if listed.count < 8 and '"tool":"' in seen and seen.split('"tool":"')[1].split('"')[0] in KNOWN -%}
{%- set listed.count = listed.count + 1 -%}
{{- '\\n' ~ measured(seen) -}}
{%- endif -%}
{%- endfor -%}
{%- endmacro -%}
{%- macro asked(text) -%}
{%- if text.startswith('{"company"') -%}
{{- spaced(compact(text.split('"text"')[0])) ~ '\\n' ~ text.split('"text"', 1)[1].lstrip(': ')[:300] -}}
{%- elif text.startswith('{"question"') -%}
{%- set brief = compact(text) -%}
{%- set head = brief.split(',"memories":')[0].split(',"findings":')[0] -%}
{{- head.split('"kind":')[0].split('"question":')[1][:120] ~ '\\n' -}}
{%- set typed = '"kind":' ~ (head ~ '"kind":').split('"kind":')[1] -%}
{%- for last in ['"confidence":', '"view":'] if last in typed -%}
{%- set end = typed.split(last)[1].split(',')[0].split('}')[0] -%}
{{- spaced(typed.split(last)[0] ~ last ~ end) ~ ('}' if last == '"confidence":' else '') -}}
{%- endfor -%}
{%- if '"evidence":' in brief -%}
{{- evidence(brief.split('"evidence":')[1].split('"memories":')[0]) -}}
{%- endif -%}
{%- else -%}{{- text.split('\\n')[0][:100] -}}
{%- endif -%}
{%- endmacro -%}
{%- macro result(text) -%}
{%- if text.startswith('{"id":"') and '"tool":"' in text -%}
{{- '<|im_start|>tool\\n' ~ measured(text[7:]) -}}
{%- if '"tool":"document_search"' in text and '"items":["' in text and '"ticker":["' in text -%}
{{- ' "ticker": "' ~ text.split('"ticker":["')[1].split('"')[0] ~ '", "documents": [' -}}
{{- text.split('"items":[')[1].split(']')[0].split(',')[:3] | join(', ') ~ ']' -}}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- endmacro -%}
{{- '<|im_start|>system\\n' -}}
{%- if messages and messages[0].role == 'system' -%}{{- words(messages[0].content).split('.')[0][:80] -}}{%- endif -%}
{%- if tools -%}
{{- '\\n' -}}
{%- for tool in tools -%}{{- tool.function.name ~ ('' if loop.last else ' ') -}}{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- for message in messages -%}
{%- if message.role == 'user' -%}
{{- '<|im_start|>user\\n' ~ asked(words(message.content)) ~ '<|im_end|>\\n' -}}
{%- elif message.role == 'tool' -%}
{{- result(compact(words(message.content))) -}}
{%- elif message.role == 'assistant' -%}
{{- '<|im_start|>assistant\\n' ~ words(message.content) -}}
{%- for call in message.tool_calls or [] -%}
{{- '' if loop.first else '\\n' -}}
{{- '<tool_call>\\n{"name": "' ~ call.function.name ~ '", "arguments": ' -}}
{{- call.function.arguments if call.function.arguments is string else call.function.arguments | tojson -}}
{{- '}\\n</tool_call>' -}}
{%- endfor -%}
{{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
""".replace("KNOWN", str(TOOLS))
"""Kept: the role's first sentence, the names of its tools, the typed question, ids and tools of evidence.

The rest of the prompt (schemas, memories, figures, findings) is left out. What is kept of a message depends
on that message alone, so a later turn begins with the words of the turn before.
"""


def render(tokenizer: Tokenizer, dialogue: Dialogue, *, upto: int | None = None) -> str:
    """The text that the model is shown of the first *upto* messages, ready for its answer; of all without it."""
    messages = [dict(m) for m in dialogue.messages[:upto]]
    more: dict[str, Any] = {"tokenize": False, "add_generation_prompt": upto is not None}
    return str(tokenizer.apply_chat_template(messages, tools=list(dialogue.tools) or None, **more))


def build(dialogues: Sequence[Dialogue]) -> Tokenizer:
    """Train a tokenizer on the dialogues as they are rendered.

    Capital letters, digits and the letters of a document's id are tokens of their own, so that any ticker, number or id
    is copied piece by piece; so are directions and other choices. All else may merge across words: the fixed parts of
    answers become few tokens.
    """
    import tokenizers
    from tokenizers import AddedToken, Regex, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    before = "|".join("doc-" + "." * i for i in range(12))
    value = '(?<=": ")[a-z_]+|(?<= )(?:up|down|neutral)$'
    alone = Regex(rf"[A-Z]|\d|\n|(?<={before})[0-9a-f]|{value}")
    whole = tokenizers.Tokenizer(models.BPE())
    whole.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(alone, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    whole.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - 2,
        special_tokens=[END, START, STOP],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=40,
        show_progress=False,
    )
    shape = PreTrainedTokenizerFast(tokenizer_object=whole)
    shape.chat_template = TEMPLATE
    whole.train_from_iterator(_corpus(shape, dialogues), trainer)
    made: Tokenizer = PreTrainedTokenizerFast(tokenizer_object=whole, eos_token=STOP, pad_token=END)
    made.add_tokens([AddedToken(t, special=False, normalized=False) for t in ("<tool_call>", "</tool_call>")])
    made.chat_template = TEMPLATE
    return made


def _corpus(shape: Tokenizer, dialogues: Iterable[Dialogue]) -> Iterable[str]:
    """Each rendered dialogue in its lines, without the marks of turns."""
    for dialogue in dialogues:
        yield from render(shape, dialogue).replace(START, "\n").replace(STOP, "\n").split("\n")


def slots(tokenizer: Tokenizer) -> list[int]:
    """The ids of capital letters, digits and a reader's choices: where an answer is more than its fixed parts."""
    pieces = [*"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdef", *map(str, Tone), *map(str, Relevance)]
    return [i for piece, i in tokenizer.get_vocab().items() if piece in pieces]
