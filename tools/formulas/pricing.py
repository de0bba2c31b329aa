"""The price of an option contract by QuantLib.

QuantLib's dates are whole days. With flat parameters a price depends on rate x time, yield x time and
volatility x root of time alone, so a contract of any length is priced on a fixed span of days with its
rates and volatility scaled to that span: exact for every time.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from openoutcry.core.errors import NotComputed
from openoutcry.tools.formulas.contract import Kind, Option, checked
from openoutcry.tools.formulas.quantlib import quantlib

SPAN, FINE_SPAN, DAYS = 3650, 36500, 365
GRID = 800
CALM = 0.01


def black_scholes(option: Option) -> float:
    """The price of a European option by Black, Scholes and Merton (1973), or its worth at zero volatility."""
    if option.volatility == 0:
        return math.exp(-option.rate * option.years) * max(option.sign * (option.forward - option.strike), 0.0)
    return float(calculator(option).value())


def calculator(option: Option) -> Any:
    """QuantLib's Black calculator for the European option; cash dividends are taken off the spot (escrowed)."""
    ql = quantlib()
    return ql.BlackCalculator(
        ql.PlainVanillaPayoff(_side(option), option.strike),
        option.forward,
        option.volatility * math.sqrt(option.years),
        math.exp(-option.rate * option.years),
    )


def best(option: Option) -> float:
    """The price by the most exact way there is for the contract."""
    if option.barrier:
        return barrier_price(option)
    if option.exercise == "european":
        return black_scholes(option)
    if option.volatility == 0:
        return _certain(option)
    if option.dividends:
        return finite_difference(option)
    return american_price(option)


def american_price(option: Option, *, fast: bool = False) -> float:
    """An American option by QD+ fixed point iteration (Andersen, Lake and Offengenden 2016).

    Where that has two exercise boundaries (a yield below a negative rate), by finite differences.
    """
    ql = quantlib()
    if _two_boundaries(option):
        return finite_difference(option)
    scheme = ql.QdFpAmericanEngine.accurateScheme() if fast else ql.QdFpAmericanEngine.highPrecisionScheme()
    try:
        price = _worth(option, lambda process: ql.QdFpAmericanEngine(process, scheme))
    except NotComputed:  # the boundary cannot be found, as with next to no volatility
        calm = option.volatility * math.sqrt(option.years) < CALM
        price = max(_certain(option), black_scholes(option)) if calm else finite_difference(option)
    return max(price, option.intrinsic)


def american_value(
    spot: float,
    strike: float,
    rate: float,
    volatility: float,
    years: float,
    kind: Kind,
    dividend_yield: float = 0.0,
) -> float:
    """The price of an American option, fast: thousands a second. At or after expiry, what exercise pays.

    Rate and dividend yield a year, continuously compounded. Raises NotComputed as `checked` does.
    """
    option = Option(spot, strike, rate, volatility, years, kind, "american", dividend_yield)
    if years <= 0:
        return option.intrinsic
    checked(option)
    return _certain(option) if volatility == 0 else american_price(option, fast=True)


def _certain(option: Option) -> float:
    """An American option at zero volatility: the best present value of exercise at any one time."""
    if option.dividends:
        raise NotComputed("needs a volatility above zero for an American option with cash dividends; got 0")
    rate, pays = option.rate, option.dividend_yield
    times = [0.0, option.years]
    if rate * pays > 0 and rate != pays:
        turn = math.log(rate * option.strike / (pays * option.spot)) / (rate - pays)
        times += [turn] if 0 < turn < option.years else []
    worth = (option.spot * math.exp(-pays * t) - option.strike * math.exp(-rate * t) for t in times)
    return max(0.0, *(option.sign * w for w in worth))


def _two_boundaries(option: Option) -> bool:
    """Whether early exercise pays between two levels: Andersen and Lake (2021)."""
    rate, pays = option.rate, option.dividend_yield
    return pays < rate < 0 if option.kind == "put" else rate < pays < 0


def finite_difference(option: Option, grid: int = GRID) -> float:
    """The price on a grid of *grid* times and prices, with cash dividends escrowed."""
    return float(on_grid(option, grid).NPV())


