"""What models cost: money to the last digit, prices with their source, tokens as records hold them."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given
from hypothesis import strategies as st

from openoutcry.core.errors import UsageError
from openoutcry.core.settings import Cost
from openoutcry.eval.cost.account import account
from openoutcry.eval.cost.busy import Busy
from openoutcry.eval.cost.machine import Power, counter, drawn, machine
from openoutcry.eval.cost.money import Money, total
from openoutcry.eval.cost.prices import Prices, Step, Tariff
from openoutcry.eval.cost.spent import Spent, grouped, of_calls, sizes
from openoutcry.eval.cost.stored import Records

NOW = datetime(2026, 11, 29, tzinfo=UTC)
amounts = st.decimals(min_value=-(10**9), max_value=10**9, places=9, allow_nan=False)
counts = st.integers(min_value=0, max_value=10**9)
prices = st.decimals(min_value=0, max_value=10**5, places=6, allow_nan=False)
requests = st.dictionaries(st.tuples(counts, counts), st.integers(min_value=1, max_value=10**6), max_size=5)


def usd(amount: Decimal | str) -> Money:
    return Money(amount=Decimal(amount), currency="USD")


@given(st.lists(amounts, max_size=20), st.randoms())
def test_sums_are_exact_in_any_order(given: list[Decimal], random: Any) -> None:
    shuffled = random.sample(given, len(given))
    assert total(map(usd, given), "USD") == total(map(usd, shuffled), "USD")
    assert Fraction(total(map(usd, given), "USD").amount) == sum(map(Fraction, given))
    assert all(usd(a) + usd(b) - usd(b) == usd(a) for a, b in zip(given, shuffled, strict=True))


@given(amounts, st.integers(min_value=1, max_value=10**6))
def test_parts_make_the_whole_again(amount: Decimal, parts: int) -> None:
    again = usd(amount).over(Decimal(parts)).times(Decimal(parts)).amount
    assert abs(again - amount) <= abs(amount) * Decimal("1e-50")


@given(amounts)
def test_only_what_is_shown_is_rounded(amount: Decimal) -> None:
    shown = Decimal(str(usd(amount)).removeprefix("USD ").replace(",", ""))
    size = abs(amount)
    assert abs(shown - amount) <= (Decimal("0.005") if size >= 1 else size * Decimal("0.005"))


def test_amounts_as_they_are_shown() -> None:
    shown = ["1234567.895", "0", "-3.005", "0.0123456", "0.00000021131", "1"]
    assert [str(usd(one)).removeprefix("USD ") for one in shown] == [
        *("1,234,567.90", "0.00", "-3.00", "0.0123", "0.000000211", "1.00")
    ]


def test_currencies_are_never_mixed() -> None:
    euros = Money(amount=Decimal(1), currency="EUR")
    for mixed in (lambda: usd("1") + euros, lambda: usd("1") - euros, lambda: total([euros], "USD")):
        with pytest.raises(ValueError, match=r"expected (USD|EUR), got (USD|EUR): amounts are never exchanged"):
            mixed()


@given(requests, prices, prices)
def test_a_flat_price_is_tokens_times_price(asked: dict[tuple[int, int], int], first: Decimal, second: Decimal) -> None:
    tariff = Tariff(
        model="m", currency="EUR", input=(Step(price=first),), output=(Step(price=second),), source="s", dated="d"
    )
    tokens = [sum(size[i] * n for size, n in asked.items()) for i in (0, 1)]
    exact = (tokens[0] * Fraction(first) + tokens[1] * Fraction(second)) / 10**6
    found = tariff.of(asked)
    assert (Fraction(found.amount), found.currency) == (exact, "EUR")


@pytest.mark.parametrize("model", ["openai:gpt-4o", "anthropic:claude-sonnet-4-5", "google:gemini-2.5-pro"])
@given(requests=st.lists(st.tuples(st.integers(0, 600_000), st.integers(0, 60_000)), min_size=1, max_size=4))
def test_shipped_prices_are_those_of_the_package(model: str, requests: list[tuple[int, int]]) -> None:
    provider, _, name = model.partition(":")
    tariff = Prices(NOW).find(model)
    assert tariff is not None
    theirs = [
        calc_price(Usage(input_tokens=i, output_tokens=o), name, provider_id=provider, genai_request_timestamp=NOW)
        for i, o in requests
    ]
    assert tariff.of(Counter(requests)).amount == sum(one.total_price for one in theirs)
    assert tariff.source.startswith("genai-prices ")
    assert "2026-11-29" in str(tariff)


def test_a_price_by_request_counts_too() -> None:
    tariff = Prices(NOW).find("perplexity:sonar")
    assert tariff is not None
    assert tariff.request > 0
    assert tariff.of({(0, 0): 3}).amount == 3 * tariff.request


def test_a_persons_own_prices_come_first(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(
        '["gpt-4o"]\ninput = 0.1\noutput = 0.3\ncurrency = "EUR"\nsource = "our contract"\ndate = 2026-03-01\n'
    )
    found = Prices(NOW, file).find("gpt-4o")
    assert found is not None
    assert found.of({(1_000_000, 1_000_000): 3}) == Money(amount=Decimal("1.2"), currency="EUR")
    assert str(found) == "EUR 0.1 in, 0.3 out (our contract, of 2026-03-01)"
    assert str(Prices(NOW, file).find("gpt-4o-mini")).startswith("USD")


def test_an_unknown_model_has_no_price_and_not_none_of_it() -> None:
    assert [Prices(NOW).find(name) for name in ("nobody-1", "nowhere:gpt-4o", "openai:nothing-9", "")] == [None] * 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[m]\ninput = -1\noutput = 1\ndate = 2026-01-01", "greater than or equal to 0"),
        ("[m]\ninput = 1\noutput = nan\ndate = 2026-01-01", "finite number"),
        ("[m]\ninput = 1\noutput = 1", "date: Field required"),
        ('[m]\ninput = 1\noutput = 1\ndate = 2026-01-01\ncurrency = "$"', "currency: String should match"),
        ("m = 3", "expected a table a model"),
        ("[m", "is not readable TOML"),
    ],
)
def test_a_file_of_prices_that_is_none(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=said) as told:
        Prices(NOW, file)
    assert "\n" not in str(told.value)


def called(role: str, model: str, tokens: tuple[int, int], **more: Any) -> dict[str, Any]:
    usage = {"input_tokens": tokens[0], "output_tokens": tokens[1]}
    return {"role": role, "model": model, "response": {"usage": usage}, "seconds": 0.25, **more}


def test_tokens_are_counted_by_role_and_model() -> None:
    stood: dict[str, Any] = {
        "usage": {"input_tokens": 5},
        "model_name": "house",
        "provider_details": {"degraded": "its queue is full"},
    }
    calls: list[dict[str, Any]] = [
        called("risk", "a", (100, 10)),
        called("risk", "a", (200, 20)),
        called("analyst", "a", (1, 2)),
        {"role": "risk", "model": "a", "response": stood, "seconds": 1.0, "tokens": 3},
        {"role": "risk", "model": "a", "response": {}, "failure": "its answer was cut short", "tokens": 77},
    ]
    found = {(s.role, s.model): s for s in grouped(of_calls(calls))}
    risk = found["risk", "a"]
    assert (risk.requests, risk.input, risk.output, risk.unsplit, risk.tokens) == (3, 300, 30, 80, 410)
    assert (found["risk", "house"].input, found["risk", "house"].unsplit) == (5, 0)
    assert found["analyst", "a"].seconds == 0.25
    assert sizes(found.values()) == {(100, 10): 1, (200, 20): 1, (1, 2): 1, (5, 0): 1, (0, 0): 1}


@given(st.decimals(0, 10**6, places=3), st.decimals(0, 5000, places=1), st.decimals(0, 5, places=3))
def test_energy_and_wear_by_another_path(seconds: Decimal, watts: Decimal, kwh: Decimal) -> None:
    cost = Cost(price_per_kwh=kwh, machine_price=Decimal(2400), machine_years=Decimal(3))
    found = machine(cost, Power(watts=watts, source="a meter"), seconds, seconds * 2)
    assert found.kwh is not None and found.energy is not None and found.worn_busy is not None and found.worn_elapsed
    joules = Fraction(seconds) * Fraction(watts)
    assert abs(Fraction(found.energy.amount) - joules / 1000 / 3600 * Fraction(kwh)) <= Fraction(1, 10**40)
    days = Fraction(seconds) / 86400
    assert abs(Fraction(found.worn_busy.amount) - 2400 * days / (3 * Fraction("365.25"))) <= Fraction(1, 10**40)
    assert abs(Fraction(found.worn_elapsed.amount) - 2 * Fraction(found.worn_busy.amount)) <= Fraction(1, 10**40)


def test_what_is_not_set_is_not_made_up() -> None:
    bare = machine(Cost(), None, Decimal(100), Decimal(200))
    assert (bare.kwh, bare.energy, bare.worn_busy, bare.worn_elapsed, bare.least) == (None,) * 5
    half = machine(Cost(), Power(watts=Decimal(100), source="a meter"), Decimal(3600), Decimal(7200))
    assert (half.kwh, half.energy) == (Decimal("0.1"), None)


def test_power_is_the_settings_else_the_processors_counter(tmp_path: Path) -> None:
    assert drawn(Cost(watts=Decimal(90)), tmp_path) == Power(watts=Decimal(90), source="[cost] watts")
    assert drawn(Cost(), tmp_path) is None
    zones = [("0", "package-0", 10), ("1", "package-1", 20), ("0:0", "core", 999), ("2", "psys", 999)]
    for zone, name, joules in zones:
        (tmp_path / f"intel-rapl:{zone}").mkdir()
        (tmp_path / f"intel-rapl:{zone}" / "name").write_text(f"{name}\n")
        (tmp_path / f"intel-rapl:{zone}" / "energy_uj").write_text(f"{joules * 1_000_000}\n")
    assert counter(tmp_path) == 30_000_000
    clock = iter([5.0, 7.0])
    later = tmp_path / "intel-rapl:1" / "energy_uj"

    def wait(_: float) -> None:
        later.write_text("120000000")

    found = drawn(Cost(), tmp_path, wait, lambda: next(clock))
    assert found is not None
    assert (found.watts, "RAPL" in found.source) == (Decimal("50.0"), True)
    told = machine(Cost(price_per_kwh=Decimal(1)), found, Decimal(3600), Decimal(7200))
    assert (told.power, told.kwh, told.energy) == (found, None, None), "the work is over, and drew other watts"
    later.write_text("not a number")
    assert drawn(Cost(), tmp_path) is None


def call(began: float, seconds: float) -> dict[str, Any]:
    """A request as a record holds it; one that began at 0 has no response."""
    made = datetime.fromtimestamp(began + seconds, UTC).isoformat()
    return {"response": {"timestamp": made} if began else {}, "seconds": seconds}


def test_busy_are_the_seconds_in_which_any_request_was_in_the_air() -> None:
    busy, other = Busy(), Busy()
    busy.add([call(1000, 10), call(1000, 10), call(1005, 2)], 10.0)
    assert busy.seconds == 10.0
    other.add([call(1008, 4), call(2000, 1)], 5.0)
    busy.join(other)
    assert busy.seconds == 13.0
    busy.add([call(0, 3), call(0, 3)], 4.0)
    busy.add([call(0, 3), call(0, 3)], None)
    assert busy.seconds == 23.0


@given(requests=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 9)), max_size=9))
def test_busy_seconds_by_counting_them(requests: list[tuple[int, int]]) -> None:
    busy = Busy()
    for began, seconds in requests:
        busy.add([call(began, seconds)], None)
    assert busy.seconds == len({at for began, seconds in requests for at in range(began, began + seconds)})


def test_the_account_says_what_it_assumes() -> None:
    spent = (Spent("risk", "a", Counter({(1000, 100): 2}), 7, 3.0),)
    records = {"runs": Records(2, spent, 3.0, Counter(unix=9), 4, NOW - timedelta(days=1))}
    cost = Cost(watts=Decimal(100), price_per_kwh=Decimal("0.3"), machine_price=Decimal(1461))
    found = account(records, Prices(NOW), ["openai:gpt-4o", "nobody"], cost, drawn(cost), NOW)
    part = found.parts[0]
    assert (part.tokens, part.unsplit, part.left, part.machine.elapsed) == (2207, 7, 4, Decimal(86400))
    assert part.machine.worn_elapsed == usd("1")
    assert [sorted(one.costs.items()) for one in found.elsewhere] == [[("runs", usd("0.007"))], []]
    assert found.assumed == ("machine_years",)
    assert account(records, Prices(NOW), [], Cost(machine_years=Decimal(5)), None, NOW).assumed == ()
    least = part.machine.least
    assert least is not None
    each, thousand = part.each(least), part.per_thousand(least)
    assert each is not None and thousand is not None
    assert each + each == least
    assert abs(Fraction(thousand.amount) * 2207 / 1000 - Fraction(least.amount)) < Fraction(1, 10**40)
    assert json.loads(found.model_dump_json())["parts"][0]["machine"]["kwh"] is not None
