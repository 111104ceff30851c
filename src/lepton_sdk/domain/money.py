"""Money on ``Decimal``: no floats, no currency guessing."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import total_ordering

from attrs import field, frozen

from lepton_sdk.errors import UsageError

__all__ = ["Money", "parse_amount"]

# No machine costs a hundred million an hour; a larger figure is a typing error or has a wrong unit.
_LARGEST = Decimal(100_000_000)
# No bill has a fraction this small; written out, it would fill a page.
_FINEST = -100
_SHOWN = 80
_PLAIN = 'write a plain number such as "31.92"'


def parse_amount(value: object) -> Decimal:
    """Read an exact amount of money: ``35``, ``"31.92"``, ``"$31.92"``, a ``Decimal``.

    Raises:
        UsageError: a float, which is not exact; not a number, NaN, infinite, or beyond 100 million.

    >>> parse_amount("$31.92")
    Decimal('31.92')
    """
    if isinstance(value, float):
        raise UsageError(f"{value!r} is a float, which is no exact amount of money", hint=f'write it as text: "{value!r}"')
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise UsageError(f"{_shown(value)} is not an amount of money", hint=_PLAIN)
    try:
        amount = Decimal(value.strip().removeprefix("$").replace("_", "") if isinstance(value, str) else value)
    except InvalidOperation:
        raise UsageError(f"{_shown(value)} is not an amount of money", hint=_PLAIN) from None
    if not amount.is_finite() or abs(amount) > _LARGEST or int(amount.as_tuple().exponent) < _FINEST:
        raise UsageError(f"{_shown(value)} is not a usable amount of money", hint="write a finite number below 100000000")
    return amount


def _shown(value: object) -> str:
    """The text that shows a wrong value: a list of a million things, or a number of a million digits, is cut."""
    if isinstance(value, str | int | float | Decimal | bool | None) and not (isinstance(value, int) and abs(value) > _LARGEST):
        text = repr(value)
        return text if len(text) < _SHOWN else f"{text[:_SHOWN]}…"
    return f"a value of type {type(value).__name__}"


def _currency(value: object) -> str:
    if not isinstance(value, str) or len(value) != 3 or not value.isascii() or not value.isupper():
        raise UsageError(f"{_shown(value)} is not a currency code", hint="use the three capital letters of ISO 4217")
    return value


@total_ordering
@frozen
class Money:
    """An amount in one currency. Sums and comparisons across currencies raise instead of guessing a rate.

    >>> str(Money("31.92") * 2)
    '63.84'
    """

    amount: Decimal = field(converter=parse_amount)
    currency: str = field(default="USD", converter=_currency)

    @classmethod
    def parse(cls, value: object) -> Money:
        """Read what a person wrote in a job file, a config file or a variable: ``3.5``, ``"$31.92"``.

        A file's plain number arrives as a float. Its shortest text is what the person wrote, so that text is read.

        Raises:
            UsageError: not a usable amount.

        >>> str(Money.parse(3.5))
        '3.5'
        """
        if isinstance(value, Money):
            return value
        return cls(repr(value) if isinstance(value, float) else value)

    def _same(self, other: Money) -> Decimal:
        if other.currency != self.currency:
            raise UsageError(f"cannot compare {self.currency} with {other.currency}", hint="use one currency")
        return other.amount

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other), self.currency)

    def __mul__(self, factor: int | Decimal) -> Money:
        return Money(self.amount * factor, self.currency)

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        return self.amount < self._same(other)

    def __bool__(self) -> bool:
        return self.amount != 0

    def rounded(self, places: int = 2) -> Money:
        """The amount with ``places`` decimals, halves to even."""
        return Money(self.amount.quantize(Decimal(1).scaleb(-places)), self.currency)

    def __str__(self) -> str:
        # Fixed point: nobody writes "1E+2" on a bill.
        return format(self.amount, "f")

    def display(self) -> str:
        """The amount for a table: ``$31.92`` or ``31.92 EUR``; below a tenth with up to two more decimals.

        >>> Money("21.957642").display(), Money("0.0134").display(), Money("0.05").display()
        ('$21.96', '$0.0134', '$0.05')
        """
        small = self.amount != 0 and abs(self.amount) < Decimal("0.1")
        text = str(self.rounded(4 if small else 2))
        # Always two decimals, more only if they are not zero.
        text = text[:-2] + text[-2:].rstrip("0") if small else text
        return f"${text}" if self.currency == "USD" else f"{text} {self.currency}"
