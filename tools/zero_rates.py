"""Zero curves and rates: bootstrapped, interpolated, forward, and from one way of compounding to another."""

from itertools import pairwise
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, FiniteFloat

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Evidence, Figure
from openoutcry.tools.arguments import LISTED, Measured, Number, Reference
from openoutcry.tools.data.view import NO_DATA, View
from openoutcry.tools.figures import fraction, number, slug, text, years
from openoutcry.tools.formulas.bonds import Frequency
from openoutcry.tools.formulas.compounding import Compounding, factor, rate_of
from openoutcry.tools.formulas.curves import Curve, Interpolation, Quote, bootstrap, curve_of
from openoutcry.tools.formulas.times import Years
from openoutcry.tools.tool import tool


def _alone(value: object) -> object:
    """One number where a list may stand."""
    return [value] if isinstance(value, int | float) else value


_Measured = Annotated[list[FiniteFloat] | None, LISTED, Measured(list[Reference] | None)]


@tool
def zero_curve(
    view: View = NO_DATA,
    *,
    maturities: Annotated[list[FiniteFloat], LISTED, Field(description="years, e.g. 0.5,1,1.5,2")],
    coupons: Annotated[_Measured, Field(description="a year, 0 for a zero coupon")] = None,
    prices: Annotated[
        _Measured,
        Field(description="cash prices per 100; without them all are at par, coupons being par or deposit rates"),
    ] = None,
    zero_rates: Annotated[_Measured, Field(description="zero rates, in place of prices")] = None,
    frequency: Annotated[
        list[Frequency], BeforeValidator(_alone), LISTED, Field(description="coupons a year: one number, or one each")
    ] = [2],  # noqa: B006  # never changed
    compounding: Annotated[Compounding, Field(description="of zero and forward rates, given and shown")] = "continuous",
    interpolation: Annotated[Interpolation, Field(description="of the curve between its knots")] = "linear_zero",
    at: Annotated[list[FiniteFloat] | None, LISTED, Field(description="further maturities to show, in years")] = None,
) -> Evidence:
    """Zero-coupon curve bootstrapped from bonds, bills, deposits or par swap rates, with discounts and forwards.

    Each instrument has a maturity in years, a coupon rate and a cash price per 100; without prices all are at par,
    so that `coupons` are deposit rates (to 1 / frequency years) and par yields or swap rates. With `zero_rates`
    the curve is given and forwards, discounts and par yields follow. Figures by maturity, 0.25 years as 0_25:
    zero_0_25, discount_0_25, forward_0_25_0_5 (from 0.25 to 0.5 years), par_2 (coupon for par, `frequency` a year).

    `linear_zero`: continuously compounded zero rates linear between knots and flat outside (Hull);
    `log_linear_discount`: constant forward rates between knots. With a price, all coupons ahead are whole and the
    price includes accrued interest; at par a first period shorter than the others pays its part.

    Raises NotComputed for lists of other lengths, a maturity that comes twice or is not ahead, a price at or
    below zero, or one that no rate gives. Source: Hull, Options, Futures, and Other Derivatives, section 4.7.
    """
    each = frequency * len(maturities) if len(frequency) == 1 else frequency
    for name, values in (("coupons", coupons), ("prices", prices), ("zero_rates", zero_rates), ("frequency", each)):
        if values is not None and len(values) != len(maturities):
            raise NotComputed(f"needs {len(maturities)} {name}, one a maturity; got {len(values)}")
    if not maturities or min(maturities) <= 0 or (at and min(at) <= 0):
        raise NotComputed("needs maturities above zero, in years")
    if zero_rates is not None and (coupons or prices):
        raise NotComputed("needs zero_rates, or coupons and prices; got both")
    if zero_rates is None and not coupons and not prices:
        raise NotComputed("needs coupons, prices or zero_rates; got none")
    if zero_rates is not None:
        known = {str(t): z for t, z in zip(maturities, zero_rates, strict=True)}
        curve = curve_of(known, compounding, interpolation)
    else:
        curve = bootstrap(_quotes(maturities, coupons, prices, each), interpolation)
    if curve is None or len(set(maturities)) < len(maturities):
        raise NotComputed("needs each maturity once")
    return view.evidence(
        _of_curve(curve, sorted({*maturities, *(at or [])}), compounding, each[0] or 1),
        conventions={
            "rates": f"a year, compounded {compounding}",
            "interpolation": "continuously compounded zero rates, linear; flat outside the knots"
            if interpolation == "linear_zero"
            else "log of the discount factor, linear; flat zero rates outside the knots",
            "par": f"coupon of a bond at 100 that pays {each[0] or 1} times a year",
        },
    )


@tool
def convert_rate(
    view: View = NO_DATA,
    *,
    rate: Annotated[Number, Field(description="a year, 0.1 is 10 %")],
    from_compounding: Annotated[Compounding, Field(description="of the rate given")],
    to_compounding: Annotated[Compounding, Field(description="of the rate wanted")] = "annual",
    time: Annotated[Years, Field(description="years; needed for simple and discount")] = None,
) -> Evidence:
    """A rate a year in another way of compounding, its effective annual and continuous rate, and discount factor.

    `simple` is 1 + r t, `discount` a bank discount, 1 - r t; both depend on `time`. The figure `rate` is the one
    asked for. Raises NotComputed where a time is needed and not given, or the rate leaves no positive discount
    factor. Source: Hull, Options, Futures, and Other Derivatives, section 4.4.
    """
    if time is None and {from_compounding, to_compounding} & {"simple", "discount"}:
        raise NotComputed("needs time in years for a simple or discount rate; got none")
    span = 1.0 if time is None else time
    if span <= 0:
        raise NotComputed(f"needs a time above zero; got {span:g}")
    discount = factor(rate, span, from_compounding)
    found: dict[str, Figure] = {
        "rate": fraction(rate_of(discount, span, to_compounding)),
        "effective_annual": fraction(rate_of(discount, span, "annual")),
        "continuous": fraction(rate_of(discount, span, "continuous")),
    }
    if time is not None:
        found |= {"discount_factor": number(discount), "growth_factor": number(1 / discount), "time": years(time)}
    return view.evidence(found, conventions={"rate": f"from {from_compounding} to {to_compounding}"})


def _quotes(
    maturities: list[float], coupons: list[float] | None, prices: list[float] | None, frequency: list[Any]
) -> list[Quote]:
    coupons = coupons or [0.0] * len(maturities)
    paid = prices or [None] * len(maturities)
    return [Quote(t, c, p, f or 1) for t, c, p, f in zip(maturities, coupons, paid, frequency, strict=True)]


def _of_curve(curve: Curve, times: list[float], way: Compounding, frequency: int) -> dict[str, Figure]:
    """Zero rate, discount factor and par coupon at each time, and forward rates from each to the next."""
    found: dict[str, Figure] = {}
    names = [slug(f"{t:.6g}") for t in times]
    for t, name in zip(times, names, strict=True):
        found[f"zero_{name}"] = fraction(rate_of(curve.discount(t), t, way))
        found[f"discount_{name}"] = number(curve.discount(t))
        found[f"par_{name}"] = fraction(curve.par(t, frequency))
    for (a, first), (b, then) in pairwise(zip(times, names, strict=True)):
        ratio = curve.discount(b) / curve.discount(a)
        found[f"forward_{first}_{then}"] = fraction(rate_of(ratio, b - a, way))
    return found | {"interpolation": text(curve.interpolation)}
