"""The four stages of a night over the other rooms, role by role.

Each may be run again after a crash: data sets, fine-tunes, artifacts and looks of the gate are known by what is in
them, so that what was done before is found and not made twice.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from openoutcry.core.errors import DataError, OutcryError, UsageError
from openoutcry.core.sync import run_sync
from openoutcry.eval.lineup import Models
from openoutcry.training.night.rooms import Rooms
from openoutcry.training.night.schedule import Stage
from openoutcry.training.night.settings import RoleNight
from openoutcry.training.night.working import Done, Job, Work

if TYPE_CHECKING:
    from openoutcry.eval.gate.planning import Planned
    from openoutcry.eval.gate.record import Record
    from openoutcry.serving.registry.pointer import Pointer

RUNS, SCENARIOS = "runs", "scenarios"
Result = dict[str, Any]


def works(rooms: Rooms) -> dict[Stage, Work]:
    """What each stage does."""
    return {
        Stage.PREPARE: lambda job: _each(job, rooms.night.roles, lambda role: _prepared(rooms, job, role)),
        Stage.TUNE: lambda job: _each(job, _from(job), lambda role: _tuned(rooms, job, role)),
        Stage.VALIDATE: lambda job: _each(job, _from(job), lambda role: _validated(rooms, job, role)),
        Stage.DEPLOY: lambda job: _deploy(rooms, job),
    }


def _from(job: Job) -> Iterable[str]:
    """The roles that the stage before left something for."""
    return job.earlier.get("roles", {})


def _own(rooms: Rooms, role: str) -> RoleNight:
    """What is set for *role*. Raises UsageError where that was taken out of the file since the night began."""
    for name, own in rooms.night.roles.items():
        if name == role:
            return own
    raise UsageError(f"expected [roles.{role}] in night.toml as the night began with, found it no more; put it back")


def _each(job: Job, roles: Iterable[str], do: Callable[[str], tuple[str, Result]]) -> Done:
    """Do it for each role; a role that errs does not keep the others from their turn.

    Where one erred the stage is tried again for all, and what was done is found then; at the last try the others go on
    without it. Raises DataError for what went wrong.
    """
    said: list[str] = []
    found: dict[str, Result] = {}
    failed: list[str] = []
    for role in roles:
        job.check()
        try:
            line, result = do(role)
        except OutcryError as error:
            failed.append(f"{role}: {error}")
            continue
        said.append(f"{role}: {line}")
        if result:
            found[role] = result
    if failed and not (job.last and found):
        raise DataError("; ".join(failed))
    return Done(said="; ".join([*said, *failed]) or "nothing to do", result={"roles": found, "failed": failed})


def _prepared(rooms: Rooms, job: Job, role: str) -> tuple[str, Result]:
    from openoutcry.training.examples.making import Sources, TooFew, make

    own = _own(rooms, role)
    files = [rooms.night.folder / source for source in own.sources if source not in (RUNS, SCENARIOS)]
    with rooms.memory(job.tell) as memory, rooms.models() as models:
        sources = Sources(
            store=memory if RUNS in own.sources else None,
            models=models if SCENARIOS in own.sources else None,
            teacher=own.teacher,
            files=files,
            held=(own.suite, rooms.night.safety),
        )
        try:
            found = make(rooms.home, role, sources, job.now(), job.check).manifest
        except TooFew as few:
            return f"{few}: it sits out", {}
    count = sum(found.rows.values())
    if count < own.least:
        return f"{count} examples, which is under the {own.least} that it needs: it sits out", {}
    return f"{count} examples in {found.digest[:12]}", {"data": found.digest}


def _tuned(rooms: Rooms, job: Job, role: str) -> tuple[str, Result]:
    from openoutcry.serving.registry.artifact import register
    from openoutcry.serving.registry.overlay import available
    from openoutcry.training.examples.dataset import load
    from openoutcry.training.tuning import recipe as recipes
    from openoutcry.training.tuning.run import tune
    from openoutcry.training.tuning.watching import Halted

    own = _own(rooms, role)
    recipe = recipes.read(rooms.night.folder / own.recipe if own.recipe else None)
    name, base = rooms.base(own.model)
    data = load(rooms.home, job.earlier["roles"][role]["data"])
    try:
        tuned = tune(rooms.home, base, data, recipe, base_name=name, role=role, stopping=lambda: job.stopping)
    except Halted:
        job.check()
        raise
    there = register(rooms.home, tuned.folder, tuned.made, job.now(), base)
    if there.name not in {one.name for one in available(rooms.home)}:
        return f"{there.name} again, which was taken out before: it sits out", {}
    return f"{there.name} from {name}", {"name": there.name}


def _validated(rooms: Rooms, job: Job, role: str) -> tuple[str, Result]:
    name = job.earlier["roles"][role]["name"]
    with rooms.models() as models:
        if models.sitting(role) == name:
            return f"{name} sits there already", {}
        _loaded(rooms, job, name)
        if failed := _uncertified(rooms, job, models, role, name):
            return f"{name} is not certified: it failed in {', '.join(failed)}", {}
        record = _looked(rooms, job, models, role, name)
        if isinstance(record, str):
            return f"the gate does not look at {name}: {record}", {}
        rooms.moves(models, job).evaluated(name, record.number)
    decision = record.verdict.decision
    why = f": {record.verdict.reasons[0]}" if record.verdict.reasons else ""
    return f"{name} {decision} by record {record.number}{why}", {
        "name": name,
        "decision": decision,
        "record": record.number,
    }


def _uncertified(rooms: Rooms, job: Job, models: Models, role: str, name: str) -> list[str]:
    """The probes that the model failed in, of a card that is there or made now; none where the stack asks for none."""
    from openoutcry.eval.certifying.examination import Examination
    from openoutcry.serving import cards

    stack = rooms.stack()
    if not cards.barred(stack, rooms.home, role, name):
        return []
    card = cards.read(rooms.home, cards.key(stack, name), role)
    if card is None:
        asked = Examination(stack, rooms.home, name, role, models, rooms.shapes(), deadline=rooms.settings.deadline)
        card = run_sync(asked.card(job.now(), job.check))
        cards.write(rooms.home, card)
    return card.failed


def _looked(rooms: Rooms, job: Job, models: Models, role: str, name: str) -> "Record | str":
    """The gate's record of the model, or why there is to be none."""
    from openoutcry.eval.gate import chain
    from openoutcry.eval.gate.session import Gate

    night = rooms.night
    gate = Gate(rooms.home, models, job.now())
    planned = gate.plan(role, name, terms=night.gate, suite=_own(rooms, role).suite, safety=night.safety)
    if chain.again(rooms.home, planned.look) is None and (why := _unheld(rooms, name, planned) or planned.refused):
        return why
    return run_sync(gate.run(planned, concurrency=night.limit, watch=job.check))


