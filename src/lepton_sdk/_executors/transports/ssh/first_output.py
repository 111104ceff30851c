"""Give the channel that started a run to its first log reader, so that the first lines need no second round trip."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lepton_sdk._clock import Clock
    from lepton_sdk._executors.transports.ssh.channel import Channel

__all__ = ["FirstOutput"]

# A client that starts a run and follows it asks at once. A channel that nobody reads is closed after this time.
_SECONDS = 5.0


class FirstOutput:
    """Channels that wait for a reader, by their run. Each is read once, from its first byte."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[object, tuple[Channel, asyncio.Task[None]]] = {}

    def leave(self, key: object, channel: Channel) -> None:
        """Keep a channel for its reader."""
        self._drop(key)
        self._waiting[key] = channel, asyncio.ensure_future(self._expire(key))

    def take(self, key: object) -> Channel | None:
        """The channel, which the caller must close from now on; ``None`` if there is none."""
        channel, expiry = self._waiting.pop(key, (None, None))
        if expiry is not None:
            expiry.cancel()
        return channel

    def drop(self, which: Callable[[object], bool]) -> None:
        """Close some of them."""
        for key in [key for key in self._waiting if which(key)]:
            self._drop(key)

    def close(self) -> None:
        """Close all of them."""
        self.drop(lambda _: True)

    def _drop(self, key: object) -> None:
        if (channel := self.take(key)) is not None:
            channel.close()

    async def _expire(self, key: object) -> None:
        await self._clock.sleep(_SECONDS)
        channel, _ = self._waiting.pop(key)
        channel.close()
