"""Numbers by reference: no digit of a rendered claim is loose."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.claims import faults, references, render, segments
from openoutcry.core.evidence import Evidence, Figure, Unit, show

EVIDENCE = {
    "E3": Evidence(
        id="E3",
        tool="value_at_risk",
        arguments={},
        as_of="2022-06-30",
        figures={
            "var": Figure(value=0.0812, unit=Unit.FRACTION),
            "horizon": Figure(value=10, unit=Unit.SESSIONS),
            "ticker": Figure(value="AAPL", unit=Unit.TEXT),
        },
    )
}
PIECES = st.sampled_from(["{E3.var}", "{E3.horizon}", "{E3.es}", "{E4.var}", "{E3}", "{", "}", "twelve", "a", " ", "7"])


@given(st.lists(st.one_of(PIECES, st.text(max_size=6)), max_size=8).map("".join))
def test_a_claim_without_faults_has_no_loose_digit(text: str) -> None:
    if faults(text, EVIDENCE):
        return
    for piece, reference in segments(text, EVIDENCE):
        if reference is None:
            assert not any(c.isnumeric() for c in piece)
        else:
            eid, name = reference.split(".")
            assert piece == show(EVIDENCE[eid].figures[name])
    assert render(text, EVIDENCE).count("8.12 %") == text.count("{E3.var}")


@pytest.mark.parametrize(
    "text",
    [
        "It loses 8 %.",
        "It loses {E3.var} in 10 days.",
        "It loses {E3.es}.",
        "It loses {E9.var}.",
        "It loses ٨ per day.",
        "It loses ½ of {E3.var}.",
        "It loses Ⅷ units.",
        "It loses 八 units.",
        "It loses eight units, see {E3.var}.",
        "It loses five million, see {E3.var}.",
        "Sales doubled, see {E3.var}.",
        "It falls by a third, see {E3.var}.",
        "It halves, see {E3.var}.",
        "It grew tenfold, see {E3.var}.",
        "It lost an eighth, see {E3.var}.",
        "There is zero risk, see {E3.var}.",
        "It lost one-quarter of its value, see {E3.var}.",
        "It loses {E3.var.x}.",
        "It loses {{E3.var}}.",
        "It loses {e3.var}.",
    ],
)
def test_faults_are_found(text: str) -> None:
    assert faults(text, EVIDENCE)


def test_a_sound_claim_renders_with_its_sources() -> None:
    text = "{E3.ticker} loses no more than {E3.var} over {E3.horizon}."
    assert faults(text, EVIDENCE) == []
    assert references(text) == [("E3", "ticker"), ("E3", "var"), ("E3", "horizon")]
    assert render(text, EVIDENCE) == "AAPL loses no more than 8.12 % over 10 trading days."
    assert render(text, EVIDENCE, cite=True) == "AAPL loses no more than 8.12 % [E3.var] over 10 trading days."


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.081249, Unit.FRACTION, "8.12 %"),
        (0.99, Unit.PROBABILITY, "99 %"),
        (0.9999, Unit.PROBABILITY, "99.99 %"),
        (8.2959e10, Unit.USD, "$82.96 billion"),
        (-1234.5, Unit.USD, "-$1,234.50"),
        (999_999.999, Unit.USD, "$1.00 million"),
        (-1.5, Unit.USD_PER_SHARE, "-$1.50"),
        (24.1, Unit.MULTIPLE, "24.10x"),
        (1, Unit.SESSIONS, "1 trading day"),
        (1234567, Unit.COUNT, "1,234,567"),
        (0.25, Unit.SCORE, "+0.25"),
        ("2022-06-30", Unit.DATE, "2022-06-30"),
        (1234567.0, Unit.NUMBER, "1,234,567"),
    ],
)
def test_units_are_shown_one_way(value: float | str, unit: Unit, shown: str) -> None:
    assert show(Figure(value=value, unit=unit)) == shown


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_figure_is_never_nan_or_infinite(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Figure(value=value, unit=Unit.NUMBER)
