"""Times in years, as a person types them: 0.25, or a ratio such as 5/12 or 20/52."""

import math
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, Field, FiniteFloat

from openoutcry.tools.arguments import MAPPED, Measured, Reference


def in_years(words: str) -> float:
    """`0.25` or `5/12` as a number; NaN for what is neither."""
    above, _, below = words.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        return math.nan


def _ratio(value: object) -> object:
    if isinstance(value, str) and "/" in value:
        number = in_years(value)
        if math.isnan(number):
            raise ValueError("expected a number or a ratio such as 5/12")
        return number
    return value


def _keyed(value: object) -> object:
    """Keys as text, however they were typed."""
    return {str(k): v for k, v in cast("dict[Any, Any]", value).items()} if isinstance(value, dict) else value


RATIO = BeforeValidator(_ratio)
Years = Annotated[FiniteFloat | None, RATIO, Field(description="years; 0.25, or a ratio such as 5/12 or 20/52")]
ByYears = Annotated[
    dict[str, FiniteFloat] | None, BeforeValidator(_keyed), MAPPED, Measured(dict[str, Reference] | None)
]
"""Measured numbers by their time in years, e.g. 0.5=0.05,1=0.058."""
