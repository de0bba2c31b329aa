"""What every test of serving stands on: a cache and looks that a busy machine does not push aside."""

import pytest

from openoutcry.serving.asking import cache, stores
from openoutcry.serving.running import adapters, control, measuring


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no slow disk or server: let them take their time, where that is not what is tried."""
    monkeypatch.setattr(cache, "BUDGET", 60.0)
    monkeypatch.setattr(stores, "BUDGET", 60.0)
    monkeypatch.setattr(adapters, "SURE", 60.0)
    monkeypatch.setattr(control, "ANSWER", 60.0)
    monkeypatch.setattr(measuring, "PATIENCE", 60.0)
