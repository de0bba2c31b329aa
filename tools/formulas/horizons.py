"""The tail of one series over a horizon, by any method: which returns it takes, how it scales, what it says."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from openoutcry.core.errors import NotComputed
from openoutcry.core.evidence import Figure
from openoutcry.tools.figures import fraction, number
from openoutcry.tools.formulas import conditional, tails
from openoutcry.tools.formulas.conditional import Backcast
from openoutcry.tools.formulas.tails import Quantile, Shortfall, Tail

Values = NDArray[np.float64]
Method = Literal["historical", "gaussian", "student_t", "cornish_fisher", "garch", "monte_carlo"]
Scaling = Literal["overlapping", "square_root"]
Mean = Literal["sample", "zero"]


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of the returns."""

    horizon: int
    confidence: float
    method: Method
    scaling: Scaling
    quantile: Quantile
    shortfall: Shortfall | None
    decay: float | None
    mean: Mean
    ddof: int
    degrees_of_freedom: float | None
    simulations: int
    seed: int
    backcast: Backcast

    @property
    def simulated(self) -> bool:
        """Whether the horizon is simulated from returns of one period."""
        return self.method in ("garch", "monte_carlo")

    @property
    def span(self) -> int:
        """How many periods each return spans."""
        return 1 if self.simulated or self.scaling == "square_root" else self.horizon

    @property
    def times(self) -> int:
        """By how many periods the answer for one span is scaled."""
        return 1 if self.simulated else self.horizon // self.span


@dataclass(frozen=True, slots=True)
class Answer:
    """VaR and ES, further figures of the method, and its conventions."""

    tail: Tail
    figures: Mapping[str, Figure]
    conventions: Mapping[str, str]


def answer(returns: Values, ask: Ask, ticker: str) -> Answer:
    """The tail of *returns*, each over `ask.span` periods. Raises NotComputed where the method cannot be."""
    if ask.simulated and ask.scaling == "square_root":
        raise NotComputed(f"needs scaling overlapping; {ask.method} simulates the horizon and scales nothing")
    if ask.decay is not None and ask.method != "historical":
        raise NotComputed(f"needs method historical with decay; {ask.method} weighs all returns alike")
    by: dict[str, Callable[[], Answer]] = {
        "historical": lambda: _historical(returns, ask),
        "gaussian": lambda: _gaussian(returns, ask),
        "student_t": lambda: _student_t(returns, ask, ticker),
        "cornish_fisher": lambda: _cornish_fisher(returns, ask),
        "garch": lambda: _garch(returns, ask),
        "monte_carlo": lambda: _monte_carlo(returns, ask, ticker),
    }
    return by[ask.method]()


def _historical(returns: Values, ask: Ask) -> Answer:
    if ask.decay is not None:
        tail = tails.age_weighted(returns, ask.confidence, ask.decay)
        rule = f"first loss at which age weights of decay {ask.decay:g} add to {1 - ask.confidence:.4g}"
    else:
        tail = tails.historical(returns, ask.confidence, ask.quantile, ask.shortfall)
        rule = "linear interpolation (type 7)" if ask.quantile == "linear" else ask.quantile
    if np.isnan(tail.es):
        raise NotComputed("needs losses strictly beyond the VaR for this shortfall; there are none: use at_or_beyond")
    told = {**_words(ask), "quantile": rule, "ddof": "not used"}
    if ask.shortfall or ask.quantile == "order_statistic":
        told["shortfall"] = ask.shortfall or "coherent"
    return Answer(_rooted(tail, ask), {}, told)


def _gaussian(returns: Values, ask: Ask) -> Answer:
    mean, sd = _moments(returns, ask)
    told = {**_words(ask, moments=True), "quantile": "normal quantile", "ddof": str(ask.ddof)}
    if ask.mean == "zero":
        told["mean"] = "zero; the deviation is about the sample's"
    return Answer(tails.gaussian(mean, sd, ask.confidence), _located(mean, sd), told)


def _student_t(returns: Values, ask: Ask, ticker: str) -> Answer:
    told = {**_words(ask, moments=True), "quantile": "Student t quantile", "mean": ask.mean}
    if ask.degrees_of_freedom is not None:
        mean, sd = _moments(returns, ask)
        figures = _located(mean, sd) | {"degrees_of_freedom": number(ask.degrees_of_freedom)}
        tail = tails.student_t(mean, sd, ask.confidence, ask.degrees_of_freedom)
        return Answer(tail, figures, {**told, "ddof": str(ask.ddof), "scale": "matches the sample's deviation"})
    t: Any = import_module("scipy.stats").t
    unit = float(returns.std())
    fixed = {"floc": 0.0} if ask.mean == "zero" else {}
    nu, location, scale = (float(v) for v in t.fit(returns / unit, **fixed))
    if nu <= 1:
        raise NotComputed(f"needs tails with a mean; the t fitted to {ticker} has {nu:.3g} degrees of freedom")
    location, scale = location * unit * ask.times, scale * unit * math.sqrt(ask.times)
    figures = {"location": fraction(location), "scale": fraction(scale), "degrees_of_freedom": number(nu)}
    tail = tails.located_t(location, scale, ask.confidence, nu)
    return Answer(tail, figures, {**told, "ddof": "not used", "scale": "location, scale and degrees by likelihood"})


