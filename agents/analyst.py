"""The analyst: what the price did, what the company earns, and what the price pays for it."""

from openoutcry.agents.role import NUMBERS, Answer, Role
from openoutcry.core.report import Kind
from openoutcry.tools.altman import altman_z
from openoutcry.tools.beneish import beneish_m
from openoutcry.tools.betas import beta
from openoutcry.tools.dupont import dupont
from openoutcry.tools.events import event_study
from openoutcry.tools.factors import factor_exposure
from openoutcry.tools.performance import performance, relative_performance
from openoutcry.tools.piotroski import piotroski_f
from openoutcry.tools.prices import price_summary, relative_return, returns
from openoutcry.tools.query import query, sql
from openoutcry.tools.sharpe import sharpe_ratio
from openoutcry.tools.statements import growth, margins, valuation
from openoutcry.tools.technical import bollinger, macd, moving_average, rsi
from openoutcry.tools.technical_bars import atr

ROLE = Role(
    name="analyst",
    instructions=f"""\
You are the analyst of a trading desk. Read the question, call the tools that bear on it for each of its
tickers, and say what the price has done, how the business grows, what it keeps, and what the price pays
for it. For a comparison, say which of the two is ahead on each count. Your lean is the direction that
growth, quality and price together speak for over the question's horizon.
{NUMBERS}""",
    tools=(price_summary, returns, relative_return, growth, margins, valuation, query, sql),
    by_kind={
        Kind.OVERVIEW: (performance, sharpe_ratio, moving_average, rsi, macd, bollinger, atr),
        Kind.VALUATION: (dupont, altman_z, piotroski_f, beneish_m),
        Kind.COMPARE: (relative_performance, beta, factor_exposure),
        Kind.NEWS: (event_study,),
    },
    output=Answer,
)
