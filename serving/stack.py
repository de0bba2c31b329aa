"""The stack file: which models stand on this box, and which role each serves.

A stack is `stack.toml` beside the settings, or a shipped profile by name. Paths are relative to the file; those that
begin with `shipped:` lie in this package. A role without a model is answered by house rules.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, ByteSize, Field, ValidationError, model_validator

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.serving.toml import read_toml, told

HOUSE = "house"
SEATS = ("analyst", "sentiment", "risk", "coordinator", "reader", "embedder")
"""The roles of the desk, the reader of single documents, and the embedder of the memory."""
REGISTERED = re.compile(rf"({'|'.join(SEATS)})-[0-9a-f]{{12}}")
"""The name of a model of the registry: a seat, and the first digits of its digest."""
SHIPPED = "shipped:"
PROFILES = Path(__file__).with_name("profiles")
KV_CACHE = 1024**3
"""Bytes of KV cache on a CPU where the stack names none; by itself vLLM takes nine tenths of the machine."""
INDIFFERENT = {
    *("replicas", "memory", "cores", "gpu_memory_utilization", "kv_cache"),
    *("concurrency", "seconds", "stream", "shape", "spare_adapters", "spare_rank", "hot", "socket"),
}
"""What the stack says of a model that changes no answer; by all else a kept answer and a card are known."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]


def _splits(url: str) -> str:
    """The same, where it is an address by its form. Raises ValueError for a port that is no number."""
    _ = urlsplit(url).port
    return url


def _bare(url: str) -> str:
    """An endpoint as it is asked, whose routes begin with /v1. Raises ValueError for what is none."""
    parts = urlsplit(url)
    if url and parts.scheme not in ("http", "https", "unix"):
        raise ValueError("expected an endpoint such as http://127.0.0.1:8001")
    if "@" in parts.netloc:  # it would stand in every run and metric
        raise ValueError("expected an endpoint without a user or password, got one with; leave out what is before @")
    return url.rstrip("/").removesuffix("/v1")


Url = Annotated[str, AfterValidator(_splits)]
Seat = Literal["analyst", "sentiment", "risk", "coordinator", "reader", "embedder"]


class Purpose(StrEnum):
    """What a model is for."""

    CHAT = "chat"
    CLASSIFY = "classify"
    EMBED = "embed"


class Shape(Frozen):
    """A model's dimensions, where its weights are not here to be read: the plan computes memory from them."""

    parameters: float = Field(gt=0, description="how many weights, such as 72e9")
    layers: int = Field(ge=1)
    hidden: int = Field(ge=1)
    heads: int = Field(ge=1)
    kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    vocabulary: int = Field(default=150_000, ge=1)


class Replicas(Frozen):
    """How many processes serve a model: at least, and at most under load."""

    min: int = Field(default=1, ge=0, le=64)
    max: int = Field(default=1, ge=1, le=64)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.max < self.min:
            raise ValueError(f"max {self.max} is below min {self.min}")
        return self


