"""Measures that a question names: where no figure of the answer is one, the report says so."""

import re
from collections.abc import Set

NAMED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("beta", r"betas?", ("beta", "relative_performance", "factor_exposure")),
    ("alpha", r"(?<!seeking )alphas?", ("relative_performance", "factor_exposure", "beta")),
    ("factor exposure", r"factor (?:exposures?|loadings?)|fama.french", ("factor_exposure",)),
    ("Sharpe ratio", r"sharpe", ("sharpe_ratio", "performance", "optimal_weights", "walk_forward")),
    ("Sortino, Calmar or Omega ratio", r"sortino|calmar|omega ratio", ("performance",)),
    ("measure against a benchmark", r"information ratio|tracking error|treynor", ("relative_performance",)),
    ("correlation", r"correlat\w*", ("relative_return", "portfolio_value_at_risk", "weights_from_moments")),
    ("implied volatility", r"implied vol\w*", ("implied_volatility",)),
    ("option price", r"(?:call|put) options?|option (?:price|premium|value)s?|greeks|black.scholes", ("option",)),
    ("dividend", r"dividends?|payout ratio", ()),
    ("Kelly stake", r"kelly(?! services)", ("kelly_from_returns", "kelly")),
    (
        "set of weights",
        r"(?:optimal|optimi[sz]ed|best) (?:weights?|allocation|portfolio)|rebalanc\w*|efficient frontier",
        ("optimal_weights", "walk_forward"),
    ),
    ("stress test", r"stress.tests?|stress (?:my|our|the)", ("stress_test",)),
    ("abnormal return", r"abnormal returns?|event study", ("event_study",)),
    ("bid-ask spread", r"bid.ask", ("bid_ask_spread",)),
    ("GARCH forecast", r"e?garch", ("garch", "garch_forecast")),
    ("tail index", r"extreme value theory|evt|tail index|pareto", ("extreme_value",)),
    ("RSI", r"rsi|relative strength", ("rsi", "ta_lib")),
    ("MACD", r"macd", ("macd", "ta_lib")),
    ("Bollinger band", r"bollinger", ("bollinger", "ta_lib")),
    ("moving average", r"moving averages?|sma|ema", ("moving_average", "ta_lib")),
    ("Altman score", r"altman|z.scores?", ("altman_z",)),
    ("Piotroski score", r"piotroski|f.scores?", ("piotroski_f",)),
    ("Beneish score", r"beneish|m.scores?", ("beneish_m",)),
    ("DuPont analysis", r"du.?pont(?:'s)? (?:analys[ei]s|identity|ratios?|formula|model)", ("dupont",)),
)
"""A measure, the words that name it, and the tools that give it, the likeliest first; none where no tool does.

A company may have such a name too (DuPont, Kelly Services), and is not asked for as a measure.
"""


def unanswered(question: str, tried: Set[str]) -> str:
    """A sentence for each measure that *question* names and that none of the tools that were *tried* gives."""
    return " ".join(
        f"Asked for and not given: {name}; "
        + (f"`outcry tool {tools[0]}` computes it." if tools else "no tool of this desk computes it.")
        for name, words, tools in NAMED
        if tried.isdisjoint(tools) and re.search(rf"\b(?:{words})\b", question, re.IGNORECASE)
    )
