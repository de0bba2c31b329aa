"""Options: European, American and barrier: price, greeks, implied volatility."""

from dataclasses import replace
from datetime import date
from typing import Annotated, Any

from pydantic import Field, FiniteFloat

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import MaybeNumber, Number
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import fraction, number, text, years
from openoutcry.tools.formulas import greeks, pricing, terms
from openoutcry.tools.formulas.compounding import Compounding
from openoutcry.tools.formulas.contract import BarrierType, Exercise, Kind, Option, Pricer, checked
from openoutcry.tools.formulas.quantlib import SimpleDayCount
from openoutcry.tools.formulas.times import ByYears, Years
from openoutcry.tools.formulas.trees import MAX_STEPS, Tree
from openoutcry.tools.tool import tool

Spot = Annotated[Number, Field(description="price of the underlying now; with underlying future, the futures price")]
Strike = Annotated[FiniteFloat, Field(description="exercise price")]
Rate = Annotated[Number, Field(description="risk-free rate a year, 0.05 is 5 %; compounded as `compounding` says")]
Volatility = Annotated[MaybeNumber, Field(description="volatility a year, 0.2 is 20 %")]
Yield = Annotated[
    Number,
    Field(
        description="dividend yield a year, compounded as the rate; for a currency the foreign rate; for a cost of "
        "carry b it is rate - b"
    ),
]
Cash = Annotated[
    ByYears, Field(description="cash dividends a share by their time in years (or date), e.g. 2/12=0.5,5/12=0.5")
]
OfUnderlying = Annotated[terms.Underlying, Field(description="spot, or future (Black 1976: the yield is the rate)")]
Compounded = Annotated[Compounding, Field(description="how rate and dividend yield are compounded")]
From = Annotated[date | None, Field(description="valuation day, if expiry is given in place of time")]
Until = Annotated[date | None, Field(description="expiry day, with valuation_date in place of time")]
Steps = Annotated[int, Field(ge=1, le=MAX_STEPS, description="steps of a tree")]
Move = Annotated[FiniteFloat | None, Field(description="factor of a move of the binomial tree, in place of volatility")]
Level = Annotated[MaybeNumber, Field(description="barrier level")]


@tool
def option(
    view: View = NO_DATA,
    *,
    spot: Spot,
    strike: Strike,
    rate: Rate,
    volatility: Volatility = None,
    kind: Kind,
    time: Years = None,
    exercise: Exercise = "european",
    dividend_yield: Yield = 0.0,
    dividends: Cash = None,
    underlying: OfUnderlying = "spot",
    compounding: Compounded = "continuous",
    method: Annotated[terms.Method, Field(description="auto: closed form, or for American QD+ fixed point")] = "auto",
    steps: Steps = 500,
    up: Move = None,
    down: Move = None,
    barrier_type: Annotated[BarrierType | None, Field(description="with barrier: what a touch does")] = None,
    barrier: Level = None,
    rebate: Annotated[FiniteFloat, Field(description="cash of an out on touch, of an in never touched at expiry")] = 0,
    monitoring: Annotated[int | None, Field(ge=1, description="number of times the barrier is looked at")] = None,
    valuation_date: From = None,
    expiry: Until = None,
    day_count: SimpleDayCount = "actual/365",
) -> Evidence:
    """Price and greeks of a European, American or barrier option on a share, index, currency or future.

    European: Black-Scholes-Merton in closed form; cash dividends are taken off the spot (escrowed). American:
    by `method`. Barrier: European only. Give `time` in years, or `valuation_date` and `expiry`. Figures: price,
    intrinsic value (exercise at once), time value, delta, gamma, vega and rho (per 1.00, and per point of 0.01),
    theta (a year, per calendar day of 365, per trading day of 252), dividend_rho, elasticity (lambda), d1, d2,
    n_d1 and probability_in_the_money (N(d1) and N(d2) of a call, N(-d1) and N(-d2) of a put). At zero volatility
    the price is what a certain forward pays, and there are no greeks.

    An index option takes its dividend yield, a currency option the foreign rate as `dividend_yield`, a futures
    option `underlying` future. With method binomial a small `steps` gives the tree as drawn in a textbook, and its
    control variate (Hull: tree + Black-Scholes - European tree). An American call with cash dividends shows
    Black's approximation too. A barrier that is touched already makes an in the plain option and an out worth its
    rebate.

    Raises NotComputed for an expired option, a price, strike or barrier at or below zero, a negative volatility,
    an American barrier option, or a method that does not fit the exercise. Sources: Hull, Options, Futures, and
    Other Derivatives; Haug, The Complete Guide to Option Pricing Formulas; QuantLib 1.44.
    """
    left = terms.years_left(time, valuation_date, expiry, day_count)
    bare = terms.plain(spot, strike, rate, left, kind, exercise, dividend_yield, compounding, underlying)
    given = up is not None or down is not None
    if volatility is None and not given:
        raise NotComputed("needs a volatility, or up and down with method binomial; got neither")
    if given and (up is None or down is None or not 0 < down < up or method != "binomial"):
        raise NotComputed("needs both up and down, 0 < down < up, with method binomial")
    paid, ignored = terms.cash_paid(dividends, left, valuation_date, day_count)
    asked = checked(
        replace(
            bare,
            volatility=volatility or 0.0,
            dividends=paid,
            barrier=terms.barrier_of(barrier_type, barrier, rebate, monitoring, volatility, left, spot),
        )
    )
    name = terms.method_of(asked, method)
    price, drawn = terms.pricer_of(name, steps, up, down)
    worth = price(asked)
    future = underlying == "future"
    found = _greeks(asked, name, price, drawn(asked) if drawn else None, future=future, bump=not given)
    extra = _beside(asked, worth, drawn)
    return view.evidence(
        {
            "price": number(worth),
            "intrinsic_value": number(asked.intrinsic),
            "time_value": number(worth - asked.intrinsic),
            **found.figures(asked, worth),
            **(greeks.likelihood(asked) if asked.volatility > 0 else {}),
            "forward": number(asked.forward),
            **extra,
            "time": years(left),
            "method": text(name),
        },
        conventions={
            "price": terms.WORDS[name],
            "rates": f"rate and yield compounded {compounding}",
            "vega, rho": "per 1.00; _per_point is a hundredth of it",
            "theta": "a year; _per_day is theta / 365, _per_trading_day theta / 252; negative is a loss as time passes",
            "greeks": _how(name, given=given),
            **({"time": f"{day_count} from {valuation_date} to {expiry}"} if time is None else {}),
            **({"dividends": "cash, escrowed: taken off the spot at present value"} if paid else {}),
        },
        missing=[*ignored, *([] if asked.volatility > 0 or given else ["greeks: none at zero volatility"])],
    )


