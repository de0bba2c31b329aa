"""How runs and comparisons read in the terminal: what failed first, then the tables."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from openoutcry.interfaces.text import wrap
from openoutcry.interfaces.words import harmless

if TYPE_CHECKING:
    from openoutcry.eval.ablation import Ablation, Arm
    from openoutcry.eval.comparison import Comparison, Difference, Summary
    from openoutcry.eval.outcome import Check, Outcome
    from openoutcry.eval.runner import Run
    from openoutcry.interfaces.eval_sides import Side

T = TypeVar("T")
WORST = 10
DIGITS = 6
"""Significant digits of a figure that a check tells."""
FRACTION = re.compile(r"(?<![\w.])\d+\.\d+(?:e[+-]?\d+)?(?![\w.])")


def percent(share: float) -> str:
    """A share as a percentage."""
    return f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """A difference of shares in points, with its sign."""
    return f"{100 * difference:+.1f}"


def number(count: float, of: str) -> str:
    """So many of something."""
    return f"{count:,} {of}{'' if count == 1 else 's'}"


def table(rows: Sequence[Sequence[str]], left: int = 1) -> Iterator[str]:
    """Rows in aligned columns, the first *left* of them to the left; the first row is the heading."""
    rows = [[harmless(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (
            cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


def run(done: "Run", side: "Side", worst: int = WORST) -> Iterator[str]:
    """One lineup of a run: what failed, then scores by category, then cost."""
    from openoutcry.eval.comparison import summaries

    epochs = done.plan.epochs
    summed = summaries(side.outcomes)
    yield wrap(f"{harmless(side.name)}: {headline(summed[0], epochs)}")
    yield from _failed(done, side.outcomes, worst)
    yield ""
    yield from table(scores(summed, epochs))
    yield ""
    yield from table(costs(summed))
    yield ""
    yield wrap(reading(epochs))


def unfinished(done: "Run") -> str:
    """That cases of a run are still to be played; nothing where all were."""
    return "" if done.complete else f"Unfinished, {len(done.outcomes):,} of {done.plan.total:,} played"


def reading(epochs: int) -> str:
    """What the columns of scores mean."""
    always = " always: right in every epoch." if epochs > 1 else ""
    return (
        "score: the share of cases in which all that was expected held, with its 95 % interval by clusters."
        f"{always} A crash, a timeout and an answer without form score 0."
    )


def parts(found: Sequence[T]) -> Sequence[T]:
    """The whole, and its categories where there is more than one: a single one would say the same again."""
    return found if len(found) > 2 else found[:1]


def headline(whole: "Summary", epochs: int) -> str:
    """The score of a run, with its interval and what it rests on."""
    return (
        f"{percent(whole.score)} right (95 % interval {percent(whole.low)} to {percent(whole.high)}) of "
        f"{number(whole.cases, 'case')} in {number(whole.clusters, 'cluster')}, {number(epochs, 'epoch')}"
    )


def scores(summed: "Sequence[Summary]", epochs: int) -> list[list[str]]:
    """Scores by category, with a heading; `always` over several epochs alone, and failures where there are any."""
    found = parts(summed)
    columns = [
        ["category", *(s.name for s in found)],
        ["cases", *(f"{s.cases:,}" for s in found)],
        ["score", *(percent(s.score) for s in found)],
        ["95 % interval", *(f"{percent(s.low)} to {percent(s.high)}" for s in found)],
    ]
    if epochs > 1:
        columns.append(["always", *(percent(s.every) for s in found)])
    if any(s.failures for s in found):
        columns.append(["failures", *(_kinds(s.failures) for s in found)])
    return [list(row) for row in zip(*columns, strict=True)]


def _kinds(failures: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(failures.items())) or "-"


def costs(summed: "Sequence[Summary]", names: Sequence[str] = ()) -> list[list[str]]:
    """What a case cost by category, with a heading; without tokens, retries or memory where there are none.

    *names* are those of lineups, where the rows are whole runs side by side.
    """
    found = summed if names else parts(summed)
    columns = [
        ["category", *(s.name for s in found)] if not names else ["lineup", *names],
        ["median s", *(f"{s.seconds_p50:.2f}" for s in found)],
        ["p95 s", *(f"{s.seconds_p95:.2f}" for s in found)],
    ]
    if any(s.tokens for s in found):
        columns.append(["tokens", *(f"{s.tokens:,.0f}" for s in found)])
    if any(s.retries for s in found):
        columns.append(["retries", *(f"{s.retries:.2f}" for s in found)])
    if any(s.memory for s in found):
        columns.append(["memory", *(f"{s.memory / 2**30:.1f} GiB" if s.memory else "-" for s in found)])
    return [list(row) for row in zip(*columns, strict=True)]


def worst(outcomes: "Iterable[Outcome]") -> "list[list[Outcome]]":
    """The cases that went wrong, each with its epochs, the ones that failed most often first."""
    by: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by.setdefault(outcome.digest, []).append(outcome)
    missed = [group for group in by.values() if any(o.score < 1 for o in group)]
    return sorted(missed, key=lambda group: (sum(o.score for o in group) / len(group), group[0].scenario))


def _failed(done: "Run", outcomes: "Sequence[Outcome]", most: int) -> Iterator[str]:
    missed, several = worst(outcomes), done.plan.epochs > 1
    if not missed:
        return
    yield ""
    yield f"{number(len(missed), 'case')} not right{' in every epoch' if several else ''}:"
    for group in missed[:most]:
        right = f" ({sum(o.score == 1 for o in group)} of {len(group)})" if several else ""
        yield f"  {group[0].scenario}{right}"
        yield from (wrap(harmless(line), "    ", "      ") for line in reasons(group))
    if (left := len(missed) - most) > 0:
        yield f"  and {left:,} more: --worst {len(missed)} tells each"
    yield harmless(f"  what was said: {transcript(done, missed[0])}")


def transcript(done: "Run", group: "Sequence[Outcome]") -> str:
    """The command that prints what was said in a case: in the first of its epochs that was not right."""
    first = min((o for o in group if o.score < 1), key=lambda o: o.epoch)
    epoch = f" --epoch {first.epoch}" if first.epoch else ""
    return f"outcry eval report {done.folder.name} --transcript {shlex.quote(first.scenario)}{epoch}"


def reasons(group: "Iterable[Outcome]") -> list[str]:
    """Why epochs of a case were not right, each reason once."""
    return list(dict.fromkeys(line for o in group for line in ([o.failure] if o.failure else _broken(o))))


def _broken(outcome: "Outcome") -> list[str]:
    return [f"{turn(check, outcome)}{missed(check)}" for check in outcome.checks if not check.ok]


def turn(check: "Check", outcome: "Outcome") -> str:
    """Which turn a check is of, counted from 1, where the case has checks of several."""
    return f"turn {check.turn + 1}: " if any(one.turn for one in outcome.checks) else ""


def missed(check: "Check") -> str:
    """A check that does not hold, in words."""
    expected, got = (FRACTION.sub(_short, words) for words in (check.expected, check.got))
    if expected == got:  # what differs in the seventh digit is told in full
        expected, got = check.expected, check.got
    return f"{check.name}: expected {expected}, got {got}"


def held(check: "Check") -> str:
    """A check that holds, in words."""
    expected, got = (FRACTION.sub(_short, words) for words in (check.expected, check.got))
    return f"{check.name}: {expected}, got {got}"


def _short(figure: "re.Match[str]") -> str:
    value = float(figure[0])
    return f"{value:.0f}" if value >= 10**DIGITS else f"{value:.{DIGITS}g}"


def comparison(first: str, second: str, compared: "Comparison", most: int = WORST) -> Iterator[str]:
    """Two runs compared: the whole, the cases that got worse, the categories."""
    yield wrap(harmless(difference(first, second, compared.overall)))
    yield wrap(counted(compared))
    worse = [pair for pair in compared.pairs if pair.second < pair.first]
    if worse:
        yield ""
        yield "Worse now:"
        for pair in worse[:most]:
            yield wrap(f"{pair.scenario}  {percent(pair.first)} -> {percent(pair.second)}", "  ", "    ")
        if len(worse) > most:
            yield f"  and {len(worse) - most:,} more: --worst {len(worse)} tells each"
    yield ""
    yield from table(differences(compared))
    yield ""
    yield wrap(
        "difference: the second minus the first, in points, case by case, with its 95 % interval by clusters; an "
        "interval that holds 0 does not tell them apart."
    )


def difference(first: str, second: str, overall: "Difference") -> str:
    """What the comparison says, in a sentence."""
    bounds = f"95 % interval {points(overall.low)} to {points(overall.high)}"
    over = f"on {number(overall.cases, 'case')} in {number(overall.clusters, 'cluster')}"
    if overall.low <= 0 <= overall.high:
        return f"{second} cannot be told apart from {first}: {points(overall.difference)} points ({bounds}) {over}"
    how = "better" if overall.difference > 0 else "worse"
    return f"{second} is {abs(100 * overall.difference):.1f} points {how} than {first} ({bounds}) {over}"


def counted(compared: "Comparison") -> str:
    """How many cases went which way."""
    left = f"; {number(compared.left_out, 'case')} left out that one side lacks" if compared.left_out else ""
    return f"better on {compared.better}, worse on {compared.worse} (exact McNemar p = {compared.mcnemar:.3g}){left}"


def differences(compared: "Comparison") -> list[list[str]]:
    """Differences by category, with a heading."""
    rows = [["category", "cases", "clusters", "first", "second", "difference", "95 % interval"]]
    for d in parts((compared.overall, *compared.categories)):
        interval = f"{points(d.low)} to {points(d.high)}"
        scored = [percent(d.first), percent(d.second), points(d.difference)]
        rows.append([d.name, f"{d.cases:,}", f"{d.clusters:,}", *scored, interval])
    return rows


def ablation(found: "Ablation") -> Iterator[str]:
    """What each part of the desk is worth, against the coordinator on the same evidence."""
    headline, more = verdict(found)
    yield wrap(f"{found.suite}: {headline}")
    yield wrap(more)
    if found.left_out:
        yield wrap(left_out(found))
    yield ""
    yield from table(arms(found.arms))
    yield ""
    yield wrap(
        "difference: the arm minus the coordinator, in points, with its 95 % interval; Brier: the mean squared error "
        "of its chances, lower is better; hits: how often its direction came true."
    )


def verdict(found: "Ablation") -> tuple[str, str]:
    """What an ablation comes to, and what that rests on."""
    headline, _, more = found.verdict.partition(": ")
    return headline, f"{more[:1].upper()}{more[1:]}"


def left_out(found: "Ablation") -> str:
    """How many cases an ablation has nothing to say of."""
    return f"Left out: {found.left_out:,} cases that ask a model alone, or for nothing that every arm could say."


def arms(found: "Sequence[Arm]") -> list[list[str]]:
    """The arms of an ablation, with a heading."""
    rows = [["arm", "cases", "score", "difference", "95 % interval", "Brier", "hits", "requests", "tokens", "s"]]
    for a in found:
        d = a.difference
        apart = [points(d.difference), f"{points(d.low)} to {points(d.high)}"] if d else ["-", "-"]
        told = (
            [f"{a.brier:.4f}", percent(a.hit_rate)]
            if a.forecasts and a.brier is not None and a.hit_rate is not None
            else ["-", "-"]
        )
        cost = [f"{a.requests:,.1f}", f"{a.tokens:,.0f}", f"{a.seconds:.2f}"]
        rows.append([a.name, f"{a.cases:,}", percent(a.score), *apart, *told, *cost])
    return rows
