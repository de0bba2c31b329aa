"""Where in a file of TOML or YAML each value stands: its line, by the path of keys and positions that leads to it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

import yaml

Path = tuple[str | int, ...]
_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*|\n|[\[\]{}=,.]|[^\s\[\]{}=,.\"'\#]+",
    re.DOTALL,
)


def line_of(places: Mapping[Path, int], path: Path) -> int:
    """The line of *path*, or of the nearest of what it lies in that the file names; 1 where it names none."""
    return next((places[path[:n]] for n in range(len(path), 0, -1) if path[:n] in places), 1)


def toml(text: str) -> dict[Path, int]:
    """The lines of a text that is TOML: of each table, key, and element of an array."""
    return _Toml(text).places


def yaml_places(text: str) -> dict[Path, int]:
    """The lines of a text that is YAML: of each key and each item of a list."""
    return {path: node.start_mark.line + 1 for path, node in _nodes((), _compose(text))}


def twice(text: str) -> Iterator[tuple[Path, int]]:
    """Keys that a mapping of a YAML text names a second time, which YAML itself lets pass."""
    seen: set[Path] = set()
    for path, node in _nodes((), _compose(text)):
        if path in seen:
            yield path, node.start_mark.line + 1
        seen.add(path)


def unreadable(text: str) -> Iterator[tuple[int, str]]:
    """Values of a YAML text that look like a date or another kind and are none: their lines, and what is wrong."""
    loader = yaml.SafeLoader("")
    for node in _scalars(_compose(text)):
        try:
            cast("Any", loader).construct_object(node)
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            kind = node.tag.rpartition(":")[2]
            dated = kind == "timestamp" and isinstance(error, ValueError)
            said = f"is no date that there is: {error}" if dated else f"cannot be read as {kind}"
            yield node.start_mark.line + 1, f"{node.value[:60]} {said}"


def _scalars(node: Any) -> Iterator[Any]:
    """The values at the ends of the tree of *node*, which holds no anchor within itself."""
    if isinstance(node, yaml.ScalarNode):
        yield node
    elif isinstance(node, yaml.CollectionNode):
        mapping = isinstance(node, yaml.MappingNode)
        for part in [one for pair in node.value for one in pair] if mapping else cast("list[Any]", node.value):
            yield from _scalars(part)


def within(text: str, most: int) -> bool:
    """Whether a YAML text holds at most so many values where each anchor is written out; one within itself never is."""
    try:
        return _size(_compose(text), {}) <= most
    except _Endless:
        return False


class _Endless(Exception):
    """An anchor holds itself."""


def _size(node: Any, sizes: dict[int, int]) -> int:
    """Values in *node*; *sizes* keeps those that are known, and 0 for those that are being counted."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if (known := sizes.get(id(node))) is not None:
        if not known:
            raise _Endless
        return known
    sizes[id(node)] = 0
    mapping = isinstance(node, yaml.MappingNode)
    parts = [one for pair in node.value for one in pair] if mapping else cast("list[Any]", node.value)
    sizes[id(node)] = 1 + sum(_size(part, sizes) for part in parts)
    return sizes[id(node)]


def _compose(text: str) -> Any:
    return cast("Any", yaml).compose(text, Loader=yaml.SafeLoader)


def _nodes(path: Path, node: Any, within: tuple[int, ...] = ()) -> Iterator[tuple[Path, Any]]:
    """Each path with the node that begins it. An anchor that names itself is followed once."""
    if node is None or id(node) in within:
        return
    within = (*within, id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in cast("list[tuple[Any, Any]]", node.value):
            yield (*path, str(key.value)), key
            yield from _nodes((*path, str(key.value)), value, within)
    elif isinstance(node, yaml.SequenceNode):
        for i, item in enumerate(cast("list[Any]", node.value)):
            yield (*path, i), item
            yield from _nodes((*path, i), item, within)


class _Toml:
    """Reads the tokens of a text that a real reader has accepted, for their lines alone."""

    def __init__(self, text: str) -> None:
        self.places: dict[Path, int] = {}
        self._tokens = list(_tokens(text))
        self._at = 0
        self._counts: dict[Path, int] = {}
        table: Path = ()
        while self._skip():
            table = self._header() if self._token == "[" else self._pair(table) or table

    @property
    def _token(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    @property
    def _line(self) -> int:
        return self._tokens[min(self._at, len(self._tokens) - 1)][1]

    def _skip(self) -> bool:
        """Past line ends and comments; whether anything is left."""
        while self._token[:1] in ("\n", "#") and self._token:
            self._at += 1
        return bool(self._token)

    def _key(self) -> list[str]:
        """A key, dotted or not."""
        parts = [self._take()]
        while self._token == ".":
            self._at += 1
            parts.append(self._take())
        return [part[1:-1] if part[0] in "\"'" else part for part in parts]

    def _take(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1][0]

    def _header(self) -> Path:
        """`[a.b]` or `[[a.b]]`: the path of the table that begins, in the newest element of each array above it."""
        line, many = self._line, self._tokens[self._at + 1][0] == "["
        self._at += 2 if many else 1
        path: Path = ()
        *above, last = self._key()
        self._at += 2 if many else 1
        for key in above:
            path = self._newest((*path, key))
        path = (*path, last)
        if many:
            self.places.setdefault(path, line)
            self._counts[path] = self._counts.get(path, -1) + 1
            path = self._newest(path)
        self.places[path] = line
        return path

    def _newest(self, path: Path) -> Path:
        return (*path, self._counts[path]) if path in self._counts else path

    def _pair(self, table: Path) -> None:
        """`key = value`."""
        line, keys = self._line, self._key()
        for n in range(1, len(keys) + 1):
            self.places.setdefault((*table, *keys[:n]), line)
        self._at += 1
        self._value((*table, *keys))

    def _value(self, path: Path) -> None:
        opening = self._token
        if opening not in ("[", "{"):
            while self._token and self._token not in (",", "]", "}", "\n") and self._token[0] != "#":
                self._at += 1
            return
        self._at += 1
        position = 0
        while self._skip() and self._token not in ("]", "}"):
            if self._token == ",":
                self._at += 1
            elif opening == "[":
                self.places[*path, position] = self._line
                self._value((*path, position))
                position += 1
            else:
                self._pair(path)
        self._at += 1


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    line, end = 1, 0
    for match in _TOKEN.finditer(text):
        line += text.count("\n", end, match.start())
        yield match[0], line
        line, end = line + match[0].count("\n"), match.end()
