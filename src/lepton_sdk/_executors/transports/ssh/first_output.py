"""The output of runs that have just begun: it comes on the channel that started them, to whoever asks for it soon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from lepton_sdk._clock import Clock
    from lepton_sdk._executors.transports.ssh.channel import Channel

__all__ = ["FirstOutput"]

# Whoever starts a run to follow it does so at once; a channel that nobody reads is not held longer.
_SECONDS = 5.0


class FirstOutput:
    """Channels that wait for a reader, by what they bring. Each is read once, from its first byte."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: dict[object, tuple[Channel, asyncio.Task[None]]] = {}

    def leave(self, key: object, channel: Channel) -> None:
        """Hold a channel for its reader."""
        self._drop(key)
        self._waiting[key] = channel, asyncio.ensure_future(self._expire(key))

    def take(self, key: object) -> Channel | None:
        """The channel, which is the caller's to close from now on; ``None`` when there is none."""
        channel, expiry = self._waiting.pop(key, (None, None))
        if expiry is not None:
            expiry.cancel()
        return channel

    def drop(self, which: Callable[[object], bool]) -> None:
        """Let go of some of them."""
        for key in [key for key in self._waiting if which(key)]:
            self._drop(key)

    def close(self) -> None:
        """Let go of all of them."""
        self.drop(lambda _: True)

    def _drop(self, key: object) -> None:
        if (channel := self.take(key)) is not None:
            channel.close()

    async def _expire(self, key: object) -> None:
        await self._clock.sleep(_SECONDS)
        channel, _ = self._waiting.pop(key)
        channel.close()
