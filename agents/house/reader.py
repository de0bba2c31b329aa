"""House rules of the reader: tone by counting words of a small list of our own, with negation."""

import json
import re
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from openoutcry.agents.house.model import Result
from openoutcry.agents.reader import Reading, Relevance, Tone


@cache
def _words() -> dict[str, frozenset[str]]:
    """The word lists by name, read once."""
    lists = tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))
    return {name: frozenset(str(words).split()) for name, words in lists.items()}


def rules(prompt: str, results: Sequence[Result]) -> Reading:
    """Classify one document; the text is only ever counted."""
    asked = json.loads(prompt)
    text = str(asked["text"])
    if asked["filed_under"] == asked["company"]:
        relevance = Relevance.SUBJECT
    else:
        relevance = Relevance.MARKET if asked["filed_under"] == "*" else Relevance.UNRELATED
    tone = tone_of(text, macro=asked["kind"] == "macro")
    return Reading(tone=tone, relevance=relevance, quotes=_quotes(text))


def score(text: str, *, macro: bool = False) -> float:
    """Positive less negative words over their sum plus one, from -1 to 1; 0 for none.

    A negation within three words before turns a word round, and so does a sentence about what is better
    lower (inflation, rates, costs) for words of rising and falling; in a macro text that holds such a word,
    every sentence is.
    """
    lists, good, bad = _words(), 0, 0
    dear = macro and not lists["macro"].isdisjoint(re.findall(r"[a-z]+", text.lower()))
    for sentence in re.split(r"[.!?;\n]+", text.lower()):
        words = re.findall(r"[a-z]+", sentence)
        costly = dear or not lists["costly"].isdisjoint(words)
        for i, word in enumerate(words):
            moves = word in lists["upward"] or word in lists["downward"]
            flip = (costly and moves) != (not lists["negators"].isdisjoint(words[max(0, i - 3) : i]))
            if word in lists["positive"]:
                good, bad = good + (not flip), bad + flip
            elif word in lists["negative"]:
                good, bad = good + flip, bad + (not flip)
    return (good - bad) / (good + bad + 1)


def tone_of(text: str, *, macro: bool = False) -> Tone:
    """The tone by *score*."""
    value = score(text, macro=macro)
    steps = ((0.7, Tone.VERY_POSITIVE), (0.2, Tone.POSITIVE), (-0.199, Tone.NEUTRAL), (-0.699, Tone.NEGATIVE))
    return next((tone for bound, tone in steps if value >= bound), Tone.VERY_NEGATIVE)


def _quotes(text: str) -> list[str]:
    """The sentence with the most toned words, cut to 200 characters at a word."""
    sentences = re.split(r"(?<=[.!?])\s+|\n", text)
    ranked = sorted(sentences, key=lambda s: -abs(score(s)))
    if not ranked or not score(ranked[0]):
        return []
    quote = ranked[0].strip()
    if len(quote) > 200:
        quote = quote[:200].rsplit(" ", 1)[0]
    return [quote] if len(quote) >= 3 else []
