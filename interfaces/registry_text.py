"""The text of `outcry models` about what is registered: one model's lines, and what two of them differ in."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from openoutcry.core.errors import DataError
from openoutcry.interfaces.models_text import fact, worded

if TYPE_CHECKING:
    from openoutcry.serving.registry.artifact import Artifact
    from openoutcry.serving.registry.standings import Standing

NOTHING = "-"


def shown(home: Path, one: "Standing") -> Iterator[str]:
    """What is known of a registered model beyond the table's row: what it is, came from, and went through."""
    if one.there is None:
        yield fact("damaged", "its description is not as it was registered; register it anew")
    else:
        about = one.there.artifact
        told = {"kind": about.kind, "role": about.role, "lineage": lineage(home, one.name)}
        told |= {"tokenizer": about.tokenizer[:12], "files": f"{len(about.files)}: {', '.join(about.files)}"}
        told |= {f"data {key}": worded(value) for key, value in flat(about.data).items()}
        told |= {f"recipe {key}": worded(value) for key, value in flat(about.recipe).items()}
        yield from (fact(key, value) for key, value in told.items() if value)
    for event in one.events:
        yield fact(
            f"event {event.number}", f"{event.at[:19]}  {str(event.kind).replace('_', ' ')}  {event.said}".rstrip()
        )
    yield from records(home, one)


def records(home: Path, one: "Standing") -> Iterator[str]:
    """A line a record of the gate that is kept with a model; or why they cannot be relied on."""
    from openoutcry.serving.registry import vouched

    if one.there is None:
        return
    try:
        for record in vouched.records(home, one.there):
            said = (
                f"{record['verdict']['decision']} for {record['role']} against {record['champion']}, {record['made']}"
            )
            yield fact(f"record {record['number']}", said)
    except DataError as error:
        yield fact("records", str(error))


def lineage(home: Path, name: str) -> str:
    """From what it was made, and that from what, as far as it is registered here."""
    from openoutcry.core.errors import UsageError
    from openoutcry.serving.registry import artifact

    steps, at = [name], name
    while artifact.is_name(at):
        try:
            about = artifact.find(home, at).artifact
        except (UsageError, DataError):
            break
        at = about.base_name
        if not (at or about.base) or at in steps:
            break
        steps.append(f"{at or 'weights'} ({about.base})" if about.base else at)
    return " from ".join(steps)


def flat(values: Mapping[str, Any], under: str = "") -> dict[str, Any]:
    """Nested tables as one, by dotted keys."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = flat(cast("dict[str, Any]", value), f"{under}{key}.") if isinstance(value, dict) and value else None
        found |= inner if inner is not None else {f"{under}{key}": value}
    return found


def aspects(home: Path, one: "Standing", cards: Mapping[str, str]) -> dict[str, str]:
    """All that two models are compared in, by what it is called."""
    assert one.there
    about: Artifact = one.there.artifact
    told = {"kind": about.kind, "role": about.role, "base": f"{about.base_name} {about.base}".strip()}
    told |= {"tokenizer": about.tokenizer[:12]}
    told |= {f"data.{key}": worded(value) for key, value in flat(about.data).items()}
    told |= {f"recipe.{key}": worded(value) for key, value in flat(about.recipe).items()}
    told |= {f"file {name}": digest[:12] for name, digest in about.files.items()}
    told |= {"state": one.state, "records": "; ".join(" ".join(line.split()[1:]) for line in records(home, one))}
    return told | {f"card for {role}": said for role, said in cards.items()}


def differences(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """What is not the same in both, with how it is in either; a dash where it is not there."""
    every = dict.fromkeys((*first, *second))
    both = {key: (first.get(key) or NOTHING, second.get(key) or NOTHING) for key in every}
    return {key: pair for key, pair in both.items() if pair[0] != pair[1]}
