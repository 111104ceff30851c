"""What comes of a create call: whether it left decides between a broken plugin and an unknown outcome."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from lepton_sdk import Money, Node
from lepton_sdk._engine.calls.create import Withdrawn, create_call, departure_of
from lepton_sdk._engine.engine import Engine
from lepton_sdk._plugins.entry_points import EntryPoint
from lepton_sdk.domain.offer import Offer
from lepton_sdk.errors import (
    BlockScope,
    LeptonError,
    NoCapacity,
    OutcomeUnknown,
    PluginBroken,
    Unavailable,
)
from lepton_sdk.spi.http import ApiClient
from lepton_sdk.spi.provider import Launch, ProviderContext
from lepton_sdk.spi.spec import ConfigField, ProviderSpec
from lepton_sdk.testing import fake_offer

URL = "https://api.acme.example/v1"
Body = Callable[[ApiClient, Launch], Any]

# A plugin that makes its client by the context, as an installed one does; a test says what its acquire does.
ACME = ProviderSpec(
    "acme",
    title="Acme",
    factory=f"{__name__}:create",
    capabilities={"local"},
    config=(ConfigField("api_key", secret=True, default=None),),
    rates={"launch": 3600.0},
)
BODIES: dict[str, Body] = {}


class Acme:
    def __init__(self, context: ProviderContext) -> None:
        self._api = context.http(base_url=URL)

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        answer: Node = await BODIES["acquire"](self._api, launch)
        return answer

    async def offers(self, resources: Any) -> AsyncIterator[Offer]:
        yield fake_offer(provider="acme")

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        for _ in ():
            yield Node("acme", "m-1")

    async def inspect(self, node: Node) -> Node:
        return node

    async def release(self, node: Node) -> Node:
        return node

    async def aclose(self) -> None:
        await self._api.aclose()


def create(context: ProviderContext) -> Acme:
    return Acme(context)


def launch() -> Launch:
    async def announce(kind: str, name: str, *, shared: bool = False) -> None:
        await asyncio.sleep(0)

    from lepton_sdk.domain.resources import Resources

    return Launch("me", "t1", "r1", "job", 1, 0, Resources(), None, announce)


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    """An engine whose acme is found as an entry point."""
    from lepton_sdk._config import load_config

    config = load_config(state=tmp_path / "state", cache=tmp_path / "cache", environ={"HOME": str(tmp_path)})
    made = Engine(config)
    made.registry._found = (EntryPoint("lepton_sdk.providers.v1", "acme", f"{__name__}:ACME", "lepton-acme", "1.0"),)
    return made


def outcome(engine: Engine, body: Body, *, seconds: float = 30.0) -> Any:
    BODIES["acquire"] = body

    async def ask() -> Any:
        try:
            return await create_call(engine, fake_offer(provider="acme"), [launch()], seconds=seconds)
        except LeptonError as error:
            return error
        finally:
            await engine.registry.aclose()

    return asyncio.run(ask())


async def post(api: ApiClient, path: str = "/machines", **options: Any) -> Any:
    return await api.call("POST", path, **{"creates": True, **options})


@pytest.fixture
def vendor() -> Iterator[respx.MockRouter]:
    with respx.mock(base_url=URL, assert_all_called=False) as router:
        router.get("/stock").respond(json={"left": 3})
        router.post("/machines").respond(json={"id": "m-1"})
        router.post("/keys").respond(json={"id": "k-1"})
        yield router


def bug(value: Any = None) -> Any:
    nothing: dict[str, Any] = {}
    return nothing["id"]


def test_a_bug_before_the_wire_is_the_plugins_with_its_place(engine: Engine, vendor: respx.MockRouter) -> None:
    async def body(api: ApiClient, launch: Launch) -> Any:
        await api.call("GET", "/stock")
        return bug()

    error = outcome(engine, body)
    assert isinstance(error, PluginBroken)
    assert error.scope is BlockScope.PROVIDER
    assert error.provider == "acme"
    assert "its plugin failed before the create call left: KeyError: 'id' (in calls/test_create.py:" in error.message
    assert error.message.endswith(", bug)")
    assert "nothing was made" in str(error.hint)


def test_a_bug_after_it_is_an_unknown_outcome(engine: Engine, vendor: respx.MockRouter) -> None:
    async def body(api: ApiClient, launch: Launch) -> Any:
        return bug(await post(api))

    error = outcome(engine, body)
    assert isinstance(error, OutcomeUnknown)
    assert "KeyError: 'id'" in error.message


def test_wrong_money_for_a_machine_that_was_made_is_no_refusal(engine: Engine, vendor: respx.MockRouter) -> None:
    async def body(api: ApiClient, launch: Launch) -> Any:
        await post(api)
        return Node("acme", "m-1", price=Money(0.8))

    assert isinstance(outcome(engine, body), OutcomeUnknown)


def test_wrong_money_before_it_is_the_plugins(engine: Engine, vendor: respx.MockRouter) -> None:
    async def body(api: ApiClient, launch: Launch) -> Any:
        return Money(0.8)

    error = outcome(engine, body)
    assert isinstance(error, PluginBroken)
    assert "0.8 is a float" in error.message


def test_a_refusal_is_the_providers_own_wherever_it_comes(engine: Engine, vendor: respx.MockRouter) -> None:
    async def body(api: ApiClient, launch: Launch) -> Any:
        await post(api)
        raise NoCapacity("none left", provider="acme")

    assert isinstance(outcome(engine, body), NoCapacity)


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"free": True}, PluginBroken), ({"creates": False, "reads": True}, PluginBroken), ({"creates": False}, OutcomeUnknown)],
    ids=["free", "reads", "changes"],
)
def test_what_is_made_free_of_charge_has_not_left(
    engine: Engine, vendor: respx.MockRouter, options: dict[str, Any], expected: type
) -> None:
    async def body(api: ApiClient, launch: Launch) -> Any:
        return bug(await post(api, "/keys", **{"creates": False, **options}))

    assert type(outcome(engine, body)) is expected


def test_a_lost_answer_to_what_is_free_is_no_unknown_machine(engine: Engine, vendor: respx.MockRouter) -> None:
    vendor.post("/keys").mock(side_effect=httpx.ReadTimeout("silence"))

    async def body(api: ApiClient, launch: Launch) -> Any:
        return await post(api, "/keys", creates=False, free=True)

    assert type(outcome(engine, body)) is Unavailable


def test_what_creates_is_not_free(engine: Engine, vendor: respx.MockRouter) -> None:
    async def body(api: ApiClient, launch: Launch) -> Any:
        return await post(api, free=True)

    error = outcome(engine, body)
    assert isinstance(error, PluginBroken)
    assert "what a call creates is billed, or it is free" in error.message


@pytest.mark.parametrize(
    "fault", [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.PoolTimeout("full")], ids=repr
)
def test_a_call_that_did_not_get_out_has_not_left(engine: Engine, vendor: respx.MockRouter, fault: Exception) -> None:
    vendor.post("/machines").mock(side_effect=fault)

    async def body(api: ApiClient, launch: Launch) -> Any:
        try:
            await post(api)
        except Unavailable:
            return bug()

    assert isinstance(outcome(engine, body), PluginBroken)


@pytest.mark.parametrize("fault", [httpx.ReadTimeout("silence"), httpx.RemoteProtocolError("cut")], ids=repr)
def test_a_call_whose_answer_was_lost_has_left(engine: Engine, vendor: respx.MockRouter, fault: Exception) -> None:
    vendor.post("/machines").mock(side_effect=fault)

    async def body(api: ApiClient, launch: Launch) -> Any:
        try:
            await post(api)
        except OutcomeUnknown:
            return bug()

    assert isinstance(outcome(engine, body), OutcomeUnknown)


def test_requests_that_go_past_call_are_noted_as_well(engine: Engine, vendor: respx.MockRouter) -> None:
    async def body(api: ApiClient, launch: Launch) -> Any:
        return bug(await api.post("/machines"))

    assert isinstance(outcome(engine, body), OutcomeUnknown)


def test_a_call_that_never_leaves_in_time_is_no_unknown_machine(engine: Engine, vendor: respx.MockRouter) -> None:
    async def body(api: ApiClient, launch: Launch) -> Any:
        await post(api, bucket="launch", creates=False, reads=True)
        # The next turn comes in an hour.
        return await post(api, bucket="launch")

    error = outcome(engine, body, seconds=0.2)
    assert type(error) is Unavailable
    assert "its create call did not leave: no answer within 0 seconds" in error.message
    assert [call.request.method for call in vendor.calls] == ["POST"]


def test_what_a_failed_call_leaves_running_creates_nothing(engine: Engine, vendor: respx.MockRouter) -> None:
    async def story() -> tuple[LeptonError, BaseException]:
        later: list[asyncio.Task[Any]] = []
        go = asyncio.Event()

        async def body(api: ApiClient, launch: Launch) -> Any:
            async def late() -> Any:
                await go.wait()
                return await post(api)

            later.append(asyncio.ensure_future(late()))
            return bug()

        BODIES["acquire"] = body
        with pytest.raises(PluginBroken) as caught:
            await create_call(engine, fake_offer(provider="acme"), [launch()], seconds=30)
        go.set()
        (lost,) = await asyncio.gather(*later, return_exceptions=True)
        await engine.registry.aclose()
        return caught.value, lost

    _, lost = asyncio.run(story())
    assert isinstance(lost, Withdrawn)
    assert not vendor.calls


def test_a_call_that_waits_for_its_turn_can_be_taken_back(engine: Engine, vendor: respx.MockRouter) -> None:
    async def story() -> None:
        waiting = asyncio.Event()

        async def body(api: ApiClient, launch: Launch) -> Any:
            await post(api, bucket="launch", creates=False, reads=True)
            waiting.set()
            return await post(api, bucket="launch")

        BODIES["acquire"] = body
        departure = departure_of(engine, "acme")
        call = asyncio.ensure_future(
            create_call(engine, fake_offer(provider="acme"), [launch()], seconds=600, departure=departure)
        )
        await waiting.wait()
        assert not departure.left
        assert departure.withdraw()
        with pytest.raises(Withdrawn):
            await call
        await engine.registry.aclose()

    asyncio.run(asyncio.wait_for(story(), 30))
    assert len(vendor.calls) == 1


def test_a_call_that_has_left_cannot(engine: Engine, vendor: respx.MockRouter) -> None:
    async def story() -> None:
        there, answer = asyncio.Event(), asyncio.Event()

        async def slow(request: httpx.Request) -> httpx.Response:
            there.set()
            await answer.wait()
            return httpx.Response(200, json={"id": "m-1"})

        vendor.post("/machines").mock(side_effect=slow)

        async def body(api: ApiClient, launch: Launch) -> Any:
            return (await post(api))["id"]

        BODIES["acquire"] = body
        departure = departure_of(engine, "acme")
        call = asyncio.ensure_future(
            create_call(engine, fake_offer(provider="acme"), [launch()], seconds=600, departure=departure)
        )
        await there.wait()
        assert departure.left
        assert not departure.withdraw()
        answer.set()
        assert await call == "m-1"
        await engine.registry.aclose()

    asyncio.run(asyncio.wait_for(story(), 30))


def test_whoever_is_cancelled_is_cancelled(engine: Engine, vendor: respx.MockRouter) -> None:
    async def story() -> None:
        started = asyncio.Event()

        async def body(api: ApiClient, launch: Launch) -> Any:
            started.set()
            await asyncio.Event().wait()

        BODIES["acquire"] = body
        call = asyncio.ensure_future(create_call(engine, fake_offer(provider="acme"), [launch()], seconds=600))
        await started.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await engine.registry.aclose()

    asyncio.run(asyncio.wait_for(story(), 30))
