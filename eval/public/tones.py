"""Financial PhraseBank and Twitter financial news: a sentence a document, read by the desk's own reader.

A label leaves the strength of a tone open, so a range of it is expected. PhraseBank is for evaluation only, by its
licence.
"""

from collections.abc import Iterator, Sequence

from pydantic import Field

from openoutcry.eval.public.rows import Row, Rows, named
from openoutcry.eval.scenario import Expect, FigureExpected, Fixture, Made, Scenario, Seat, Turn
from openoutcry.eval.worlds.names import companies
from openoutcry.eval.worlds.quoted import AS_OF, NAME

PHRASEBANK, TWITTER = "sentiment/phrasebank.jsonl", "sentiment/twitter_fin_news.jsonl"
BATCH = 50
"""Sentences that share a data folder, each under a ticker of its own."""
EDGE = 0.25
"""Tones run from -1 to 1 in steps of a half: those beyond the edge are positive or negative, those within neutral."""
BOUNDS: dict[str, tuple[float | None, float | None]] = {
    "positive": (EDGE, None),
    "neutral": (-EDGE, EDGE),
    "negative": (None, -EDGE),
}
SAME = {"bullish": "positive", "bearish": "negative"}


class Sentence(Row):
    """A row of either set."""

    id: str
    text: str = Field(min_length=3, max_length=2000)
    label: str = Field(pattern="^(positive|neutral|negative|bullish|bearish)$")
    min_agreement_pct: int | None = None

    @property
    def category(self) -> str:
        """The label, and of how many annotators it is."""
        agreed = f", {self.min_agreement_pct} % agree" if self.min_agreement_pct else ""
        return f"{self.label}{agreed}"


def phrasebank(rows: Rows) -> Iterator[Scenario]:
    """A case a sentence of PhraseBank."""
    return _cases(rows, PHRASEBANK, "phrasebank", "CC BY-NC-SA 3.0, evaluation only")


def twitter(rows: Rows) -> Iterator[Scenario]:
    """A case a tweet."""
    return _cases(rows, TWITTER, "twitter_fin_news", "MIT; the words also under the platform's terms")


def _cases(rows: Rows, file: str, name: str, licence: str) -> Iterator[Scenario]:
    found = [sentence for _, sentence in rows.each(file, Sentence)]
    for start in range(0, len(found), BATCH):
        batch = found[start : start + BATCH]
        made = quoted([sentence.text for sentence in batch])
        for sentence, one in zip(batch, made, strict=True):
            low, high = BOUNDS[SAME.get(sentence.label, sentence.label)]
            tone = FigureExpected(
                name="tone", tool="read_documents", ticker=one.ticker, low=low, high=high, cited=False
            )
            yield Scenario(
                id=named(name, sentence.id),
                category=sentence.category,
                cluster=sentence.id,
                seat=Seat.SENTIMENT,
                as_of=AS_OF,
                fixture=Fixture(made=made),
                turns=(Turn(question=f"What is the sentiment on {one.ticker}?", expect=Expect(figures=(tone,))),),
                source=f"{name} {sentence.id}, {licence}",
            )


def quoted(texts: Sequence[str], kind: str = "news") -> tuple[Made, ...]:
    """Texts as documents, a made-up company each, whose data share a folder."""
    return tuple(
        Made.model_validate(
            {
                "situation": NAME,
                "seed": 0,
                "ticker": company.upper(),
                "name": company,
                "with": {"text": text, "kind": kind},
            }
        )
        for text, company in zip(texts, companies(len(texts), 0), strict=True)
    )
