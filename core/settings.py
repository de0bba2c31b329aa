"""Settings: one TOML file, then the environment (`OUTCRY_HOME`, `OUTCRY_CONCURRENCY`, ...) over it."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.core.limits import NO_LIMITS, Limits

Amount = Annotated[Decimal | None, Field(ge=0, allow_inf_nan=False)]


class Cost(Frozen):
    """What the machine costs. What is None is told as not set; nothing is put in its place."""

    currency: str = Field(default="USD", pattern="^[A-Z]{3}$", description="of the prices here")
    watts: Amount = Field(default=None, description="what the machine draws while models answer")
    price_per_kwh: Amount = Field(default=None, description="of electricity")
    machine_price: Amount = Field(default=None, description="what the machine cost")
    machine_years: Decimal = Field(default=Decimal(4), gt=0, le=100, description="how long it is to serve")
    prices: str = Field(
        default="", description="file of model prices, relative to the settings file; empty: prices.toml here, if any"
    )


NO_COST = Cost()


class Settings(BaseSettings):
    """What a person may set."""

    model_config = SettingsConfigDict(env_prefix="OUTCRY_", extra="forbid", frozen=True)

    home: Path = Field(Path(".outcry"), description="data folder, relative to the settings file")
    deadline: float = Field(120.0, gt=0, description="seconds a role may take")
    concurrency: int = Field(8, ge=1, le=1024, description="questions in flight at once in ask_many")
    log_level: str = Field("warning", pattern="^(debug|info|warning|error)$")
    remember: bool = Field(True, description="recall before a question, and remember its answer")
    embedder: str = Field(
        "", description="folder of a sentence-transformers model, relative to the settings file; empty: MiniLM"
    )
    stack: str = Field("", description="stack file or profile: which models answer; empty: stack.toml here, else house")
    metrics: int = Field(0, ge=0, le=65535, description="port on loopback for Prometheus; 0: none")
    limits: Limits = Field(NO_LIMITS, description="what the book may be at most; checked in every report")
    cost: Cost = Field(NO_COST, description="what the machine costs, for `outcry cost` and `outcry ab`")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment stands over the file."""
        return env_settings, init_settings


def load(path: Path | None = None) -> Settings:
    """Read *path* (default: `desk.toml` in the current folder, if there is one).

    Raises UsageError for a missing file, broken TOML, an unknown key or a value out of bounds.
    """
    if path is None:
        default = Path("desk.toml")
        path = default if default.is_file() else None
    elif not path.is_file():
        raise UsageError(f"expected a settings file, found nothing at {path}")
    try:
        values = {} if path is None else TomlConfigSettingsSource(Settings, path)()
        settings = Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        said = first["msg"]
        if first["type"] == "extra_forbidden":
            tables = {"limits": Limits, "cost": Cost}
            known = (tables[str(first["loc"][0])] if len(first["loc"]) > 1 else Settings).model_fields
            said = f"there is no such setting; there are {', '.join(known)}"
        raise UsageError(f"setting {key!r} in {path or 'the environment'}: {said}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not readable TOML: {error}") from None
    root = Path() if path is None else path.parent
    embedder = root / settings.embedder
    if settings.embedder and not (embedder / "modules.json").is_file():
        where = path or "the environment"
        raise UsageError(
            f"setting 'embedder' in {where}: expected the folder of a sentence-transformers model, "
            f"found no modules.json in {embedder}"
        )
    found = str(embedder) if settings.embedder else ""
    cost = settings.cost.model_copy(update={"prices": _prices(root, settings.cost.prices)})
    told = {"home": root / settings.home, "embedder": found, "stack": _stack(root, settings.stack), "cost": cost}
    return settings.model_copy(update=told)


def _stack(root: Path, given: str) -> str:
    """The stack file that is meant, or the name of a profile; empty where there is neither."""
    file = root / (given or "stack.toml")
    return str(file) if file.is_file() else given


def _prices(root: Path, given: str) -> str:
    """The file of prices that is meant; empty where none is. Raises UsageError where one that is named is not there."""
    file = root / (given or "prices.toml")
    if given and not file.is_file():
        raise UsageError(f"setting 'cost.prices': expected a file of model prices, found none at {file}")
    return str(file) if file.is_file() else ""
