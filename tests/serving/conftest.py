"""What every test of serving stands on: a cache that a busy machine does not push aside."""

import pytest

from openoutcry.serving.asking import cache, stores


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no slow disk: let the store take its time, where that is not what is tried."""
    monkeypatch.setattr(cache, "BUDGET", 60.0)
    monkeypatch.setattr(stores, "BUDGET", 60.0)
