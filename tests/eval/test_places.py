"""The lines of a file's keys are those on which they were written, whatever stands around them."""

import json
import re
import tomllib
from collections.abc import Iterator, Sequence

import yaml
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.eval import places

Json = dict[str, "Json"] | list["Json"] | str | int | bool
At = tuple[str | int, ...]
NAMES = st.from_regex(r"[a-z]{1,6}", fullmatch=True)
LEAVES = st.one_of(st.integers(-9, 9), st.text("ab#[]{}=,.'\"\\\n ", max_size=8), st.booleans())
TREES = st.recursive(
    LEAVES, lambda deep: st.lists(deep, max_size=3) | st.dictionaries(NAMES, deep, max_size=3), max_leaves=12
)
DOCUMENTS = st.dictionaries(NAMES, TREES, min_size=1, max_size=4)
ODD = (
    """\
# [a] = 1
seat = \'\'\'
[[no]]
x = 1
\'\'\'
"a b".c = 1.5
[one]
two = [ # [[no]]
  { three = "]" },
  [1, 2],
]
[[many]]
[[many.more]]
key = """
    + '"""quoted\\""" = [\n"""'
    + """
[many.more.deep]
moment = 2022-06-30 10:00:00
[[many]]
"""
)


def paths(value: Json, at: At = ()) -> Iterator[At]:
    """The path of everything in a value."""
    items: Sequence[tuple[str | int, Json]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    for key, one in items:
        yield (*at, key)
        yield from paths(one, (*at, key))


class Toml:
    """Writes TOML with blank lines and comments about, and notes on which line each key came to stand."""

    def __init__(self, values: dict[str, Json], blanks: Sequence[int]) -> None:
        self.text, self.places, self._blanks = "", dict[At, int](), list(blanks)
        tables = {k: v for k, v in values.items() if isinstance(v, dict)}
        many = {k: [i for i in v if isinstance(i, dict)] for k, v in values.items() if isinstance(v, list)}
        many = {k: found for k, found in many.items() if found and found == values[k]}
        for key in values.keys() - tables.keys() - many.keys():
            self._pair((key,), values[key])
        for key, table in tables.items():
            self._table((key,), f"[{key}]", table)
        for key, several in many.items():
            for i, table in enumerate(several):
                self._table((key, i), f"[[{key}]]", table)

    def _line(self) -> int:
        for _ in range(self._blanks.pop() if self._blanks else 0):
            self.text += "\n# [[no]] key = 'table'\n"
        return self._here()

    def _here(self) -> int:
        return self.text.count("\n") + 1

    def _table(self, at: At, header: str, table: dict[str, Json]) -> None:
        self.places[at] = self._line()
        self.places.setdefault(at[:1], self.places[at])
        self.text += f"{header}\n"
        for key, value in table.items():
            self._pair((*at, key), value)

    def _pair(self, at: At, value: Json) -> None:
        self.places[at] = self._line()
        self.text += f"{at[-1]} = "
        self._value(at, value)
        self.text += " # end\n"

    def _value(self, at: At, value: Json) -> None:
        if isinstance(value, dict):
            self.text += "{"
            for i, (key, one) in enumerate(value.items()):
                self.text += f"{',' if i else ''} {key} = "
                self.places[*at, key] = self._here()
                self._value((*at, key), one)
            self.text += "}"
        elif isinstance(value, list):
            self.text += "["
            for i, one in enumerate(value):
                self.text += "\n  "
                self.places[*at, i] = self._here()
                self._value((*at, i), one)
                self.text += ","
            self.text += "]"
        else:
            self.text += json.dumps(value)


@given(DOCUMENTS, st.lists(st.integers(0, 2), max_size=20))
def test_the_lines_of_toml_are_those_on_which_it_was_written(values: dict[str, Json], blanks: list[int]) -> None:
    written = Toml(values, blanks)
    assert tomllib.loads(written.text) == values
    assert places.toml(written.text) == written.places


@given(DOCUMENTS)
def test_the_lines_of_yaml_are_those_of_its_keys(values: dict[str, Json]) -> None:
    text = yaml.safe_dump(values, default_flow_style=False)
    found, lines = places.yaml_places(text), text.splitlines()
    assert set(found) == set(paths(values))
    for path, at in found.items():
        if isinstance(path[-1], str):
            assert re.search(rf"(^|[-?\s'\"]){path[-1]}['\"]?:", lines[at - 1]), (path, lines[at - 1])


def test_what_toml_lets_one_write_leads_nobody_astray() -> None:
    tomllib.loads(ODD)
    found = places.toml(ODD)
    assert {path: at for path, at in found.items() if path[0] in ("seat", "a b")} == {
        ("seat",): 2,
        ("a b",): 6,
        ("a b", "c"): 6,
    }
    assert (found["one", "two", 0, "three"], found["one", "two", 1, 1]) == (9, 10)
    assert (found["many", 0], found["many", 0, "more", 0], found["many", 1]) == (12, 13, 18)
    assert found["many", 0, "more", 0, "deep", "moment"] == 17
    assert "x" not in {path[-1] for path in found}


def test_a_place_that_is_not_named_is_that_of_what_it_lies_in() -> None:
    found = places.toml("# first\n[[scenario]]\nexpect = { abstain = 1 }\n")
    assert places.line_of(found, ("scenario", 0, "expect", "abstain", "bool")) == 3
    assert places.line_of(found, ("scenario", 0, "as_of")) == 2
    assert places.line_of(found, ("nothing",)) == 1


def test_an_anchor_that_names_itself_is_followed_once() -> None:
    assert places.yaml_places("a: &x\n  b: *x\n") == {("a",): 1, ("a", "b"): 2}


def test_a_key_that_stands_twice_is_found() -> None:
    assert list(places.twice("a: 1\nb: {c: 1,\n c: 2}\na: 2\n")) == [(("b", "c"), 3), (("a",), 4)]