class Served(Frozen):
    """One model on this box. `name` is its key in the file, and what its server calls it."""

    name: Name = ""
    purpose: Purpose = Purpose.CHAT
    engine: Literal["vllm", "ollama", "endpoint"] = Field(
        default="vllm", description="vllm is started here; ollama and endpoint already stand at `url`"
    )
    weights: str = Field(default="", description="folder, shipped:folder, repository id, or the tag that Ollama knows")
    url: Annotated[Url, AfterValidator(_bare)] = Field(
        default="", description="where an ollama or endpoint model answers, such as http://127.0.0.1:11434"
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: str = Field(default="auto", pattern="^(auto|float16|bfloat16|float32)$")
    quantisation: str = Field(
        default="", description="as vLLM names it: awq, gptq, fp8, ...; empty: as the weights are"
    )
    max_model_len: int = Field(default=8192, ge=64, description="tokens of prompt and answer together")
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    tensor_parallel_size: int = Field(default=1, ge=1)
    kv_cache: ByteSize | None = Field(default=None, description="memory for the KV cache on a CPU, such as 4GB")
    memory: ByteSize | None = Field(default=None, description="memory that a replica may take, such as 50GB")
    cores: int = Field(default=1, ge=1, description="cores that a replica may keep busy")
    replicas: Replicas = Replicas()
    socket: bool = Field(
        default=False, description="listen on a socket in the data folder, closed to other users, in place of a port"
    )
    adapters: dict[Name, str] = Field(default={}, description="LoRA adapters by the name that a role asks for")
    spare_adapters: int = Field(
        default=0, ge=0, le=32, description="room for adapters that come while it runs, beside those named here"
    )
    spare_rank: int = Field(default=16, ge=1, le=512, description="largest rank of an adapter that comes so")
    hot: dict[Name, str] = Field(default={}, exclude=True)
    """Adapters of the registry, which come and go while the server runs (`registry.overlay`)."""
    shape: Shape | None = None
    tool_parser: str = Field(default="hermes", description="vLLM's parser of this model's tool calls")
    reasoning_parser: str = ""
    chat_template: str = Field(default="", description="a template file, where the weights' own does not do")
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_tokens: int = Field(default=1024, ge=16, description="tokens of one answer at most")
    seconds: float = Field(default=60.0, gt=0, description="deadline of one request, retry included")
    concurrency: int = Field(default=16, ge=1, description="requests in the air at once to all replicas together")
    stream: bool = Field(default=False, description="have answers streamed, so that a stall shows before the deadline")
    flags: tuple[str, ...] = Field(default=(), description="further options of the engine, word for word")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.engine != "vllm" and not self.url:
            raise ValueError(f"a model of engine {self.engine} needs the `url` where it answers")
        if self.engine != "endpoint" and not self.weights:
            raise ValueError("needs `weights`: a folder, a repository id, or Ollama's tag")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """What a role may ask for: the model, and its adapters."""
        return self.name, *self.adapters, *self.hot

    def wire_name(self, name: str) -> str:
        """What its server calls the model or adapter *name*: others than vLLM go by the tag that is `weights`."""
        own = self.engine != "vllm" and name == self.name
        return (own and self.weights) or name

    @property
    def spare(self) -> int:
        """Places for adapters that come while it runs; only a model that chats has them."""
        return self.spare_adapters if self.purpose is Purpose.CHAT else 0

    @property
    def slots(self) -> int:
        """LoRA adapters that its server has room for; it takes none where that is 0."""
        return len(self.adapters) + self.spare

    def places(self, on_gpu: bool) -> int:
        """LoRA places that its engine makes. On a CPU one more than adapters can ever be loaded, those that leave among
        them: vLLM 0.32 answers for the base model out of the last place there, so nobody may take it.
        """
        return self.slots if on_gpu or not self.slots else self.slots + self.spare + 1

    def adapter(self, name: str) -> str:
        """Where the adapter *name* lies; empty for the model itself."""
        return self.adapters.get(name) or self.hot.get(name, "")


class CacheSettings(Frozen):
    """Where answers are kept, and for how long."""

    store: Url = Field(default="sqlite", description="sqlite (in the data folder), redis://host:port/number, or off")
    seconds: float = Field(default=3600.0, gt=0, description="how long an answer is kept")
    sampled: bool = Field(default=False, description="keep answers of models with a temperature above zero too")
    most: ByteSize = Field(default=ByteSize(256 * 1024 * 1024), description="size at which the oldest answers go")


def _with_name(name: str, model: Any) -> Any:
    return {**cast("dict[str, Any]", model), "name": name} if isinstance(model, dict) else model


class Stack(Frozen):
    """What a person may set in stack.toml."""

    engine: str = Field(
        default="", description="Python of vLLM's environment; empty: .venv-vllm beside the file, else this one"
    )
    allow: tuple[str, ...] = Field(
        default=(), description="hosts beyond this machine that may be sent to, as host or host:port"
    )
    models: dict[Name, Served] = {}
    roles: dict[Seat, str] = {}
    previous: dict[Seat, str] = Field(
        default={}, description="who answers where the model of a role fails, before house rules"
    )
    uncertified: bool = Field(
        default=False, description="let models sit that `outcry certify` has not passed for their role"
    )
    cache: CacheSettings = CacheSettings()
    folder: Path = Field(default=Path(), exclude=True)
    source: str = Field(default=HOUSE, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: dict[str, Any]) -> dict[str, Any]:
        models: Any = values.get("models", {})
        if not isinstance(models, dict):
            return values
        models = cast("dict[str, Any]", models)
        return {**values, "models": {name: _with_name(name, model) for name, model in models.items()}}

    @model_validator(mode="after")
    def _known(self) -> Self:
        every = [name for model in self.models.values() for name in model.names]
        if HOUSE in every:
            raise ValueError(f"{HOUSE} is what the rules are called: give the model or adapter another name")
        if twice := {name for name in every if every.count(name) > 1}:
            raise ValueError(f"models and adapters need names of their own; {', '.join(sorted(twice))} stands twice")
        for seat, name in [*self.roles.items(), *self.previous.items()]:
            if name != HOUSE and name not in every:
                known = ", ".join([HOUSE, *every])
                raise ValueError(f"the {seat} is to be {name!r}, which is no model here; there are {known}")
            if (fault := self.unfit(seat, name)) is not None:
                raise ValueError(fault)
        return self

    def unfit(self, seat: str, name: str) -> str | None:
        """Why the model *name* cannot sit in *seat*, or None where it can. Raises UsageError where there is no such."""
        if name == HOUSE:
            return None
        purpose = self.serving(name).purpose
        fit = {"embedder": (Purpose.EMBED,), "reader": (Purpose.CHAT, Purpose.CLASSIFY)}.get(seat, (Purpose.CHAT,))
        return None if purpose in fit else f"the {seat} needs a model for {' or '.join(fit)}; {name} is for {purpose}"

    @property
    def _owners(self) -> dict[str, Served]:
        return {name: model for model in self.models.values() for name in model.names}

    def serving(self, name: str) -> Served:
        """The model that answers to *name*, its own or that of an adapter. Raises UsageError where there is none."""
        owners = self._owners
        if name not in owners:
            known = ", ".join([HOUSE, *owners])
            raise UsageError(f"expected a model of this stack, got {name!r}; there are {known}")
        return owners[name]

    def path(self, given: str) -> Path | None:
        """The folder or file that *given* names, or None where it is a repository id or a tag."""
        if given.startswith(SHIPPED):
            return Path(__file__).parent / given.removeprefix(SHIPPED)
        at = self.folder / Path(given).expanduser()
        return at if at.exists() or given.startswith((".", "/", "~")) else None

    def weights(self, model: Served) -> str:
        """What the engine is to load: a path, or a repository id."""
        return str(self.path(model.weights) or model.weights)


def profiles() -> list[str]:
    """The names of the shipped profiles."""
    return sorted(p.stem for p in PROFILES.glob("*.toml"))


def shipped(name: str) -> Path:
    """The file of a shipped profile. Raises UsageError where there is none."""
    if name not in profiles():
        raise UsageError(f"expected a stack file or one of the profiles {', '.join(profiles())}; got {name!r}")
    return PROFILES / f"{name}.toml"


def load(given: str = "", root: Path = Path()) -> Stack:
    """The stack that *given* names: a file relative to *root*, a profile, or where it is empty `stack.toml` in *root*.

    Without any of these it is `house`. Raises UsageError, with the key, for what a stack cannot be.
    """
    file = root / (given or "stack.toml")
    if not file.is_file():
        file = shipped(given or HOUSE)
    values = read_toml(file)
    try:
        stack = Stack.model_validate(values)
    except ValidationError as error:
        raise UsageError(told(error, file, Stack)) from None
    source = file.stem if file.parent == PROFILES else str(file)
    return stack.model_copy(update={"folder": file.parent, "source": source})
