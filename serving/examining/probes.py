"""What a chat server must do for the desk: a probe a fault, each of which sends what the desk sends."""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from openoutcry.core.errors import ModelError, ModelRefused
from openoutcry.serving.examining.endpoint import (
    CHAT,
    Ask,
    Finding,
    Server,
    choice,
    chosen,
    message,
    prompt_tokens,
    tokenized,
)

RAW_CALL = re.compile(
    r"<tool_call>|\[TOOL_CALLS\]|<\|python_tag\|>|<function[=_]|<\|?tool.calls|\"name\"\s*:.*\"(arguments|parameters)\"\s*:",
    re.DOTALL,
)
"""How tool calls look in the text of the models that write them, where no parser took them out."""
WORDS = "the desk reads one line of old news after another and none of it bears on what is asked here".split()
CODES = ("amber", "cobalt")
SPACES = (
    'forbid white space between the parts of an answer: `flags = ["--structured-outputs-config", '
    '\'{"backend": "xgrammar", "disable_any_whitespace": true}\']`'
)
"""The mend for weak models, which go on with white space for as long as a schema lets them."""
ROOM = 64
"""Tokens left for the answer to a long prompt."""


async def tools(server: Server, ask: Ask) -> Finding:
    """Whether a call of a tool that was offered comes back parsed."""
    flags = f"start it with --enable-auto-tool-choice and --tool-call-parser {server.model.tool_parser}"
    offered = [tool["function"]["name"] for tool in ask.tools]
    try:
        told = await server.chat(ask.name, messages=ask.body["messages"], tools=ask.tools, tool_choice="auto")
    except ModelRefused as error:
        if "tool" not in str(error):
            raise
        mend = _toolless(server) if server.model.engine == "ollama" else f"the server takes no tools: {flags}"
        return Finding(False, str(error), mend)
    text, calls, _ = message(told)
    if calls:
        return _called(calls, offered)
    if RAW_CALL.search(text):
        mend = (
            f"the parser {server.model.tool_parser!r} does not read this model's calls: set `tool_parser` of "
            f"[models.{server.model.name}] to the one that vLLM names for this model, and `outcry stack up`"
        )
        return Finding(False, f"a call came back as text: {text[:60]!r}", mend)
    return Finding(False, f"no tool was called; it said {text[:60]!r}", _toolless(server))


def _called(calls: list[Any], offered: list[str]) -> Finding:
    try:
        names = [call["function"]["name"] for call in calls]
        fit = all(isinstance(json.loads(call["function"]["arguments"]), dict) for call in calls)
    except (KeyError, TypeError, ValueError):
        names, fit = list[str](), False
    if fit and set(names) <= set(offered):
        return Finding(True, f"called {', '.join(names)}")
    mend = "a tool parser of another model misreads its calls: set `tool_parser`, or seat a model trained on tools"
    return Finding(False, f"a call that cannot be made: {str(calls)[:80]}", mend)


def _toolless(server: Server) -> str:
    told = "one whose template takes tools (`ollama show` lists them)" if server.model.engine == "ollama" else "another"
    return f"{server.model.name} does not call tools when asked to: seat a model trained to, {told}"


async def schema(server: Server, ask: Ask) -> Finding:
    """Whether an answer obeys a schema that the prompt contradicts."""
    choices = ["up", "down"]
    form = choice("verdict", choices)
    messages = [
        {"role": "system", "content": "Do as you are told."},
        {"role": "user", "content": "Say the word banana and nothing else."},
    ]
    held = {"tools": ask.tools, "tool_choice": "none"} if ask.tools else {}
    told = await server.chat(ask.name, messages=messages, **held, response_format=form)
    text, _, finish = message(told)
    if chosen(text, "verdict") in choices:
        return Finding(True, f"obeyed: {text.strip()[:60]}")
    if finish == "length" and text.startswith("{"):
        return Finding(False, f"it ran out of tokens, filling the answer with {text[1:9]!r}", SPACES)
    mend = {
        "vllm": "vLLM constrains answers unless it is told not to: look into `flags` of the model, and its log",
        "ollama": "Ollama obeys a schema from version 0.5 on: bring it up to date",
        "endpoint": "answers of the desk need response_format json_schema: use a server that obeys it, such as vLLM",
    }[server.model.engine]
    return Finding(False, f"ignored: it said {text[:60]!r}", mend)


