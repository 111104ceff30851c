"""Money is exact: no floats, but for what people write in files."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from values import amounts, money

from lepton_sdk import Client, load_job
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.money import Money, parse_amount
from lepton_sdk.errors import UsageError

_WRONG: list[tuple[Any, str]] = [
    (3.5, 'write it as text: "3.5"'),
    (float("nan"), "write it as text"),
    (True, "write a plain number"),
    (None, "write a plain number"),
    ([1] * 1000, "write a plain number"),
    (object(), "write a plain number"),
    ("3,5", "write a plain number"),
    ("NaN", "finite"),
    (Decimal("Infinity"), "finite"),
    (10**5000, "finite"),
    ("1e-999999", "finite"),
    ("9" * 10_000, "finite"),
]


@pytest.mark.parametrize(("value", "step"), _WRONG, ids=[type(value).__name__ + str(n) for n, (value, _) in enumerate(_WRONG)])
def test_what_is_no_exact_amount_is_refused_with_the_step_that_mends_it(value: Any, step: str) -> None:
    with pytest.raises(UsageError) as caught:
        Money(value)
    assert step in (caught.value.hint or "")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("currency", ["usd", "", "US", "DOLLARS", None, 3, ["USD"]])
def test_a_currency_is_three_capital_letters(currency: Any) -> None:
    with pytest.raises(UsageError, match="is not a currency code"):
        Money("1", currency)


@pytest.mark.parametrize(("written", "text"), [(3.5, "3.5"), (0.1, "0.1"), (35, "35"), ("$31.92", "31.92"), (Money("2"), "2")])
def test_what_people_write_is_read_as_it_was_written(written: object, text: str) -> None:
    assert str(Money.parse(written)) == text


@pytest.mark.parametrize("suffix", ["yaml", "toml"])
def test_a_plain_number_in_a_job_file_is_an_amount(tmp_path: Path, suffix: str) -> None:
    text = {"yaml": "command: 'true'\nlimits:\n  hourly: 3.5\n", "toml": "command = 'true'\n[limits]\nhourly = 3.5\n"}
    file = tmp_path / f"job.{suffix}"
    file.write_text(text[suffix])
    assert load_job(file).limits.hourly == Money("3.5")
    assert Job("true", limits={"total": 0.1}).limits.total == Money("0.1")


def test_a_plain_number_in_the_config_is_an_amount(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[limits]\nhourly = 3.5\n")
    with Client(config_file=file, state=tmp_path) as client:
        assert client.config.caps.hourly == Money("3.5")


@given(money)
def test_money(value: Money) -> None:
    assert Money(str(value), value.currency) == value
    assert "E" not in str(value)


@given(amounts, amounts)
def test_money_adds_and_orders_exactly(one: Decimal, two: Decimal) -> None:
    if one + two <= 100_000_000:
        assert (Money(one) + Money(two)).amount == one + two
    assert (Money(one) < Money(two)) == (one < two)


@given(st.one_of(st.text(max_size=12), st.floats(), st.integers(), st.none(), st.booleans()))
def test_an_amount_is_finite_or_refused(value: object) -> None:
    try:
        amount = parse_amount(value)
    except UsageError:
        return
    assert amount.is_finite()


def test_currencies_are_never_mixed() -> None:
    with pytest.raises(UsageError):
        Money(1) + Money(1, "EUR")
    with pytest.raises(UsageError):
        assert Money(1) < Money(2, "EUR")
