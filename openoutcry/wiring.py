"""The one place that builds concrete things, and the desk that a program talks to."""

import asyncio
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import structlog
from pydantic import ValidationError
from pydantic_ai.models import Model

import openoutcry
from openoutcry.agents import amounts, bundle, questions, recall, remembered, settling
from openoutcry.agents.flow import Floor, Step, answer, quiet
from openoutcry.agents.house.model import HouseModel
from openoutcry.agents.replay import Kept, Rerun
from openoutcry.agents.team import ROLES, Team
from openoutcry.agents.workbench import Live
from openoutcry.core.clock import AsOf
from openoutcry.core.errors import ModelError, OutcryError, UsageError
from openoutcry.core.evidence import Evidence, Query
from openoutcry.core.report import NoFinding, Question, Report
from openoutcry.core.settings import Settings, load
from openoutcry.core.sync import run_sync
from openoutcry.interfaces.logs import configure
from openoutcry.interfaces.page import Shown
from openoutcry.memory import embedder
from openoutcry.memory.recall import Hit
from openoutcry.memory.store import Store
from openoutcry.memory.wanted import Wanted
from openoutcry.tools import catalogue
from openoutcry.tools.data import warehouse
from openoutcry.tools.data.given import Source
from openoutcry.tools.data.ingest import ingest
from openoutcry.tools.data.intake import Intake, reason_of
from openoutcry.tools.data.view import View, Warehouse

EVER = datetime(9999, 1, 1, tzinfo=UTC).replace(tzinfo=None)
log = structlog.get_logger()


def house_models() -> dict[str, Model]:
    """The embedded default in every seat."""
    return {name: HouseModel(import_module(f"openoutcry.agents.house.{name}").rules) for name in ROLES}


def _told(line: str) -> None:
    """Tell progress on stderr."""
    print(f"  {line}", file=sys.stderr)


class Desk:
    """A desk over one data folder: ask it, and each answer is stored as a run.

    Safe to share between tasks and threads. A new snapshot of the data is picked up at the next question;
    runs in flight finish on the one that they began with.
    """

    def __init__(self, settings: Settings, models: Mapping[str, Model] | None = None) -> None:
        self.settings = settings
        self.team = Team({**house_models(), **(models or {})}, settings.deadline)
        self._open: dict[Path, Warehouse] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        path: str | Path | None = None,
        *,
        home: str | Path | None = None,
        models: Mapping[str, Model] | None = None,
    ) -> Self:
        """Open by a settings file (default `desk.toml` here, if any) or directly by its data folder *home*.

        *models* gives pydantic-ai models by role name (analyst, sentiment, risk, coordinator, reader); a
        role without one is answered by house rules. Raises UsageError for a bad setting.
        """
        settings = load(Path(path) if path else None)
        if home is not None:
            settings = settings.model_copy(update={"home": Path(home)})
        configure(settings.log_level)
        return cls(settings, models)

    def warehouse(self) -> Warehouse:
        """The snapshot in force. Raises EmptyWarehouse."""
        return self._opened(warehouse.current(self.settings.home))

    def _opened(self, path: Path) -> Warehouse:
        with self._lock:
            if path not in self._open:
                self._open[path] = Warehouse(path)
            return self._open[path]

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
        tickers = (tickers,) if isinstance(tickers, str) else tickers
        view, question = await asyncio.to_thread(self._read, text, as_of, tickers, horizon, previous)
        run, started = bundle.new_run()
        floor = Floor(run, view, self.team, Live(), watch, self.settings.limits, self._recall)
        with structlog.contextvars.bound_contextvars(run=run):
            log.info("run began", kind=question.kind, tickers=question.tickers, as_of=str(view.as_of))
            report = await answer(question, floor)
            manifest = self._manifest(run, started, report)
            await asyncio.to_thread(bundle.write, self.settings.home, manifest, report, floor.calls, floor.remembered)
            await self._recall.keep(report, floor.remembered, floor.reads)
            log.info("run ended", evidence=len(report.evidence), dropped=len(report.dropped), **report.timings)
        if report.silent:
            reasons = "; ".join(f"{f.role}: {f.reason}" for f in report.findings if isinstance(f, NoFinding))
            raise ModelError(f"no role could answer; {reasons}; the requests are kept in run {run}")
        return Shown.of(report)

    def _read(
        self,
        text: str,
        as_of: str | None,
        tickers: Sequence[str],
        horizon: int | None,
        previous: Question | None,
    ) -> tuple[View, Question]:
        named = amounts.one_clock(as_of, text)
        view = self.warehouse().view(AsOf.parse(named) if named else None)
        question = questions.read(text, view.tickers, view.names, tickers=tickers, horizon=horizon, previous=previous)
        return view, question

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
        self,
        name: str,
        *,
        as_of: str | None = None,
        returns: Source = None,
        prices: Source = None,
        **arguments: Any,
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
        stored = self.load(run)
        report = stored.report
        view = View.detached(AsOf.parse(report.as_of), stored.manifest.snapshot)
        kept, limits = remembered.Kept(stored.remembered), stored.manifest.limits
        floor = Floor(report.run, view, Rerun(stored), Kept(stored), limits=limits, memory=kept)
        return Shown.of(await answer(report.question, floor))

    def again(self, snapshot: str, as_of: str, query: Query) -> str:
        """Run a statement once more on a *snapshot* as known then, and say whether the rows are the same."""
        path = warehouse.folder(self.settings.home) / f"{snapshot}.duckdb"
        if not path.is_file():
            return f"not possible: snapshot {snapshot} is no longer here"
        return self._opened(path).again(query, AsOf.parse(as_of))

    @cached_property
    def memory(self) -> Store:
        """What the desk remembers. Raises UsageError for an embedding model that is not one."""
        with self._lock:
            make = partial(embedder.local, self.settings.embedder, _told)
            return Store.open(self.settings.home / "memory", make, _told)

    @cached_property
    def _recall(self) -> remembered.Recall:
        return recall.Live(lambda: self.memory, self.models) if self.settings.remember else remembered.Kept()

    @cached_property
    def models(self) -> dict[str, str]:
        """The name of the model in each seat."""
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
        try:
            moment = settling.naive(AsOf.parse(as_of)) if as_of else EVER
            return self.memory.recall(Wanted(text=text, as_of=moment, **filters))
        except ValidationError as error:
            raise UsageError(f"recall: {reason_of(error)}") from None

    def _manifest(self, run: str, started: str, report: Report) -> bundle.Manifest:
        return bundle.Manifest(
            run=run,
            started_at=started,
            question=report.question.text,
            as_of=report.as_of,
            snapshot=report.snapshot,
            models=self.models,
            prompts=self._prompts,
            code=self._code,
            version=openoutcry.__version__,
            limits=self.settings.limits,
        )

    @cached_property
    def _prompts(self) -> dict[str, str]:
        return self.team.digests()

    @cached_property
    def _code(self) -> str:
        return bundle.code_digest(Path(openoutcry.__file__).parent)

    def close(self) -> None:
        """Release every snapshot."""
        with self._lock:
            for opened in self._open.values():
                opened.close()
            self._open.clear()
        if "memory" in self.__dict__:
            self.memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
