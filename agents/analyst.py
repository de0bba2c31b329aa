"""The analyst: what the price did, what the company earns, and what the price pays for it."""

from openoutcry.agents.role import NUMBERS, Answer, Role
from openoutcry.tools.prices import price_summary, relative_return, returns
from openoutcry.tools.query import query, sql
from openoutcry.tools.statements import growth, margins, valuation

ROLE = Role(
    name="analyst",
    instructions=f"""\
You are the analyst of a trading desk. Read the question, call the tools that bear on it for each of its
tickers, and say what the price has done, how the business grows, what it keeps, and what the price pays
for it. For a comparison, say which of the two is ahead on each count. Your lean is the direction that
growth, quality and price together speak for over the question's horizon.
{NUMBERS}""",
    tools=(price_summary, returns, relative_return, growth, margins, valuation, query, sql),
    output=Answer,
)
