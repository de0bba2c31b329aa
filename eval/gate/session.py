"""A look of the gate: may this model take the seat? It is planned, charged, played, decided and recorded."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from openoutcry.core.errors import UsageError
from openoutcry.eval.gate import alpha, anchor, chain, planning
from openoutcry.eval.gate import judge as judging
from openoutcry.eval.gate.alpha import Asked, Charged
from openoutcry.eval.gate.anchor import Pinned
from openoutcry.eval.gate.contest import Contest, contest
from openoutcry.eval.gate.environment import environment
from openoutcry.eval.gate.judge import Agreement, ModelJudge
from openoutcry.eval.gate.planning import SAFETY, Planned
from openoutcry.eval.gate.record import Record, settle
from openoutcry.eval.ledger import Ledger
from openoutcry.eval.lineup import HOUSE, Models
from openoutcry.eval.runner import Progress, Run, ledger_of, plan_of, run
from openoutcry.eval.scenario import Bank
from openoutcry.eval.statistics.power import detectable
from openoutcry.eval.suite import Suite, load, shipped
from openoutcry.eval.terms import ANCHOR, CHALLENGER, CHAMPION, Status, Terms

USUAL = Terms()


class Gate:
    """Looks of a desk at *home*, over its *models*. Month and rotation follow from *now*, the moment of a look."""

    def __init__(self, home: Path, models: Models, now: datetime) -> None:
        self._home, self._models, self._now = home, models, now
        self._suites: dict[tuple[str, Bank, str], Suite] = {}

    def plan(
        self,
        role: str,
        challenger: str,
        *,
        champion: str = "",
        anchor: str = "",
        terms: Terms = USUAL,
        bank: Bank = "gate",
        suite: str = "",
        safety: str = SAFETY,
        repin: bool = False,
    ) -> Planned:
        """What a look would be, and whether it may begin; nothing is charged or recorded.

        Without names, the champion is who sits in the seat now, and the anchor the one that is pinned, or house rules.
        *suite* is another than the role's own, *safety* another than the shipped one; *repin* makes *anchor* the
        frozen one from now on. Raises UsageError for what cannot be a look.
        """
        own = planning.tried_on(role)
        if bank == "dev":
            raise UsageError("expected the set gate or sealed; dev is open to all, `outcry eval run` plays it")
        names = {
            CHAMPION: champion or self._models.sitting(role),
            CHALLENGER: challenger,
            ANCHOR: anchor or self._anchor(role),
        }
        rotation = alpha.rotation(bank, self._now)
        met = self._contest(role, names, (suite or own, safety), (bank, rotation))
        return self._planned(met, names, terms, (suite or own, safety), repin)

    async def run(
        self,
        planned: Planned,
        *,
        concurrency: int = 8,
        watch: Callable[[Progress], None] = lambda _: None,
        judge: ModelJudge | None = None,
    ) -> Record:
        """Begin a look, or go on with it, and record its verdict; the record of it, where there is one.

        It is charged once, before the first case. Raises UsageError where it may not begin, where models or cases are
        no longer those of the plan, and where rubrics find no judge that may be relied on.
        """
        if (there := chain.again(self._home, planned.look)) is not None:
            alpha.close(self._home, planned.look, there.number)
            return there
        if planned.refused:
            raise UsageError(planned.refused)
        names = {CHAMPION: planned.champion, CHALLENGER: planned.challenger, ANCHOR: planned.anchor}
        met = self._contest(planned.role, names, (planned.given, planned.safety), (planned.bank, planned.rotation))
        if met.look(planned.terms) != planned.look:
            raise UsageError("the models or the cases are no longer those of the plan; plan the look anew")
        if why := self._planned(met, names, planned.terms, (planned.given, planned.safety), planned.repin).refused:
            raise UsageError(why)  # what was true of a plan may be so no longer
        judge, agreed = self._admitted(met, judge)
        asked = _asked(met, planned.terms, self._runs(met, planned.terms, judge))
        if why := planning.elsewhere(self._home, asked):
            raise UsageError(why)
        play = partial(self._play, met, planned.terms, concurrency=concurrency, watch=watch, judge=judge)
        async with self._models.opened():  # what does not run is found before the look is charged
            for name in asked.runs:  # once it is charged, a ledger that is not there was taken away
                Ledger.made(ledger_of(self._home, name))
            charged = alpha.begin(self._home, asked, self._now, planned.alpha)
            self._pin(planned, met)
            runs = (await play(met.suites[0]), await play(met.suites[1]))
            ran_on = environment(runs[0].plan.code, await self._models.engines())
        record = chain.append(self._home, planned.look, self._recorded(planned, charged, met, runs, agreed, ran_on))
        alpha.close(self._home, planned.look, record.number)
        return record

    def _contest(self, role: str, names: Mapping[str, str], given: tuple[str, str], where: tuple[Bank, str]) -> Contest:
        return contest(role, names, self._models, (self._suite(given[0], *where), self._suite(given[1], *where)))

    def _suite(self, given: str, bank: Bank, rotation: str) -> Suite:
        key = (given, bank, rotation)
        if key not in self._suites:
            found = load(given, bank, rotation)
            if given not in shipped() and found.name in shipped():
                raise UsageError(f"expected a suite with a name of its own, got {given}: {found.name} is a shipped one")
            self._suites[key] = found
        return self._suites[key]

    def _anchor(self, role: str) -> str:
        there = anchor.pinned(self._home, role)
        return there.name if there else HOUSE

    def _planned(
        self, met: Contest, names: Mapping[str, str], terms: Terms, given: tuple[str, str], repin: bool
    ) -> Planned:
        main, safety = met.suites
        asked = _asked(met, terms, () if met.judged else self._runs(met, terms, None))  # nobody knows yet who judges
        begun, looks = alpha.standing(self._home, asked), alpha.looks(self._home, met.role, self._now)
        turn = begun.turn if begun else looks + 1
        level, clusters = alpha.granted(terms.alpha, turn), len({case.of for case in main.scenarios})
        measured = planning.spread(self._home, met.role, main.name)
        planned = Planned(
            look=asked.look,
            role=met.role,
            **names,
            given=given[0],
            suite=main.name,
            safety=given[1],
            bank=main.bank,
            rotation=main.rotation,
            terms=terms,
            cases=len(main.scenarios),
            clusters=clusters,
            safety_cases=len(safety.scenarios),
            turn=turn,
            looks=looks,
            alpha=level,
            detectable=detectable(terms, len(main.scenarios), clusters, level, measured),
            runs=len(met.playing) * terms.epochs * (len(main.scenarios) + len(safety.scenarios)),
            begun=begun is not None,
            repin=repin,
        )
        return planned.model_copy(update={"refused": planning.refusal(self._home, planned, met, asked, self._now)})

    def _admitted(self, met: Contest, judge: ModelJudge | None) -> tuple[ModelJudge | None, Agreement | None]:
        """The judge, where one is needed, and how far it agrees with people. Raises UsageError where it will not do."""
        if not met.judged:
            return None, None
        if judge is None:
            raise UsageError(f"{met.judged} cases have a rubric and nobody judges; name a judge")
        agreed = judging.stored(self._home, judge)
        own = {met.identity(CHAMPION): CHAMPION, met.identity(CHALLENGER): CHALLENGER}
        stands = judging.admitted(agreed, own)
        if stands.status is not Status.HOLDS:
            raise UsageError(stands.said)
        return judge, agreed

    def _runs(self, met: Contest, terms: Terms, judge: ModelJudge | None) -> tuple[str, ...]:
        """The names of the runs that a look is played in, now."""
        how = {"epochs": terms.epochs, "seed": terms.seed}
        return tuple(plan_of(suite, met.playing, self._home, **how, judge=judge).id for suite in met.suites)

    def _pin(self, planned: Planned, met: Contest) -> None:
        if planned.repin or anchor.pinned(self._home, planned.role) is None:
            anchor.pin(self._home, planned.role, Pinned(name=planned.anchor, digest=met.identity(ANCHOR)))

    async def _play(
        self,
        met: Contest,
        terms: Terms,
        suite: Suite,
        *,
        concurrency: int,
        watch: Callable[[Progress], None],
        judge: ModelJudge | None,
    ) -> Run:
        how = {"epochs": terms.epochs, "seed": terms.seed, "concurrency": concurrency}
        return await run(suite, met.playing, self._home, **how, judge=judge, watch=watch)

    def _recorded(
        self,
        planned: Planned,
        charged: Charged,
        met: Contest,
        runs: tuple[Run, Run],
        agreed: Agreement | None,
        ran_on: dict[str, Any],
    ) -> Callable[[int, str], Record]:
        """The record of the look, for the place that it gets in the chain."""
        terms, sides, shared = planned.terms, met.sides(*runs), planned.model_dump(include=_SHARED)
        verdict = settle(met.role, terms, sides, charged.alpha, (met.judged, agreed))

        def make(number: int, previous: str) -> Record:
            return Record(
                **shared,
                number=number,
                begun=charged.begun,
                made=self._now.astimezone(UTC).isoformat(timespec="seconds"),
                month=charged.month,
                turn=charged.turn,
                alpha=charged.alpha,
                terms=terms,
                seeds=(terms.seed, *range(terms.epochs)),
                runs=tuple(run.folder.name for run in runs),
                environment=ran_on,
                sides=sides,
                judged=met.judged,
                judge=agreed,
                verdict=verdict,
                previous=previous,
            )

        return make


_SHARED = {"look", "role", "champion", "challenger", "anchor", "suite", "safety", "bank", "rotation", "detectable"}
"""What the record has from the plan as it is."""


def _asked(met: Contest, terms: Terms, runs: tuple[str, ...]) -> Asked:
    main = met.suites[0]
    return Asked(
        look=met.look(terms),
        role=met.role,
        challenger=met.identity(CHALLENGER),
        bank=main.bank,
        rotation=main.rotation,
        level=terms.alpha,
        runs=runs,
    )
