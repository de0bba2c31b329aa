"""The rendered Ray config holds by Ray's own classes: the schema of a deployment, and that of each model.

It needs `ray[serve]` with its LLM classes, here or in the environment whose Python OUTCRY_RAY_PYTHON names.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from openoutcry.serving.planning.render import render
from openoutcry.serving.stack import load

PYTHON = os.environ.get("OUTCRY_RAY_PYTHON", sys.executable)
CHECK = """
import sys, yaml
from ray.llm._internal.serve.core.configs.llm_config import LLMConfig
from ray.serve.schema import ServeDeploySchema

deployment = ServeDeploySchema.model_validate(yaml.safe_load(open(sys.argv[1])))
for config in deployment.applications[0].args["llm_configs"]:
    made = LLMConfig.model_validate(config)
    scaling = made.deployment_config["autoscaling_config"]
    span = scaling["min_replicas"], scaling["max_replicas"]
    print(made.model_id, *span, made.accelerator_config.kind, made.accelerator_type)
"""


def _held(file: Path, text: str) -> subprocess.CompletedProcess[str]:
    file.write_text(text)
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    command = [PYTHON, "-c", CHECK, str(file)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)


pytestmark = pytest.mark.skipif(
    sys.executable == PYTHON and importlib.util.find_spec("ray") is None,
    reason="ray is not installed; OUTCRY_RAY_PYTHON may name a Python that has it",
)


def test_the_full_plan_holds(tmp_path: Path) -> None:
    done = _held(tmp_path / "ray.yaml", render(load("big-box"), "ray", accelerator="H100"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == [
        "analyst-72b 1 1 cpu None",
        "strategy-70b 1 1 gpu H100",
        "risk-70b 1 1 gpu H100",
        "tone 1 1 cpu None",
        "embed 1 1 cpu None",
    ]


def test_adapters_in_cloud_storage_hold(tmp_path: Path) -> None:
    done = _held(tmp_path / "ray.yaml", render(load("cpu-nano"), "ray", adapters="s3://models/adapters"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[0] == "nano 1 2 cpu None"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("min_replicas: 1", "min_replicas: -1"),
        ("accelerator_type: H100", "accelerator_type: ABC"),
        ("kind: cpu", "kind: abacus"),
    ],
)
def test_ray_refuses_a_wrong_one(tmp_path: Path, right: str, wrong: str) -> None:
    text = render(load("big-box"), "ray", accelerator="H100")
    assert right in text
    assert _held(tmp_path / "ray.yaml", text.replace(right, wrong)).returncode != 0
