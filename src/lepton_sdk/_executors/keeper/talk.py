"""Talking with the keeper of a run: what it answers to a start, to a look at the run, and to its cancellation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import evolve

from lepton_sdk._clock import Clock
from lepton_sdk._executors.keeper.orders import hundredths, run_path
from lepton_sdk._executors.keeper.status import read_answer, told_clock
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import JobCancelled, NodeError, NodeUnreachable, StaleEpoch
from lepton_sdk.spi.executor import Execution, ExecutionState, ExecutionStatus

__all__ = ["ENDED", "Answering", "Polling", "cancelled", "heed_cancel", "heed_start", "stale"]

ENDED = (ExecutionState.FINISHED, ExecutionState.LOST)
_EAGER, _IDLE = 0.02, 0.5
_LONGEST_EPOCH = 18


class Answering(Protocol):
    """A host with a keeper that answers short questions."""

    @property
    def title(self) -> str:
        """The host's name for people."""
        ...

    async def ask(self, *words: str) -> list[str]:
        """The lines of the answer."""
        ...


class Polling:
    """Asks keepers how runs stand, and renews the leases of runs that have one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[tuple[Answering, str], int] = {}

    async def poll(self, host: Answering, execution: Execution) -> ExecutionStatus:
        """What the record says and whether the process that keeps it lives; renews the lease if there is one."""
        path = run_path(execution)
        key, lease = (host, path), hundredths(execution.lease)
        # What we say may arrive long after we have given up on it, so it is counted from what the node itself told last.
        until = self._told[key] + lease if lease and key in self._told else 0
        said = await host.ask("poll", path, str(execution.epoch), str(until), execution.watchdog or "-")
        if lease and (clock := told_clock(said)) is not None:
            self._told[key] = clock
        status = read_answer(said, self._clock.now())
        if status.state in ENDED:
            self._told.pop(key, None)
        return status

    async def has_ended(self, host: Answering, execution: Execution) -> bool:
        """Whether the run has ended; waits until it was started."""
        return await self._until(host, execution, lambda state: state is not ExecutionState.ABSENT) in ENDED

    async def ending(self, host: Answering, execution: Execution) -> ExecutionState:
        """How the run ended; waits for that."""
        # What has just begun is left alone for a moment; looking takes time from it.
        await self._clock.sleep(_EAGER)
        return await self._until(host, execution, lambda state: state in ENDED)

    async def _until(self, host: Answering, execution: Execution, holds: Callable[[ExecutionState], bool]) -> ExecutionState:
        pause, looking = _EAGER, evolve(execution, lease=None)
        while not holds(state := (await self.poll(host, looking)).state):
            await self._clock.sleep(pause)
            pause = min(pause * 1.3, _IDLE)
        return state

    def forget(self, host: Answering) -> None:
        """Let go of what was told on a host that is not there any more."""
        self._told = {key: told for key, told in self._told.items() if key[0] is not host}


def heed_start(execution: Execution, said: list[str], where: str) -> None:
    """Turn the keeper's answer to a start into what the contract says.

    Raises:
        StaleEpoch, JobCancelled, NodeError, NodeUnreachable: what it said.
    """
    word, _, rest = (said or [""])[0].partition(" ")
    match word:
        case "started":
            return
        case "stale" if rest.isdecimal() and len(rest) < _LONGEST_EPOCH and int(rest) > execution.epoch:
            raise stale(execution, int(rest))
        case "cancelled":
            raise cancelled(execution)
        case "error":
            raise NodeError(f"{where} cannot start the run: {one_line(rest)}", hint="is the home writable there, with room left?")
    raise NodeUnreachable(f"{where} did not take the run's orders", hint="the connection may have broken; try again")


def heed_cancel(said: list[str], where: str) -> None:
    """Turn the keeper's answer to a cancellation into what the contract says.

    Raises:
        NodeUnreachable: some process did not end; the message names it.
        NodeError: the keeper could not do it.
    """
    word, _, rest = (said or [""])[0].partition(" ")
    if word == "left":
        text = f"processes {one_line(rest) or 'of it'} on {where} did not end"
        raise NodeUnreachable(text, hint="end them by hand, as the user they run as")
    if word != "ok":
        raise NodeError(f"{where} could not cancel the run: {one_line(rest or word) or 'it said nothing'}")


def stale(execution: Execution, newest: int) -> StaleEpoch:
    """The error for a start by a follower that another one has overtaken."""
    return StaleEpoch(
        f"run {execution.run_id}, attempt {execution.attempt}: epoch {execution.epoch} is older than {newest}",
        hint="another follower drives this run; ask it, or look with 'lepton ps'",
    )


def cancelled(execution: Execution) -> JobCancelled:
    """The error for a start that comes after the cancellation."""
    return JobCancelled(f"run {execution.run_id} was cancelled before it started")
