"""What a plan says of a fine-tune to come."""

from openoutcry.core.evidence import Frozen
from openoutcry.training.tuning.recipe import Recipe
from openoutcry.training.tuning.sizes import Size


class Plan(Frozen):
    """What is to come. `parts` are bytes by what takes them, `free` what there is now of `total`; `refused` says why it
    cannot be.

    `measured` names the run whose pace the seconds go by; empty where they are an estimate.
    """

    recipe: Recipe
    kind: str
    size: Size
    rows: int
    valid: int
    left_out: dict[str, int]
    tokens: int
    longest: int
    learnt: int
    parts: dict[str, int]
    free: int
    total: int
    gpu: str
    seconds: float
    measured: str
    refused: str

    @property
    def bytes(self) -> int:
        """All parts together."""
        return sum(self.parts.values())
