"""The nano model: what its template keeps, that its sentences are grounded, and what the shipped weights say."""

import json
import re
from collections.abc import Callable
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any

import pytest

from openoutcry.agents.coordinator import Synthesis
from openoutcry.agents.reader import Reading, Tone
from openoutcry.agents.role import Answer, Brief
from openoutcry.agents.team import ROLES
from openoutcry.agents.workbench import summary
from openoutcry.core.claims import faults, references
from openoutcry.core.evidence import Evidence
from openoutcry.core.report import Kind, Question
from openoutcry.tools import catalogue
from openoutcry.tools.data.view import View
from openoutcry.tools.lean import combine_views
from openoutcry.training import nano, nano_adapters, nano_data, nano_tokenizer
from openoutcry.training.nano_start import Model
from openoutcry.training.nano_tokenizer import Tokenizer
from openoutcry.training.nano_words import SENTENCES, VIEWS

torch: Any = import_module("torch")
transformers: Any = import_module("transformers")
load_file: Any = import_module("safetensors.torch").load_file
SHIPPED = Path(str(files("openoutcry.serving"))) / "nano"
Message = dict[str, Any]
Loaded = tuple[Model, Tokenizer]
ViewOf = Callable[..., View]


@pytest.fixture(scope="module")
def base() -> Loaded:
    torch.set_num_threads(1)
    model, tokenizer = nano.load(SHIPPED / "base")
    return model.eval(), tokenizer


def brief(text: str, kind: Kind, *tickers: str, horizon: int = 10, confidence: float = 0.99) -> str:
    question = Question(text=text, kind=kind, tickers=tickers, horizon=horizon, confidence=confidence)
    memory = {"id": "M1", "kind": "finding", "claim": "ZZZZ fell", "figures": {"ticker": ["ZZZZ", "text"]}}
    return Brief(question=question, memories=[memory]).model_dump_json()


def tools_of(role: str, kind: Kind) -> list[dict[str, Any]]:
    """Tools as a server gets them, with a long schema."""
    return [
        {"type": "function", "function": {"name": f.__name__, "description": "x" * 500, "parameters": {"a": [1] * 50}}}
        for f in ROLES[role].tools_for(kind)
    ]


def opened(role: str, content: object) -> list[Message]:
    return [{"role": "system", "content": ROLES[role].instructions}, {"role": "user", "content": content}]


def shown(tokenizer: Tokenizer, messages: list[Message], tools: list[Message] | None = None) -> str:
    return str(tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, add_generation_prompt=True))


