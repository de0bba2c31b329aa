"""Whether a model in a seat does worse than is allowed: a sequential test of each kind of failure, with a hard floor.

Each kind is a stream of runs that failed so or not. The test is an e-process: under every rate that is allowed its
expectation is at most 1 at any time, so that it ever reaches 1 / alpha with probability alpha at most (Ville 1939).
It is a mixture of likelihood ratios (Wald 1945) over two rates that would matter, and over the run at which the model
began to fail (weights 1 / (j (j + 1)); Shin, Ramdas, Rinaldo 2024), so that a long good record hides no late fault.
"""

import math
from collections.abc import Collection, Mapping
from typing import get_args

from openoutcry.core.evidence import Frozen
from openoutcry.serving.seat import Fault

KINDS: tuple[Fault, ...] = get_args(Fault)
ALPHA = 0.02
"""Chance, over all kinds together, that the test ever takes out a model that does no worse than is allowed."""
LIMIT = len(KINDS) / ALPHA
CAP = 1e12
RATE, WEIGHT, SURE = 0.05, 20.0, 0.9
"""A rate that is always allowed; how many runs that is worth beside the other model's record; and how sure it is that
the rate of that model is no higher than what is allowed."""
WORSE = 0.10
"""How much above what is allowed a rate begins to matter."""
FIRST, ROW = 5, 5
"""The hard floor: runs that are looked at together at the start, and failures in a row."""
RARE_FIRST, RARE_ROW = 0.02, 1e-3
"""How rare what the floor is made of must be at what is allowed; else the floor lies deeper. A row is looked for after
each run, so the one that ends at run n is to be as rare as RARE_ROW / n: 0.3 % in all over a day at ten runs a minute.
"""
PATIENCE, LEAST = 1.5, 20
"""A run is slow that takes so many times the 95th percentile of the other model's, of which so many are known."""
WARM = 10
"""Runs that slowness alone takes at least: the first ones may wait for what is not loaded or kept yet."""
SUSPECT = 4.0
"""Evidence at which a model goes no step further until it has cleared up."""
SAID: Mapping[Fault, str] = {
    "schema": "gave no answer in the form that was asked for",
    "evidence": "said what no evidence holds up",
    "crash": "gave no answer in time",
    "slow": "were too slow",
}


class Allowed(Frozen):
    """What a model may do at most: rates by kind and of any failure, and seconds of a run that is not slow (0: any)."""

    rates: Mapping[Fault, float] = dict.fromkeys(KINDS, RATE)
    any: float = RATE
    seconds: float = 0.0


class Stream(Frozen):
    """Runs in which a kind of failure was looked for. `sums` are the evidence of those who began to fail, by rate."""

    runs: int = 0
    failed: int = 0
    sums: tuple[float, float] = (0.0, 0.0)

    @property
    def evidence(self) -> float:
        """How much the runs speak against the model: 1 says nothing."""
        return sum(self.sums) / 2 + 1 / (self.runs + 1)

    def after(self, failed: bool, allowed: float) -> "Stream":
        """With one more run, whose rate of failure was to be *allowed* at most."""
        begins = 1 / ((self.runs + 1) * (self.runs + 2))
        ratios = [_ratio(failed, allowed, worse) for worse in _worse(allowed)]
        first, second = (min(r * (s + begins), CAP) for r, s in zip(ratios, self.sums, strict=True))
        return Stream(runs=self.runs + 1, failed=self.failed + failed, sums=(first, second))


