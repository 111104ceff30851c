"""A blocking SDK behind the asynchronous contract."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import pytest
from attrs import evolve

from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.resources import Resources
from lepton_sdk.errors import NoCapacity
from lepton_sdk.spi import blocking
from lepton_sdk.spi.blocking import Threaded
from lepton_sdk.spi.capabilities import PROVIDER_CAPABILITIES, methods_of
from lepton_sdk.spi.provider import Diagnosis, Launch, Provider

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")


class Acme:
    """A vendor whose calls block; it notes from which threads it was called."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.inside = self.most = 0
        self.gate = threading.Event()
        self.closed: list[str] = []

    def offers(self, resources: Resources) -> Iterator[Any]:
        try:
            for n in range(1000):
                self.threads.add(threading.get_ident())
                yield n
            raise NoCapacity("the page after did not come")
        finally:
            self.closed.append("offers")

    def acquire(self, offer: Any, launch: Launch, announce: Callable[[str, str], None]) -> Node:
        announce("key", f"for-{launch.token}")
        return Node("acme", WHO.get(), token=launch.token)

    def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> Iterable[Node]:
        return [Node("acme", "m1", token=token, owner=owner)]

    def inspect(self, node: Node) -> Node:
        self.inside += 1
        self.most = max(self.most, self.inside)
        assert self.gate.wait(10)
        self.inside -= 1
        return node.with_state(NodeState.READY)

    def release(self, node: Node) -> Node:
        raise NoCapacity("as the author says")

    def close(self) -> None:
        self.closed.append("provider")


async def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


def launch(announced: list[tuple[str, str]]) -> Launch:
    async def announce(kind: str, name: str, *, shared: bool = False) -> None:
        await asyncio.sleep(0)
        announced.append((kind, name))

    return Launch("me", "t1", "r1", "job", 1, 0, Resources(), None, announce)


def test_is_a_provider_and_runs_in_other_threads() -> None:
    async def story() -> None:
        acme = Acme()
        announced: list[tuple[str, str]] = []
        provider = Threaded(acme)
        assert isinstance(provider, Provider)
        WHO.set("caller")
        node = await provider.acquire(None, launch(announced))  # type: ignore[arg-type]
        assert (node.id, node.token, announced) == ("caller", "t1", [("key", "for-t1")])
        assert [n.owner async for n in provider.find("me", "t1")] == ["me"]
        with pytest.raises(NoCapacity, match="as the author says"):
            await provider.release(node)
        await provider.aclose()
        assert acme.closed == ["provider"]

    asyncio.run(story())


def test_iterators_hand_over_all_before_their_error_and_off_the_loop() -> None:
    async def story() -> None:
        acme = Acme()
        seen: list[object] = []
        provider = Threaded(acme)
        try:
            async for offer in provider.offers(Resources()):
                seen.append(offer)  # noqa: PERF401
        except NoCapacity:
            seen.append("error")
        assert seen == [*range(1000), "error"]
        assert threading.get_ident() not in acme.threads
        await provider.aclose()

    asyncio.run(story())


def test_iterator_is_closed_when_its_reader_leaves() -> None:
    async def story() -> None:
        acme = Acme()
        provider = Threaded(acme)
        offers: Any = provider.offers(Resources())
        assert await anext(offers) == 0
        await offers.aclose()
        await provider.aclose()
        assert acme.closed == ["offers", "provider"]

    asyncio.run(story())


@pytest.mark.parametrize("threads", [1, 3])
def test_as_many_calls_at_once_as_the_sdk_bears(threads: int) -> None:
    async def story() -> None:
        acme = Acme()
        provider = Threaded(acme, threads=threads)
        node = Node("acme", "m1")
        calls = [asyncio.create_task(provider.inspect(node)) for _ in range(4)]
        await until(lambda: acme.inside == threads)
        acme.gate.set()
        assert {n.state for n in await asyncio.gather(*calls)} == {NodeState.READY}
        assert acme.most == threads
        await provider.aclose()

    asyncio.run(story())


def test_cancelling_stops_the_wait_and_not_the_vendors_call() -> None:
    async def story() -> None:
        acme = Acme()
        provider = Threaded(acme)
        call = asyncio.create_task(provider.inspect(Node("acme", "m1")))
        await until(lambda: acme.inside == 1)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert acme.inside == 1
        acme.gate.set()
        await provider.aclose()
        assert acme.inside == 0

    asyncio.run(story())


class Able(Acme):
    """The same vendor with every ability."""

    def account(self) -> str | None:
        self.threads.add(threading.get_ident())
        return WHO.get()

    def diagnose(self) -> list[Diagnosis]:
        return [Diagnosis("acme key", True, "accepted")]

    def acquire_group(
        self, offer: Any, launches: Sequence[Launch], announce: Callable[[Launch, str, str], None]
    ) -> Sequence[Node]:
        for one in launches:
            announce(one, "disk", f"for-{one.token}")
        return [Node("acme", one.token, token=one.token) for one in launches]

    def release_group(self, nodes: Sequence[Node]) -> Sequence[Node]:
        return [node.with_state(NodeState.GONE) for node in nodes]


def test_every_ability_goes_through_the_thread() -> None:
    async def story() -> None:
        acme = Able()
        provider: Any = Threaded(acme)
        assert all(isinstance(provider, protocol) for protocol in PROVIDER_CAPABILITIES.values())
        WHO.set("caller")
        assert await provider.account() == "caller"
        assert threading.get_ident() not in acme.threads
        assert [line.ok for line in await provider.diagnose()] == [True]
        announced: list[tuple[str, str]] = []
        launches = [evolve(launch(announced), token=token) for token in ("t1", "t2")]
        assert [node.token for node in await provider.acquire_group(None, launches)] == ["t1", "t2"]
        assert announced == [("disk", "for-t1"), ("disk", "for-t2")]
        assert [node.state for node in await provider.release_group([Node("acme", "t1")])] == [NodeState.GONE]
        await provider.aclose()

    asyncio.run(story())


def test_what_the_vendor_cannot_do_the_adapter_does_not_claim() -> None:
    assert not any(isinstance(Threaded(Acme()), protocol) for protocol in PROVIDER_CAPABILITIES.values())


def test_an_ability_of_the_future_needs_its_line_in_the_table_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    class Resting(Protocol):
        async def rest(self, node: Node, *, seconds: float) -> str: ...

    class Tired(Acme):
        def rest(self, node: Node, *, seconds: float) -> str:
            return f"{node.id} rests {seconds}"

    monkeypatch.setattr(blocking, "PROVIDER_CAPABILITIES", {**PROVIDER_CAPABILITIES, "rest": Resting})

    async def story() -> None:
        provider: Any = Threaded(Tired())
        assert await provider.rest(Node("acme", "m1"), seconds=2) == "m1 rests 2"
        await provider.aclose()

    asyncio.run(story())


def test_every_ability_has_a_blocking_counterpart_with_the_same_arguments() -> None:
    for protocol in PROVIDER_CAPABILITIES.values():
        counterpart = getattr(blocking, f"Blocking{protocol.__name__}")
        for name in methods_of(protocol):
            wanted = list(inspect.signature(getattr(protocol, name)).parameters)
            given = list(inspect.signature(getattr(counterpart, name)).parameters)
            assert [word for word in given if word != "announce"] == wanted
            assert ("announce" in given) == bool({"launch", "launches"} & set(wanted))


def test_light_to_import() -> None:
    import subprocess
    import sys

    code = "import sys, lepton_sdk.spi.blocking; print(sorted({'asyncio', 'httpx', 'concurrent.futures'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path("/"))
    assert done.stdout == "[]\n"
