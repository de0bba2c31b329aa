"""The same fine-tune over several GPUs: a config that accelerate reads, and the command that a person starts."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openoutcry.core.errors import UsageError

MODULE = "openoutcry.training.tuning"
HEAD = """\
# A config for `accelerate launch`, rendered by `outcry train render fsdp`: weights, gradients and the optimiser's
# numbers are shared over {count} GPUs of one machine. Start it with
#   {command}
"""


def config(processes: int) -> dict[str, Any]:
    """The settings, in accelerate's own words. Raises UsageError for a number that shares nothing."""
    if processes < 2:
        raise UsageError(f"expected two or more GPUs to share a model over, got {processes}: use `outcry train run`")
    return {
        "compute_environment": "LOCAL_MACHINE",
        "debug": False,
        "distributed_type": "FSDP",
        "downcast_bf16": "no",
        "enable_cpu_affinity": False,
        "fsdp_config": {
            "fsdp_version": 2,
            "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
            "fsdp_reshard_after_forward": True,
            "fsdp_cpu_ram_efficient_loading": True,
            "fsdp_state_dict_type": "FULL_STATE_DICT",
            "fsdp_activation_checkpointing": False,
        },
        "machine_rank": 0,
        "main_training_function": "main",
        "mixed_precision": "bf16",
        "num_machines": 1,
        "num_processes": processes,
        "rdzv_backend": "static",
        "same_network": True,
        "use_cpu": False,
    }


def command(file: str, arguments: Sequence[str]) -> str:
    """What starts the fine-tune with the config in *file*; *arguments* are those of `python -m` this package."""
    return shlex.join(["accelerate", "launch", "--config_file", file, "-m", MODULE, *arguments])


def render(processes: int, arguments: Sequence[str], file: str = "fsdp.yaml") -> str:
    """The config as YAML, with the command above it."""
    lines = [f"{key}: {json.dumps(value)}" for key, value in config(processes).items() if not isinstance(value, dict)]
    inner = [f"  {key}: {json.dumps(value)}" for key, value in config(processes)["fsdp_config"].items()]
    whole = [*lines, "fsdp_config:", *inner]
    return HEAD.format(count=processes, command=command(file, arguments)) + "\n".join(whole) + "\n"


def words(base: Path, data: str, recipe: Path | None, home: Path, role: str, name: str) -> list[str]:
    """The arguments of a launch, as `__main__` reads them."""
    told = ["--home", str(home), "--base", str(base), "--data", data, "--role", role, "--base-name", name]
    return [*told, *(["--recipe", str(recipe)] if recipe else [])]
