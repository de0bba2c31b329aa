"""How many replicas a model should have now, from looks at those that it has. Pure: no clock, no process, no file.

The load of a replica is the larger of two shares: of its KV cache in use, and of its requests (running and waiting)
in what one replica is to carry, which is the model's `concurrency` spread over the most replicas it may have. The load
of a model is the mean over the replicas that could be looked at.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.serving.looks import Look
from openoutcry.serving.stack import Served

EVERY = 30.0
"""Seconds from one look to the next."""
HIGH, LOW = 0.8, 0.3
"""Load above which a replica is added, and below which one is drained. One more replica takes a load of 0.8 to 0.4 or
above, one fewer a load of 0.3 to 0.6 or below: neither crosses the other threshold, so a steady load does not flap."""
HIGH_LOOKS, LOW_LOOKS = 2, 4
"""Looks in a row that it takes."""
UP_AFTER, DOWN_AFTER = 120.0, 300.0
"""Seconds after any change before one more is added, and before one is drained."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What is kept between looks: how many in a row were high and low, and when the number last changed."""

    high: int = 0
    low: int = 0
    changed: float = float("-inf")


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas there should be, why, the load that was seen (None: nothing was), and what to keep."""

    replicas: int
    reason: str
    load: float | None
    pace: Pace


class Moment(Frozen):
    """A line of a recorded day: the looks at a model's ready replicas at *at* seconds, null where one failed.

    The supervisor writes such lines, and what it decided into `replicas` and `reason`.
    """

    at: float
    model: str
    looks: tuple[Look | None, ...]
    replicas: int | None = None
    reason: str = ""


def load(model: Served, looks: Sequence[Look | None]) -> float | None:
    """The load of a model, 0 upwards; None where no replica could be looked at."""
    carries = max(model.concurrency / model.replicas.max, 1.0)
    seen = [max(look.kv, (look.running + look.waiting) / carries) for look in looks if look is not None]
    return sum(seen) / len(seen) if seen else None


def decide(model: Served, looks: Sequence[Look | None], replicas: int, fits: bool, pace: Pace, now: float) -> Decision:
    """How many replicas *model* should have, where it has *replicas*.

    *looks* has an entry for each ready replica, None where its metrics could not be read; a replica that starts has
    none. *fits* says whether one more fits the box, *now* is seconds on any clock that does not go back. At most one
    replica comes or goes at a time; a look that failed never counts towards fewer.
    """
    seen = load(model, looks)
    if not model.replicas.min <= replicas <= model.replicas.max:
        bound = min(max(replicas, model.replicas.min), model.replicas.max)
        return Decision(bound, f"{replicas} is outside {_span(model)}", seen, Pace(changed=now))
    if seen is None:
        return Decision(replicas, "no replica could be looked at", None, Pace(changed=pace.changed))
    whole = None not in looks and len(looks) >= replicas
    high = pace.high + 1 if seen > HIGH else 0
    low = pace.low + 1 if seen < LOW and whole else 0
    kept = Pace(high, low, pace.changed)
    change, reason = _change(model, replicas, fits, kept, len(looks), now)
    if change:
        return Decision(replicas + change, f"load {seen:.2f}: {reason}", seen, Pace(changed=now))
    return Decision(replicas, f"load {seen:.2f}: {reason}", seen, kept)


def _change(model: Served, replicas: int, fits: bool, pace: Pace, ready: int, now: float) -> tuple[int, str]:
    """One more (1), one fewer (-1) or neither, and why."""
    since = now - pace.changed
    if pace.high:
        return _up(model, replicas, fits, pace, ready, since)
    if not pace.low:
        return 0, "steady"
    least = max(model.replicas.min, 1)  # without any, nothing would say that one is wanted again
    if replicas <= least:
        return 0, f"low, at its least of {least}"
    if pace.low < LOW_LOOKS:
        return 0, f"low for {pace.low} of {LOW_LOOKS} looks"
    if since < DOWN_AFTER:
        return 0, f"low, waits until {DOWN_AFTER:.0f} s after the last change"
    return -1, f"below {LOW} for {pace.low} looks"


def _up(model: Served, replicas: int, fits: bool, pace: Pace, ready: int, since: float) -> tuple[int, str]:
    if replicas >= model.replicas.max:
        return 0, f"high, at its most of {model.replicas.max}"
    if pace.high < HIGH_LOOKS:
        return 0, f"high for {pace.high} of {HIGH_LOOKS} looks"
    if since < UP_AFTER:
        return 0, f"high, waits until {UP_AFTER:.0f} s after the last change"
    if ready < replicas:
        return 0, f"high, {replicas - ready} of {replicas} replicas not ready yet"
    return (1, f"above {HIGH} for {pace.high} looks") if fits else (0, "high, no further replica fits this box")


def _span(model: Served) -> str:
    return f"{model.replicas.min} to {model.replicas.max}"


def moments(lines: Iterable[str], model: str = "") -> Iterator[Moment]:
    """The moments of a recorded day, one JSON object a line; those of one model where it is named.

    Raises UsageError with the number of a line that is none.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            moment = Moment.model_validate_json(line)
        except ValidationError as error:
            said = error.errors()[0]
            key = ".".join(map(str, said["loc"])) or "the line"
            raise UsageError(
                f"expected at, model and looks in line {number} of the recorded day; {key}: {said['msg']}"
            ) from None
        if not model or moment.model == model:
            yield moment


def replay(model: Served, day: Iterable[Moment], fits: Callable[[int], bool]) -> Iterator[Decision]:
    """The decisions that a recorded day would have led to, from the fewest replicas on.

    What was recorded of all replicas is spread evenly over those that were decided for, since they would have shared
    it. *fits* says whether that many replicas fit the box.
    """
    replicas, pace = max(model.replicas.min, 1), Pace()
    for moment in day:
        spread = _spread(moment.looks, replicas)
        decision = decide(model, spread, replicas, fits(replicas + 1), pace, moment.at)
        replicas, pace = decision.replicas, decision.pace
        yield decision


def _spread(looks: Sequence[Look | None], replicas: int) -> list[Look | None]:
    """The work of all replicas on so many, less those that could not be looked at, which stay such."""
    seen = [look for look in looks if look is not None]
    lost: list[Look | None] = [None] * (len(looks) - len(seen))
    if not seen:
        return lost
    on = max(replicas - len(lost), 1)
    running, waiting = sum(look.running for look in seen), sum(look.waiting for look in seen)
    kv = min(sum(look.kv for look in seen) / on, 1.0)
    return [Look(running=_share(running, on, i), waiting=_share(waiting, on, i), kv=kv) for i in range(on)] + lost


def _share(whole: int, parts: int, index: int) -> int:
    """A whole number's part of that index, so that all parts add up to it."""
    return whole // parts + (index < whole % parts)
