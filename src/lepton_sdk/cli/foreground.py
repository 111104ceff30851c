"""A run in the foreground: how it reacts to Ctrl-C, to a closed terminal and to SIGTERM.

When the foreground ends, the run has ended, or another process follows it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from lepton_sdk.cli.progress import StatusLine
from lepton_sdk.cli.render import plan_lines
from lepton_sdk.cli.signals import SIGNALS, Ears, over
from lepton_sdk.errors import (
    ExposureNotAccepted,
    JournalCorrupt,
    JournalForeign,
    JournalRolledBack,
    JournalTooNew,
    LeptonError,
)

if TYPE_CHECKING:
    from lepton_sdk.aio import AsyncClient
    from lepton_sdk.domain.events import Event
    from lepton_sdk.domain.job import Job
    from lepton_sdk.domain.run import Run

__all__ = ["Foreground"]

_LOOK_SECONDS = 0.1
# Interrupts in quick succession repeat the last wish; they are no new one.
_BURST_SECONDS = 2.0
_STDIN = 0
_QUESTION = (
    "\nThe run goes on while you choose: [s]top it and give its machine back, or [d]etach and leave it running? (Enter: {}) "
)
_STOPPING = "stopping the run and giving its machine back, {clock}; Ctrl-C again does not wait for its logs and outputs"
_STOP, _DETACH = "stop", "detach"
_WORDS = {"s": _STOP, "stop": _STOP, "d": _DETACH, "detach": _DETACH}
# A follower cannot help with these.
_FOR_PEOPLE = (JournalCorrupt, JournalForeign, JournalRolledBack, JournalTooNew)
# After these entries a stop does not cancel the run's work here: it releases the machine, or waits for that.
_ENDING = frozenset({"node.finished", "node.lost", "node.releasing"})


class Foreground:
    """One run that this process drives.

    Args:
        policy: what an interrupt does to the run: ``ask``, ``stop`` or ``detach``.
        accept_exposure: detach also where nothing ends a machine's bill.
        as_json: keep standard output for the result.
    """

    def __init__(self, client: AsyncClient, policy: str, *, accept_exposure: bool, as_json: bool) -> None:
        self._client = client
        self._policy = policy
        self._accept = accept_exposure
        self._ears = Ears()
        self._loop = asyncio.get_running_loop()
        self._status = StatusLine(self._on_lost, output_to_stderr=as_json)
        self._run_id = ""
        # Tokens of unfinished create calls, with their provider.
        self._asked: dict[str, str] = {}
        self._is_ending = False
        self._is_left = False
        self._flows = asyncio.Event()
        self._flows.set()

    async def drive(self, job: Job) -> Run:
        """Return the run, ended or left to a follower."""
        with self._ears.open(), _unlogged():
            try:
                return await self._watched(asyncio.ensure_future(self._run(job)))
            finally:
                self._status.close()

    @property
    def is_left(self) -> bool:
        """Whether the user left the run to a follower."""
        return self._is_left

    def lost_output(self) -> str:
        """A message about job output that is missing on standard output; empty if nothing is missing."""
        if self._status.lost is None:
            return ""
        text = os.strerror(self._status.lost.errno or 0)
        whole = f"lepton logs {self._run_id} shows all of it"
        return f"output beyond byte {self._status.passed} could not be written here ({text}); next: {whole}"

    # --- the run ---------------------------------------------------------------------------------------------------

    async def _run(self, job: Job) -> Run:
        return await self._client.run(
            job,
            on_plan=lambda plan: self._status.say(plan_lines(plan)),
            on_event=self._on_event,
            on_output=self._on_output,
            on_progress=self._status.progress,
        )

    def _on_event(self, event: Event) -> None:
        if event.kind == "run.planned":
            self._run_id = event.run
        if event.run != self._run_id:
            return
        token = event.token or ""
        if event.kind == "node.intended":
            self._asked[token] = event.data["offer"]["provider"]
            self._is_ending = False
        elif event.kind.startswith("node.") and event.kind != "node.announced":
            self._asked.pop(token, None)
            self._is_ending = event.kind in _ENDING
        if event.kind == "run.finished":
            self._flows.set()
        self._status.event(event)

    async def _on_output(self, chunk: bytes) -> None:
        await self._flows.wait()
        await self._status.output(chunk)

    def _on_lost(self, error: OSError) -> None:
        """Nobody reads the output any more. A closed pipe or terminal ends this process; a full disk is reported at the end."""
        if error.errno == errno.EPIPE or (error.errno == errno.EIO and self._ears.hears_hangup):
            self._ears.tell("hangup")

    async def _watched(self, run: asyncio.Task[Run]) -> Run:
        try:
            heard = await self._ears.hear(run)
            return await self._leave(run, heard) if heard else run.result()
        except (click.Abort, ExposureNotAccepted):
            raise
        except Exception as error:
            await self._hand_on(error)
            raise
        finally:
            await over(run)

    # --- leaving ---------------------------------------------------------------------------------------------------

    async def _leave(self, run: asyncio.Task[Run], heard: str) -> Run:
        if not self._run_id:
            await over(run)
            if not self._run_id:
                raise click.Abort
        choice = self._policy
        if choice == "ask":
            asks = heard == "interrupt" and os.isatty(_STDIN) and not run.done()
            choice = await self._choice(run) if asks else _STOP
        if run.done() and not run.cancelled():
            # It ended by itself in the meantime.
            return run.result()
        if choice == _DETACH and await self._is_detached(run):
            self._is_left = True
            return await self._client.get(self._run_id)
        return await self._stop(run)

    async def _choice(self, run: asyncio.Task[Run]) -> str:
        """Ask the user. An unclear answer is asked again; no answer, end of file or an interrupt is the safe choice."""
        usual = _STOP if await self._may_be_billed() else _DETACH
        self._flows.clear()
        try:
            while True:
                self._status.asking(_QUESTION.format(usual))
                answer = await self._answer(run)
                if answer is None:
                    return _STOP
                if not answer or answer in _WORDS:
                    return _WORDS.get(answer, usual)
                self._status.say(f"lepton: {answer!r} is neither s nor d")
        finally:
            self._status.answered()
            self._flows.set()

    async def _may_be_billed(self) -> bool:
        run = await self._client.get(self._run_id)
        prices = [node.offer.price for node in run.nodes if node.open]
        return not prices or any(price is None or bool(price) for price in prices)

    async def _answer(self, *work: asyncio.Future[Any]) -> str | None:
        """A line from the user, in lower case; ``None`` after an interrupt, a closed terminal, or the end of the work."""
        line: asyncio.Future[str | None] = self._loop.create_future()

        def read() -> None:
            # The next line would answer the next question.
            self._loop.remove_reader(_STDIN)
            try:
                data = os.read(_STDIN, 4096)
            except OSError:
                data = b""
            if not line.done():
                line.set_result(data.decode(errors="replace").strip().lower() if data else None)

        self._loop.add_reader(_STDIN, read)
        try:
            heard = await self._ears.hear(line, *work)
            return None if heard or not line.done() else line.result()
        finally:
            self._loop.remove_reader(_STDIN)

    async def _is_detached(self, run: asyncio.Task[Run]) -> bool:
        try:
            await self._client.detach(self._run_id, accept_exposure=self._accept)
        except ExposureNotAccepted as error:
            if not await self._accepts(run, error):
                self._status.say(f"lepton: not left alone: {error.message}")
                return False
            await self._client.detach(self._run_id, accept_exposure=True)
        except (LeptonError, OSError) as error:
            self._status.say(f"lepton: not left alone: {error}")
            return False
        # The follower waits until we release the claim. A create call is not cancelled: its answer says what to follow.
        self._tell_of_creating("the follower takes its machine over when it answers")
        while self._asked and not run.done() and await self._ears.hear(run, seconds=_LOOK_SECONDS) not in SIGNALS.values():
            pass
        await over(run)
        return True

    async def _accepts(self, run: asyncio.Task[Run], error: ExposureNotAccepted) -> bool:
        """Whether the user at a terminal accepts the exposure; without a terminal, no."""
        if not os.isatty(_STDIN):
            return False
        self._status.asking(f"\nlepton: {error.message}\nDetach all the same? [y/N] ")
        try:
            return await self._answer(run) in {"y", "yes"}
        finally:
            self._status.answered()

    def _tell_of_creating(self, then: str) -> bool:
        """Whether a create call is unfinished; if so, tell the user that we wait for its answer."""
        if self._asked:
            names = " and ".join(sorted(set(self._asked.values())))
            self._status.waiting(f"waiting for {names}'s answer to the create call, {{clock}}; {then}")
        return bool(self._asked)

    # --- stopping --------------------------------------------------------------------------------------------------

    async def _stop(self, run: asyncio.Task[Run]) -> Run:
        """Stop the run. A second interrupt skips keeping log and outputs; a third leaves the rest to a follower."""
        ended = asyncio.ensure_future(self._client.stop(self._run_id))
        self._status.waiting(_STOPPING)
        creates = self._tell_of_creating("its machine goes back at once when it answers")
        cut_at: float | None = None
        try:
            while not ended.done():
                # Cancel work that would delay the stop, which does it again. Not a create call: with its answer lost, its machine
                # would have to be searched for.
                if creates and not self._asked:
                    creates = False
                    self._status.waiting(_STOPPING)
                if cut_at is not None or not (self._asked or self._is_ending):
                    run.cancel()
                heard = await self._ears.hear(ended, seconds=_LOOK_SECONDS)
                if heard not in {"interrupt", "terminate"}:
                    continue
                if cut_at is not None and self._loop.time() - cut_at < _BURST_SECONDS:
                    continue
                if cut_at is not None:
                    await self._hand_on(None)
                    return await self._client.get(self._run_id)
                cut_at = self._loop.time()
                self._status.say("lepton: giving the machine back at once; Ctrl-C again leaves that to a follower process")
                await over(ended)
                ended = asyncio.ensure_future(self._client.stop(self._run_id, now=True))
            return ended.result()
        finally:
            await over(ended)

    async def _hand_on(self, error: Exception | None) -> None:
        """The last resort: after any failure here, a follower process continues the run."""
        if not self._run_id:
            return
        if isinstance(error, _FOR_PEOPLE):
            self._status.say(f"lepton: run {self._run_id} is open and nobody can follow it from this journal; see lepton state")
            return
        try:
            if (await self._client.get(self._run_id)).state.ended:
                return
            await self._client.detach(self._run_id, accept_exposure=True)
        except (LeptonError, OSError) as second:
            if error is None:
                raise
            self._status.say(
                f"lepton: run {self._run_id} is open and nobody follows it: {second}; next: lepton stop {self._run_id}"
            )
            return
        self._status.say(f"lepton: a follower process goes on with run {self._run_id}; see it with lepton ps and lepton nodes")


@contextmanager
def _unlogged() -> Iterator[None]:
    """Silence the engine's own messages about leaving a run: this command has its own."""
    logger = logging.getLogger("lepton_sdk.leaving")
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = False
