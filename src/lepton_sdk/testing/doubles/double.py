"""The base class of doubles: what all vendors have in common, and methods for what differs."""

from __future__ import annotations

import random
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from attrs import define, evolve, fields_dict

from lepton_sdk.testing.doubles.clock import Pace, VendorClock
from lepton_sdk.testing.doubles.ledger import Ledger
from lepton_sdk.testing.doubles.request import Refused, Reply, Request
from lepton_sdk.testing.doubles.routes import find_route, lever, view
from lepton_sdk.testing.doubles.stock import Stock
from lepton_sdk.testing.machines import SSHMachines

__all__ = ["Double", "Settings"]

Row = TypeVar("Row")


@define
class Settings:
    """How a double behaves; the lever ``/settings`` changes it while it runs. A double with more of its own extends this.

    Attributes:
        boot: seconds until a machine is ready.
        end: seconds until a released machine is gone.
        lag: seconds for which a new thing is missing from every answer.
        page: maximum rows of a page, if below the vendor's own limit; 0 for the vendor's.
    """

    boot: float = 2.0
    end: float = 1.0
    lag: float = 0.0
    page: int = 0


class Double:
    """A simulated cloud: extend it with `route`, `lever` and `view`.

    It is served by `DoubleServer` or by a command (`DoubleCommand`), which call it one request at a time, so it needs no locks.
    Override these methods for what differs between vendors: `authorize`, `locate`, `refresh`, `write_answer`,
    `write_refusal`, `bad_request`.

    Args:
        machines: what it rents out; by default addresses without a host.
        settings: how it behaves.
        clock: its time.
        stock: what it has.
        ledger: its bill.
        seed: gives the same ids in every run; by default every double has different ids.

    Attributes:
        prefix: the prefix of every route's path, such as ``"/api/v1"``; the base URL ends with it.
        pace: the rate limits; they apply only if `authorize` checks them.

    >>> double = Double(stock=Stock({("small", "north"): 2}), seed=1)
    >>> double.new_id() == Double(seed=1).new_id()
    True
    >>> double.answer(Request("GET", "/nothing")).status
    404
    """

    prefix: ClassVar[str] = ""

    def __init__(
        self,
        machines: SSHMachines | None = None,
        *,
        settings: Settings | None = None,
        clock: VendorClock | None = None,
        stock: Stock | None = None,
        ledger: Ledger | None = None,
        seed: int | None = None,
    ) -> None:
        self.machines = machines or SSHMachines()
        self.settings = settings or Settings()
        self.clock = clock or VendorClock()
        self.stock = stock or Stock()
        self.ledger = ledger or Ledger()
        self.pace = Pace()
        self._chance = random.Random(seed)  # noqa: S311 - nobody is kept out by these ids

    # --- what vendors do in their own way ---------------------------------------------------------------------------

    def authorize(self, request: Request) -> Any:
        """Return the caller; the route finds it in ``request.caller``. By default everybody may call.

        Raises:
            Refused: the caller has no access.
        """
        return None

    def locate(self, request: Request) -> str:
        """The path for matching routes: by default what follows `prefix`.

        Raises:
            Refused: there is nothing at this path.
        """
        if not request.path.startswith(f"{self.prefix}/"):
            raise self.unknown(request)
        return request.path.removeprefix(self.prefix)

    def refresh(self) -> None:
        """Update the state that changes by itself; called before each request, view and lever."""

    def write_answer(self, value: Any) -> Any:
        """The body of an answer: by default the route's result."""
        return value

    def write_refusal(self, refused: Refused) -> Any:
        """The body of an error."""
        return {"code": refused.code, "message": refused.message}

    def bad_request(self, message: str) -> Refused:
        """The refusal of a call with a malformed body or query."""
        return Refused(400, "bad_request", message)

    def unknown(self, request: Request) -> Refused:
        """The refusal of a call without a route."""
        return Refused(404, "not_found", f"there is no {request.method} {request.path}")

    # --- what routes use --------------------------------------------------------------------------------------------

    def now(self) -> float:
        """Seconds since 1970, by the double's own clock."""
        return self.clock.now()

    def new_id(self) -> str:
        """A new UUID."""
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    def is_listed(self, since: float) -> bool:
        """Whether a thing that was created at this time is visible yet."""
        return since + self.settings.lag <= self.now()

    def page(self, rows: Sequence[Row], token: str, limit: int) -> tuple[list[Row], str]:
        """One page of rows.

        Args:
            token: where it begins: ``""``, or the token from the previous page.
            limit: maximum rows; the setting ``page`` may lower it.

        Returns:
            The rows, and the token of the next page; ``""`` at the end.

        Raises:
            Refused: the token is unknown.
        """
        if token and not token.isdecimal():
            raise self.bad_request(f"no page has the token {token!r}")
        start, most = int(token or 0), min(limit, self.settings.page or limit)
        return list(rows[start : start + most]), str(start + most) if len(rows) > start + most else ""

    # --- answering --------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Reply:
        """Answer one request, without a network."""
        self.refresh()
        try:
            return self._answer(evolve(request, caller=self.authorize(request)))
        except Refused as refused:
            return Reply(refused.status, self.write_refusal(refused))

    def _answer(self, request: Request) -> Reply:
        found = find_route(self, request.method, self.locate(request))
        if found is None:
            raise self.unknown(request)
        route, names, call = found
        if strange := sorted(set(request.query) - set(route.query)):
            raise self.bad_request(f"{strange[0]} is not a known name in the query")
        try:
            body = request.body
        except ValueError:
            raise self.bad_request("the body is not JSON") from None
        if route.body is None and request.raw:
            raise self.bad_request("this call takes no body")
        if route.body is not None and (complaint := route.body.complaint(body)):
            raise self.bad_request(complaint)
        value = call(request, **names)
        return value if isinstance(value, Reply) else Reply(200, self.write_answer(value))

    # --- the control port -------------------------------------------------------------------------------------------

    @lever("/time")
    def skip_time(self, skip: float) -> None:
        """Let the given seconds pass at once."""
        self.clock.skip(float(skip))

    @lever("/settings")
    def change_settings(self, **values: Any) -> None:
        """Change settings by name; see the view of the same path."""
        known = fields_dict(type(self.settings))
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"{name!r} is not a setting; known: {', '.join(known)}")
            setattr(self.settings, name, _like(getattr(self.settings, name), name, value))

    @lever("/stock")
    def set_stock(self, type: str, region: str, left: int) -> None:  # noqa: A002 - the field's name
        """Set how many machines of a type a region has left."""
        self.stock.put(type, region, int(left))

    @lever("/promise")
    def set_promise(self, type: str, region: str, left: int) -> None:  # noqa: A002
        """Set how many the listing shows, independent of the stock."""
        self.stock.promise(type, region, int(left))

    @view("/bill")
    def show_bill(self) -> Mapping[str, Any]:
        """Everything that was billed, from when to when; see `Ledger.bill`."""
        return self.ledger.bill(self.now())

    @view("/settings")
    def show_settings(self) -> Mapping[str, Any]:
        """The settings in force."""
        return {name: getattr(self.settings, name) for name in fields_dict(type(self.settings))}

    @view("/stock")
    def show_stock(self) -> Sequence[Mapping[str, Any]]:
        """The stock, and what the listing shows, by type and region."""
        stock = self.stock
        return [
            {"type": kind, "region": region, "left": stock.left(kind, region), "listed": stock.listed(kind, region)}
            for kind, region in stock.places()
        ]


def _like(before: Any, name: str, value: Any) -> Any:
    """The checked new value of a setting: a value of another type would break the double much later."""
    if isinstance(before, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not type(before):
        raise ValueError(f"{name}: {value!r} is not {type(before).__name__}")
    return value
