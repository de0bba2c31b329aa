"""What models were asked: requests, tokens and seconds by role and model, counted from stored calls."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from openoutcry.core.report import DEGRADED

Size = tuple[int, int]
"""Tokens of one request: of its prompt, and of its answer."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one model was asked in one role. `sizes` counts requests by their tokens, as a price may hang on those.

    `unsplit` are tokens of requests whose answer could not be used: their server's count is kept as one number.
    `seconds` are summed over requests, so those that ran at once count each.
    """

    role: str
    model: str
    sizes: Counter[Size] = field(default_factory=Counter[Size])
    unsplit: int = 0
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """How many requests were made."""
        return self.sizes.total()

    @property
    def input(self) -> int:
        """Tokens of prompts."""
        return sum(size[0] * count for size, count in self.sizes.items())

    @property
    def output(self) -> int:
        """Tokens of answers."""
        return sum(size[1] * count for size, count in self.sizes.items())

    @property
    def tokens(self) -> int:
        """All tokens, those of unusable answers too."""
        return self.input + self.output + self.unsplit


def of_calls(calls: Iterable[Mapping[str, Any]]) -> Iterator[Spent]:
    """Each request (`agents.calls.Call`, as JSON holds it), by the model that answered it."""
    for call in calls:
        response: Mapping[str, Any] = call["response"]
        usage: Mapping[str, Any] = response.get("usage") or {}
        size = int(usage.get("input_tokens") or 0), int(usage.get("output_tokens") or 0)
        role, unsplit = str(call["role"]), int(call.get("tokens") or 0)
        yield Spent(role, _answered(call, response), Counter({size: 1}), seconds=float(call.get("seconds") or 0.0))
        if unsplit:  # spent by who was asked first, whoever answered
            yield Spent(role, str(call["model"]), unsplit=unsplit)


def _answered(call: Mapping[str, Any], response: Mapping[str, Any]) -> str:
    """The model that was asked, or the one that stood in for it."""
    details: Mapping[str, Any] = response.get("provider_details") or {}
    return str(response.get("model_name") or call["model"]) if details.get(DEGRADED) else str(call["model"])


def grouped(spent: Iterable[Spent]) -> list[Spent]:
    """Summed by role and model, the one with most tokens first."""
    found: dict[tuple[str, str], Spent] = {}
    gather(spent, found)
    return ranked(found.values())


def gather(spent: Iterable[Spent], into: dict[tuple[str, str], Spent]) -> None:
    """Add each to the one of its role and model, which is changed in place: sums of months grow with their requests."""
    for one in spent:
        key = one.role, one.model
        old = into.get(key) or Spent(*key)
        old.sizes.update(one.sizes)
        into[key] = replace(old, unsplit=old.unsplit + one.unsplit, seconds=old.seconds + one.seconds)


def ranked(spent: Iterable[Spent]) -> list[Spent]:
    """The one with most tokens first."""
    return sorted(spent, key=lambda s: (-s.tokens, s.role, s.model))


def sizes(spent: Iterable[Spent]) -> Counter[Size]:
    """Requests by their tokens, over all of *spent*."""
    found = Counter[Size]()
    for one in spent:
        found.update(one.sizes)
    return found
