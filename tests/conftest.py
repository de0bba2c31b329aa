"""Shared warehouses: the bundled sample, and small ones made of rows written out in a test; and doubles of vLLM."""

import csv
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.internal.conjecture.providers import HypothesisProvider
from hypothesis.internal.constants_ast import Constants

from openoutcry.core.clock import AsOf
from openoutcry.core.errors import DataError
from openoutcry.core.evidence import Evidence
from openoutcry.core.limits import Limits
from openoutcry.core.report import Lean
from openoutcry.serving.running import processes
from openoutcry.tools import catalogue, lean
from openoutcry.tools.arguments import model_of
from openoutcry.tools.data.ingest import ingest
from openoutcry.tools.data.view import View, Warehouse
from openoutcry.tools.data.warehouse import current
from openoutcry.tools.tool import reads_data

settings.register_profile("house", deadline=None, max_examples=25, database=None, derandomize=True)
settings.register_profile("wander", settings.get_profile("house"), derandomize=False, max_examples=500, print_blob=True)
settings.load_profile("house")


def pytest_sessionstart() -> None:
    """Where inputs are the same each time, hypothesis takes none from the modules that happen to be loaded by then."""
    if settings().derandomize:
        setattr(HypothesisProvider, "_local_constants", Constants())  # noqa: B010 it is private


Row = dict[str, Any]
Tool = Callable[[View, str, str], Evidence]

STANDS_FOR: dict[str, Callable[[str, str], object]] = {
    "ticker": lambda t, o: t,
    "other": lambda t, o: o,
    "benchmark": lambda t, o: o,
    "tickers": lambda t, o: [t, o],
    "factors": lambda t, o: [o],
    "made": lambda t, o: date(2014, 12, 1) if t == "BAC" else date(2020, 7, 1),
    "limits": lambda t, o: Limits(gross_value=1.0, single_position=0.5, value_at_risk=0.1, stress_loss=0.2),
}
"""What a required argument is given, by its name, for one ticker and another."""
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "event_study": [{"model": "mean"}],
    "walk_forward": [{"window": 600}, {"window": 500, "method": "max_sharpe", "risk_free": -1.0}],
    "returns": [{"horizon": 5}],
    "value_at_risk": [
        {"horizon": 2, "confidence": 0.95},
        {"horizon": 1, "confidence": 0.9, "method": "gaussian"},
    ],
    "var_backtest": [{"window": 250, "test": 100, "confidence": 0.95}],
    "portfolio_value_at_risk": [{"horizon": 2, "confidence": 0.95}],
    "portfolio_var_backtest": [{"window": 200, "test": 100}],
    "ta_lib": [{"function": "AROON"}],
    "view_outcome": [{"horizon": 5}, {"horizon": 120}],
    "document_search": [{}, {"query": "profit warning", "days": 3650}],
    "query": [
        {"table": "prices", "columns": ["close"], "order_by": "date", "descending": True},
        {"table": "fundamentals", "columns": ["item", "value"], "limit": 50},
        {"table": "documents", "columns": ["id"], "aggregate": "count", "group_by": ["kind"]},
        {"table": "positions", "columns": ["quantity"], "aggregate": "sum"},
    ],
}
"""Further arguments of a tool, one set a call; a tool that is not here is called once, with its defaults."""


def _calls() -> Iterator[tuple[str, Tool]]:
    """Every tool that reads the view, except `sql`, which starts a process."""
    tools = {n: f for topic in catalogue.by_topic().values() for n, f in topic.items()}
    for name, function in tools.items():
        if reads_data(function) and name != "sql":
            for i, more in enumerate(VARIANTS.get(name, [{}])):
                yield f"{name} {i}", _call(function, more)
    yield "combine_views one", lambda v, t, o: lean.combine_views(v, (t,), 5, {"analyst": Lean.UP})
    yield "combine_views two", lambda v, t, o: lean.combine_views(v, (t, o), 3, {"risk": Lean.STRONG_DOWN})


def _call(function: Callable[..., Evidence], more: dict[str, Any]) -> Tool:
    fields = model_of(function).model_fields
    named = [n for n, f in fields.items() if (f.is_required() or n == "ticker") and n not in more]
    return lambda v, t, o: function(v, **{n: STANDS_FOR[n](t, o) for n in named}, **more)


TOOLS = dict(_calls())


@pytest.fixture(scope="session")
def tools() -> dict[str, Tool]:
    return TOOLS


@pytest.fixture(scope="session")
def answers() -> Callable[[View, str, str], dict[str, Evidence | str]]:
    """What every tool says at one view: evidence, or the message of its refusal."""

    def ask(view: View, ticker: str, other: str) -> dict[str, Evidence | str]:
        said: dict[str, Evidence | str] = {}
        for name, tool in TOOLS.items():
            try:
                said[name] = tool(view, ticker, other)
            except DataError as error:
                said[name] = f"{type(error).__name__}: {error}"
        return said

    return ask


@pytest.fixture
def double() -> Iterator[Callable[..., str]]:
    """Start a double of a model's server in tests/serving as a process, by its name; gives its URL."""
    with ExitStack() as running:

        def start(name: str, /, **asked: Any) -> str:
            file = Path(__file__).parent / "serving" / f"{name}.py"
            command = [sys.executable, str(file), json.dumps(asked)]
            process = running.enter_context(subprocess.Popen(command, stdin=-1, stdout=-1, text=True))
            assert process.stdout
            url = process.stdout.readline().strip()
            assert url, f"{name} did not start"
            return url

        yield start


def silent(_: str) -> None:
    """Progress that nobody watches."""


