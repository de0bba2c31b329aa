"""What made-up documents say: the sentences of each set, read from data, and a pen that deals them out."""

import tomllib
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from openoutcry.eval.scenario import Bank, Made
from openoutcry.eval.worlds.case import Row

FOLDER = Path(__file__).resolve().parents[2] / "scenarios"
"""The suites that are shipped, and the sentences beside them."""


@cache
def sentences(file: str, words: Bank) -> Mapping[str, Any]:
    """The lists of one set in *file*, by name."""
    return tomllib.loads((FOLDER / f"{file}.toml").read_text(encoding="utf-8"))[words]


def swapped(name: str) -> str:
    """Another name that there is none of, made of the halves of *name*: Kaladi gives Adikal."""
    halves = name[3:] + name[:3].lower()
    return (name[::-1] if halves.lower() == name.lower() else halves).capitalize()


def alike(name: str) -> str:
    """A name that is easily taken for *name*: Kaladi gives Kaladix, and Mirvex gives Mirvexa."""
    return name + ("x" if name[-1] in "aeiou" else "a")


class Pen:
    """Writes documents about a company in the words of one set. A sentence comes again only when all were used.

    `today` is the day that the age of documents counts from.
    """

    today = date.min

    def __init__(self, rng: np.random.Generator, one: Made) -> None:
        self._rng, self._one = rng, one
        self._decks: dict[str, list[str]] = {}

    def sentence(self, kind: str, name: str = "", **slots: str) -> str:
        """The next sentence of *kind* about *name* (the company itself if empty); *slots* fill further braces."""
        lists = sentences("sentences", self._one.words)
        return self._dealt(kind, lists[kind]).format_map(
            {
                "name": name or self._one.name,
                "product": self.pick(lists["product"]),
                "place": self.pick(lists["place"]),
                "n": str(self._rng.integers(11, 90)),
                **slots,
            }
        )

    def text(self, kind: str, length: int = 3, name: str = "") -> str:
        """A body of *length* sentences of *kind*, with a neutral one after the first."""
        said = [self.sentence(kind, name) for _ in range(length)]
        return " ".join([*said[:1], self.sentence("neutral", name), *said[1:]])

    def document(self, body: str, *, days: int, name: str = "", ticker: str = "", **columns: str) -> Row:
        """A document of *body*, published *days* before today, under the company's ticker unless told; news."""
        return {
            "ticker": ticker or self._one.ticker,
            "published": (self.today - timedelta(days)).isoformat(),
            "kind": "news",
            "source": self._dealt("publisher", sentences("sentences", self._one.words)["publisher"]),
            "title": self.sentence("title", name),
            "body": body,
            **columns,
        }

    def pick(self, words: Sequence[str]) -> str:
        """One of *words*, by chance."""
        return words[int(self._rng.integers(len(words)))]

    def _dealt(self, kind: str, words: Sequence[str]) -> str:
        deck = self._decks.setdefault(kind, [])
        if not deck:
            deck += [words[int(i)] for i in self._rng.permutation(len(words))]
        return deck.pop()
