"""How long models were asked: seconds in which at least one request was in the air, however many at once."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any


class Busy:
    """Takes the requests of one run or case after another (`agents.calls.Call`, as JSON holds it)."""

    def __init__(self) -> None:
        self._spans = list[tuple[float, float]]()
        self._loose = 0.0

    def add(self, calls: Iterable[Mapping[str, Any]], whole: float | None) -> None:
        """Count *calls*, of a run or case that took *whole* seconds, where that is known.

        A request ended when its response says that it was made. Those without a response count each by itself,
        together at most the whole.
        """
        loose = 0.0
        for call in calls:
            response: Mapping[str, Any] = call.get("response") or {}
            seconds = float(call.get("seconds") or 0.0)
            if made := response.get("timestamp"):
                end = datetime.fromisoformat(made).timestamp()
                self._spans.append((end - seconds, end))
            else:
                loose += seconds
        self._loose += loose if whole is None else min(loose, whole)

    def join(self, other: "Busy") -> None:
        """Count what *other* has counted."""
        self._spans += other._spans
        self._loose += other._loose

    @property
    def seconds(self) -> float:
        """All of it, in seconds."""
        total, end = self._loose, 0.0
        for start, stop in sorted(self._spans):
            total += max(stop - max(start, end), 0.0)
            end = max(end, stop)
        return total
