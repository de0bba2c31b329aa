"""The names of figures that tools give, as far as their source tells, so that a misspelt one is found in time."""

import difflib
import re
from functools import cache
from pathlib import Path

from openoutcry import tools

FREE = ("query", "sql")
"""Tools whose figures are named by who asks: after the columns that are looked up."""
NEAR = 0.75
"""How alike two names are, from 0 to 1, so that one may be meant by the other."""
_TEXT = re.compile(r'(?<!\w)(f?)"([^"\\\n]*)"')


def misspelt(name: str) -> str:
    """The figure that may be meant by *name*; nothing where *name* may be one itself, or is near to none."""
    plain, made = _names()
    if name in plain or any(re.fullmatch(pattern, name) for pattern in made):
        return ""
    return next(iter(difflib.get_close_matches(name, plain, 1, NEAR)), "")


@cache
def _names() -> tuple[frozenset[str], frozenset[str]]:
    """Every text in the source of the tools that could be a name, and patterns of those that are put together."""
    source = "\n".join(file.read_text(encoding="utf-8") for file in Path(str(tools.__file__)).parent.glob("*.py"))
    found = [(bool(f), text) for f, text in _TEXT.findall(source)]
    plain = frozenset(text for f, text in found if not f and re.fullmatch(r"[a-z][a-z0-9_]*", text))
    made = {re.sub(r"\{[^{}]*\}", r"\\w*", text) for f, text in found if f and re.fullmatch(r"(\w|\{[^{}]*\})+", text)}
    return plain, frozenset(pattern for pattern in made if re.search(r"_[a-z]|[a-z]_", pattern))
