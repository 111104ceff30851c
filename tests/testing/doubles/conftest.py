"""A small cloud of which every part of the doubles is tried: its machines are addresses at which nobody answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import define

from lepton_sdk.testing.doubles import (
    Body,
    Double,
    DoubleProcess,
    DoubleServer,
    Refused,
    Request,
    Settings,
    Stock,
    VendorClock,
    lever,
    number,
    route,
    text,
    view,
)


@define
class ClosetSettings(Settings):
    """One more than all have."""

    open: bool = True


class Closet(Double):
    """A cloud of shelves."""

    prefix = "/v1"
    settings: ClosetSettings

    def __init__(self) -> None:
        super().__init__(settings=ClosetSettings(), clock=VendorClock(1000.0), stock=Stock({("shelf", "north"): 3}), seed=7)
        self.names: list[str] = []
        self.refreshed = 0

    def authorize(self, request: Request) -> str:
        """Everybody with a name, while it is open."""
        if not self.settings.open:
            raise Refused(403, "closed", "the closet is closed")
        return request.headers.get("authorization", "nobody")

    def refresh(self) -> None:
        """Counted."""
        self.refreshed += 1

    @route("POST", "/shelves", body=Body({"name": text(8, 1)}, {"size": number(1)}))
    def take(self, request: Request) -> Any:
        """Take a shelf."""
        if not self.stock.take("shelf", "north"):
            raise Refused(409, "none_left", "no shelf is left")
        self.names.append(request.body["name"])
        self.ledger.begin(self.new_id(), name=request.body["name"], hourly="0.60", since=self.now())
        return {"name": request.body["name"], "by": request.caller}

    @route("GET", "/shelves", query=("after", "limit"))
    def shelves(self, request: Request) -> Any:
        """A page of shelves."""
        rows, following = self.page(self.names, request.query.get("after", ""), int(request.query.get("limit", "2")))
        return {"items": rows, "next": following}

    @route("GET", "/shelves/{name}")
    def shelf(self, request: Request, name: str) -> Any:
        """One shelf."""
        return {"one": name}

    @route("GET", "/shelves/oldest")
    def oldest(self, request: Request) -> Any:
        """The oldest."""
        return {"oldest": True}

    @route("DELETE", "/shelves/{name}/boxes/{box}")
    def end_box(self, request: Request, name: str, box: str) -> None:
        """An answer without a body."""
        self.names.remove(f"{name}.{box}")

    @route("GET", "/bug")
    def bug(self, request: Request) -> Any:
        """What its author did not mean."""
        raise ZeroDivisionError

    @lever("/names")
    def set_names(self, names: list[str], more: str = "") -> None:
        """Set the names."""
        self.names = [*names, more] if more else names

    @view("/names")
    def show_names(self) -> list[str]:
        """The names."""
        return self.names


Answer = tuple[int, Any]


@pytest.fixture
def closet() -> Closet:
    return Closet()


@pytest.fixture
def server() -> Iterator[DoubleServer]:
    with DoubleServer(Closet) as server:
        yield server


@pytest.fixture
def ask() -> Callable[..., Answer]:
    """Send one request to a URL; status and JSON of the answer."""

    def now(url: str, method: str = "GET", body: Any = None, timeout: float = 20, **headers: str) -> Answer:
        place = urlsplit(url)
        line = HTTPConnection(place.netloc, timeout=timeout)
        try:
            target = place.path + (f"?{place.query}" if place.query else "")
            line.request(method, target, None if body is None else json.dumps(body), headers)
            answer = line.getresponse()
            raw = answer.read()
        finally:
            line.close()
        return answer.status, json.loads(raw) if raw else None

    return now


@pytest.fixture
def tell(server: DoubleServer, ask: Callable[..., Answer]) -> Callable[..., Answer]:
    """Pull a lever of the server."""
    return lambda path, **fields: ask(server.control_url + path, "POST", fields)


# --- a double that is installed like any plugin's ---

_PLUGIN = '''
"""A double and its command, installed like any plugin's."""
import click
from lepton_sdk.spi import CommandSpec
from lepton_sdk.testing.doubles import Double, DoubleCommand, route

COMMAND = CommandSpec("closet", help="Try it.", factory="closet_double:command")

class Closet(Double):
    prefix = "/v1"

    @route("GET", "/key")
    def key(self, request):
        return {"key": self.key, "boot": self.settings.boot}

def make(machines, *, key, boot, **options):
    double = Closet(machines)
    double.key, double.settings.boot = key, boot
    return double

def command():
    return DoubleCommand(
        "closet",
        "Closet Cloud",
        make,
        credentials=lambda key, **options: {"api_key": ("CLOSET_KEY", key)},
        example="lepton run --provider closet -- true",
        options=(click.Option(["--key"], default="it's a key"),),
        watchdog=True,
    ).group()
'''
_ENTRY = "[lepton_sdk.commands.v1]\ncloset = closet_double:COMMAND\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on the path in which the plugin is installed; temporary files have a blank in their path."""
    site, temporary = tmp_path / "site", tmp_path / "with a blank"
    about = site / "closet_double-1.0.dist-info"
    about.mkdir(parents=True)
    temporary.mkdir()
    (site / "closet_double.py").write_text(_PLUGIN)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: closet-double\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(_ENTRY)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("TMPDIR", str(temporary))
    return site


@pytest.fixture
def double(site: Path) -> Iterator[DoubleProcess]:
    with DoubleProcess("closet", "--boot", "7") as double:
        yield double
