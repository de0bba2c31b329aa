"""The situation of one document whose words are given, as public test sets have them."""

import numpy as np

from openoutcry.eval.scenario import Made
from openoutcry.eval.worlds.case import Case, situation
from openoutcry.eval.worlds.options import option
from openoutcry.eval.worlds.prices import rows

NAME, AS_OF = "quoted", "2018-01-05"
PUBLISHED = "2018-01-04T15:00:00Z"


@situation
def quoted(rng: np.random.Generator, one: Made) -> Case:
    """One document about the company: option `text`, its words, and `kind`, such as news. Its prices stand still."""
    document = {
        "ticker": one.ticker,
        "kind": option(one, "kind", "news"),
        "publisher": "Wire",
        "title": f"{one.name} ({one.ticker})",
        "body": option(one, "text", ""),
        "published": PUBLISHED,
    }
    return Case(
        rows={
            "prices": rows(one.ticker, np.zeros(3), 100.0),
            "documents": [document],
            "companies": [{"ticker": one.ticker, "name": one.name}],
        },
        truths={},
        as_of=AS_OF,
    )
