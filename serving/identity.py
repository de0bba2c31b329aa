"""What a model is to the gate: a digest of all that its answers hang on, decoding aside."""

import hashlib

from openoutcry.serving import cards
from openoutcry.serving.stack import INDIFFERENT, Stack

DECODING = {"temperature", "max_tokens"}
"""What decides which of its possible answers a model gives."""
ELSEWHERE = DECODING | {"name", "engine", "url", "weights", "adapters", "chat_template"}
"""What a digest is not made of: the decoding stands beside it, files count by what is in them, names by nothing."""


def identity(stack: Stack, name: str) -> str:
    """16 hex digits over the files that answers of *name* hang on, and how its engine is to load and read them.

    What stands somewhere else is known by its name and address: two such are two models, whatever else they share.
    Raises UsageError for a model that there is not.
    """
    served, files = stack.serving(name), cards.files(stack, name).strip()
    path = stack.path(served.weights) if served.weights else None
    stands = "" if path is not None and path.exists() else f"{name}@{served.url}/{served.weights}"
    if not files:
        return stands
    said = served.model_dump_json(exclude=INDIFFERENT | ELSEWHERE)
    return hashlib.sha256(f"{files}\0{stands}\0{said}".encode()).hexdigest()[:16]
