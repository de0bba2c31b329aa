"""A situation that is written out in the scenario itself, for the cases at the edges."""

from datetime import date
from typing import Any

import numpy as np

from openoutcry.eval.scenario import Made
from openoutcry.eval.worlds.case import Case, Row, situation
from openoutcry.eval.worlds.options import option
from openoutcry.eval.worlds.prices import START, named, rows

MOST = 20_000
"""Returns, nearly eighty years of them."""


@situation
def written(rng: np.random.Generator, one: Made) -> Case:
    """Returns as written, over and over, and filings as written; chance has no part in it.

    Options: `returns` and how many `times` they follow each other, the first `price`, the first day (`start`), and
    `filings`, in the columns that ingest reads, without the ticker.
    """
    cycle = np.array(option(one, "returns", list[float]()) or [0.0], dtype=float)
    times, price = option(one, "times", 1, low=1, high=2000), option(one, "price", 100.0, low=0.01, high=1e6)
    if cycle.size * times > MOST:
        raise ValueError(f"expected at most {MOST:,} returns, got {cycle.size * times:,}")
    start = date.fromisoformat(option(one, "start", START.isoformat()))
    made = rows(one.ticker, np.tile(cycle, times), price, start)
    lines: list[Row] = [{"ticker": one.ticker, **line} for line in option(one, "filings", list[dict[str, Any]]())]
    filed = {"fundamentals": lines} if lines else {}
    return Case(rows=named(one, made, **filed), truths={"close": float(made[-1]["close"])}, as_of=made[-1]["date"])
