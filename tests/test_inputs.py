"""A property is tried with the same inputs in every run, whatever was imported or ran before it."""

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

MODULE = f"shares = {[n / 997 for n in range(1, 99)]}\nsizes = {list(range(1001, 1099))}\n"


def drawn() -> list[tuple[float, int]]:
    """What a property is given."""
    found: list[tuple[float, int]] = []

    @given(share=st.floats(0, 1), size=st.integers(0, 5000))
    @settings(max_examples=300)
    def holds(share: float, size: int) -> None:
        found.append((share, size))

    holds()
    return found


@pytest.mark.skipif(not settings().derandomize, reason="inputs are to be others each time")
def test_inputs_are_the_same_whatever_was_imported_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = drawn()
    assert len(set(before)) > 200
    file = tmp_path / "further.py"
    file.write_text(MODULE)
    spec = importlib.util.spec_from_file_location("further", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "further", module)
    assert drawn() == before
