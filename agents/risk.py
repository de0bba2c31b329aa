"""The risk role: how much can be lost, how wild the ride is, and what the book holds."""

from openoutcry.agents.role import NUMBERS, Answer, Role
from openoutcry.core.report import Kind
from openoutcry.tools.backtest import var_backtest
from openoutcry.tools.betas import beta
from openoutcry.tools.book import position
from openoutcry.tools.drawdowns import drawdown
from openoutcry.tools.extremes import extreme_value
from openoutcry.tools.garch import garch
from openoutcry.tools.kelly import kelly_from_returns
from openoutcry.tools.options import implied_volatility, option
from openoutcry.tools.portfolio import optimal_weights
from openoutcry.tools.portfolio_risk import portfolio_value_at_risk, portfolio_var_backtest
from openoutcry.tools.prices import returns
from openoutcry.tools.rebalancing import walk_forward
from openoutcry.tools.risk import value_at_risk, volatility
from openoutcry.tools.screen import risk_screen
from openoutcry.tools.sessions import trading_calendar
from openoutcry.tools.stress import stress_test

ROLE = Role(
    name="risk",
    instructions=f"""\
You are the risk manager of a trading desk. Measure the loss that the position can make over the
question's horizon at its confidence, by more than one method, and say where they differ. Say whether
volatility is rising, how deep past falls were, and what the book holds. A question of kind book names no
ticker: measure the whole book, what adds most to its risk, its stress scenarios, and whether its value at
risk held in the past. Your lean is down where risk is rising sharply, neutral otherwise.
{NUMBERS}""",
    tools=(drawdown, volatility, value_at_risk, position, returns),
    by_kind={
        Kind.RISK: (garch, var_backtest, extreme_value, beta, option, implied_volatility, trading_calendar),
        Kind.BOOK: (
            *(portfolio_value_at_risk, portfolio_var_backtest, stress_test, risk_screen),
            *(optimal_weights, walk_forward, kelly_from_returns, trading_calendar),
        ),
    },
    output=Answer,
)
