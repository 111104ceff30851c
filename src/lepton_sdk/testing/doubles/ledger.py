"""The bill of a double: what was billed, from when to when, and what is still billed."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from attrs import asdict, define

__all__ = ["Charge", "Ledger"]

_CENT_OF_A_CENT = Decimal("0.0001")


@define
class Charge:
    """One billable thing.

    Attributes:
        kind: ``"machine"``, ``"disk"``, …
        hourly: US dollars per hour.
        since: when billing begins, seconds since 1970; may be in the future (a vendor that bills from the end of the boot).
        until: when it ended; ``None`` while it runs.
    """

    id: str
    name: str
    kind: str
    hourly: Decimal
    since: float
    until: float | None = None


class Ledger:
    """Every billable thing ever.

    Args:
        increment: the billing increment in seconds.
        least: the minimum number of billed increments.

    >>> ledger = Ledger(increment=60)
    >>> charge = ledger.begin("m1", hourly="1.20", since=0.0)
    >>> ledger.end("m1", 61.0)
    >>> ledger.total(3600.0), ledger.open()
    (Decimal('0.0400'), [])
    """

    def __init__(self, increment: int = 60, least: int = 0) -> None:
        self.charges: dict[str, Charge] = {}
        self._increment, self._least = increment, least

    def begin(
        self, thing: str, *, since: float, name: str = "", kind: str = "machine", hourly: Decimal | str | int = 0
    ) -> Charge:
        """Begin to bill a thing.

        Args:
            thing: its id at the vendor.
            since: seconds since 1970.
            hourly: US dollars per hour; exact, so not a float.
        """
        self.charges[thing] = Charge(thing, name or thing, kind, Decimal(hourly), since)
        return self.charges[thing]

    def end(self, thing: str, at: float) -> None:
        """End the bill of a thing at a time. The first end counts; an unknown thing is fine."""
        charge = self.charges.get(thing)
        if charge is not None and charge.until is None:
            charge.until = at

    def open(self) -> list[str]:
        """Ids of the things that are still billed, sorted."""
        return sorted(charge.id for charge in self.charges.values() if charge.until is None)

    def amount(self, charge: Charge, now: float) -> Decimal:
        """US dollars that a thing has cost until now: every begun increment counts."""
        seconds = (now if charge.until is None else charge.until) - charge.since
        count = max(self._least, math.ceil(max(0.0, seconds) / self._increment))
        return (count * self._increment * charge.hourly / 3600).quantize(_CENT_OF_A_CENT)

    def total(self, now: float) -> Decimal:
        """US dollars for everything until now."""
        return sum((self.amount(charge, now) for charge in self.charges.values()), Decimal("0.0000"))

    def bill(self, now: float) -> dict[str, Any]:
        """The bill as the control port shows it.

        Returns:
            ``rows`` (one for each thing: ``id``, ``name``, ``kind``, ``hourly``, ``since``, ``until``, ``amount``), ``open``
            (ids) and ``total``. Amounts are US dollars as text, so that they stay exact; times are seconds since 1970.
        """
        rows = [
            asdict(charge) | {"hourly": str(charge.hourly), "amount": str(self.amount(charge, now))}
            for charge in self.charges.values()
        ]
        return {"rows": rows, "open": self.open(), "total": str(self.total(now))}
