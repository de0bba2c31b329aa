"""Examples from stored runs whose view settled well: what a role was asked, and the answer that came true.

A lesson of the desk's own names its run. Well is: the role took a side, its chance above or below the base rate, and
that side came true. A role that took none, as risk often does, and the coordinator, who speaks for all, are held to the
desk's own view. In either case nothing of the role was dropped, no model failed or stood in, and the prompts are those
of today. The reader's calls hold documents and are never taken.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from openoutcry.agents import bundle
from openoutcry.agents.bundle import Bundle
from openoutcry.agents.settling import views_of
from openoutcry.core.errors import BrokenRun, UsageError
from openoutcry.core.standing import DESK, Settled
from openoutcry.memory.record import Kind, Memory, Trust
from openoutcry.memory.store import Store
from openoutcry.training.examples.rows import Chat, Gathered, Pair
from openoutcry.training.examples.worded import Unfit, prompts, worded

SIDE = 1e-9
"""How far a chance is from the base rate at least where a role took a side."""
Watch = Callable[[int, int], None]


def conversations(home: Path, store: Store, role: str, watch: Watch) -> Gathered:
    """A row for each run in which *role* did well."""
    found = Gathered()
    for lesson in _lessons(store, found, watch):
        try:
            if not well(role, {view.role: view for view in views_of([lesson])}):
                raise Unfit("its view did not come true")
            found.rows.append(_row(_stored(home, lesson.run), role, _known(lesson)))
        except Unfit as why:
            found.left[str(why)] += 1
    return found


def pairs(home: Path, store: Store, watch: Watch) -> Gathered:
    """The question of each run in which the desk did well, with each sentence that a role of it found.

    Both are the desk's own words or a person's: of a memory only its claim is taken, never the text of a document.
    """
    found = Gathered()
    for lesson in _lessons(store, found, watch):
        views = {view.role: view for view in views_of([lesson])}
        try:
            question = _stored(home, lesson.run).report.question.text
        except Unfit as why:
            found.left[str(why)] += 1
            continue
        for finding in store.find(run=lesson.run, kinds=(Kind.FINDING,)):
            if finding.trust is not Trust.DESK:
                found.left["not the desk's own words"] += 1
            elif not well(finding.role, views):
                found.left["its view did not come true"] += 1
            else:
                source, at = f"run:{lesson.run}", _known(lesson)
                found.rows.append(Pair(source=source, known_at=at, anchor=question, positive=finding.said))
    return found


def exported(home: Path, run: str, role: str, now: datetime) -> Chat:
    """What *role* said in a run, right or wrong, for a person to correct: known as good from *now* on.

    Raises UsageError where there is no such run, or nothing of the role in it that could be corrected.
    """
    stored = bundle.read(home, run)
    try:
        return _worded(stored, role, now)
    except Unfit as why:
        raise UsageError(
            f"run {stored.manifest.run}: expected a conversation of {role} to correct, found none that can be: {why}"
        ) from None


def well(role: str, views: Mapping[str, Settled]) -> bool:
    """Whether the view of *role*, or where it took no side that of the desk, came true."""
    own = views.get(DESK if role == "coordinator" else role)
    view = own if own and _side(own) else views.get(DESK)
    return view is not None and _side(view) != 0 and (_side(view) > 0) == view.happened


def _side(view: Settled) -> int:
    """1 for a rise, -1 for none, 0 for no side."""
    beyond = view.chance - view.base_rate
    return 0 if abs(beyond) < SIDE else 1 if beyond > 0 else -1


def _lessons(store: Store, found: Gathered, watch: Watch) -> Iterator[Memory]:
    """The desk's own lessons, oldest first."""
    every: Sequence[Memory] = sorted(store.find(kinds=(Kind.LESSON,)), key=lambda m: (m.known_at, m.id))
    for done, lesson in enumerate(every, 1):
        watch(done, len(every))
        if lesson.trust is Trust.DESK:
            yield lesson
        else:
            found.left["a lesson that is not the desk's own"] += 1


def _stored(home: Path, run: str) -> Bundle:
    try:
        return bundle.read(home, run)
    except UsageError:
        raise Unfit("its run is not here any more") from None
    except BrokenRun:
        raise Unfit("its run is broken") from None


def _row(stored: Bundle, role: str, known_at: datetime) -> Chat:
    if any(dropped.role == role for dropped in stored.report.dropped):
        raise Unfit("a sentence of it was dropped")
    return _worded(stored, role, known_at)


def _worded(stored: Bundle, role: str, known_at: datetime) -> Chat:
    if stored.manifest.prompts.get(role) != prompts()[role]:
        raise Unfit("its prompts were others than today's")
    said = worded(stored.calls, role)
    source = f"run:{stored.manifest.run}"
    return Chat.model_validate(
        {"role": role, "source": source, "known_at": known_at, "messages": said.messages, "tools": said.tools}
    )


def _known(lesson: Memory) -> datetime:
    return lesson.known_at.replace(tzinfo=UTC)