def _unheld(rooms: Rooms, name: str, planned: "Planned") -> str:
    """Why the model may have learnt what it is to be asked; empty where its data was compared with the cases."""
    from openoutcry.serving.registry import artifact
    from openoutcry.training.examples.cleaning import named

    asked = named(planned.suite, planned.bank, planned.rotation)
    if asked in artifact.find(rooms.home, name).artifact.data.get("compared", ()):
        return ""
    return f"its data was not compared with {asked}; make the data again, and a model of it"


def _deploy(rooms: Rooms, job: Job) -> Done:
    """Seat what this night promoted, and in the other seats what an earlier one did and had to leave."""
    from openoutcry.training.night.waiting import waiting

    left = {role: one for role, one in waiting(rooms.home, job.day).items() if role in rooms.night.roles}
    roles = dict.fromkeys([*_from(job), *left])
    return _each(job, roles, lambda role: _deployed(rooms, job, role, left.get(role)))


def _deployed(rooms: Rooms, job: Job, role: str, left: Result | None) -> tuple[str, Result]:
    found = job.earlier.get("roles", {}).get(role)
    if found and found["decision"] == "PROMOTE":
        return _seated(rooms, job, role, found)
    said = f"{found['name']} stays out: {found['decision']}" if found else ""
    if left is None:
        return said, {}
    try:
        line, result = _seated(rooms, job, role, left)
    except UsageError as error:
        line, result = f"{left['name']}, which a night before promoted, is not seated: {error}", {}
    return "; ".join(filter(None, (said, line))), result