def _cornish_fisher(returns: Values, ask: Ask) -> Answer:
    of = tails.moments(returns, ask.ddof)
    root = math.sqrt(ask.times)
    unbounded = tails.modified(of, ask.confidence, operational=False).es
    figures = {
        "mean": fraction(of.mean),
        "standard_deviation": fraction(of.sd),
        "skewness": number(of.skewness),
        "excess_kurtosis": number(of.excess_kurtosis),
        "es_unbounded": fraction(unbounded * root),
        "es_integrated": fraction(tails.integrated_shortfall(of, ask.confidence) * root),
    }
    told = {
        **_words(ask),
        "quantile": "Cornish-Fisher expansion of the normal quantile",
        "ddof": f"{ask.ddof} of the deviation; skewness and kurtosis of the population",
        "shortfall": "operational: Edgeworth, no less than the VaR",
    }
    return Answer(_rooted(tails.modified(of, ask.confidence), ask), figures, told)


def _garch(returns: Values, ask: Ask) -> Answer:
    model = conditional.fit(returns, backcast=ask.backcast)
    drawn = conditional.filtered_returns(model, ask.horizon, ask.simulations, ask.seed)
    tail = tails.historical(drawn, ask.confidence, ask.quantile, ask.shortfall)
    figures = {
        "forecast_volatility": fraction(math.sqrt(float(model.expected_variances(1)[0]))),
        "persistence": number(model.persistence),
    }
    told = {
        "horizon": f"{ask.horizon} sessions simulated by GARCH(1,1) and compounded",
        "quantile": f"{ask.quantile}, of simulated returns",
        "simulations": f"{ask.simulations:,}, seed {ask.seed}",
        "backcast": ask.backcast,
        "ddof": "not used",
    }
    return Answer(tail, figures, told)


def _monte_carlo(returns: Values, ask: Ask, ticker: str) -> Answer:
    if (returns <= -1).any():
        raise NotComputed(f"needs returns above -100 %; {ticker} holds {returns.min():g}, which has no log return")
    logs = np.log1p(returns)
    mean, sd = (0.0 if ask.mean == "zero" else float(logs.mean())), float(logs.std(ddof=ask.ddof))
    drawn = tails.lognormal_returns(mean, sd, ask.horizon, ask.simulations, ask.seed)
    told = {
        "horizon": f"{ask.horizon} sessions of geometric Brownian motion, log mean and deviation of one session",
        "quantile": f"{ask.quantile}, of simulated returns",
        "simulations": f"{ask.simulations:,}, seed {ask.seed}",
        "ddof": str(ask.ddof),
        "mean": ask.mean,
    }
    figures = {"log_mean": fraction(mean), "log_standard_deviation": fraction(sd)}
    return Answer(tails.historical(drawn, ask.confidence, ask.quantile, ask.shortfall), figures, told)


def _moments(returns: Values, ask: Ask) -> tuple[float, float]:
    """Mean and deviation over the horizon. A mean of zero is left out of the VaR, not out of the deviation."""
    mean = 0.0 if ask.mean == "zero" else float(returns.mean()) * ask.times
    return mean, float(returns.std(ddof=ask.ddof)) * math.sqrt(ask.times)


def _located(mean: float, sd: float) -> dict[str, Figure]:
    return {"mean": fraction(mean), "standard_deviation": fraction(sd)}


def _rooted(tail: Tail, ask: Ask) -> Tail:
    root = math.sqrt(ask.times)
    return Tail(np.asarray(tail.var * root), np.asarray(tail.es * root))


def _words(ask: Ask, *, moments: bool = False) -> dict[str, str]:
    """How the horizon was reached."""
    if ask.scaling == "overlapping":
        return {"horizon": f"overlapping {ask.horizon}-session simple returns, no scaling by time"}
    what = "mean by time, deviation by its square root" if moments else "VaR and ES by the square root of time"
    return {"horizon": f"one-session returns scaled to {ask.horizon} sessions: {what}"}
