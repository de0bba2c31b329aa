"""A stack with what is registered: adapters beside those of its base, whole models beside the one they come from."""

from pathlib import Path

from openoutcry.core.errors import UsageError
from openoutcry.serving.digest import digest
from openoutcry.serving.planning.anatomy import where
from openoutcry.serving.registry import artifact
from openoutcry.serving.registry.artifact import Registered
from openoutcry.serving.registry.ledger import reading
from openoutcry.serving.stack import Purpose, Served, Stack

PURPOSES = {"model": Purpose.CHAT, "classifier": Purpose.CLASSIFY, "embedder": Purpose.EMBED}


def stack_with(stack: Stack, home: Path) -> Stack:
    """*stack*, and by their names all registered artifacts that may be served on it; archived ones and those in
    quarantine left out. An adapter goes where its base has the digest that it was made from.
    """
    offered = available(home)
    if not offered or not stack.models:
        return stack
    models, adapters = dict(stack.models), [one for one in offered if one.artifact.kind == "adapter"]
    for served in stack.models.values():
        if own := {one.name: str(one.files.absolute()) for one in _own(stack, served, adapters)}:
            models[served.name] = served.model_copy(update={"hot": own})
    for one in offered:
        like = stack.models.get(one.artifact.base_name)
        if one.artifact.kind != "adapter" and like and like.purpose is PURPOSES[one.artifact.kind]:
            models[one.name] = _whole(like, one)
    return stack.model_copy(update={"models": models})


def available(home: Path) -> list[Registered]:
    """What is registered, and neither archived nor in quarantine."""
    there = artifact.listing(home)
    if not there:
        return []
    with reading(home) as ledger:
        shut = ledger.shut() if ledger else {}
    return [one for one in there if one.digest not in shut]


def _own(stack: Stack, served: Served, adapters: list[Registered]) -> list[Registered]:
    """The adapters of a model, whose files are read once for all of them."""
    if not adapters or served.purpose is not Purpose.CHAT:
        return []
    if served.engine != "vllm":  # its weights are not here to be compared
        return [one for one in adapters if one.artifact.base_name == served.name]
    base = _digest(stack, served)
    return [one for one in adapters if base and one.artifact.base == base]


def _digest(stack: Stack, served: Served) -> str:
    path = where(stack, served.weights)
    try:
        return digest(path) if path is not None else ""
    except UsageError:
        return ""


def _whole(like: Served, one: Registered) -> Served:
    """A model of its own that is served as *like* is."""
    none = dict[str, str]()
    weights = str(one.files.absolute()) if like.engine == "vllm" else one.name
    return like.model_copy(update={"name": one.name, "weights": weights, "adapters": none, "hot": none})