def on_grid(option: Option, grid: int = GRID) -> Any:
    """QuantLib's option with the finite-difference engine, for its price and greeks."""
    ql = quantlib()

    def engine(process: Any) -> Any:
        days = [_start() + _day(t, option.years, FINE_SPAN) for t, _ in option.dividends]
        cash = ql.DividendVector(days, [c for _, c in option.dividends])
        model, no = ql.FdBlackScholesVanillaEngine.Escrowed, -ql.nullDouble()
        return ql.FdBlackScholesVanillaEngine(
            process, cash, grid, grid, 2, ql.FdmSchemeDesc.Douglas(), False, no, model
        )

    return _vanilla(option, engine, FINE_SPAN)


def leisen_reimer(option: Option, steps: int) -> float:
    """The price on a Leisen and Reimer (1996) tree, which wants an odd number of steps: an even one gets one more."""
    return _worth(option, lambda p: quantlib().BinomialLRVanillaEngine(p, steps | 1))


def barone_adesi_whaley(option: Option) -> float:
    """The quadratic approximation of Barone-Adesi and Whaley (1987)."""
    return _worth(option, quantlib().BaroneAdesiWhaleyApproximationEngine)


def bjerksund_stensland(option: Option) -> float:
    """The flat-boundary approximation of Bjerksund and Stensland (1993)."""
    return _worth(option, quantlib().BjerksundStenslandApproximationEngine)


def ju_quadratic(option: Option) -> float:
    """The quadratic approximation of Ju and Zhong (1999)."""
    return _worth(option, quantlib().JuQuadraticApproximationEngine)


def barrier_price(option: Option) -> float:
    """A European barrier option by Reiner and Rubinstein (1991).

    Touched already, an in is the plain option and an out its rebate, paid at once. Raises NotComputed for
    American exercise: the lattices at hand converge too slowly where the barrier lies in the money.
    """
    ql, barrier = quantlib(), option.barrier
    if barrier is None or option.exercise == "american":
        raise NotComputed("needs exercise european for a barrier option; got american")
    if option.dividends or option.volatility == 0:
        raise NotComputed("needs a volatility above zero and no cash dividends for a barrier option; use a yield")
    if barrier.breached(option.spot):
        return black_scholes(replace(option, barrier=None)) if barrier.type.endswith("in") else barrier.rebate
    types = ql.Barrier
    name = {"down_in": types.DownIn, "down_out": types.DownOut, "up_in": types.UpIn, "up_out": types.UpOut}
    priced = ql.BarrierOption(
        name[barrier.type], barrier.level, barrier.rebate, _payoff(option), _exercise(option, SPAN)
    )
    priced.setPricingEngine(ql.AnalyticBarrierEngine(_process(option, SPAN)))
    return float(priced.NPV())


def _worth(option: Option, engine: Callable[[Any], Any]) -> float:
    """The price by *engine*. Raises NotComputed where it cannot go."""
    try:
        return float(_vanilla(option, engine).NPV())
    except RuntimeError as error:
        raise NotComputed(
            f"needs a contract that the method can price, or method auto; QuantLib says: {error}"
        ) from None


def _vanilla(option: Option, engine: Callable[[Any], Any], span: int = SPAN) -> Any:
    priced = quantlib().VanillaOption(_payoff(option), _exercise(option, span))
    priced.setPricingEngine(engine(_process(option, span)))
    return priced


def _process(option: Option, span: int) -> Any:
    """The process whose *span* days stand for the contract's years."""
    ql, scale = quantlib(), option.years / (span / DAYS)
    days, start = ql.Actual365Fixed(), _start()

    def flat(rate: float) -> Any:
        return ql.YieldTermStructureHandle(ql.FlatForward(start, rate * scale, days))

    volatility = ql.BlackConstantVol(start, ql.NullCalendar(), option.volatility * math.sqrt(scale), days)
    return ql.BlackScholesMertonProcess(
        ql.QuoteHandle(ql.SimpleQuote(option.spot)),
        flat(option.dividend_yield),
        flat(option.rate),
        ql.BlackVolTermStructureHandle(volatility),
    )


def _start() -> Any:
    """A day late enough that no contract of ours has expired by QuantLib's evaluation date."""
    return quantlib().Date(1, 1, 2050)


def _day(years: float, whole: float, span: int) -> int:
    return max(1, min(span, round(years / whole * span)))


def _side(option: Option) -> Any:
    return quantlib().Option.Call if option.kind == "call" else quantlib().Option.Put


def _payoff(option: Option) -> Any:
    return quantlib().PlainVanillaPayoff(_side(option), option.strike)


def _exercise(option: Option, span: int) -> Any:
    ql, start = quantlib(), _start()
    if option.exercise == "american":
        return ql.AmericanExercise(start, start + span)
    return ql.EuropeanExercise(start + span)
