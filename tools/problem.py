"""The arguments of a portfolio problem: what is asked of the weights, and how moments may be written."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field, FiniteFloat

from openoutcry.tools.arguments import LISTED, MAPPED, Measured, Reference
from openoutcry.tools.formulas.hrp import Distance, LeafOrder, Linkage
from openoutcry.tools.formulas.optimum import Method

Chosen = Annotated[Method, Field(description="how weights are chosen")]
Least = Annotated[
    FiniteFloat | None, Field(description="least weight of each asset; 0 if not given; below 0 allows shorting")
]
Most = Annotated[FiniteFloat | None, Field(description="greatest weight of each asset; 1 if not given and long-only")]
Short = Annotated[bool, Field(description="no bounds but those given: the textbook's unconstrained problem")]
Aversion = Annotated[
    float | None, Field(gt=0, description="A in the utility E - A/2 variance a year; for mean_variance, risky_share")
]
TargetReturn = Annotated[
    FiniteFloat | None, Field(description="expected return a year to reach with least variance (mean_variance, cvar)")
]
TargetVolatility = Annotated[
    float | None, Field(gt=0, description="volatility a year at which to earn most (mean_variance)")
]
Tail = Annotated[float, Field(gt=0.5, lt=1, description="confidence level of CVaR")]
Budget = Annotated[
    dict[str, float] | None, MAPPED, Field(description="share of the risk by asset, for risk_parity, e.g. A=0.3,B=0.7")
]
Tree = Annotated[Linkage, Field(description="linkage of hrp's tree; the original's is single, skfolio's ward")]
Apart = Annotated[
    Distance,
    Field(
        description="distance of hrp's tree: correlation is sqrt((1 - rho) / 2) (PyPortfolioOpt, skfolio); columns, as "
        "in the original paper, the Euclidean distance between the columns of that"
    ),
]
Leaves = Annotated[LeafOrder, Field(description="leaves of hrp's tree as linked, or re-ordered as skfolio does")]


def _rows(value: object) -> object:
    """`1,.3;.3,1` or nested brackets, as a command line gives a matrix, into rows."""
    if not isinstance(value, str):
        return value
    rows = re.findall(r"\[([^\[\]]+)\]", value) or value.split(";")
    return [[cell.strip() for cell in row.split(",") if cell.strip()] for row in rows]


def _named(value: object) -> object:
    """`0.08,0.13` as what the assets 1, 2, ... are expected to return; `D=0.08,E=0.13` as it stands."""
    if isinstance(value, str) and "=" not in value and not value.lstrip().startswith("{"):
        return {str(i + 1): part.strip() for i, part in enumerate(value.strip("[] ").split(","))}
    return value


MaybeNamed = Annotated[
    dict[str, FiniteFloat] | None, MAPPED, BeforeValidator(_named), Measured(dict[str, Reference] | None)
]
MaybeNumbers = Annotated[list[FiniteFloat] | None, LISTED, Measured(list[Reference] | None)]
MaybeMatrix = Annotated[list[list[FiniteFloat]] | None, BeforeValidator(_rows), Measured(list[list[Reference]] | None)]
