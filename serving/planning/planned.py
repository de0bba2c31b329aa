"""The words of a plan: what a replica needs, what is planned for a model, and the whole. Bytes everywhere."""

from typing import Literal

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.serving.planning.box import Box
from openoutcry.serving.stack import Replicas


class Need(Frozen):
    """Bytes of one replica, over all its GPUs where it has some. `engine` is what the server takes by itself."""

    weights: int
    kv: int
    activations: int
    adapters: int
    engine: int

    @property
    def fixed(self) -> int:
        """All but the KV cache."""
        return self.weights + self.activations + self.adapters + self.engine

    @property
    def total(self) -> int:
        """All of it."""
        return self.fixed + self.kv


class Planned(Frozen):
    """What one model takes. `ram` is bytes of main memory a replica, `share` the part of each of `split` GPUs.

    `tokens` is how many the KV cache holds, `per_token` the bytes of one; `full` and `typical` are how many sequences
    of the whole `context` and of 4,096 tokens run at once in a replica (0 where there is no KV cache). `most` replicas
    fit at once beside all that are admitted of other models; `gpus` names those of each. `faults` say why the model
    cannot run here and what to change, `notes` what else to know.
    """

    name: str
    place: Literal["cpu", "gpu", "elsewhere"]
    need: Need | None = None
    ram: int = 0
    cores: int = 0
    share: float = 0.0
    split: int = 0
    per_token: int = 0
    tokens: int = 0
    context: int = 0
    full: float = 0.0
    typical: float = 0.0
    replicas: Replicas = Replicas()
    most: int = 0
    gpus: tuple[tuple[int, ...], ...] = ()
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Plan(Frozen):
    """A stack against a box."""

    box: Box
    models: tuple[Planned, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether all models run here, each with the fewest replicas that it is to have."""
        return not any(model.faults for model in self.models)

    def of(self, name: str) -> Planned:
        """What is planned for a model. Raises UsageError where there is none of that name."""
        for model in self.models:
            if model.name == name:
                return model
        known = ", ".join(model.name for model in self.models)
        raise UsageError(f"expected a model of the plan, got {name!r}; there are {known or 'none'}")


def gb(size: float) -> str:
    """Bytes as GB, 10^9 of them; small ones as MB."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"
