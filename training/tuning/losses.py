"""The losses of a run as they came, kept beside it: losses.json to go on from, losses.csv for a spreadsheet."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from openoutcry.core import durable
from openoutcry.core.errors import DataError
from openoutcry.core.evidence import Frozen


class Loss(Frozen):
    """The loss after so many updates, in nats a token (chat) or a row; `valid`: on rows that are not learnt from."""

    step: int
    train: float | None = None
    valid: float | None = None


_LIST = TypeAdapter(list[Loss])


def of(history: Sequence[Mapping[str, Any]]) -> list[Loss]:
    """What a trainer's log says of losses, a line a step."""
    found: dict[int, Loss] = {}
    for entry in history:
        at = int(entry.get("step", 0))
        told = {"train": entry.get("loss"), "valid": entry.get("eval_loss")}
        found[at] = found.get(at, Loss(step=at)).model_copy(update={k: v for k, v in told.items() if v is not None})
    return [loss for _, loss in sorted(found.items()) if loss.train is not None or loss.valid is not None]


def write(folder: Path, losses: Sequence[Loss]) -> None:
    """Both files, each whole."""
    durable.put(folder / "losses.json", json.dumps([loss.model_dump() for loss in losses]).encode())
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(Loss.model_fields)
    table.writerows(["" if v is None else v for v in loss.model_dump().values()] for loss in losses)
    durable.put(folder / "losses.csv", text.getvalue().encode())


def read(folder: Path) -> list[Loss]:
    """The losses so far; none before the first. Raises DataError where the file is damaged."""
    file = folder / "losses.json"
    try:
        return _LIST.validate_json(file.read_bytes())
    except FileNotFoundError:
        return []
    except (OSError, ValidationError) as error:
        raise DataError(f"expected the losses of a run in {file}, got {type(error).__name__}: train it again") from None
