"""The house stays the house: rooms packaged once, light to import, every tool and error described."""

import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

import openoutcry
from openoutcry.agents.team import ROLES
from openoutcry.agents.toolbox import as_tool
from openoutcry.cli import main
from openoutcry.core import errors

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUP = PROJECT["tool"]["setuptools"]


def test_each_mapped_folder_is_linked() -> None:
    for package, folder in SETUP["package-dir"].items():
        if package.count(".") == 1:
            link = ROOT / package.replace(".", "/")
            assert link.is_symlink()
            assert link.resolve() == ROOT / folder


def test_every_python_folder_is_packaged() -> None:
    skip = {"tests", "build", "benchmarks", "openoutcry"}
    inits = [p.relative_to(ROOT) for p in ROOT.glob("*/**/__init__.py")]
    folders = {p.parent.as_posix() for p in inits if p.parts[0] not in skip and p.parts[0][0] != "."}
    assert folders <= set(SETUP["package-dir"].values())
    assert set(SETUP["packages"]) == set(SETUP["package-dir"])


def test_the_import_is_light() -> None:
    heavy = "{'numpy', 'duckdb', 'pydantic', 'pydantic_ai', 'plotly', 'pandas', 'torch', 'click'}"
    code = f"import openoutcry, sys; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_loads_no_picture_and_no_sample_library() -> None:
    code = "import openoutcry.desk, sys; print(sorted({'plotly', 'pandas', 'skfolio', 'sklearn'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_front_door() -> None:
    assert openoutcry.__all__ == ["Desk"]
    assert openoutcry.Desk.__module__ == "openoutcry.desk"
    assert openoutcry.__version__ == PROJECT["project"]["version"]
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = getattr(openoutcry, "Nothing")  # noqa: B009  # the attribute is missing on purpose


def test_every_error_is_drawn_in_the_tree() -> None:
    drawn = errors.__doc__ or ""
    for name, kind in inspect.getmembers(errors, inspect.isclass):
        if issubclass(kind, errors.OutcryError):
            assert re.search(rf"\b{name}\b", drawn), name
            assert kind.exit_code in {1, 2, 3, 4}


@pytest.mark.parametrize("function", [f for role in ROLES.values() for f in role.every_tool], ids=lambda f: f.__name__)
def test_every_tool_is_described_and_typed(function: object) -> None:
    tool = as_tool(function)  # type: ignore[arg-type]  # a role's tools are callable
    assert tool.description
    assert "Evidence" in str(inspect.signature(function).return_annotation)  # type: ignore[arg-type]  # as above
    assert "Raises" in (inspect.getdoc(function) or "")
    assert tool.tool_def.parameters_json_schema["additionalProperties"] is False


def test_no_wall_clock_in_the_rooms_that_compute() -> None:
    clock = re.compile(r"datetime\.now|date\.today|time\.time\(|utcnow|(?<!np\.)random\.|default_rng\(\)")
    for room in ("core", "tools", "agents"):
        for path in ROOT.glob(f"{room}/**/*.py"):
            found = clock.findall(path.read_text(encoding="utf-8"))
            assert not found or path.name == "bundle.py", (path, found)


def test_every_module_says_why_it_is_there() -> None:
    for path in ROOT.glob("openoutcry/*.py"):
        assert importlib.import_module(f"openoutcry.{path.stem}".removesuffix(".__init__")).__doc__


SEED = """deploy-local-ai-stack download-financial-models start-local-inference validate-local-performance
enable-local-training switch-primary-model monitor-local-models fine-tune-local-models"""


@pytest.mark.parametrize("target", SEED.split())
def test_the_short_names_call_commands_that_there_are(target: str) -> None:
    given = ["MIRROR=folder", "MODEL=nano", "BASE=nano", "STACK=cpu-nano"]
    told = subprocess.run(["make", "-n", target, *given], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    called = re.findall(r"bin/outcry ([a-z-]+) ([a-z-]+)", told)
    assert called
    for group, command in called:
        found = main.commands[group]
        assert isinstance(found, click.Group)
        assert command in found.commands
        assert f"\n{target}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
