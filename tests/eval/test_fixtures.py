"""The data of scenarios: made once, told apart by content, held open while in use, and never confused."""

import asyncio
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from openoutcry.core.errors import BadFile, DataError, UsageError
from openoutcry.eval import fixtures as module
from openoutcry.eval.fixtures import Fixtures
from openoutcry.eval.scenario import Fixture, Made
from openoutcry.eval.worlds.case import Case, made


def steady(*seeds: int, ticker: str = "KALO") -> Fixture:
    ones = [{"situation": "steady", "seed": s, "ticker": ticker if s == seeds[0] else f"T{s}"} for s in seeds]
    return Fixture.model_validate({"made": ones})


def test_made_companies_share_a_warehouse(tmp_path: Path) -> None:
    fixture = steady(1, 2)
    fixtures = Fixtures(tmp_path)
    view = fixtures.warehouse(fixture).view()
    assert view.tickers == ("KALO", "T2")
    for one in fixture.made:
        assert view.prices(one.ticker).values[-1] == made(one).truths["close"]
    fixtures.close()


def test_data_is_made_once_whoever_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Made] = []

    def counted(one: Made) -> Case:
        calls.append(one)
        return made(one)

    monkeypatch.setattr(module, "made", counted)
    with ThreadPoolExecutor(8) as pool:
        fixtures = Fixtures(tmp_path)
        opened = list(pool.map(fixtures.warehouse, [steady(1)] * 16))
    assert len(set(map(id, opened))) == 1 and len(calls) == 1
    fixtures.close()
    again = Fixtures(tmp_path)
    assert again.warehouse(steady(1)).snapshot == opened[0].snapshot and len(calls) == 1
    again.close()


def test_who_releases_data_waits_for_no_making_of_other_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    making, released = threading.Event(), threading.Event()
    fixtures, seen = Fixtures(tmp_path), list[bool]()
    fixtures.warehouse(steady(1))

    def slow(one: Made) -> Case:
        making.set()
        seen.append(released.wait(120))
        return made(one)

    monkeypatch.setattr(module, "made", slow)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(fixtures.warehouse, steady(2))
        assert making.wait(120)
        fixtures.release(steady(1))
        released.set()
        assert other.result().view().tickers == ("KALO",)
    assert seen == [True]
    fixtures.close()


def test_what_is_made_only_after_all_was_closed_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a run was stopped: its thread goes on until the data is made."""
    making, closed, opened = threading.Event(), threading.Event(), list[Path]()

    def slow(one: Made) -> Case:
        making.set()
        assert closed.wait(120)
        return made(one)

    monkeypatch.setattr(module, "made", slow)
    monkeypatch.setattr(module.Warehouse, "open", opened.append)
    fixtures = Fixtures(tmp_path)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(fixtures.warehouse, steady(1))
        assert making.wait(120)
        fixtures.close()
        closed.set()
        with pytest.raises(DataError, match="but it was closed"):
            late.result()
    assert opened == []


def test_a_changed_file_is_other_data(tmp_path: Path) -> None:
    file = tmp_path / "prices.csv"
    fixture, found = Fixture(files=("prices.csv",)), list[float]()
    for close in (10.0, 11.0):
        file.write_text(f"ticker,date,close,adj_close\nKALO,2020-01-02,9,9\nKALO,2020-01-03,{close},{close}\n")
        fixtures = Fixtures(tmp_path / "kept", tmp_path)
        found.append(float(fixtures.warehouse(fixture).view().prices("KALO").values[-1]))
        fixtures.close()
    assert found == [10.0, 11.0]


def test_another_way_of_making_it_is_other_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = Fixtures(tmp_path).digest(steady(1))
    assert Fixtures(tmp_path).digest(steady(1)) == before != Fixtures(tmp_path).digest(steady(2))
    monkeypatch.setattr(module, "_making", lambda: "another")
    assert Fixtures(tmp_path).digest(steady(1)) != before


def test_what_is_in_use_stays_open_and_what_is_idle_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 1)
    fixtures, ones = Fixtures(tmp_path), [steady(n) for n in (1, 2, 3)]
    first, second, third = (fixtures.warehouse(one) for one in ones)
    assert [w.view().tickers for w in (first, second, third)] == [("KALO",)] * 3
    for one in ones:
        fixtures.release(one)
    assert third.view(None).prices("KALO") is not None
    with pytest.raises(Exception, match="closed"):
        first.rows("SELECT 1 AS a", [])
    assert fixtures.warehouse(ones[0]).view().prices("KALO") is not None
    fixtures.close()


def test_rows_that_are_refused_are_a_fault_of_the_case(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").write_text("ticker,date,close\nKALO,2020-01-02,9\nKALO,2020-01-03,-1\n")
    fixtures = Fixtures(tmp_path / "kept", tmp_path)
    with pytest.raises(BadFile, match="1 rows were refused, the first: "):
        fixtures.warehouse(Fixture(files=("prices.csv",)))
    with pytest.raises(UsageError, match="expected a file of data at"):
        fixtures.warehouse(Fixture(files=("none.csv",)))


def test_a_fault_of_the_machine_is_not_one_of_the_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("IO Error: no space left on device\nand much more")

    monkeypatch.setattr(module.ingest, "ingest", full)
    with pytest.raises(DataError, match=r"cannot be kept in .*: IO Error: no space left on device$") as caught:
        Fixtures(tmp_path).warehouse(steady(1))
    assert not isinstance(caught.value, BadFile)


def test_a_document_s_words_are_kept_as_they_are(tmp_path: Path) -> None:
    document = {"id": "d", "text": 'Say "BUY",\nnow é'}
    (path,) = module.write([Case({"documents": [document]}, {}, "")], tmp_path)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [document]


def test_it_may_be_shared_between_tasks(tmp_path: Path) -> None:
    fixtures = Fixtures(tmp_path)

    async def use(n: int) -> tuple[str, ...]:
        one = steady(n % 2 + 1)
        view = (await asyncio.to_thread(fixtures.warehouse, one)).view()
        try:
            return await asyncio.to_thread(lambda: view.tickers)
        finally:
            fixtures.release(one)

    async def all_of_them() -> list[tuple[str, ...]]:
        return await asyncio.gather(*map(use, range(12)))

    assert asyncio.run(all_of_them()) == [("KALO",)] * 12
    fixtures.close()


def test_a_changed_sentence_is_other_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = tmp_path / "sentences.toml"
    monkeypatch.setattr(module, "MAKING", tuple((tmp_path if f == module.FOLDER else f, n) for f, n in module.MAKING))
    found: list[str] = []
    for words in ("one", "one", "another"):
        bank.write_text(words)
        module._making.cache_clear()  # pyright: ignore[reportPrivateUsage] it is read once a process
        found.append(Fixtures(tmp_path / "data").digest(steady(1)))
    monkeypatch.undo()
    module._making.cache_clear()  # pyright: ignore[reportPrivateUsage] as above
    assert found[0] == found[1] != found[2]
