"""How an option's price moves with each of its inputs: in closed form, off a tree or grid, or by bumping."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import NormalDist

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Figure
from openoutcry.tools.figures import number, probability
from openoutcry.tools.formulas.contract import Option, Pricer
from openoutcry.tools.formulas.pricing import DAYS, calculator, on_grid
from openoutcry.tools.formulas.trees import Tree


@dataclass(frozen=True, slots=True)
class Greeks:
    """Derivatives of the price; vega, rho and dividend rho per 1.00, theta a year. None where there is none."""

    delta: float | None = None
    gamma: float | None = None
    vega: float | None = None
    theta: float | None = None
    rho: float | None = None
    dividend_rho: float | None = None
    vanna: float | None = None
    volga: float | None = None

    def figures(self, option: Option, price: float) -> Mapping[str, Figure]:
        """Each with its usual scales: a point of volatility or rate, a calendar and a trading day."""
        made: dict[str, float | None] = {
            "delta": self.delta,
            "gamma": self.gamma,
            "vega": self.vega,
            "vega_per_point": _scaled(self.vega, 0.01),
            "theta": self.theta,
            "theta_per_day": _scaled(self.theta, 1 / DAYS),
            "theta_per_trading_day": _scaled(self.theta, 1 / 252),
            "rho": self.rho,
            "rho_per_point": _scaled(self.rho, 0.01),
            "dividend_rho": self.dividend_rho,
            "elasticity": _scaled(self.delta, option.spot / price) if price > 1e-12 else None,
            "vanna": self.vanna,
            "volga": self.volga,
        }
        return {name: number(value) for name, value in made.items() if value is not None}


def _scaled(value: float | None, scale: float) -> float | None:
    return None if value is None else value * scale


def closed(option: Option, *, future: bool) -> Greeks:
    """Those of the Black-Scholes-Merton formula; cash dividends move with rate and time as they are worth today.

    Of a *future* the yield is the rate itself and moves with it, so that rho is -time x price.
    """
    black, spot, years = calculator(option), option.spot - option.paid, option.years
    delta, dividend_rho = float(black.delta(spot)), float(black.dividendRho(years))
    owed = math.fsum(t * cash * math.exp(-option.rate * t) for t, cash in option.dividends)
    rho = float(black.rho(years)) + delta * owed
    vega, (d1, d2) = float(black.vega(years)), _ds(option)
    return Greeks(
        delta=delta,
        gamma=float(black.gamma(spot)),
        vega=vega,
        theta=float(black.theta(spot, years)) - delta * option.rate * option.paid,
        rho=rho + dividend_rho if future else rho,
        dividend_rho=None if future else dividend_rho,
        vanna=float(black.vanna(spot, years)),
        volga=vega * d1 * d2 / option.volatility,  # QuantLib 1.44's own lacks a factor sqrt(time)
    )


def bumped(price: Pricer, option: Option, *, future: bool, fine: bool = True) -> Greeks:
    """Central differences of *price*; wider steps where it is not *fine*, as of a tree or grid."""
    step = option.spot * min(0.01, 0.01 * option.volatility * math.sqrt(option.years))
    if option.barrier:
        step = min(step, abs(option.spot - option.barrier.level) / 4)
    up, down = (price(replace(option, spot=option.spot + s)) for s in (step, -step))
    wide, rate = (1e-3, 1e-4) if fine else (1e-2, 1e-3)
    wide = min(wide, option.volatility / 2)
    past = option.years * 1e-3
    past = min([past, *(t / 2 for t, _ in option.dividends)])
    yields = "dividend_yield"

    def slope(size: float, *names: str) -> float:
        high, low = (replace(option, **{n: getattr(option, n) + s for n in names}) for s in (size, -size))
        try:
            return (price(high) - price(low)) / (2 * size)
        except NotComputed:  # as below zero, where an approximation may not go
            return (price(high) - price(option)) / size

    return Greeks(
        delta=(up - down) / (2 * step),
        gamma=(up - 2 * price(option) + down) / step**2,
        vega=slope(wide, "volatility"),
        theta=(price(option.later(past)) - price(option.later(-past))) / (2 * past),
        rho=slope(rate, "rate", yields) if future else slope(rate, "rate"),
        dividend_rho=None if future else slope(rate, yields),
    )


def of_tree(found: Tree, price: Pricer | None, option: Option, *, future: bool) -> Greeks:
    """Delta, gamma and theta off the tree's first nodes, the others by bumping *price* (None: not at all)."""
    if price is None:
        return Greeks(found.delta, found.gamma, None, found.theta)
    others = bumped(price, option, future=future, fine=False)
    return replace(others, delta=found.delta, gamma=found.gamma, theta=found.theta)


def of_grid(price: Pricer, option: Option, *, future: bool) -> Greeks:
    """Delta and gamma off the grid, the others by bumping."""
    grid, others = on_grid(option), bumped(price, option, future=future, fine=False)
    return replace(others, delta=float(grid.delta()), gamma=float(grid.gamma()))


def likelihood(option: Option) -> Mapping[str, Figure]:
    """d1, d2 and N(d2), the risk-neutral probability that the option ends in the money."""
    (d1, d2), normal = _ds(option), NormalDist()
    return {
        "d1": number(d1),
        "d2": number(d2),
        "n_d1": probability(normal.cdf(option.sign * d1)),
        "probability_in_the_money": probability(normal.cdf(option.sign * d2)),
    }


def _ds(option: Option) -> tuple[float, float]:
    """d1 and d2."""
    spread = option.volatility * math.sqrt(option.years)
    d1 = math.log(option.forward / option.strike) / spread + spread / 2
    return d1, d1 - spread
