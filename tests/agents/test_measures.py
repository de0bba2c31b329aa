"""A measure that the question names and the answer has not is told, with what computes it."""

from collections.abc import Callable

import pytest

from openoutcry.agents.measures import NAMED, unanswered
from openoutcry.desk import Desk
from openoutcry.tools import catalogue

AS_OF = "2022-06-30"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("What is the beta of AAPL to MSFT?", "Asked for and not given: beta; `outcry tool beta` computes it."),
        ("What dividends does AAPL pay?", "Asked for and not given: dividend; no tool of this desk computes it."),
        ("How did AAPL do against its Sharpe and Sortino ratio?", "sharpe_ratio` computes it. Asked for and not given"),
        ("What are the implied vols of AAPL?", "`outcry tool implied_volatility`"),
        ("How risky is AAPL over the next 10 days?", ""),
        ("How is Alphabet doing?", ""),
        ("Betamax and Kellyanne", ""),
        ("How risky is DuPont, and what does Seeking Alpha say of Kelly Services?", ""),
        ("What is the DuPont analysis of AAPL?", "`outcry tool dupont`"),
    ],
)
def test_what_a_question_names(text: str, said: str) -> None:
    found = unanswered(text, set())
    assert said in found
    assert bool(said) == bool(found)


def test_every_tool_that_is_named_is_there() -> None:
    assert {tool for *_, tools in NAMED for tool in tools} <= {
        name for tools in catalogue.by_topic().values() for name in tools
    }


async def test_an_answer_says_what_it_has_not(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    report = await desk.ask("What is the beta of AAPL to MSFT?", AS_OF)
    assert report.notice.endswith("Asked for and not given: beta; `outcry tool beta` computes it.")
    assert (await desk.replay(report.run)).same_as(report)
    given = await desk.ask("How do AAPL and MSFT compare, and what is their correlation?", AS_OF)
    assert "Asked for" not in given.notice
    assert any("correlation" in e.figures for e in given.evidence)
    declined = await desk.ask("What is the Sharpe ratio of AAPL?", AS_OF)
    assert declined.declined.endswith("Asked for and not given: Sharpe ratio; `outcry tool sharpe_ratio` computes it.")


async def test_the_worth_of_the_book_is_told(make_desk: Callable[..., Desk]) -> None:
    report = await make_desk().ask("What is my book worth?", AS_OF)
    assert any(
        "gross value of {E1.gross_value}" in claim for f in report.findings for claim in getattr(f, "claims", ())
    )