def said(base: Loaded, messages: list[Message], tools: list[Message] | None = None) -> str:
    """Greedy decoding."""
    model, tokenizer = base
    prompt = tokenizer(shown(tokenizer, messages, tools), return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        ids = model.generate(**prompt, max_new_tokens=200, do_sample=False)[0]
    return str(tokenizer.decode(ids[prompt["input_ids"].shape[1] :], skip_special_tokens=True))


def calls_in(text: str) -> list[tuple[str, Any]]:
    found = [json.loads(c) for c in re.findall(r"<tool_call>\n(.*?)\n</tool_call>", text, re.DOTALL)]
    return [(c["name"], c["arguments"]) for c in found]


def test_the_template_keeps_the_question_and_drops_schemas_memories_and_figures(base: Any) -> None:
    text = shown(base[1], opened("risk", brief("How risky is KO?", Kind.RISK, "KO")), tools_of("risk", Kind.RISK))
    assert '"kind": "risk", "tickers": ["KO"], "horizon": 10, "confidence": 0.99' in text
    assert "You are the risk manager of a trading desk\n" in text
    assert "value_at_risk" in text
    assert '"by"' not in text  # what a question gains later is not shown: it would be read as something else
    assert "ZZZZ" not in text
    assert "xxx" not in text
    assert len(text) < 500


@pytest.mark.parametrize("space", [None, (",", ":")])
def test_spaced_compact_and_content_in_parts_are_shown_alike(base: Any, space: tuple[str, str] | None) -> None:
    written = brief("How risky is KO, to PEP?", Kind.COMPARE, "KO", "PEP")
    again = json.dumps(json.loads(written), separators=space)
    tools = tools_of("risk", Kind.COMPARE)
    expected = shown(base[1], opened("risk", written), tools)
    assert shown(base[1], opened("risk", again), tools) == expected
    assert shown(base[1], opened("risk", [{"type": "text", "text": again}]), tools) == expected


DOCUMENTS = ["doc-3f0c91d2be47", "doc-a81e56c0d93b", "doc-07b4e2f9186d", "doc-c65d10a7f3e8"]


def dialogue_of_sentiment() -> list[Message]:
    found: Message = {
        "id": "E41",
        "tool": "document_search",
        "figures": {"ticker": ["KO", "text"], "found": [4, "count"]},
    }
    found["items"] = DOCUMENTS
    call = {"id": "c", "type": "function", "function": {"name": "document_search", "arguments": '{"ticker": "KO"}'}}
    asked = opened("sentiment", brief("What is written on KO?", Kind.NEWS, "KO"))
    return [
        *asked,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": json.dumps(found, separators=(",", ":"))},
    ]


def test_a_later_turn_begins_with_the_words_of_the_turn_before(base: Any) -> None:
    messages, tools = dialogue_of_sentiment(), tools_of("sentiment", Kind.NEWS)
    first = shown(base[1], messages[:2], tools)
    answer = '<tool_call>\n{"name": "document_search", "arguments": {"ticker": "KO"}}\n</tool_call>'
    later = shown(base[1], messages, tools)
    assert later.startswith(first + answer)
    assert '"documents": ["doc-3f0c91d2be47", "doc-a81e56c0d93b", "doc-07b4e2f9186d"]' in later


def test_a_refused_call_leaves_no_trace(base: Any) -> None:
    messages = dialogue_of_sentiment()
    messages[-1] = {"role": "tool", "tool_call_id": "c", "content": '{"id":"E41","not_computed":"needs documents"}'}
    assert "E41" not in shown(base[1], messages)


def test_the_pieces_that_are_copied_are_tokens_of_their_own(base: Any) -> None:
    tokenizer: Tokenizer = base[1]
    text = 'KO "doc-0fade1234567" 0.975 {E41.var}\n'
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    pieces = tokenizer.convert_ids_to_tokens(ids)
    assert tokenizer.decode(ids) == text
    assert [p for p in pieces if len(p) == 1 and p.isascii() and p.isalnum()] == [
        *"KO",
        *"0fade1234567",
        *"0975",
        *"E41",
    ]


def made(view: View, kind: str) -> Evidence:
    """What the tool really gives for one ticker, or for two, or for the book."""
    match kind:
        case "relative_return":
            return catalogue.named(kind)(view, ticker="AAPL", other="KO")
        case "portfolio_value_at_risk" | "stress_test" | "portfolio_var_backtest":
            return catalogue.named(kind)(view)
        case _:
            return catalogue.named(kind)(view, ticker="AAPL")


@pytest.mark.parametrize("tool", [t for t in SENTENCES if "document" not in t and t != "nothing_of_its_own"])
def test_every_sentence_is_grounded_in_what_its_tool_gives(tool: str, view_of: ViewOf, sample_home: Path) -> None:
    evidence = made(view_of(sample_home), tool.split()[0]).model_copy(update={"id": "E7"})
    claim = nano_data.sentence(summary(evidence), tool)
    assert references(claim)
    assert faults(claim, {"E7": evidence}) == []


def test_both_headlines_are_grounded_in_the_desks_view(view_of: ViewOf, sample_home: Path) -> None:
    for tickers, wording in zip((("AAPL",), ("AAPL", "KO")), VIEWS, strict=True):
        evidence = combine_views(view_of(sample_home), tickers, 10, {}).model_copy(update={"id": "E7"})
        assert faults(wording.replace("{E.", "{E7."), {"E7": evidence}) == []


@pytest.mark.parametrize("role", list(ROLES))
def test_a_training_dialogue_ends_in_the_roles_answer_and_never_names_a_held_out_ticker(role: str) -> None:
    shape: Any = {"reader": Reading, "coordinator": Synthesis}.get(role, Answer)
    rng = Random(1)
    for _ in range(50):
        made = nano_data.dialogue(rng, role)
        shape.model_validate_json(made.messages[-1]["content"])
        assert not re.search(r"\bAAPL\b", str(made.messages))
    assert any("AAPL" in str(nano_data.dialogue(rng, role, held_out=True).messages) for _ in range(200))


def test_an_untrained_model_already_copies(base: Any) -> None:
    torch.manual_seed(1)
    model = nano.blank(base[1])
    inputs, labels = nano.copying(Random(2), nano_tokenizer.slots(base[1]), 1500)
    right = model(input_ids=inputs).logits[:, :-1].argmax(-1) == labels[:, 1:]
    assert right.sum() / (labels != nano.IGNORED).sum() > 0.6


CASES: list[tuple[str, str, list[tuple[str, dict[str, Any]]]]] = [
    (
        "risk",
        brief("Should I worry about losses in XOM?", Kind.RISK, "XOM", horizon=21, confidence=0.975),
        [
            ("value_at_risk", {"ticker": "XOM", "horizon": 21, "confidence": 0.975}),
            ("volatility", {"ticker": "XOM"}),
        ],
    ),
    (
        "risk",
        brief("Could the entire book fall hard?", Kind.BOOK),
        [("portfolio_value_at_risk", {"horizon": 10, "confidence": 0.99}), ("stress_test", {})],
    ),
    (
        "analyst",
        brief("Your opinion on MSFT, a brief one", Kind.OVERVIEW, "MSFT"),
        [("price_summary", {"ticker": "MSFT"}), ("growth", {"ticker": "MSFT"})],
    ),
    (
        "sentiment",
        brief("Between PFE and MRK, which one looks stronger?", Kind.COMPARE, "PFE", "MRK"),
        [("document_search", {"ticker": "PFE"}), ("document_search", {"ticker": "MRK"})],
    ),
]


@pytest.mark.parametrize(("role", "asked", "expected"), CASES)
def test_the_shipped_model_calls_the_right_tools(base: Any, role: str, asked: str, expected: object) -> None:
    kind = Kind(json.loads(asked)["question"]["kind"])
    assert calls_in(said(base, opened(role, asked), tools_of(role, kind))) == expected


def test_the_shipped_model_copies_ids_and_then_tells_the_tone(base: Any) -> None:
    messages, tools = dialogue_of_sentiment(), tools_of("sentiment", Kind.NEWS)
    asked = ("read_documents", {"ticker": "KO", "documents": DOCUMENTS[:3]})
    assert calls_in(said(base, messages, tools)) == [asked]
    call = {"id": "d", "type": "function", "function": {"name": asked[0], "arguments": json.dumps(asked[1])}}
    read = {"id": "E42", "tool": "read_documents", "figures": {"ticker": ["KO", "text"], "tone": [-0.5, "score"]}}
    messages += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "d", "content": json.dumps(read)},
    ]
    answer = Answer.model_validate_json(said(base, messages, tools))
    assert answer.lean == "down"
    assert references(answer.claims[0])[0] == ("E42", "ticker")


