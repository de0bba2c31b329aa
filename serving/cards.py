"""Cards: what a model was examined for in a role, and whether it may sit there.

<home>/stack/cards/<digest>/<role>.json    one card a pair, by the digest of all that the model's answers hang on
"""

import hashlib
from collections.abc import Collection
from pathlib import Path

from pydantic import ValidationError

from openoutcry.core import durable
from openoutcry.core.evidence import Frozen
from openoutcry.serving import roster
from openoutcry.serving.digest import digest
from openoutcry.serving.stack import HOUSE, INDIFFERENT, Stack

FREE = "embedder"
"""The seat that needs no card: what it gives are vectors, and a wrong one costs a memory, not a sentence."""


class Probe(Frozen):
    """What one probe saw. `ok` is None where it cannot be told; `mend` says what to do where it fails."""

    name: str
    ok: bool | None
    seen: str
    mend: str = ""


class Card(Frozen):
    """The examination of a model in a role. `made` is an ISO time; `code` and `engine` are the versions it ran on."""

    model: str
    role: str
    digest: str
    probes: tuple[Probe, ...]
    made: str
    code: str
    engine: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was examined, and no probe failed."""
        return bool(self.probes) and not self.failed

    @property
    def failed(self) -> list[str]:
        """The names of the probes that failed."""
        return [probe.name for probe in self.probes if probe.ok is False]


def files(stack: Stack, name: str) -> str:
    """The digests of all files that a model's answers hang on: an adapter's hang on what is under it, too.

    Empty words where they are not on this machine. Raises UsageError for a model that there is not.
    """
    served = stack.serving(name)
    given = (served.weights, served.adapter(name), served.chat_template)
    paths = [stack.path(one) if one else None for one in given]
    return " ".join(digest(path) if path is not None and path.exists() else "" for path in paths)


def key(stack: Stack, name: str) -> str:
    """What a card is known by, 12 hex digits: the model's files and all that the stack says which changes an answer.

    Of an endpoint whose files are not here, its name, address and tag stand for them. Raises UsageError.
    """
    served = stack.serving(name)
    said = served.model_dump_json(exclude=INDIFFERENT | {"adapters"})
    return hashlib.sha256(f"{name}\0{said}\0{files(stack, name)}".encode()).hexdigest()[:12]


def write(home: Path, card: Card) -> None:
    """Keep a card, in place of an older one of the pair."""
    durable.put(_file(home, card.digest, card.role), card.model_dump_json(indent=1).encode())


def read(home: Path, key: str, role: str) -> Card | None:
    """The card of a pair; None where there is none, or none that can be read: it is then as if never examined."""
    try:
        return Card.model_validate_json(_file(home, key, role).read_bytes())
    except (OSError, ValidationError):
        return None


def barred(stack: Stack, home: Path, role: str, name: str, told: Collection[str] = ()) -> str:
    """Why the model *name* may not sit for *role*; empty where it may.

    It may with a card on which nothing failed, where the stack lets all sit, or where it is among those that a person
    was *told* of and seated all the same. House rules and the embedder need none. Raises UsageError for no such model.
    """
    if name in ("", HOUSE, *told) or role == FREE or stack.uncertified:
        return ""
    card, command = read(home, key(stack, name), role), f"`outcry certify {name} --role {role}`"
    if card is None:
        return f"{name} is not certified for {role}: {command} examines it"
    if card.ok:
        return ""
    return f"{name} was examined for {role} and failed in {', '.join(card.failed)}: {command} examines it again"


def _file(home: Path, key: str, role: str) -> Path:
    return roster.folder(home) / "cards" / key / f"{role}.json"
