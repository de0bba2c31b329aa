"""What a situation lets one choose: each option with its default, and what it may be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from openoutcry.core.errors import UsageError
from openoutcry.eval.scenario import Made


@dataclass(frozen=True, slots=True)
class Option:
    """An option as its situation looks for it: numbers lie from *low* to *high*, texts are one of *among*."""

    name: str
    default: Any
    low: float | None = None
    high: float | None = None
    among: tuple[str, ...] = ()

    @property
    def bounds(self) -> str:
        """What it may be, in words."""
        if self.among:
            return f"one of {', '.join(self.among)}"
        if self.low is not None and self.high is not None:
            return f"{'a whole number ' if isinstance(self.default, int) else ''}from {self.low:g} to {self.high:g}"
        words = {"bool": "true or false", "str": "a text", "list": "a list"}
        return words.get(self.default.__class__.__name__, "a number")

    def admits(self, value: Any) -> bool:
        """Whether *value* is one that it may be."""
        if not isinstance(value, type(self.default)) or isinstance(value, bool) is not isinstance(self.default, bool):
            return False
        if self.among:
            return value in self.among
        return self.low is None or self.high is None or self.low <= value <= self.high


class Asked(dict[str, Any]):
    """The options of a case, which remember those that its situation looked for."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__(given)
        self.known: dict[str, Option] = {}


def option(
    one: Made,
    name: str,
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    among: Iterable[str] = (),
) -> Any:
    """What *one* chooses for *name*; the type of *default* is expected, within the bounds. Raises UsageError."""
    found = Option(name, default, low, high, tuple(among))
    if isinstance(one.options, Asked):
        one.options.known[name] = found
    value = one.options.get(name, default)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not found.admits(value):
        raise UsageError(f"situation {one.situation}: expected {name}, {found.bounds}; got {value!r}")
    return value
