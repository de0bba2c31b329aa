"""The error tree: what can go wrong for a person, and the exit code that says so.

    OutcryError
    ├── UsageError            2  the call is off: a bad option, a setting, an unreadable question
    ├── DataError             3  the data cannot carry the answer
    │   ├── UnknownTicker        no row of that ticker is known by the as-of
    │   ├── OutOfRange           the as-of lies before the data, or after it
    │   ├── EmptyWarehouse       nothing was ingested yet
    │   ├── WarehouseLocked      another process is writing
    │   ├── BadFile              a file cannot be read as any data set
    │   ├── BrokenRun            a run folder is incomplete or was changed
    │   ├── SqlRefused           a statement may not run, or ran out of its bounds
    │   └── NotComputed          a tool has too little, or unfit, data for its number
    └── ModelError            4  no role could answer
        ├── ModelUnreachable     no server of the model answers, or the connection broke
        ├── ModelTooSlow         its deadline passed
        ├── ModelBusy            its queue is full, or it failed so often that it is left alone for a while
        ├── ModelRefused         its server answered with an error
        ├── ModelOverflow        the prompt does not fit its context, even compacted
        ├── ModelCutShort        its answer ended before it was done
        └── ModelGarbled         its answer is not what the protocol or the schema says

Every message says what was expected, what came, and what to do. What a *model* is told when it errs is
pydantic-ai's `ModelRetry`, raised only inside `agents/`; it never reaches a person.
"""

from typing import ClassVar

WASTED = "wasted"
"""What a response's usage calls the tokens spent, on the way to it, on answers that could not be used."""


class OutcryError(Exception):
    """Anything this package raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(OutcryError):
    """The call itself is off."""

    exit_code = 2


class DataError(OutcryError):
    """The data cannot carry the answer."""

    exit_code = 3


class UnknownTicker(DataError):
    """No row of that ticker is known by the as-of."""


class OutOfRange(DataError):
    """The as-of lies before the data begins or after it ends."""


class EmptyWarehouse(DataError):
    """Nothing was ingested yet."""


class WarehouseLocked(DataError):
    """Another process is writing to the warehouse."""


class BadFile(DataError):
    """A file cannot be read as any data set."""


class BrokenRun(DataError):
    """A run folder is missing, incomplete, or was changed after it was written."""


class SqlRefused(DataError):
    """A statement may not run, or ran out of its bounds."""


class NotComputed(DataError):
    """A tool has too little, or unfit, data for its number; the message says what it needs."""


class ModelError(OutcryError):
    """No role could answer. `tokens` were spent on what could not be used, of which `answered` on the answer."""

    exit_code = 4
    tokens: int = 0
    answered: int = 0


class ModelUnreachable(ModelError):
    """No server of the model answers, or the connection broke."""


class ModelTooSlow(ModelError):
    """Its deadline passed, whatever trickled in before."""


class ModelBusy(ModelError):
    """Its queue is full, or it failed so often that it is left alone for a while."""


class ModelRefused(ModelError):
    """Its server answered with an error."""


class ModelOverflow(ModelError):
    """The prompt does not fit its context, even compacted."""


class ModelCutShort(ModelError):
    """Its answer ended before it was done."""


class ModelGarbled(ModelError):
    """Its answer is not what the protocol or the schema says."""