@pytest.fixture(scope="session")
def sample_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled sample, ingested once; read it, never write to it."""
    home = tmp_path_factory.mktemp("sample") / "home"
    ingest(home, [], sample=True, progress=silent)
    return home


@pytest.fixture(scope="session")
def price_rows() -> Callable[..., list[Row]]:
    """Rows of one ticker's closes, adjusted and as traded alike, on the weekdays from *start* on."""

    def rows(ticker: str, values: Sequence[float], start: str = "2020-01-01", **more: object) -> list[Row]:
        days = (d for i in count() if (d := date.fromisoformat(start) + timedelta(i)).weekday() < 5)
        cells = ((d, repr(v)) for d, v in zip(days, values, strict=False))
        return [{"ticker": ticker, "date": d, "close": v, "adj_close": v, **more} for d, v in cells]

    return rows


@pytest.fixture(scope="session")
def make_home(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write the rows to files, a data set each, ingest them, and give the home. No row may be refused."""

    def make(
        *,
        prices: Sequence[Row] = (),
        fundamentals: Sequence[Row] = (),
        documents: Sequence[Row] = (),
        positions: Sequence[Row] = (),
    ) -> Path:
        root = tmp_path_factory.mktemp("home")
        tables = {"prices": prices, "fundamentals": fundamentals, "positions": positions}
        files = [_csv(root / f"{name}.csv", rows) for name, rows in tables.items() if rows]
        if documents:
            files.append(root / "documents.jsonl")
            files[-1].write_text("".join(json.dumps(row, default=str) + "\n" for row in documents))
        refused = [r for intake in ingest(root / "home", files, progress=silent) for r in intake.refused]
        assert not refused
        return root / "home"

    return make


def _csv(path: Path, rows: Sequence[Row]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="session")
def view_of() -> Iterator[Callable[..., View]]:
    """See a home's snapshot in force at an as-of, or at its newest row. Only the few newest stay open."""
    opened: dict[Path, Warehouse] = {}

    def view(home: Path, as_of: str | None = None) -> View:
        snapshot = current(home)
        warehouse = opened.pop(snapshot, None) or Warehouse.open(home)
        opened[snapshot] = warehouse
        if len(opened) > 6:
            opened.pop(next(iter(opened))).close()
        return warehouse.view(AsOf.parse(as_of) if as_of else None)

    yield view
    for warehouse in opened.values():
        warehouse.close()


class Rig:
    """A folder with a stack of doubles of vLLM (tests/serving/engine_double.py), and the data folder of its desk."""

    def __init__(self, root: Path) -> None:
        self.root, self.home = root, root / "home"
        module = root / "path/vllm/entrypoints/openai/api_server.py"
        module.parent.mkdir(parents=True)
        shutil.copy(Path(__file__).parent / "serving/engine_double.py", module)
        engine = root / "engine"
        engine.write_text(f'#!/bin/sh\nPYTHONPATH={root / "path"} exec {sys.executable} "$@"\n')
        engine.chmod(0o755)
        (root / "weights").mkdir()
        (root / "weights/model.safetensors").write_bytes(b"weights")

    def mood(self, words: str, model: str = "m") -> None:
        """How the engines of a model behave from now on."""
        scratch = self.root / model / "mood.new"
        scratch.write_text(words)
        scratch.replace(self.root / model / "mood")  # it is read at any moment

    def asked(self, model: str = "m") -> list[dict[str, Any]]:
        """What the engines of a model were sent."""
        file = self.root / model / "asked.jsonl"
        whole = file.read_text().rpartition("\n")[0] if file.exists() else ""  # the last line may be half written
        return [json.loads(line) for line in whole.splitlines()]

    def looked(self, times: int, path: str = "/health", model: str = "m") -> None:
        """Wait until the engines of a model were looked at so many times more."""

        def count() -> int:
            file = self.root / model / "looked"
            return file.read_text().splitlines().count(path) if file.exists() else 0

        wanted, deadline = count() + times, time.monotonic() + 120
        while count() < wanted:
            assert time.monotonic() < deadline, "nobody looks"
            time.sleep(0.02)

    def stack(self, **models: str) -> Path:
        """A stack file of these models, each with such further lines; without any, of one model `m`."""
        text = 'engine = "engine"\nuncertified = true\n'
        for name, more in (models or {"m": ""}).items():
            (self.root / name).mkdir(exist_ok=True)
            if not (self.root / name / "mood").exists():
                self.mood("", name)
            flags = json.dumps(["--mood", str(self.root / name / "mood")])
            text += f'[models.{name}]\nweights = "./weights"\ndevice = "cpu"\nflags = {flags}\n{more}\n'
        file = self.root / "stack.toml"
        file.write_text(text)
        return file


@pytest.fixture
def stand_in() -> Iterator[Callable[[Path], int]]:
    """Start a process that counts as one of a data folder's stack, and does nothing; gives its id."""
    with ExitStack() as running:

        def start(home: Path) -> int:
            command = [sys.executable, "-c", "print(flush=True); input()"]
            started = subprocess.Popen(command, stdin=-1, stdout=-1, env=processes.marks(home))
            process = running.enter_context(started)
            running.callback(process.kill)
            assert process.stdout and process.stdout.readline()  # before that it may not show its environment yet
            return process.pid

        yield start


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    """Doubles of vLLM to start. Whatever of theirs still runs after the test is killed, and the test fails.

    One that was told to end, and is about to, is waited for.
    """
    made = Rig(tmp_path)
    yield made
    deadline = time.monotonic() + 20
    while (left := processes.marked(made.home)) and time.monotonic() < deadline:
        time.sleep(0.05)
    processes.stop([one.process for one in left], 0)
    assert not left, f"left behind: {left}"
