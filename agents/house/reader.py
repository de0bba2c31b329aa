"""House rules of the reader: tone by counting words of a small list of our own, with negation."""

import json
import re
from collections.abc import Sequence

from openoutcry.agents.house.model import Result
from openoutcry.agents.reader import Reading, Relevance, Tone

POSITIVE = frozenset(
    """accelerate accelerated accelerates achieve achieved advance advanced advances agreement approval approve approved
    approves authorization authorized award awarded beat beats benefit benefited best better boost boosted boosts bullish
    climb climbed climbs cleared confident contract deal demand dividend double doubled earned easing efficacy eased exceed
    exceeded exceeds expand expanded expanding expansion expands favorable gain gained gains grew grow growing grown
    growth higher highest improve improved improvement improves improving increase increased increases innovation
    jump jumped jumps launch launched lift lifted lifts milestone opportunity optimistic outperform outperformed
    outperforms positive profit profitable profits progress raise raised raises rally rallied record recover recovered
    recovery rebound rebounded reward rise risen rises rising robust rose solid soar soared soars stimulus strength
    strengthen strengthened strong stronger strongest succeed success successful surge surged surges surpass surpassed
    upbeat upgrade upgraded upside upward win wins won""".split()
)
NEGATIVE = frozenset(
    """abandon abandoned adverse allegation alleged antitrust bankruptcy bearish breach challenge challenges charge charges
    concern concerns constraint constraints contracted contraction crash crisis cut cuts cutting damage damages decline
    declined declines declining decrease decreased decreases deficit delay delayed delays deteriorate deteriorated
    disappoint disappointed disappointing disappoints disruption disruptions downgrade downgraded downside downturn
    downward drop dropped drops fail failed fails failure fall fallen falling falls fell fine fined fraud halt halted
    halts headwind headwinds hurt impairment inflation invade invaded invasion investigation investigations
    lawsuit lawsuits layoff layoffs litigation lockdown lockdowns lose loses losing loss losses lost low lower lowered
    lowers lowest miss missed misses negative outage outbreak pandemic penalty plunge plunged plunges poor pressure
    pressures probe problem problems recall recalled recession reject rejected resign resigned resigns restructuring
    risk risks sank scrutiny sanctions sharply shortage shortages shortfall shut shutdown slid slide slow slowed
    slower slowing slows slowdown slump slumped strike sue sued sues suspend suspended suspends tariff tariffs terminate
    terminated tightening tumble tumbled turmoil uncertain uncertainty underperform unfavorable volatile war warn
    warned warning warns weak weaken weakened weaker weakness withdraw withdrawn withdrew worse worsened worst
    writedown""".split()
)
NEGATORS = frozenset("no not never without nor neither cannot hardly less fewer narrowed reduced eased easing".split())
COSTLY = frozenset("inflation cpi rates unemployment costs debt loss losses".split())
UPWARD = frozenset(
    """accelerated accelerates climb climbed climbs gain gained gains grew higher highest increase increased increases
    jump jumped jumps lift lifted lifts raise raised raises rise risen rises rising rose record surge surged""".split()
)
DOWNWARD = frozenset(
    """decline declined declines decrease decreased decreases drop dropped drops fall fallen falling falls fell low
    lower lowered lowest slow slowed slower slowing slows cut cuts cutting""".split()
)


def rules(prompt: str, results: Sequence[Result]) -> Reading:
    """Classify one document; the text is only ever counted."""
    asked = json.loads(prompt)
    text = str(asked["text"])
    if asked["filed_under"] == asked["company"]:
        relevance = Relevance.SUBJECT
    else:
        relevance = Relevance.MARKET if asked["filed_under"] == "*" else Relevance.UNRELATED
    return Reading(tone=tone_of(text), relevance=relevance, quotes=_quotes(text))


def score(text: str) -> float:
    """Positive less negative words over their sum plus one, from -1 to 1; 0 for none.

    A negation within three words before turns a word round, and so does a sentence about what is better
    lower (inflation, rates, costs) for words of rising and falling.
    """
    good = bad = 0
    for sentence in re.split(r"[.!?;\n]+", text.lower()):
        words = re.findall(r"[a-z]+", sentence)
        costly = not COSTLY.isdisjoint(words)
        for i, word in enumerate(words):
            moves = word in UPWARD or word in DOWNWARD
            flip = (costly and moves) != (not NEGATORS.isdisjoint(words[max(0, i - 3) : i]))
            if word in POSITIVE:
                good, bad = good + (not flip), bad + flip
            elif word in NEGATIVE:
                good, bad = good + flip, bad + (not flip)
    return (good - bad) / (good + bad + 1)


def tone_of(text: str) -> Tone:
    """The tone by *score*."""
    value = score(text)
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
