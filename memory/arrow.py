"""PyArrow, which ships no types and is slow to load: loaded when first used."""

from importlib import import_module
from typing import Any

Rows = Any
"""A `pyarrow.Table`."""


def arrow() -> Any:
    """The module `pyarrow`."""
    return import_module("pyarrow")


def compute() -> Any:
    """The module `pyarrow.compute`."""
    return import_module("pyarrow.compute")
