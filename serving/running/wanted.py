"""What is to run: the stack as it was when `up` was asked for. By one file `up` and `down` speak to the supervisor.

<home>/stack/wanted.json    a change of the stack file counts from the next `up` on, so that no half-made edit does
"""

import os
import uuid
from pathlib import Path

from pydantic import ValidationError

from openoutcry.core import durable
from openoutcry.core.errors import DataError
from openoutcry.core.evidence import Frozen
from openoutcry.serving.roster import folder
from openoutcry.serving.running import launch
from openoutcry.serving.stack import Served, Stack


class Wanted(Frozen):
    """One asking. `token` tells it from every other; the roster shows it as `digest` once the supervisor has read it.

    `stack` is None where nothing is to run. `identities` are by model, as `launch.identity` gives them.
    """

    token: str = ""
    stack: Stack | None = None
    folder: Path = Path()
    source: str = ""
    identities: dict[str, str] = {}

    @property
    def models(self) -> dict[str, Served]:
        """The models that are started here, by name."""
        return started(self.stack) if self.stack else {}


def started(stack: Stack) -> dict[str, Served]:
    """The models of *stack* that are started here, by name; those of other engines already stand."""
    return {name: model for name, model in stack.models.items() if model.engine == "vllm"}


def of(stack: Stack) -> Wanted:
    """What *stack* wants, every path made absolute. Raises UsageError where a part of it is not there."""
    models = started(stack)
    where = Path(os.path.abspath(stack.folder))  # noqa: PTH100 - a link on the way is kept, as the file's author wrote it
    settled = stack.model_copy(update={"folder": where, "engine": launch.engine(stack) if models else ""})
    identities = {name: launch.identity(settled, model, launch.gpu(model)) for name, model in models.items()}
    return Wanted(token=uuid.uuid4().hex[:12], stack=settled, folder=where, source=stack.source, identities=identities)


def nothing() -> Wanted:
    """The asking that nothing runs."""
    return Wanted(token=uuid.uuid4().hex[:12])


def write(home: Path, wanted: Wanted) -> None:
    """Put an asking in force."""
    durable.put(folder(home) / "wanted.json", wanted.model_dump_json(indent=1).encode())


def read(home: Path) -> Wanted:
    """The asking in force: nothing where there is none, as when the data folder was deleted.

    Raises DataError where the file is damaged or cannot be read.
    """
    path = folder(home) / "wanted.json"
    try:
        found = Wanted.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return Wanted()
    except OSError as error:  # no reason to stop what runs
        raise DataError(f"expected to read {path}, got {error.strerror}: see whether it is whole") from None
    except ValidationError:
        raise DataError(
            f"expected what is to run in {path}, found a damaged file; `outcry stack up` writes it anew"
        ) from None
    if found.stack is None:
        return found
    return found.model_copy(
        update={"stack": found.stack.model_copy(update={"folder": found.folder, "source": found.source})}
    )