async def stream(server: Server, ask: Ask) -> Finding:
    """Whether a streamed answer ends as it should: a finish reason, the count of tokens, and [DONE]."""
    more = {"stream": True, "stream_options": {"include_usage": True}}
    body = server.body(ask.name, messages=ask.body["messages"], **more)
    mend = "streams of this server cannot be trusted: leave `stream = false`, and bring the server up to date"
    events = list[Any]()
    try:
        async for data in server.transport.events(server.url, CHAT, json.dumps(body).encode(), server.seconds):
            events.append(json.loads(data))
        choices: list[Any] = [c for event in events for c in event["choices"]]
    except (ValueError, KeyError, TypeError):
        return Finding(False, f"an event that is no part of an answer: {str(events[-1:])[:80]}", mend)
    except ModelError as error:
        return Finding(False, str(error), mend)
    lacking = [
        *([] if any(c.get("finish_reason") for c in choices) else ["a finish reason"]),
        *([] if any(event.get("usage") for event in events) else ["the count of tokens"]),
    ]
    if lacking:
        return Finding(False, f"{len(events)} events without {' and '.join(lacking)}", mend)
    return Finding(True, f"{len(events)} events, a finish reason, the count and [DONE]")


async def steady(server: Server, ask: Ask) -> Finding:
    """Whether the same question is answered alike twice."""
    first, second = [message(await server.chat(ask.name, messages=ask.body["messages"]))[:2] for _ in range(2)]
    if first[0] == second[0] and [c.get("function") for c in first[1]] == [c.get("function") for c in second[1]]:
        return Finding(True, "twice the same at temperature 0")
    mend = (
        "set `temperature = 0`; on a GPU, batches of other sizes round otherwise: runs may then differ, replays do not"
    )
    return Finding(None, f"two answers: {first[0][:30]!r} and {second[0][:30]!r}", mend)


async def template(server: Server, ask: Ask) -> Finding:
    """Whether instructions, question and tools stand in the prompt that the model is given."""
    mend = (
        f"its chat template drops them: set `chat_template` of [models.{server.model.name}] to one with system and "
        "tools, such as those in vLLM's examples"
    )
    try:
        prompt = await _rendered(server, ask)
    except ModelRefused as error:
        if "template" in str(error):
            return Finding(False, str(error), mend)
        return Finding(None, f"not to be seen here: {error}")
    wanted = {m["role"]: _bare(str(m["content"]))[:60] for m in ask.body["messages"]}
    wanted |= {f"tool {t['function']['name']}": _bare(t["function"]["name"]) for t in ask.tools}
    if lost := [name for name, text in wanted.items() if text not in prompt]:
        return Finding(False, f"not in the prompt: {', '.join(lost[:4])}", mend)
    return Finding(True, f"all {len(wanted)} parts stand in the prompt")


async def _rendered(server: Server, ask: Ask) -> str:
    """The prompt that the model is given, without marks and white space, which tokenizers treat in their own ways."""
    tokens = await tokenized(server, ask.name, ask.body)
    told = await server.post("/detokenize", {"model": server.named(ask.name), "tokens": tokens})
    return _bare(str(told["prompt"]))


def _bare(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))


async def long(server: Server, ask: Ask, longest: int, mend: str) -> Finding:
    """Whether a prompt near *longest* tokens arrives whole: by the server's count, and by a word at its beginning."""
    probe = await server.chat(ask.name, messages=_lines(len(WORDS) * 4), max_tokens=16)
    rate = max(1.0, prompt_tokens(probe) / (len(WORDS) * 4 + 30))
    count = max(0, int((longest - ROOM) * 0.97 / rate) - 40)
    messages = _lines(count)
    try:
        sent, least = len(await tokenized(server, ask.name, {"messages": messages})), 1.0
    except ModelError:
        sent, least = round(count * rate), 0.9
    if sent < count / 2:
        return Finding(None, f"{count:,} words became {sent:,} tokens: its chat template cuts what it is given")
    try:
        told = await server.chat(
            ask.name, messages=messages, max_tokens=ROOM // 2, response_format=choice("code", [*CODES])
        )
    except ModelRefused as error:
        return Finding(False, f"{sent:,} tokens were refused: {error}", mend)
    counted, text = prompt_tokens(told), message(told)[0]
    if counted and counted < sent * least:
        return Finding(False, f"{sent:,} tokens were sent, {counted:,} read, and nothing was said of it", mend)
    if chosen(text, "code") == CODES[1]:
        return Finding(True, f"{sent:,} tokens arrived whole, and the first line was read")
    seen = f"{sent:,} tokens were counted, but the word in the first line was not given back"
    return Finding(None if counted else False, seen, "" if counted else mend)


def _lines(words: int) -> list[dict[str, str]]:
    """A prompt of so many filling words after a code word."""
    filling = " ".join((WORDS * (words // len(WORDS) + 1))[:words])
    text = f"The code is {CODES[1]}.\n{filling}\nWhat is the code, {CODES[0]} or {CODES[1]}? Answer as JSON."
    return [{"role": "user", "content": text}]


Probe = Callable[[Server, Ask], Awaitable[Finding]]
EACH: dict[str, Probe] = {"tools": tools, "schema": schema}
"""What is tried for each role, besides its chat template."""
ONCE: dict[str, Probe] = {"stream": stream, "deterministic": steady}
"""What is tried once an endpoint."""
