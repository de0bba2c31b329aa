"""The file `night.toml`: what a person sets for the night."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.eval.gate.planning import SAFETY
from openoutcry.eval.terms import Terms
from openoutcry.serving.stack import Name
from openoutcry.serving.toml import read_toml, told
from openoutcry.training.night.schedule import Stage, Until

FILE = "night.toml"
Role = Literal["analyst", "sentiment", "risk", "coordinator", "reader"]
"""The seats that the gate can look at."""


class RoleNight(Frozen):
    """What is done for one role each night. `recipe` and files among `sources` are relative to the settings file."""

    model: Name = Field(description="the model of the stack that is fine-tuned: its weights are on this machine")
    sources: tuple[str, ...] = Field(
        default=("runs", "scenarios"), min_length=1, description="where examples come from: runs, scenarios, or a file"
    )
    teacher: str = Field(default="house", description="who answers the scenarios that examples are made of")
    recipe: str = Field(default="", description="a recipe file; empty: the usual one")
    suite: str = Field(default="", description="a suite for the gate in place of the role's own")
    least: int = Field(default=50, ge=1, description="examples without which the role sits out the night")
    deploy: Literal["promote", "canary", "shadow"] = Field(
        default="shadow", description="what a model that the gate promotes begins as"
    )


class NightSettings(Frozen):
    """What a person may set in night.toml."""

    roles: dict[Role, RoleNight]
    safety: str = Field(default=SAFETY, description="the safety suite of the gate")
    limit: int = Field(default=8, ge=1, le=256, description="how many cases the gate plays at once")
    gate: Terms = Terms()
    deadlines: dict[str, Until] = Field(
        default={}, description="by stage, until when it may still run: the next open, or the next night"
    )
    folder: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="after")
    def _some(self) -> Self:
        if not self.roles:
            raise ValueError("name a role, such as [roles.risk] with its model")
        if odd := self.deadlines.keys() - set(Stage):
            raise ValueError(f"deadlines are of the stages {', '.join(Stage)}; got {', '.join(sorted(odd))}")
        return self

    @property
    def untils(self) -> dict[Stage, Until]:
        """By stage, until when it may run; what is later is told, not run."""
        return {Stage(name): until for name, until in self.deadlines.items()}


def file_beside(desk: Path | None) -> Path:
    """Where the night's settings stand: beside the settings file *desk*, or in the current folder."""
    return (desk.parent if desk else Path()) / FILE


def load(desk: Path | None) -> NightSettings:
    """The night's settings. Raises UsageError where there are none, or with the key for what they cannot be."""
    file = file_beside(desk)
    if not file.is_file():
        raise UsageError(f"expected the night's settings, found no {file}; `outcry night init` writes one to edit")
    try:
        settings = NightSettings.model_validate(read_toml(file))
    except ValidationError as error:
        raise UsageError(told(error, file, NightSettings)) from None
    return settings.model_copy(update={"folder": file.parent})


EXAMPLE = """\
# What `outcry night` does on each exchange day, in New York time: 17:00 prepare data, 22:00 fine-tune,
# 02:00 validate by the gate, 06:00 deploy what the gate promotes.

# safety = "safety"        # the gate's safety suite
# limit = 8                # how many cases the gate plays at once

[roles.risk]               # a section for each role: analyst, sentiment, risk, coordinator, reader
model = "{model}"
# sources = ["runs", "scenarios"]   # where examples come from; files of your own may be named too
# teacher = "house"        # who answers the scenarios that examples are made of
# recipe = "recipe.toml"   # how it is fine-tuned
# suite = ""               # a suite for the gate in place of the role's own
# least = 50               # examples without which the role sits out the night
# deploy = "shadow"        # what a promoted model begins as: shadow, canary or promote

# [gate]                   # the terms of a look; they may not be weakened while it is played
# epochs = 3
# margin = 0.05            # a gain that matters
# category_margin = 0.10   # how much a category may be worse, at most

# [deadlines]              # "open": never past the next session's open; "night": up to the next night
# prepare = "open"
# tune = "open"
# validate = "open"
# deploy = "open"
"""
"""What `outcry night init` writes."""
