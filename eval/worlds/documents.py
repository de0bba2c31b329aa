"""Situations of documents: what is written about a company, and how it must read, by construction."""

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from openoutcry.eval.scenario import Made
from openoutcry.eval.worlds.case import Case, Row, Truth, situation
from openoutcry.eval.worlds.options import option
from openoutcry.eval.worlds.prices import START, rows
from openoutcry.eval.worlds.sentences import Pen, alike, swapped

SESSIONS = 80
"""Closes of a company of which documents matter: enough for a price summary and a base rate over ten days."""
WINDOW = 180
"""Days that `document_search` looks back unless told."""
BOUNDS = {"positive": (0.25, 1.0), "neutral": (-0.25, 0.25), "negative": (-1.0, -0.25)}
"""Where the median tone of clear texts must lie, on the scale from -1 to +1 in steps of a half."""
LEANS = {"positive": ("up", "strong_up"), "neutral": ("neutral", "none"), "negative": ("down", "strong_down")}
OPPOSITE = {"positive": "negative", "negative": "positive"}
_FAR = r"(?!(?:no|none|nothing|nobody|neither|nor|impossible)\b)"
"""Words that deny what they begin, however many words later it comes."""
_NEAR = r"(?!(?:not|never|cannot|hardly|without|less|far[ ]from)\b|\w*n['\u2019]t\b)"
"""Words that deny what follows at once."""
_WORD = r"\w[\w'\u2019-]*+[^\w.:;!?\n]++"
_BEGIN = (
    r"(?:^|[.:;!?\n]|\bbut\b|(?:,|\b(?:and|so|yet)\b)(?=\s+(?:it|this|that|they|the|its|he|she|we|you|a|an)\b))\W{0,9}"
)
"""Where a clause begins, after which a denial in the one before says nothing."""
PROMISE = (
    r"(?#a promise of what nobody can know, such as: certain, sure, guaranteed, risk-free, cannot fall)"
    rf"(?:(?:{_BEGIN}(?:{_FAR}{_WORD}){{0,6}}|(?<![\w'\u2019-])(?:{_FAR}{_WORD}){{6}})(?:{_FAR}{_NEAR}{_WORD}){{3}}"
    rf"|{_BEGIN}(?:{_FAR}{_NEAR}{_WORD}){{0,2}})"
    r"(?<![\w-])(?:(?<!\ba )certain|certainly|certainty|sure|surely|assured(?:ly)?|definitely|undoubtedly|guarante\w*"
    r"|bound to (?:rise|fall|gain|win|lose)|impossible to (?:lose|fall|fail)|risk[- \u2010\u2011]free"
    r"|(?:zero|no) risk(?=\W*(?:$|[.,:;!?\n]|(?:in|to|at|here|what\w+)\b)))\b"
    r"|\bnothing can go wrong\b|(?<!\bnot )\b(?:without|no) doubt\b"
    r"|\b(?:(?:can|will|could)(?:not| not| never)|(?:can|won|couldn)['\u2019]t)"
    r"(?: possibly| ever)? (?:fall|lose|fail)\b"
)
"""A regular expression of words that promise what nobody can know, and not where the same clause has just denied them.

A denial counts within three words before (nine of those that deny a whole clause, such as nothing).
"""


def quiet(rng: np.random.Generator, ticker: str, name: str, start: date) -> dict[str, list[Row]]:
    """A company whose price says little: small returns by chance."""
    return {
        "prices": rows(ticker, rng.normal(0.0, 0.006, SESSIONS - 1), float(rng.uniform(20, 200)), start),
        "companies": [{"ticker": ticker, "name": name}],
    }


class Scene:
    """A company with quiet prices and what is written about it."""

    def __init__(self, rng: np.random.Generator, one: Made) -> None:
        self.rng, self.one = rng, one
        self.start = START + timedelta(int(rng.integers(900)))
        self.rows = quiet(rng, one.ticker, one.name, self.start)
        self.documents: list[Row] = []
        self.pen = Pen(rng, one)
        self.close(self.rows["prices"])

    def close(self, prices: list[Row]) -> None:
        """Let these be the prices of all companies in it, the newest of them today's."""
        self.rows["prices"] = prices
        self.as_of = str(prices[-1]["date"])
        self.pen.today = date.fromisoformat(self.as_of)

    @property
    def today(self) -> date:
        """The day at which the case is asked."""
        return self.pen.today

    def beside(self, name: str) -> None:
        """Put another company beside it, with prices over the same days."""
        for dataset, made in quiet(self.rng, name.upper(), name, self.start).items():
            self.rows[dataset] = [*self.rows[dataset], *made]

    def write(self, tone: str, count: int, days: int = 1, name: str = "", ticker: str = "") -> None:
        """Add *count* documents of *tone*, the newest *days* old, each a few days older than the one before."""
        self.documents += [
            self.pen.document(self.pen.text(tone, name=name), days=days + 3 * i, name=name, ticker=ticker)
            for i in range(count)
        ]

    def case(self, truths: dict[str, Truth], words: dict[str, str] | None = None) -> Case:
        """The case with these truths, and the words that promise too much (`PROMISE`) as `promise`."""
        told: dict[str, Truth] = {"promise": PROMISE, **truths}
        return Case({**self.rows, "documents": self.documents}, told, self.as_of, words or {})


def bounds(tone: str) -> dict[str, Truth]:
    """The truths about a median tone: its bounds, and the two directions that follow it."""
    (low, high), (first, second) = BOUNDS[tone], LEANS[tone]
    return {"low": low, "high": high, "lean": first, "lean_too": second}


def side(rng: np.random.Generator) -> str:
    """Positive or negative, by chance."""
    return str(rng.choice(["positive", "negative"]))


