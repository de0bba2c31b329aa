"""What `outcry stack status` says of the registry's adapters and whole models."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from openoutcry.interfaces.stack_command import stack
from openoutcry.serving import roster
from openoutcry.serving.roster import Replica, Roster, State


def test_status_shows_what_is_loaded_and_why_others_are_not(rig: Any, stand_in: Callable[[Path], int]) -> None:
    said = {"risk-111111111111": "its rank is 64"}
    one = Replica(model="m", index=0, url="http://127.0.0.1:1", state=State.WAITING, adapters=("risk-0",), lacking=said)
    roster.write(rig.home, Roster(supervisor=stand_in(rig.home), replicas=(one,)))

    def told(*words: str) -> str:
        return CliRunner().invoke(stack, ("status", "--stack", str(rig.stack()), *words), obj=(None, rig.home)).stdout

    assert told().splitlines()[2:] == ["  loaded: risk-0", "  risk-111111111111 is not loaded: its rank is 64"]
    (shown,) = json.loads(told("--json"))["replicas"]
    assert (shown["adapters"], shown["lacking"]) == (["risk-0"], said)