class Record(Frozen):
    """How a model did in a seat, from its first run on. `alarm` says why it is to go; once said, it stays."""

    streams: Mapping[Fault, Stream] = {}
    runs: int = 0
    failed: int = 0
    row: int = 0
    alarm: str = ""

    def of(self, kind: Fault) -> Stream:
        """The runs, as far as this kind of failure goes."""
        return self.streams.get(kind, Stream())

    @property
    def suspicion(self) -> float:
        """The most that any kind speaks against the model."""
        return max(self.of(kind).evidence for kind in KINDS)

    def after(self, faults: Collection[Fault], allowed: Allowed) -> "Record":
        """With one more run, which failed in these ways."""
        streams: dict[Fault, Stream] = {
            kind: self.of(kind).after(kind in faults, allowed.rates[kind]) for kind in KINDS
        }
        bad = bool(set(faults) - {"slow"})
        found = Record(
            streams=streams,
            runs=self.runs + 1,
            failed=self.failed + bad,
            row=self.row + 1 if bad else 0,
            alarm=self.alarm,
        )
        return found if found.alarm else found.model_copy(update={"alarm": _alarm(found, allowed)})


def allowed(other: Mapping[frozenset[str], int], seconds: Collection[float] = ()) -> Allowed:
    """What is allowed beside the *other* model, by how many of its runs failed in which ways, and *seconds* of its own.

    A rate is what that model's is, with SURE probability, at most: its failures beside those of WEIGHT runs at RATE.
    """
    runs = sum(other.values())

    def bound(*kinds: str) -> float:
        return _bound(sum(count for faults, count in other.items() if not faults.isdisjoint(kinds)), runs)

    bad: list[Fault] = [kind for kind in KINDS if kind != "slow"]
    rates: dict[Fault, float] = {kind: bound(kind) for kind in bad}
    late = sorted(s for s in seconds if s > 0)
    slow = PATIENCE * late[min(int(0.95 * len(late)), len(late) - 1)] if len(late) >= LEAST else 0.0
    rates["slow"] = 2 * RATE
    return Allowed(rates=rates, any=bound(*bad), seconds=slow)


def _bound(failed: int, runs: int) -> float:
    from scipy.special import betaincinv  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]

    prior = RATE * WEIGHT
    bound = float(betaincinv(prior + failed, WEIGHT - prior + runs - failed, SURE))  # pyright: ignore[reportUnknownArgumentType]
    return max(RATE, min(bound, 0.9))


def _worse(rate: float) -> tuple[float, float]:
    """Two rates that would matter: somewhat worse, and half of what is left."""
    return min(rate + WORSE, (rate + 1) / 2), (rate + 1) / 2


def _ratio(failed: bool, rate: float, worse: float) -> float:
    return worse / rate if failed else (1 - worse) / (1 - rate)


def _alarm(record: Record, allowed: Allowed) -> str:
    """Why the model is to go; empty where it may stay."""
    if record.runs <= FIRST and record.failed >= _few(allowed.any):
        return f"{record.failed} of its first {record.runs} runs failed ({_worst(record)})"
    if record.row >= row(record.runs, allowed.any):
        return f"its last {record.row} runs failed ({_worst(record)})"
    for kind in KINDS:
        stream = record.of(kind)
        if stream.evidence >= LIMIT and (kind != "slow" or stream.runs >= WARM):
            return (
                f"{stream.failed} of {stream.runs} runs {SAID[kind]}, where {allowed.rates[kind]:.0%} may "
                f"(evidence {stream.evidence:.3g}, limit {LIMIT:.0f})"
            )
    return ""


def row(runs: int, rate: float) -> int:
    """Failures in a row that are too many at the end of so many *runs*, where *rate* of them may fail."""
    return max(ROW, math.ceil(math.log(RARE_ROW / runs) / math.log(rate)))


def _few(rate: float) -> int:
    """Failures among the first FIRST runs that are too many: three, or more where so many are not rare."""
    return next((k for k in range(3, FIRST + 1) if _tail(k, rate) <= RARE_FIRST), FIRST + 1)


def _tail(k: int, rate: float) -> float:
    return sum(math.comb(FIRST, i) * rate**i * (1 - rate) ** (FIRST - i) for i in range(k, FIRST + 1))


def _worst(record: Record) -> str:
    kind = max(KINDS, key=lambda k: record.of(k).failed)
    return f"most of them {SAID[kind]}"