def test_the_shipped_reader_quotes_the_text(base: Any) -> None:
    text = "Brewer raises its dividend\nShares were little moved. Analysts had looked for less."
    prompt = {"company": "KO", "filed_under": "*", "kind": "news", "text": text}
    reading = Reading.model_validate_json(said(base, opened("reader", json.dumps(prompt))))
    assert reading.relevance == "market"
    assert reading.quotes == ["Brewer raises its dividend"]


@pytest.mark.parametrize("role", nano_adapters.EXTRA)
def test_each_adapter_has_a_pair_of_factors_for_every_target(role: str) -> None:
    folder = SHIPPED / "adapters" / role
    shape = json.loads((folder / "adapter_config.json").read_text())
    tensors = load_file(folder / "adapter_model.safetensors")
    assert (shape["peft_type"], shape["r"]) == ("LORA", 8)
    assert len(tensors) == 2 * 4 * len(shape["target_modules"])
    assert all(8 in t.shape for t in tensors.values())
    assert any(t.abs().max() > 0 for n, t in tensors.items() if "lora_B" in n)


def test_the_classifier_names_the_tone_of_a_headline() -> None:
    folder = SHIPPED / "classifier"
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    model = transformers.BertForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    texts = ["Cola soars after blockbuster results", "Bank names a new head of a unit", "Maker reports weaker margins"]
    best = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.argmax(-1).tolist()
    named: list[str] = [model.config.id2label[i] for i in best]
    assert named == ["very_positive", "neutral", "negative"]
    assert set(model.config.id2label.values()) == set(Tone)


def test_all_of_it_is_small() -> None:
    sizes = {p.relative_to(SHIPPED): p.stat().st_size for p in SHIPPED.rglob("*") if p.is_file()}
    assert sum(sizes.values()) < 10_000_000
    assert sum(size for path, size in sizes.items() if path.parts[0] == "classifier") < 2_000_000
