"""What a look ran on: engines of its models, interpreter, processor, and the versions of what decides numbers."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

PACKAGES = ("cryptography", "duckdb", "numpy", "pydantic", "pydantic-ai-slim", "scipy", "statsmodels")


def environment(code: str, engines: Mapping[str, str]) -> dict[str, Any]:
    """The environment as JSON holds it; *code* is the digest of this package's code, *engines* are those by model."""
    return {
        "code": code,
        "engines": dict(engines),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": _processor(),
        "cpus": os.cpu_count() or 0,
        "packages": {name: version(name) for name in PACKAGES},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