@tool
def implied_volatility(
    view: View = NO_DATA,
    *,
    price: Annotated[Number, Field(description="what the option costs")],
    spot: Spot,
    strike: Strike,
    rate: Rate,
    kind: Kind,
    time: Years = None,
    exercise: Exercise = "european",
    dividend_yield: Yield = 0.0,
    dividends: Cash = None,
    underlying: OfUnderlying = "spot",
    compounding: Compounded = "continuous",
    method: Annotated[terms.Method, Field(description="as of option")] = "auto",
    steps: Steps = 500,
    valuation_date: From = None,
    expiry: Until = None,
    day_count: SimpleDayCount = "actual/365",
) -> Evidence:
    """The volatility a year at which an option is worth *price*: European or American, on a spot or a future.

    Solved by Brent's method on the same price as the tool `option` gives, to 1e-12. Raises NotComputed for a
    price outside the bounds of no arbitrage (at or below its worth at zero volatility, or at or above the spot
    of a call, the strike of a put, each discounted where exercise is European), and as `option` does.
    """
    left = terms.years_left(time, valuation_date, expiry, day_count)
    paid, ignored = terms.cash_paid(dividends, left, valuation_date, day_count)
    bare = terms.plain(spot, strike, rate, left, kind, exercise, dividend_yield, compounding, underlying)
    asked = checked(replace(bare, dividends=paid))
    name = terms.method_of(asked, method)
    value, _ = terms.pricer_of(name, steps, None, None)
    low, high = terms.bounds(asked)
    if not low < price < high:
        raise NotComputed(
            f"needs a price above {low:.6g} and below {high:.6g}, the bounds of no arbitrage; got {price:g}"
        )
    found = terms.solved(value, asked, price)
    held = replace(asked, volatility=found)
    return view.evidence(
        {
            "implied_volatility": fraction(found),
            "price": number(price),
            "lower_bound": number(low),
            "upper_bound": number(high),
            "price_at_implied": number(value(held)),
            **greeks.likelihood(held),
            "time": years(left),
            "method": text(name),
        },
        conventions={"price": terms.WORDS[name], "rates": f"rate and yield compounded {compounding}"},
        missing=ignored,
    )


def _greeks(asked: Option, name: str, price: Pricer, drawn: Tree | None, *, future: bool, bump: bool) -> greeks.Greeks:
    if drawn:
        return greeks.of_tree(drawn, price if bump and asked.volatility > 0 else None, asked, future=future)
    if asked.volatility == 0 or (asked.barrier and asked.barrier.breached(asked.spot)):
        plain = replace(asked, barrier=None)
        known = asked.volatility > 0 and asked.barrier and asked.barrier.type.endswith("in")
        return greeks.closed(plain, future=future) if known else greeks.Greeks()
    if name == "black_scholes":
        return greeks.closed(asked, future=future)
    if name == "finite_difference" or asked.dividends:
        return greeks.of_grid(price, asked, future=future)
    return greeks.bumped(price, asked, future=future)


def _how(name: str, *, given: bool) -> str:
    """Where the greeks come from, in words."""
    if name == "black_scholes":
        return "closed form"
    if name in ("binomial", "jarrow_rudd"):
        rest = "" if given else "; vega and rho by central differences of 0.01 and 0.001"
        return f"delta, gamma and theta off the first nodes of the tree (Hull){rest}"
    return "central differences of the price; on a grid delta and gamma off the grid"


def _beside(asked: Option, worth: float, drawn: Any) -> dict[str, Figure]:
    """The tree's moves, what early exercise adds, and the textbook's corrections."""
    found: dict[str, Figure] = {}
    if drawn:
        root = drawn(asked)
        found |= {"up": number(root.up), "down": number(root.down), "probability_up": number(root.probability)}
    if asked.exercise == "american" and not asked.barrier:
        european = replace(asked, exercise="european")
        plain = drawn(european).price if drawn else pricing.black_scholes(european)
        found |= {"european_price": number(plain), "early_exercise_premium": number(worth - plain)}
        if drawn and asked.volatility > 0:
            found["control_variate_price"] = number(worth + pricing.black_scholes(european) - plain)
        if asked.dividends and asked.kind == "call":
            last = asked.dividends[-1][0]
            early = replace(european, years=last, dividends=tuple(d for d in asked.dividends if d[0] < last))
            both = (pricing.black_scholes(european), pricing.black_scholes(early))
            found["black_approximation"] = number(max(both))
    return found
