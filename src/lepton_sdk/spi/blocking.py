"""An adapter for vendors whose SDK only blocks: each of its calls runs in a worker thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from lepton_sdk.domain.node import Node
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.resources import Resources
from lepton_sdk.spi.capabilities import PROVIDER_CAPABILITIES, methods_of
from lepton_sdk.spi.provider import Diagnosis, Launch

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from concurrent.futures import ThreadPoolExecutor

__all__ = [
    "BlockingAccounting",
    "BlockingDiagnosing",
    "BlockingGroupReleasing",
    "BlockingGrouping",
    "BlockingProvider",
    "Threaded",
]

T = TypeVar("T")
_BATCH = 256
_SOON = 0.02


class BlockingProvider(Protocol):
    """The provider contract without ``async``: what an author writes over a blocking SDK."""

    def offers(self, resources: Resources) -> Iterable[Offer]:
        """Yield the offers. Core reads a generator as it goes."""
        ...

    def acquire(self, offer: Offer, launch: Launch, announce: Callable[..., None]) -> Node:
        """Create one billable machine; ``announce(kind, name, shared=False)`` returns when its journal entry is durable."""
        ...

    def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> Iterable[Node]:
        """Return everything billable of ours with its full state."""
        ...

    def inspect(self, node: Node) -> Node:
        """Return the state now; never wait."""
        ...

    def release(self, node: Node) -> Node:
        """Release the machine and its children. Idempotent."""
        ...

    def close(self) -> None:
        """Close connections."""
        ...


class BlockingAccounting(Protocol):
    """`Accounting` without ``async``."""

    def account(self) -> str | None:
        """Return the account that the credentials belong to."""
        ...


class BlockingDiagnosing(Protocol):
    """`Diagnosing` without ``async``."""

    def diagnose(self) -> Sequence[Diagnosis]:
        """Return one line for each check."""
        ...


class BlockingGrouping(Protocol):
    """`Grouping` without ``async``."""

    def acquire_group(
        self, offer: Offer, launches: Sequence[Launch], announce: Callable[[Launch, str, str], None]
    ) -> Sequence[Node]:
        """Create one node for each launch, all or none; ``announce(launch, kind, name)`` returns when its entry is durable."""
        ...


class BlockingGroupReleasing(Protocol):
    """`GroupReleasing` without ``async``."""

    def release_group(self, nodes: Sequence[Node]) -> Sequence[Node]:
        """Release all nodes of an attempt; return each with its state."""
        ...


class Threaded:
    """A `Provider` over a `BlockingProvider`.

    It has each ability of `lepton_sdk.spi.capabilities` that the blocking provider has: a method of the same name and the same
    arguments. A method that takes a `Launch`, or several, takes ``announce`` as well, as its last argument.

    Cancelling a call stops the wait and not the thread: the vendor's call runs to its end and its answer is dropped. A
    cancelled ``acquire`` is therefore an unknown outcome, which core settles with ``find``. Give the vendor's SDK time
    limits of its own: a thread that never returns keeps its place here and blocks the exit of the process.

    Args:
        provider: the blocking provider.
        threads: how many calls may run at once; 1 (the default) for an SDK that is not thread-safe.
    """

    def __init__(self, provider: BlockingProvider, *, threads: int = 1) -> None:
        self._provider = provider
        self._threads = threads
        self._pool: ThreadPoolExecutor | None = None
        for protocol in PROVIDER_CAPABILITIES.values():
            for name in methods_of(protocol):
                if callable(method := getattr(provider, name, None)):
                    setattr(self, name, self._threaded(method))

    def _threaded(self, method: Callable[..., T]) -> Callable[..., Awaitable[T]]:
        """An ability's method, as a coroutine function."""

        async def call(*arguments: object, **options: object) -> T:
            import asyncio

            more = _announcing(arguments, asyncio.get_running_loop())
            return await self._call(lambda: method(*arguments, *more, **options))

        return call

    def offers(self, resources: Resources) -> AsyncIterator[Offer]:
        """Yield the offers."""
        return self._each(lambda: self._provider.offers(resources))

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        """Create one billable machine."""
        import asyncio

        announce = _announce(launch, asyncio.get_running_loop())
        return await self._call(lambda: self._provider.acquire(offer, launch, announce))

    def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        """Return everything billable of ours."""
        return self._each(lambda: self._provider.find(owner, token, regions=regions))

    async def inspect(self, node: Node) -> Node:
        """Return the state now."""
        return await self._call(lambda: self._provider.inspect(node))

    async def release(self, node: Node) -> Node:
        """Release it."""
        return await self._call(lambda: self._provider.release(node))

    async def aclose(self) -> None:
        """Close the vendor's connections and let idle threads end. Does not wait for a thread that is in a call."""
        await self._call(self._provider.close)
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False)

    async def _call(self, work: Callable[[], T]) -> T:
        import asyncio
        import contextvars

        # A pool of its own: one vendor that hangs must not take the threads of the others.
        if self._pool is None:
            self._pool = self._new_pool()
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: context.run(work))

    def _new_pool(self) -> ThreadPoolExecutor:
        from concurrent.futures import ThreadPoolExecutor

        return ThreadPoolExecutor(self._threads, thread_name_prefix=type(self._provider).__name__)

    async def _each(self, begin: Callable[[], Iterable[T]]) -> AsyncIterator[T]:
        """Read an iterable in batches: each trip to a thread takes the items of 20 ms, at most 256."""
        iterator = await self._call(lambda: iter(begin()))
        try:
            while True:
                items, error, ended = await self._call(lambda: _batch(iterator))
                for item in items:
                    yield item
                if error is not None:
                    raise error
                if ended:
                    return
        finally:
            # Do not wait: a cancelled consumer must be able to leave a vendor that hangs.
            if self._pool is not None:
                self._pool.submit(getattr(iterator, "close", lambda: None))


def _announce(launch: Launch, loop: AbstractEventLoop) -> Callable[..., None]:
    """``launch.announce`` for a thread."""
    import asyncio

    async def row(kind: str, name: str, shared: bool) -> None:
        await launch.announce(kind, name, shared=shared)

    def announce(kind: str, name: str, *, shared: bool = False) -> None:
        asyncio.run_coroutine_threadsafe(row(kind, name, shared), loop).result()

    return announce


def _announcing(arguments: Sequence[object], loop: AbstractEventLoop) -> list[Callable[..., None]]:
    """The extra arguments of a blocking method: a thread cannot await the functions of a launch."""
    last = arguments[-1] if arguments else None
    if isinstance(last, Launch):
        return [_announce(last, loop)]
    if isinstance(last, Sequence) and last and all(isinstance(launch, Launch) for launch in last):
        return [lambda launch, kind, name, **shared: _announce(launch, loop)(kind, name, **shared)]
    return []


def _batch(iterator: Iterator[T]) -> tuple[list[T], Exception | None, bool]:
    import time

    items: list[T] = []
    until = time.monotonic() + _SOON
    while len(items) < _BATCH and (not items or time.monotonic() < until):
        try:
            items.append(next(iterator))
        except StopIteration:
            return items, None, True
        except Exception as error:
            # Hand over what came before the failure first.
            return items, error, True
    return items, None, False
