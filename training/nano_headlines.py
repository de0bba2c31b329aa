"""Made-up headlines of five tones, and the text around them."""

import string
import tomllib
from functools import cache
from pathlib import Path
from random import Random

from openoutcry.agents import house
from openoutcry.agents.reader import Tone
from openoutcry.core.report import Kind
from openoutcry.training.nano_words import BODIES, QUESTIONS, READINGS


def document_title(rng: Random, tone: Tone, held_out: bool = False) -> str:
    """A headline that reads as *tone*: a wording (the last of each list are held out), or toned words among others."""
    readings = READINGS[tone][-2:] if held_out else READINGS[tone][:-2]
    said = rng.choice(readings) if rng.random() < 0.5 else _toned(rng, tone)
    return f"{_name(rng)} {said}{rng.choice(('', '', ' ' + noise(rng, rng.randint(1, 4))))}"


def _toned(rng: Random, tone: Tone) -> str:
    """A word that the house counts as good or bad, three for a strong tone, among words that it does not count."""
    side, strong = str(tone).rpartition("_")[2], tone.startswith("very_")
    words = rng.choices(toned_words()[side], k=3 if strong else 1) if side in toned_words() else []
    said = [*words, *noise(rng, rng.randint(1, 5)).split()]
    return " ".join(rng.sample(said, len(said)))


@cache
def toned_words() -> dict[str, list[str]]:
    """The words that the house reader counts, positive and negative."""
    lists = tomllib.loads((Path(house.__file__).parent / "words.toml").read_text(encoding="utf-8"))
    return {side: str(lists[side]).split() for side in ("positive", "negative")}


def _name(rng: Random) -> str:
    made = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(2, 8))).capitalize()
    return made if rng.random() < 0.7 else made + " " + noise(rng, 1).capitalize()


def body(rng: Random) -> str:
    """What stands below a headline; it has no tone."""
    return " ".join(rng.choice(BODIES).format(n=rng.randint(1, 999)) for _ in range(rng.randint(1, 5)))


def noise(rng: Random, words: int) -> str:
    """Words of other texts in no order, now and then of random letters, so that no wording is relied on."""
    letters = string.ascii_letters + string.digits + "-'"
    made = ("".join(rng.choices(letters, k=rng.randint(1, 9))) for _ in range(words))
    return " ".join(w if rng.random() < 0.3 else rng.choice(_untoned()) for w in made)


@cache
def _untoned() -> list[str]:
    """Words of bodies and questions that the house reader does not count."""
    texts = " ".join((*BODIES, *QUESTIONS[Kind.RISK], *QUESTIONS[Kind.NEWS])).format(n=7, a="", b="", days=3, sure=9)
    toned = {word for words in toned_words().values() for word in words}
    return [word for word in texts.split() if word.strip(".,;?%").lower() not in toned]
