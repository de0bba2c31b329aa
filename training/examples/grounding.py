"""Is the answer at the end of a conversation one that the desk would take: in its form, every figure by reference?"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

from pydantic import ValidationError

from openoutcry.core.claims import REFERENCE, faults, references
from openoutcry.training.examples.rows import Chat, Message


def ungrounded(row: Chat) -> str:
    """Why a desk's transcript is not one to learn from; empty where it is, or is no transcript of the desk.

    A transcript of the desk is known by the instructions of the role that it is for.
    """
    from openoutcry.agents.team import ROLES

    role, last = ROLES[row.role], row.messages[-1]
    told = row.messages[0]
    if told["role"] != "system" or " ".join(told["content"].split()) != " ".join(role.instructions.split()):
        return ""
    if last.get("tool_calls"):
        return "expected it to end with an answer, found tool calls"
    try:
        answer = role.output.model_validate_json(last["content"])
    except ValidationError as error:
        first = error.errors()[0]
        return (
            f"its answer is not in the form of {row.role}: {'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}"
        )
    said = answer.model_dump()
    known = _known(row.messages)
    claims = [*([said["headline"]] if said.get("headline") else []), *said["claims"]]
    return next((f"{claim!r}: {why}" for claim in claims if (why := _fault(claim, known))), "")


def _fault(claim: str, known: frozenset[str]) -> str:
    named = [f"{eid}.{name}" for eid, name in references(claim)]
    if not named:
        return "it carries no reference to evidence"
    if odd := [name for name in named if name not in known]:
        return f"there is no figure {odd[0]} in it"
    return "; ".join(faults(REFERENCE.sub("", claim), {}))


def _known(messages: Sequence[Message]) -> frozenset[str]:
    """Each figure that the conversation shows: of tools' answers, of memories, and of the coordinator's evidence."""
    shown = [one for m in messages if m["role"] in ("user", "tool") for one in _results(m["content"])]
    return frozenset(f"{one['id']}.{name}" for one in shown for name in one.get("figures", ()))


def _results(content: str) -> Iterator[dict[str, Any]]:
    try:
        value: Any = json.loads(content)
    except ValueError:
        return
    if isinstance(value, dict):
        told = cast("dict[str, Any]", value)
        every: list[Any] = [told, *told.get("memories", ()), *told.get("evidence", ())]
        yield from (one for one in every if isinstance(one, dict) and "id" in one)