def _seated(rooms: Rooms, job: Job, role: str, found: Result) -> tuple[str, Result]:
    """Seat a model by its record as the settings say; it is told where it has to wait for another."""
    from openoutcry.serving.registry import pointer
    from openoutcry.serving.registry.moves import STEPS

    name, number, how = found["name"], found["record"], _own(rooms, role).deploy
    seat = pointer.read(rooms.home).get(role)
    if seat is not None and (seat.challenger, seat.share) == (name, 0):
        return _shadowed(rooms, job, role, name)
    if seat is not None and name in seat.names:
        return f"{name} is in the seat already", {"name": name}
    if seat is not None and (why := _taken(seat, how, job)):
        command = f"`outcry models promote {name} --role {role} --share 100 --record {number}`"
        return f"{name} waits for a night to come, as {why}; {command} seats it now", {}
    if why := _turned_down(rooms, job, role, name, number):
        return f"{name} stays out: {why}", {}
    _loaded(rooms, job, name)
    with rooms.models() as models:
        moves = rooms.moves(models, job)
        match how:
            case "promote":
                moved = moves.promote(role, name, record=number)
                return f"{name} sits there, in place of {moved.previous}", {"name": name}
            case "canary":
                moves.canary(role, name, STEPS[0], record=number)
                return f"{name} answers {STEPS[0]} % of the runs", {"name": name}
            case "shadow":
                moves.shadow(role, name, record=number)
    return _shadowed(rooms, job, role, name)


def _taken(seat: "Pointer", how: str, job: Job) -> str:
    """Why nobody new comes into a seat now; empty where somebody may."""
    if seat.challenger:
        return f"{seat.challenger} still challenges"
    if how != "promote" and seat.watching(job.now()):
        return f"{seat.champion} is watched until {seat.until:%Y-%m-%d %H:%M} UTC"
    return ""


def _turned_down(rooms: Rooms, job: Job, role: str, name: str, number: int) -> str:
    """Why the gate's record *number* counts no more; empty where it does."""
    from openoutcry.serving.registry import artifact, vouched
    from openoutcry.serving.registry.moves import gather

    there = artifact.find(rooms.home, name)
    gather(rooms.home, there, job.now())
    return vouched.turned_down(vouched.records(rooms.home, there), role, number)


def _loaded(rooms: Rooms, job: Job, name: str) -> None:
    """Wait until a model can be asked: nobody is seated before. Raises ModelUnreachable with why it cannot."""
    from openoutcry.core.errors import ModelUnreachable
    from openoutcry.serving.running.adapters import await_loaded

    if reason := await_loaded(rooms.stack(), rooms.home, name, watch=job.tell, check=job.check):
        raise ModelUnreachable(reason)


def _shadowed(rooms: Rooms, job: Job, role: str, name: str) -> tuple[str, Result]:
    """Ask a model in the shadow what the newest stored runs asked."""
    from openoutcry.eval.shadow import RUNS

    with rooms.desk() as desk:
        done = desk.shadow(role, RUNS, lambda _, __: job.check())
    due = done.standing.due
    came = f"now answers {due.share} % of the runs" if due.move == "advance" else due.said
    return f"{name} was asked in the shadow what {done.runs} runs asked: {came}", {"name": name}
