"""Whether what a view gave a chance happened: the closes at both ends of its span."""

from datetime import date, datetime
from typing import Annotated

import numpy as np
from pydantic import Field

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence
from openoutcry.tools.arguments import LISTED, Horizon, Ticker
from openoutcry.tools.data.closes import Prices
from openoutcry.tools.data.table import Rows
from openoutcry.tools.data.view import View
from openoutcry.tools.figures import count, day, fraction, sessions, text
from openoutcry.tools.prices import RETURNS
from openoutcry.tools.sessions import session_after
from openoutcry.tools.tool import tool

COLUMNS = "date, close, adj_close, adjusted_through, known_at"
Subject = Annotated[
    list[Ticker],
    LISTED,
    Field(min_length=1, max_length=2, description="a ticker, or two: did the first return more than the second"),
]


@tool
def view_outcome(
    view: View,
    tickers: Subject,
    made: Annotated[date, Field(description="the session of the last close that the view rested on")],
    horizon: Horizon,
) -> Evidence:
    """Whether a ticker closed higher *horizon* sessions after the session *made*; of two, whether the first beat.

    `happened` is 1 for a strictly higher close, or for a strictly higher return than the second ticker's, on the
    basis of `combine_views`: adj_close where every close up to the end has it, else close. Sessions are those of the
    exchange's calendar, so a halt does not put off the end. `known_at` is when the closes of both ends were known.

    Raises UnknownTicker, or NotComputed where *made* is no session, the span has not ended by the as-of, either end
    has no close known by then (which is never guessed), or closes as traded jump between as in a split.
    """
    if (near := session_after(made, 0)) != made:
        raise NotComputed(f"needs a session of the exchange as made; {made} is none, the one before it is {near}")
    ended = session_after(made, horizon)
    if ended > view.as_of.date:
        raise NotComputed(f"needs a span that has ended; this one ends on {ended}, after the as-of {view.as_of}")
    spans = [_span(view, ticker, made, ended) for ticker in tickers]
    changes = [float(s.horizon_returns(len(s.dates) - 1, len(s.dates) - 1, 1)[0]) for s in spans]
    beaten = changes[1] if len(changes) > 1 else 0.0
    evidence = view.evidence(
        {
            "ticker": text(tickers[0]),
            **({"other": text(tickers[1])} if len(tickers) > 1 else {}),
            "horizon": sessions(horizon),
            "made": day(made),
            "ended": day(ended),
            "return": fraction(changes[0]),
            **({"other_return": fraction(beaten)} if len(tickers) > 1 else {}),
            "happened": count(changes[0] - beaten > 0),
        },
        [s.rows for s in spans],
        conventions={
            "event": "a higher close at its end"
            if len(tickers) == 1
            else f"{tickers[0]} returning more than {tickers[1]}",
            "returns": RETURNS.format(basis=", ".join(dict.fromkeys(s.basis for s in spans))),
            "end": "counted on the exchange's calendar",
        },
    )
    return evidence.model_copy(update={"known_at": max(m for s in spans for m in _known(s.rows, made, ended))})


def _span(view: View, ticker: str, made: date, ended: date) -> Prices:
    """The closes from *made* to *ended*, both of which must have one."""
    rows = view.query(f"SELECT {COLUMNS} FROM prices WHERE ticker = ? AND date <= ? ORDER BY date", [ticker, ended])
    if not len(rows):
        view.prices(ticker)  # tells a ticker that is not known from one that came later
    days = rows.days("date")
    if made not in days:
        raise NotComputed(f"needs a close of {ticker} on {made}, when the view was made; none is known by {view.as_of}")
    if days[-1] != ended:
        raise NotComputed(
            f"needs a close of {ticker} on {ended}, when the span ended; none is known by {view.as_of}, the newest "
            f"before it is of {days[-1]}: the view stays unsettled"
        )
    return Prices.of(ticker, rows).at(np.arange(days.index(made), len(days)))


def _known(rows: Rows, made: date, ended: date) -> list[datetime]:
    """When the closes of both ends were known."""
    moments = dict(zip(rows.days("date"), rows.moments("known_at"), strict=True))
    return [moments[made], moments[ended]]
