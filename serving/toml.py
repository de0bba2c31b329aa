"""A TOML file read into a mapping, and what is wrong with its values in one line."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from openoutcry.core.errors import UsageError


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content. Raises UsageError where it is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not readable TOML: {error}") from None


def told(error: ValidationError, file: Path, model: type[BaseModel]) -> str:
    """The first fault of the file, by its key."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"]) or "the file"
    said = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        said = f"there is no such key; there are {', '.join(_fields(model, first['loc'][:-1]))}"
    elif key.endswith("[key]"):
        said += "; what the whole file says, such as `engine`, stands above the first [section]"
    return f"{key.removesuffix('.[key]')} in {file}: {said}"


def _fields(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """The keys that are known at *loc*; those of the models in a table of models too."""
    for part in loc:
        field = model.model_fields.get(str(part))
        if field is None:
            continue
        inner = field.annotation
        found = [
            a for a in (inner, *getattr(inner, "__args__", ())) if isinstance(a, type) and issubclass(a, BaseModel)
        ]
        model = found[0] if found else model
    return [name for name, field in model.model_fields.items() if not field.exclude]
