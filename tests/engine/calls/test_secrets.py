"""Whatever a plugin's error says, and wherever it comes from, the values of its secret fields are not in it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from lepton_sdk import AsyncClient, Job
from lepton_sdk._plugins.entry_points import EntryPoint
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.offer import Offer
from lepton_sdk.errors import LeptonError, NoCapacity
from lepton_sdk.spi.provider import Launch, ProviderContext
from lepton_sdk.spi.secret import Secret, redacted, without_secrets
from lepton_sdk.spi.spec import ConfigField, ProviderSpec, Timings
from lepton_sdk.testing import fake_offer

KEY = "k/9'2+sécret=="
SPEC = ProviderSpec(
    "leaky",
    title="Leaky",
    factory=f"{__name__}:create",
    capabilities={"account", "diagnose", "marks_leaving"},
    config=(ConfigField("api_key", secret=True, required=True, env="LEAKY_KEY"),),
    timings=Timings(listing_lag=0, create_horizon=0, boot=5, billing_increment=1, poll=0.01),
)
FACTORY: dict[str, Exception] = {}


class VendorError(Exception):
    """An SDK's: the key stands in its words and in its address."""

    def __init__(self) -> None:
        super().__init__(f"403 for https://api.example/?key={quote(KEY, safe='')} signed by {KEY!r}")


class Leaky:
    """Every call fails, and every error says the key."""

    def __init__(self, error: Callable[[], Exception]) -> None:
        self._error = error

    async def offers(self, resources: Any) -> AsyncIterator[Offer]:
        yield fake_offer(provider="leaky")
        if resources.cpus == 2:
            raise self._error()

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        raise self._error()

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        if owner == "*":
            yield Node("leaky", "m-1", state=NodeState.READY)
            raise self._error()

    async def inspect(self, node: Node) -> Node:
        raise self._error()

    async def release(self, node: Node) -> Node:
        raise self._error()

    async def diagnose(self) -> Any:
        raise self._error()

    async def account(self) -> str | None:
        return None

    async def aclose(self) -> None:
        raise self._error()


def create(context: ProviderContext) -> Leaky:
    if FACTORY:
        raise FACTORY["error"]
    return Leaky(ERRORS[-1])


ERRORS: list[Callable[[], Exception]] = []
_KINDS = {
    "sdk": VendorError,
    "ours": lambda: NoCapacity(f"none for {KEY}", request=f"r {KEY}", hint=f"do not show {KEY}"),
}


def leaky_client(tmp_path: Path) -> AsyncClient:
    environment = {"HOME": str(tmp_path), "LEAKY_KEY": KEY}
    client = AsyncClient(state=tmp_path / "state", cache=tmp_path / "cache", environment=environment)
    client._engine.registry._found = (EntryPoint("lepton_sdk.providers.v1", "leaky", f"{__name__}:SPEC", "leaky", "1"),)
    return client


def shown(tmp_path: Path, capsys: Any, caplog: Any) -> str:
    """Everything that a person can see of a day with this plugin, and everything that is written down."""

    async def story() -> list[object]:
        seen: list[object] = []

        async def see(question: Any) -> None:
            try:
                seen.append(await question)
            except LeptonError as error:
                seen.append([str(error), repr(error), error.to_dict()])

        client = leaky_client(tmp_path)
        await see(client.offers({"cpus": 2, "providers": ["leaky"]}, live=True))
        await see(client.diagnose("leaky"))
        await see(client.run(Job("true", resources={"gpu": "H100:8", "providers": ["leaky"]}, limits={"duration": "1m"})))
        await see(client.reconcile(all_owners=True))
        seen.append([run.to_dict(datetime.now(UTC)) for run in await client.runs(all=True)])
        seen.append(await client.warnings())
        await client.aclose()
        return seen

    seen = asyncio.run(asyncio.wait_for(story(), 60))
    with sqlite3.connect(tmp_path / "state" / "journal.db") as journal:
        rows = "\n".join(journal.iterdump())
    said = capsys.readouterr()
    return f"{seen}\n{rows}\n{said.out}{said.err}\n{caplog.text}"


@pytest.mark.parametrize("kind", sorted(_KINDS))
def test_no_error_shows_a_declared_secret(tmp_path: Path, capsys: Any, caplog: Any, kind: str) -> None:
    ERRORS.append(_KINDS[kind])
    text = shown(tmp_path, capsys, caplog)
    assert text.count("••••••") > 3
    for form in (KEY, quote(KEY, safe=""), repr(KEY)[1:-1], "sécret"):
        assert form not in text


@pytest.mark.parametrize("error", [VendorError(), LeptonError(f"no {KEY}", hint=f"{KEY}")], ids=["sdk", "ours"])
def test_neither_does_a_factory(tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FACTORY, "error", error)

    async def story() -> str:
        client = leaky_client(tmp_path)
        lines = await client.diagnose("leaky")
        await client.aclose()
        return str(lines)

    text = asyncio.run(story())
    assert "••••••" in text
    assert "sécret" not in text


def test_a_secret_that_is_in_every_other_word_hides_nothing() -> None:
    Secret("key")
    assert redacted("the key of the monkey") == "the key of the monkey"


def test_an_error_that_cannot_be_changed_passes() -> None:
    class Frozen(LeptonError):
        def __setattr__(self, name: str, value: object) -> None:
            raise AttributeError(name)

    Secret(KEY)
    frozen = Frozen.__new__(Frozen)
    without_secrets(frozen)