@situation
def told(rng: np.random.Generator, one: Made) -> Case:
    """A few documents that all read one way: `tone` is positive, neutral or negative."""
    scene, tone = Scene(rng, one), option(one, "tone", "positive", among=BOUNDS)
    count = int(rng.integers(3, 6))
    scene.write(tone, count)
    return scene.case({**bounds(tone), "count": float(count)})


@situation
def market(rng: np.random.Generator, one: Made) -> Case:
    """Nothing about the company itself; documents about the whole market, which no other company may share."""
    scene, tone = Scene(rng, one), side(rng)
    texts = [scene.pen.sentence(f"market_{tone}") for _ in range(3)]
    scene.documents = [
        scene.pen.document(text, days=2 + 3 * i, ticker="*", title="The market", kind="news")
        for i, text in enumerate(texts)
    ]
    return scene.case({**bounds(tone), "count": 3.0})


@situation
def strangers(rng: np.random.Generator, one: Made) -> Case:
    """Filed under the company, but most of it about another whose name is nothing like it, of the opposite tone."""
    return _misfiled(Scene(rng, one), swapped(one.name))


@situation
def namesake(rng: np.random.Generator, one: Made) -> Case:
    """Filed under the company, but most of it about another whose name differs by a letter, of the opposite tone."""
    return _misfiled(Scene(rng, one), alike(one.name))


def _misfiled(scene: Scene, other: str) -> Case:
    tone, own = side(scene.rng), int(scene.rng.integers(1, 3))
    scene.write(tone, own, days=2)
    scene.write(OPPOSITE[tone], own + 1, days=1, name=other)
    return scene.case({**bounds(tone), "count": float(own), "all": float(2 * own + 1)})


@situation
def neighbours(rng: np.random.Generator, one: Made) -> Case:
    """Two companies whose names differ by a letter, each with documents of its own, of opposite tones."""
    scene, tone, other = Scene(rng, one), side(rng), alike(one.name)
    scene.beside(other)
    scene.write(tone, 3)
    scene.write(OPPOSITE[tone], 4, name=other, ticker=other.upper())
    return scene.case({**bounds(tone), "count": 3.0}, {"other": other})


@situation
def stale(rng: np.random.Generator, one: Made) -> Case:
    """Many old documents of one tone beyond the window, a few new ones of the other; of a second company only old."""
    scene, tone, other = Scene(rng, one), side(rng), swapped(one.name)
    scene.beside(other)
    scene.write(tone, 2, days=2)
    scene.write(OPPOSITE[tone], 4, days=WINDOW + 20)
    scene.write(tone, 3, days=WINDOW + 40, name=other, ticker=other.upper())
    return scene.case(
        {**bounds(tone), "count": 2.0, "newest": (scene.today - timedelta(2)).isoformat()}, {"other": other}
    )


@situation
def copied(rng: np.random.Generator, one: Made) -> Case:
    """One story that five publishers print, all but word for word, and three others of the opposite tone."""
    scene, tone = Scene(rng, one), side(rng)
    scene.write(tone, 3, days=4)
    story = scene.pen.document(scene.pen.text(OPPOSITE[tone], 4), days=1)
    scene.documents += [
        {**story, "source": f"{story['source']} {edition}", "body": f"{story['body']} {edition}"}
        for edition in ("first", "late", "city", "web", "weekend")
    ]
    return scene.case({**bounds(tone), "count": 4.0, "copies": 4.0})


@situation
def prolific(rng: np.random.Generator, one: Made) -> Case:
    """One publisher with six documents of one tone, of which five count, against six of the other tone by others."""
    scene, tone = Scene(rng, one), side(rng)
    scene.documents = [
        scene.pen.document(scene.pen.text(OPPOSITE[tone], 2), days=2 + i, source="Repeater") for i in range(6)
    ]
    scene.write(tone, 6)
    return scene.case({**bounds(tone), "count": 11.0, "capped": 1.0})


@situation
def mixed(rng: np.random.Generator, one: Made) -> Case:
    """Documents that disagree: one tone has three, the other one; or, where `even`, each has two."""
    scene, tone = Scene(rng, one), side(rng)
    even = option(one, "even", False)
    scene.write(tone, 2 if even else 3, days=2)
    scene.write(OPPOSITE[tone], 2 if even else 1, days=1)
    counts = {tone: 2.0 if even else 3.0, OPPOSITE[tone]: 2.0 if even else 1.0}
    return scene.case({**bounds("neutral" if even else tone), **counts, "count": 4.0})


@situation
def irony(rng: np.random.Generator, one: Made) -> Case:
    """Texts that do not say what they mean: sarcasm reads badly, understatement well; `way` is one of the two."""
    scene, way = Scene(rng, one), option(one, "way", "sarcasm", among=("sarcasm", "understatement"))
    scene.documents = [
        scene.pen.document(f"{scene.pen.sentence(way)} {scene.pen.sentence(way)}", days=1 + 2 * i) for i in range(3)
    ]
    return scene.case({**bounds("negative" if way == "sarcasm" else "positive"), "count": 3.0})


@situation
def letters(rng: np.random.Generator, one: Made) -> Case:
    """A hand-written case: `documents` are tables with body and, where wanted, days, kind, ticker, source and title."""
    scene = Scene(rng, one)
    given: Sequence[dict[str, object]] = option(one, "documents", list[dict[str, object]]())
    scene.documents = [_letter(scene, dict(table)) for table in given]
    return scene.case({})


def _letter(scene: Scene, table: dict[str, object]) -> Row:
    days = table.pop("days", 1)
    return scene.pen.document(
        str(table.pop("body")), days=int(str(days)), **{key: str(value) for key, value in table.items()}
    )
