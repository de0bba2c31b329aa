"""The desk that a program talks to."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import structlog
from pydantic_ai.models import Model

import openoutcry
from openoutcry import wiring
from openoutcry.agents import amounts, bundle, questions, recall, remembered, settling
from openoutcry.agents.conduct import lapses
from openoutcry.agents.flow import Floor, Step, answer, quiet
from openoutcry.agents.nearest import Nearest
from openoutcry.agents.replay import replayed
from openoutcry.agents.team import Team
from openoutcry.agents.workbench import Live
from openoutcry.core.clock import AsOf
from openoutcry.core.egress import Ledger, counted
from openoutcry.core.egress import quiet as quiet_down
from openoutcry.core.errors import ModelError, OutcryError, UsageError
from openoutcry.core.evidence import Evidence, Query
from openoutcry.core.logs import configure
from openoutcry.core.report import NoFinding, Question, Report
from openoutcry.core.settings import Settings, load
from openoutcry.core.sync import Places, run_sync
from openoutcry.eval.shadow import RUNS, Shadow, Shadowed, Watch, unwatched
from openoutcry.interfaces.page import Shown
from openoutcry.memory.recall import Hit
from openoutcry.memory.store import Store
from openoutcry.tools import catalogue
from openoutcry.tools.data.given import Source
from openoutcry.tools.data.ingest import ingest
from openoutcry.tools.data.intake import Intake
from openoutcry.tools.data.snapshots import Snapshots
from openoutcry.tools.data.view import View, Warehouse

if TYPE_CHECKING:
    from openoutcry.serving.registry.sitting import Sitting

log = structlog.get_logger()


class Desk:
    """A desk over one data folder: ask it, and each answer is stored as a run.

    Safe to share between tasks and threads. A new snapshot of the data is picked up at the next question;
    runs in flight finish on the one that they began with.
    """

    def __init__(self, settings: Settings, models: Mapping[str, Model] | None = None, backend: str = "stack") -> None:
        if backend not in ("stack", "house"):
            raise UsageError(f"expected stack or house as the backend, got {backend!r}")
        quiet_down()
        self.settings = settings
        self.metrics = wiring.metrics(settings)
        house = wiring.house_models()
        self.seats = wiring.seating(settings, house, self.metrics)
        self.rollouts = wiring.rollouts(settings, self.seats) if self.seats else None
        self._seated = self.seats.models if self.seats and backend == "stack" else {}
        self.team = Team({**house, **self._seated, **(models or {})}, settings.deadline)
        if self.metrics:
            self.metrics.serve(settings.metrics)
        self._snapshots = Snapshots(settings.home)
        self._lock, self._places = threading.Lock(), Places()
        self._memory: Store | None = None

    @classmethod
    def open(
        cls,
        path: str | Path | None = None,
        *,
        home: str | Path | None = None,
        models: Mapping[str, Model] | None = None,
        backend: str = "stack",
    ) -> Self:
        """Open by a settings file (default `desk.toml` here, if any) or directly by its data folder *home*.

        *models* gives pydantic-ai models by role name (analyst, sentiment, risk, coordinator, reader), over those of
        the stack; a role without one is answered by house rules. *backend* `house` seats them in every role.
        Raises UsageError for a bad setting or stack.
        """
        settings = load(Path(path) if path else None)
        if home is not None:
            settings = settings.model_copy(update={"home": Path(home)})
        configure(settings.log_level)
        return cls(settings, models, backend)

    def warehouse(self) -> Warehouse:
        """The snapshot in force. Raises EmptyWarehouse."""
        return self._snapshots.current()

    async def ask(
        self,
        text: str,
        as_of: str | None = None,
        *,
        tickers: str | Sequence[str] = (),
        horizon: int | None = None,
        previous: Question | None = None,
        watch: Callable[[Step], None] = quiet,
    ) -> Shown:
        """Answer a question as known at *as_of* (default: named in the words, else the newest data).

        *horizon* is in trading days; *previous* is the question before it in a conversation. Raises
        UsageError, DataError or ModelError, each with one line that says what to do.
        """
        text = text.encode(errors="replace").decode()  # halves of characters, as a terminal may give, go nowhere
        tickers = (tickers,) if isinstance(tickers, str) else tickers
        with counted() as ledger:  # also what the question's words need before the run, and its memories after
            view, question = await asyncio.to_thread(self._read, text, as_of, tickers, horizon, previous)
            report = await self._run(question, view, watch, ledger)
        if self.metrics:
            self.metrics.answered(report)
        if report.silent:
            reasons = "; ".join(f"{f.role}: {f.reason}" for f in report.findings if isinstance(f, NoFinding))
            raise ModelError(f"no role could answer; {reasons}; the requests are kept in run {report.run}")
        return Shown.of(report)

    def _read(
        self, text: str, as_of: str | None, tickers: Sequence[str], horizon: int | None, previous: Question | None
    ) -> tuple[View, Question]:
        named = amounts.one_clock(as_of, text)
        view = self.warehouse().view(AsOf.parse(named) if named else None)
        given: dict[str, Any] = {"tickers": tickers, "horizon": horizon, "previous": previous}
        question = questions.read(text, view.tickers, view.names, **given, nearest=self._nearest)
        return view, question

    async def _run(self, question: Question, view: View, watch: Callable[[Step], None], ledger: Ledger) -> Report:
        run, started = bundle.new_run()
        floor = Floor(run, view, self.team, Live(), watch, self.settings.limits, self._recall)
        async with self._places.taken():
            with structlog.contextvars.bound_contextvars(run=run):
                log.info("run began", kind=question.kind, tickers=question.tickers, as_of=str(view.as_of))
                with self._sitting(run) as sat:
                    with self.metrics.in_flight() if self.metrics else contextlib.nullcontext():
                        async with self.seats.opened() if self.seats else contextlib.nullcontext():
                            report = await answer(question, floor)
                    kept = report, floor.calls, floor.remembered
                    manifest = await asyncio.to_thread(self._manifest, started, report, ledger, sat)
                    await asyncio.to_thread(bundle.write, self.settings.home, manifest, *kept)
                    await self._recall.keep(report, floor.remembered, floor.reads)
                    if ledger.sent != manifest.sent:
                        await asyncio.to_thread(bundle.recount, self.settings.home, run, ledger)
                if self.rollouts and sat and sat.watched:
                    await asyncio.to_thread(self.rollouts.after, run, sat, lapses(report), datetime.now(UTC))
                log.info("run ended", evidence=len(report.evidence), dropped=len(report.dropped), **report.timings)
        return report

    def ask_sync(self, text: str, as_of: str | None = None, **options: Any) -> Shown:
        """`ask`, for code that is not async; works inside a notebook's running loop too."""
        return run_sync(self.ask(text, as_of, **options))

    async def ask_many(
        self, asked: Sequence[str], as_of: str | None = None, *, limit: int | None = None
    ) -> list[Shown | OutcryError]:
        """Answer many questions, at most *limit* at once (default: the setting `concurrency`), in order.

        A question that fails gives its error in its place; the others are not touched.
        """
        if limit is not None and limit < 1:
            raise UsageError(f"expected a limit of at least 1 question at once, got {limit}")
        gate = asyncio.Semaphore(limit or self.settings.concurrency)

        async def one(text: str) -> Shown | OutcryError:
            async with gate:
                try:
                    return await self.ask(text, as_of)
                except OutcryError as error:
                    return error

        return list(await asyncio.gather(*map(one, asked)))

    def tool(
        self, name: str, *, as_of: str | None = None, returns: Source = None, prices: Source = None, **arguments: Any
    ) -> Evidence:
        """Call one numeric tool by itself, as `outcry tool` does, over the data known at *as_of*.

        *returns* or *prices* (a file, arrays by name, or a pandas frame) takes the place of the warehouse; its
        columns take the place of tickers. Raises UsageError or DataError, each with one line.
        """
        return catalogue.call(
            catalogue.named(name),
            arguments,
            warehouse=self.warehouse,
            limits=self.settings.limits,
            as_of=as_of,
            returns=returns,
            prices=prices,
        )

    def ingest(self, *paths: str | Path, sample: bool = False) -> list[Intake]:
        """Load files, or folders of them, as `outcry ingest` does; what became of each, refused rows included.

        Raises BadFile, UsageError, WarehouseLocked or DataError; then nothing was changed.
        """
        now = datetime.now(UTC)
        return ingest(self.settings.home, map(Path, paths), sample=sample, progress=lambda _: None, now=now)

    def runs(self) -> list[str]:
        """Ids of the stored runs, oldest first."""
        return bundle.listing(self.settings.home)

    def load(self, run: str) -> bundle.Bundle:
        """A stored run by id, by part of it, or `last`. Raises UsageError or BrokenRun."""
        return bundle.read(self.settings.home, run)

    async def replay(self, run: str) -> Shown:
        """Answer a stored run again from its own record: no data, no model, the same report but for timings.

        Raises BrokenRun where the code now asks for something that the run did not record.
        """
        return Shown.of(await replayed(self.load(run)))

    def again(self, snapshot: str, as_of: str, query: Query) -> str:
        """Run a statement once more on a *snapshot* as known then, and say whether the rows are the same."""
        return self._snapshots.again(snapshot, as_of, query)

    def shadow(self, role: str, runs: int = RUNS, watch: Watch = unwatched) -> Shadowed:
        """Ask the challenger that runs in the shadow of a seat what the newest *runs* stored runs asked.

        Its answers are discarded. *watch* is told of each run. Raises UsageError where none runs in that shadow, and
        ModelUnreachable where it cannot be asked.
        """
        if not (self.seats and self.rollouts):
            raise UsageError("expected a stack with models, got house rules alone; `outcry models list` shows what is")
        shadow = Shadow(self.settings, self.seats, wiring.house_models(), self._snapshots.named, self.rollouts)
        return run_sync(shadow.play(role, runs, watch))

    @property
    def memory(self) -> Store:
        """What the desk remembers. Raises UsageError for an embedding model that is not one."""
        with self._lock:  # two of them at once would be two stores, and one of them never closed
            self._memory = self._memory or wiring.memory(self.settings, self.seats)
            return self._memory

    @cached_property
    def _nearest(self) -> Nearest:
        return Nearest(lambda texts: self.memory.vectors(texts))

    @cached_property
    def _recall(self) -> remembered.Recall:
        return recall.Live(lambda: self.memory, lambda: self.models) if self.settings.remember else remembered.Kept()

    @property
    def models(self) -> dict[str, str]:
        """The name of the model in each seat, in the run that this is called in, or now."""
        return {role: model.model_name for role, model in self.team.models.items()}

    def settle(self, as_of: str | None = None, watch: settling.Watch = settling.unwatched) -> settling.Settlement:
        """Score each view whose horizon has passed by what was known at *as_of* (default: the newest data).

        Calling it again adds nothing. *watch* is told how many of how many decisions were looked at.
        """
        return settling.settle(self.memory, self.warehouse(), AsOf.parse(as_of) if as_of else None, watch)

    def scoreboard(self, as_of: str | None = None) -> settling.Scoreboard:
        """How each role's views came true, by what had settled at *as_of* (default: the newest data)."""
        return settling.scoreboard(self.memory, self.warehouse().view(AsOf.parse(as_of) if as_of else None).as_of)

    def recall(self, text: str, as_of: str | None = None, **filters: Any) -> list[Hit]:
        """Search the memory for a person: of any trust, known at *as_of* (default: at any time), best first.

        *filters* are tickers, roles, kinds, trust, limit (5) and mode (hybrid, vector, text). Raises UsageError.
        """
        return recall.search(self.memory, text, as_of, **filters)

    def _sitting(self, run: str) -> "contextlib.AbstractContextManager[Sitting | None]":
        """Fix who sits where for a run."""
        return self.seats.sitting(run) if self.seats and self._seated else contextlib.nullcontext()

    def _manifest(self, started: str, report: Report, ledger: Ledger, sat: "Sitting | None") -> bundle.Manifest:
        digests = self.seats.digests(sat) if self.seats and sat else {}
        sent = {"sent": ledger.sent, "left": ledger.left, "limits": self.settings.limits}
        return bundle.manifest(report, started_at=started, models=self.models, digests=digests, **sent, **self._stood)

    @cached_property
    def _stood(self) -> dict[str, Any]:
        """What all runs of this desk stand on."""
        code = bundle.code_digest(Path(openoutcry.__file__).parent)
        return {"prompts": self.team.digests(), "code": code, "version": openoutcry.__version__}

    def close(self) -> None:
        """Release what is open: snapshots, memory, connections; it waits for the step of a rollout."""
        self._snapshots.close()
        for part in filter(None, (self.rollouts, self._memory, self.seats, self.metrics)):
            part.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
