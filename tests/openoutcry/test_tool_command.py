"""`outcry tool`: every tool by name, over the warehouse, a file or nothing, and one clear line for a fault."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from click.testing import CliRunner

from openoutcry import Desk
from openoutcry.cli import main
from openoutcry.core.errors import EmptyWarehouse, UsageError
from openoutcry.tools import catalogue


class Done(Protocol):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def fund(tmp_path: Path) -> Path:
    path = tmp_path / "fund.csv"
    rows = [f"{2000 + i // 12}-{i % 12 + 1:02d}-28,{0.02 * np.sin(i):.6f}" for i in range(80)]
    path.write_text("\n".join(["date,My Fund", *rows]) + "\n")
    return path


def refused(done: Done, code: int, words: str) -> None:
    """It ended with *code*, one line on stderr that holds *words*, and nothing on stdout."""
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert words in done.stderr
    assert done.stdout == ""


def test_without_a_name_it_lists_every_tool(outcry: Run) -> None:
    listed = outcry("tool").stdout
    for tools in catalogue.by_topic().values():
        for name in tools:
            assert f"  {name} " in listed, name
    assert "option                    *" in listed
    assert "value_at_risk               " in listed


def test_every_tool_tells_its_arguments(outcry: Run) -> None:
    for tools in catalogue.by_topic().values():
        for name in tools:
            done = outcry("tool", name, "--help")
            assert done.returncode == 0, name
            assert "--json" in done.stdout


def test_over_the_warehouse(outcry: Run, sample_home: Path) -> None:
    done = outcry("tool", "value_at_risk", "--ticker", "aapl", "--as-of", "2022-06-30", home=sample_home)
    assert done.stderr == ""
    assert "var           15.53 %   0.1552535270423308" in done.stdout
    assert "as of 2022-06-30" in done.stdout
    assert "convention  quantile: linear interpolation (type 7)" in done.stdout
    made = json.loads(
        outcry("tool", "value-at-risk", "--ticker", "AAPL", "--as-of", "2022-06-30", "--json", home=sample_home).stdout
    )
    assert made["figures"]["var"] == {"value": 0.1552535270423308, "unit": "fraction"}
    assert made["arguments"]["ticker"] == "AAPL"
    assert made["queries"][0]["rows"] == 8188


def test_over_a_file_the_only_column_needs_no_name(outcry: Run, fund: Path) -> None:
    done = outcry("tool", "volatility", "--returns", str(fund))
    assert "ticker" in done.stdout
    assert "My Fund" in done.stdout
    assert "80 periods" in done.stdout
    cut = outcry("tool", "volatility", "--returns", str(fund), "--as-of", "2005-01-01", "--json")
    assert json.loads(cut.stdout)["figures"]["window"]["value"] == 60
    scaled = outcry("tool", "volatility", "--returns", str(fund), "--scale", "0.5", "--json")
    whole = outcry("tool", "volatility", "--returns", str(fund), "--json")
    first, second = (json.loads(d.stdout)["figures"]["volatility"]["value"] for d in (scaled, whole))
    assert first == pytest.approx(second / 2)


def test_a_calculator_needs_no_warehouse(outcry: Run) -> None:
    """Hull, Options, Futures, and Other Derivatives, example 15.6: a call worth 4.76."""
    asked = [
        "--spot",
        "42",
        "--strike",
        "40",
        "--rate",
        "0.1",
        "--volatility",
        "0.2",
        "--time",
        "0.5",
        "--kind",
        "call",
    ]
    done = outcry("tool", "option", *asked, "--json")
    assert json.loads(done.stdout)["figures"]["price"]["value"] == pytest.approx(4.7594, abs=5e-5)
    assert json.loads(done.stdout)["as_of"] == ""
    assert "as of" not in outcry("tool", "option", *asked).stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("volatilty",), 2, "no tool 'volatilty'; did you mean volatility? `outcry tool` lists them"),
        (("value_at_risk",), 3, "run `outcry ingest --sample`"),
        (("value_at_risk", "--returns", "FUND", "--confidence", "2"), 2, "confidence: should be less than 1, got '2'"),
        (("value_at_risk", "--returns", "FUND", "--horizon", "x"), 2, "horizon: should be a valid integer"),
        (("value_at_risk", "--returns", "FUND", "--ticker", "No"), 3, "no column 'No'; the file has My Fund"),
        (("value_at_risk", "--returns", "none.csv"), 3, "none.csv: no such file; check the path"),
        (("value_at_risk", "--returns", "FUND", "--prices", "FUND"), 2, "expected returns or prices, got both"),
        (("value_at_risk", "--returns", "FUND", "--as-of", "soon"), 2, "expected an as-of like 2022-06-30"),
        (("option", "--spot", "42"), 2, "option: strike: expected a value, found none"),
        (("position", "--returns", "FUND"), 3, "needs the warehouse"),
        (("volatility", "--returns", "TWO"), 2, "expected a ticker, one of the columns a, b; got none"),
        (("option", "--spott", "42"), 2, "No such option '--spott'"),
        (("volatility", "--returns", "FUND", "--scale", "x"), 2, "'x' is not a valid float"),
    ],
)
def test_a_fault_is_one_line(outcry: Run, fund: Path, arguments: tuple[str, ...], code: int, words: str) -> None:
    two = fund.with_name("two.csv")
    two.write_text("a,b\n0.1,0.2\n")
    paths = {"FUND": str(fund), "TWO": str(two)}
    refused(outcry("tool", *(paths.get(a, a) for a in arguments)), code, words)


def test_limits_come_from_the_settings(sample_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "desk.toml"
    path.write_text(f'home = "{sample_home}"\n[limits]\nsingle_position = 0.1\n')
    arguments = ["--desk", str(path), "tool", "check_limits", "--as-of", "2022-06-30"]
    done = CliRunner().invoke(main, arguments)
    assert "verdict" in done.stdout
    assert "breach" in done.stdout
    path.write_text('[limits]\nsingle_position = "much"\n')
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2
    assert "setting 'limits.single_position'" in done.stderr
    path.write_text("[limits]\nsingel_position = 0.1\n")
    assert "there is no such setting; there are gross_value, net" in CliRunner().invoke(main, arguments).stderr


def test_from_python(sample_home: Path, tmp_path: Path, fund: Path) -> None:
    with Desk.open(home=sample_home) as desk:
        made = desk.tool("value_at_risk", ticker="AAPL", as_of="2022-06-30")
        assert made.value("var") == 0.1552535270423308
        over = desk.tool("volatility", ticker="My Fund", returns=fund)
        arrays = desk.tool("volatility", ticker="x", returns={"x": [0.02 * np.sin(i) for i in range(80)]}, periods=12)
        assert arrays.value("volatility") == pytest.approx(over.value("volatility"), rel=1e-4)
        with pytest.raises(UsageError, match="no tool 'nothing'"):
            desk.tool("nothing")
    with Desk.open(home=tmp_path / "empty") as desk, pytest.raises(EmptyWarehouse):
        desk.tool("volatility", ticker="AAPL")


def test_open_high_low_close_need_no_ticker(outcry: Run, tmp_path: Path) -> None:
    path = tmp_path / "bars.csv"
    rows = [f"{i},{i + 2},{i - 1},{i + 1},9" for i in range(10, 60)]
    path.write_text("\n".join(["Open,High,Low,Close,Volume", *rows]) + "\n")
    made = json.loads(outcry("tool", "atr", "--prices", str(path), "--json").stdout)
    assert made["figures"]["value"]["value"] == pytest.approx(3)
