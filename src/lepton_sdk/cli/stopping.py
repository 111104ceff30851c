"""``lepton stop`` waits until machines are given back; whoever will not wait leaves that to a follower."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lepton_sdk.aio import AsyncClient
from lepton_sdk.cli.progress import StatusLine
from lepton_sdk.cli.signals import Ears, over
from lepton_sdk.errors import LeptonError

if TYPE_CHECKING:
    from lepton_sdk.domain.run import Run

__all__ = ["stop_all"]

# What takes longer than that is said.
_QUICK_SECONDS = 1.0
_WAITING = "stopping and giving machines back, {clock}; Ctrl-C leaves that to a follower process"


async def stop_all(names: Sequence[str], *, now: bool) -> list[Run]:
    """The runs, ended; or still open, each with a follower, when somebody would not wait."""
    async with AsyncClient() as client:
        ears = Ears()
        logging.getLogger("lepton_sdk.leaving").disabled = True
        status = StatusLine(lambda _: None)
        with ears.open():
            work = asyncio.gather(*(client.stop(name, now=now) for name in names), return_exceptions=True)
            try:
                if not (heard := await ears.hear(work, seconds=_QUICK_SECONDS)) and not work.done():
                    status.waiting(_WAITING)
                    heard = await ears.hear(work)
                if heard:
                    await _hand_on(client, names, work, status)
                    return [await client.get(name) for name in names]
                return _answers(work.result())
            finally:
                status.close()


async def _hand_on(
    client: AsyncClient, names: Sequence[str], work: asyncio.Future[list[Run | BaseException]], status: StatusLine
) -> None:
    await over(work)
    for name in names:
        if not (await client.get(name)).state.ended:
            await client.detach(name, accept_exposure=True)
            status.say(f"lepton: a follower process goes on stopping run {name}; see it with lepton ps and lepton nodes")


def _answers(answers: Sequence[Run | BaseException]) -> list[Run]:
    """The runs; one that could not be stopped keeps no other from being stopped."""
    errors = [answer for answer in answers if isinstance(answer, BaseException)]
    if errors:
        raise next((error for error in errors if isinstance(error, LeptonError)), errors[0])
    return [answer for answer in answers if not isinstance(answer, BaseException)]
