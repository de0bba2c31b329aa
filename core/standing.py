"""The record of a view that ended, and how well a role has done so far."""

from datetime import date

from openoutcry.core.evidence import Frozen

DESK = "desk"


class Settled(Frozen):
    """One probability that has been settled: who gave it, on what, and whether the event happened.

    `role` is a role's name or `desk`; `chance` and `base_rate` lie strictly between 0 and 1; `made` is the session
    of the last close that the view rested on, `ended` the session `horizon` sessions later; `given` orders
    views by when they were given.
    """

    role: str
    model: str
    ticker: str
    horizon: int
    made: date
    ended: date
    chance: float
    base_rate: float
    happened: bool
    given: str = ""


class Bin(Frozen):
    """Views whose chance lay from `low` up to `high`: how many, their mean chance, and how often it happened."""

    low: float
    high: float
    views: int
    mean_chance: float
    frequency: float


class Standing(Frozen):
    """How well the views of one role, given by one model over one horizon, came true.

    `settled` counts views and `separate` those of them whose spans do not overlap (a ticker at a time), which is
    what the record's weight rests on. `brier` and `log_score` are means, lower is better (log score in nats), and
    `base_brier` and `base_log_score` those of the base rate alone on the same views. `gain` is the mean log score by
    which the views beat the base rate, in nats a view, positive is better.
    """

    role: str
    model: str
    horizon: int
    settled: int
    separate: int
    brier: float
    base_brier: float
    log_score: float
    base_log_score: float
    gain: float
    bins: tuple[Bin, ...] = ()
