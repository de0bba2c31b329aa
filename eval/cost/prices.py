"""What a model costs elsewhere: prices of a person's own file, else those that the package genai-prices ships."""

import tomllib
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from openoutcry.core.errors import UsageError
from openoutcry.core.evidence import Frozen
from openoutcry.eval.cost.money import EXACT, Money
from openoutcry.eval.cost.spent import Size

PER_TOKEN = Decimal("0.000001")
Price = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


class Step(Frozen):
    """What a million tokens cost in a request whose prompt has more than `above` tokens."""

    above: int = Field(default=0, ge=0)
    price: Price


class Tariff(Frozen):
    """What a model's tokens cost, where that was found, and as of when.

    `dated` says when the prices held. A prompt that its server had cached is priced like any other.
    """

    model: str
    currency: str
    input: tuple[Step, ...]
    output: tuple[Step, ...]
    request: Price = Decimal(0)
    """What each request costs besides."""
    source: str
    dated: str

    def of(self, requests: Mapping[Size, int]) -> Money:
        """What so many requests of each size cost, exactly."""
        found = Decimal(0)
        for (prompt, answer), count in requests.items():
            tokens = _at(self.input, prompt) * prompt + _at(self.output, prompt) * answer
            one = EXACT.add(EXACT.multiply(tokens, PER_TOKEN), self.request)
            found = EXACT.add(found, EXACT.multiply(one, Decimal(count)))
        return Money(amount=found, currency=self.currency)

    def __str__(self) -> str:
        """Its prices a million tokens, with source and date."""
        tiers = ", more for long prompts" if len(self.input) + len(self.output) > 2 else ""
        first = [f"{steps[0].price.normalize():,f}" for steps in (self.input, self.output)]
        each = f", {self.request.normalize():,f} a request" if self.request else ""
        return f"{self.currency} {first[0]} in, {first[1]} out{tiers}{each} ({self.source}, {self.dated})"


def _at(steps: tuple[Step, ...], prompt: int) -> Decimal:
    return [step.price for step in steps if step.above == 0 or prompt > step.above][-1]


class Given(Frozen):
    """A price as a person writes it, of a million tokens."""

    input: Price
    output: Price
    currency: str = Field(default="USD", pattern="^[A-Z]{3}$")
    source: str = ""
    date: date


class Prices:
    """Finds what a model costs. *own* is a file with a table a model; *on* the day whose prices are asked for."""

    def __init__(self, on: datetime, own: Path | None = None) -> None:
        self._on = on
        self._own = _read(own) if own else {}
        self._file = own.name if own else ""

    def find(self, model: str) -> Tariff | None:
        """The price of *model*, which may be named as provider:model. None where none is known: it is never zero."""
        if given := self._own.get(model):
            return Tariff(
                model=model,
                currency=given.currency,
                input=(Step(price=given.input),),
                output=(Step(price=given.output),),
                source=given.source or self._file,
                dated=f"of {given.date}",
            )
        return shipped(model, self._on)


def shipped(model: str, on: datetime) -> Tariff | None:
    """The price at *on* that genai-prices knows without any network; None where it knows none in USD.

    Of what changed after its release it knows nothing.
    """
    from genai_prices import __version__
    from genai_prices.data_snapshot import get_snapshot

    provider, _, name = model.rpartition(":")
    try:
        seller, found = get_snapshot().find_provider_model(name, None, provider or None, None)
    except LookupError:
        return None
    prices = found.get_prices(on)
    per_input, per_output, each = prices.input_mtok, prices.output_mtok, prices.requests_kcount
    if per_input is None or per_output is None or not isinstance(each, Decimal | None):
        return None
    return Tariff(
        model=f"{seller.id}:{found.id}",
        currency="USD",
        input=_steps(per_input),
        output=_steps(per_output),
        request=(each or Decimal(0)) / 1000,
        source=f"genai-prices {__version__}",
        dated=f"as that version has it for {on.date()}",
    )


def _steps(price: Any) -> tuple[Step, ...]:
    if isinstance(price, import_module("genai_prices.types").TieredPrices):
        tiers = [Step(above=tier.start, price=tier.price) for tier in price.tiers]
        return Step(price=price.base), *sorted(tiers, key=lambda step: step.above)
    return (Step(price=price),)


def _read(path: Path) -> dict[str, Given]:
    """The prices of a file. Raises UsageError for one that is not such a file, with what is wrong."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
        return {name: Given.model_validate(table) for name, table in tables.items()}
    except OSError as error:
        raise UsageError(f"expected a file of prices, but {path} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]) or "a table"
        raise UsageError(
            f"{path}: {where}: {error.errors()[0]['msg']}; expected a table a model, such as "
            '["gpt-x"] with input = 2.50, output = 10.00 (a million tokens), currency = "USD" and date = 2026-03-01'
        ) from None
    except ValueError as error:
        raise UsageError(f"{path} is not readable TOML: {error}") from None
