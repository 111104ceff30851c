"""Runs a job on a host behind SSH. The job outlives the client and the connection, and leaves no process behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import evolve

from lepton_sdk._executors.keeper.orders import hundredths, orders, run_path
from lepton_sdk._executors.keeper.talk import Polling, heed_cancel, heed_start
from lepton_sdk._executors.places import BASE
from lepton_sdk._executors.transports.ssh.first_output import FirstOutput
from lepton_sdk._executors.transports.ssh.hostkeys import HostKeys, machine_of
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import ContractViolation, NodeError, NodeUnreachable
from lepton_sdk.spi.executor import (
    CommandResult,
    Execution,
    ExecutionState,
    ExecutionStatus,
    ExecutorContext,
    Fetched,
    Watchdog,
)

if TYPE_CHECKING:
    import asyncio

    from lepton_sdk._executors.transports.ssh.channel import Channel
    from lepton_sdk._executors.transports.ssh.host import SSHHost
    from lepton_sdk._executors.transports.ssh.login import Login

__all__ = ["SSHExecutor", "create"]

_CHUNK = 1 << 16
_START_SECONDS = 60.0
# Beyond the grace time killed processes get so long to vanish.
_PATIENCE = 15.0
# Broken connections in a row, without one byte in between, until a reader of a log gives up.
_TRIES, _FIRST_PAUSE = 6, 0.2
# Of a log that nobody follows the next piece is there, or on its way.
_STALL_SECONDS = 30.0


class SSHExecutor:
    """The executor of ``SSHAccess``.

    On the node each execution has a folder of its own, ``BASE/runs/RUN/ATTEMPT-RANK``, kept by a small shell program
    that is sent once. Host keys that were seen first are pinned beside the folder of runs here: in ``known_hosts`` by their
    address, and in ``known_hosts.d`` those of rented machines, which are forgotten with the machine.

    Args:
        context: where runs live on this host, and the clock.
        base: the folder for our files on a node; relative to the user's home there.
        grace: seconds between asking processes to end and killing them.
    """

    def __init__(self, context: ExecutorContext, *, base: str = BASE, grace: float = 5.0) -> None:
        self._clock = context.clock
        self._runs = context.runs_dir.absolute()
        self._progress = context.progress
        self._base = base
        self._grace = grace
        self._keys = HostKeys(self._runs.parent / "known_hosts")
        self._own = context.own
        self._remotes: dict[tuple[object, ...], SSHHost] = {}
        self._polling = Polling(context.clock)
        self._first_output = FirstOutput(self._clock)

    # --- starting --------------------------------------------------------------------------------------------------

    async def start(self, node: Node, execution: Execution) -> None:
        """Send what the node lacks of the workdir, then start; returns when the job is bound to run whatever becomes of us.

        One (run, attempt, rank) starts at most once on a node. A newer epoch takes over what an older one started.

        Raises:
            JobSpecError: the workdir cannot be sent.
            JobCancelled: `cancel` came first.
            StaleEpoch: a newer follower has started or taken over this attempt.
            NodeUnreachable: the node did not answer.
            NodeError: it is not the one that is known, does not let us in, or has no room.
        """
        from lepton_sdk._executors.transports.ssh.progress import Progress
        from lepton_sdk._executors.transports.ssh.sending import send_workdir

        text, path, remote = orders(execution, self._grace), run_path(execution), self._remote(node)
        place = "-"
        if execution.job.workdir is not None:
            with Progress(self._progress, self._clock, f"sending the workdir to {remote.title}") as progress:
                sent = await send_workdir(remote, execution, path, state=self._runs.parent, progress=progress)
            if isinstance(sent, list):
                heed_start(execution, sent, remote.title)
                return
            place = sent
        channel = await remote.call("keep", path, place, "follow")
        try:
            await remote.tell(channel, text)
            channel.finish()
            heed_start(execution, await remote.in_time(channel, _START_SECONDS), remote.title)
        except BaseException:
            channel.close()
            raise
        self._first_output.leave((remote, path), channel)

    # --- looking ---------------------------------------------------------------------------------------------------

    async def poll(self, node: Node, execution: Execution) -> ExecutionStatus:
        """What the record on the node says and whether the process that keeps it lives; renews the lease if there is one."""
        return await self._polling.poll(self._remote(node), execution)

    async def armed(self, node: Node, watchdog: Watchdog) -> bool:
        """Whether the node's watchdog lives; one whose script is given is installed first, where it does not."""
        remote = self._remote(node)
        if await self._lives(remote, watchdog):
            return True
        if watchdog.script:
            await self._arm(remote, watchdog)
        return bool(watchdog.script) and await self._lives(remote, watchdog)

    async def _lives(self, remote: SSHHost, watchdog: Watchdog) -> bool:
        return any(line.startswith("armed ") for line in await remote.ask("lives", watchdog.folder))

    async def _arm(self, remote: SSHHost, watchdog: Watchdog) -> None:
        channel = await remote.call("arm")
        try:
            await remote.tell(channel, watchdog.script.encode())
            channel.finish()
            said = await remote.in_time(channel, _START_SECONDS)
        finally:
            channel.close()
        if said:
            text = f"the watchdog cannot be installed on {remote.title}: {one_line(said[0].removeprefix('error '))}"
            raise NodeError(text, hint="the user there must be root, or allowed to sudo without a password")

    async def logs(self, node: Node, execution: Execution, offset: int = 0, *, follow: bool = False) -> AsyncIterator[bytes]:
        """Output from byte ``offset`` in pieces of 64 KiB at most; with ``follow``, until the execution has ended.

        A connection that breaks is made anew and the output goes on at the byte that was reached.

        Raises:
            NodeUnreachable: the node stayed away.
        """
        broken, ended = 0, not follow
        while True:
            try:
                async with self._log(node, execution, offset, follow=not ended) as pieces:
                    async for piece in pieces:
                        offset, broken = offset + len(piece), 0
                        yield piece
                if ended:
                    return
                # Asked before the rest is read: what is written before the end must be read after it.
                ended = await self._polling.has_ended(self._remote(node), execution)
            except NodeUnreachable:
                broken += 1
                if broken > _TRIES:
                    raise
                await self._clock.sleep(_FIRST_PAUSE * 2 ** (broken - 1))

    @asynccontextmanager
    async def _log(self, node: Node, execution: Execution, offset: int, *, follow: bool) -> AsyncIterator[AsyncIterator[bytes]]:
        """The log from a byte on, as it comes; with ``follow`` until the execution has ended, perhaps a little less."""
        import asyncio

        remote, path = self._remote(node), run_path(execution)
        channel = self._first_output.take((remote, path)) if follow and not offset else None
        channel = channel or await remote.call("logs", path, str(offset + 1), str(int(follow)))
        # The node's own sign of the end, a process that is gone, may be late: some hosts bury nobody.
        ended = asyncio.ensure_future(self._polling.ending(remote, execution)) if follow else None
        try:
            yield _read(channel, ended) if ended else self._rest(remote, channel)
        finally:
            channel.close()
            if ended is not None:
                ended.cancel()
                await asyncio.gather(ended, return_exceptions=True)

    async def _rest(self, remote: SSHHost, channel: Channel) -> AsyncIterator[bytes]:
        """What comes from a channel, to its end, which must not be long in coming."""
        from lepton_sdk._executors.transports.ssh.deadline import within

        while piece := await within(self._clock, _STALL_SECONDS, channel.read(_CHUNK), remote.title):
            yield piece

    async def fetch(
        self, node: Node, execution: Execution, patterns: Sequence[str], target: Path, *, most: int | None = None
    ) -> Fetched:
        """Bring the run's files that fit into a folder of this host."""
        from lepton_sdk._executors.transports.ssh.fetching import fetch_outputs

        return await fetch_outputs(self._remote(node), run_path(execution), patterns, target, most)

    async def command(self, node: Node, script: str, data: bytes = b"", *, seconds: float = 60.0) -> CommandResult:
        """Run a script of the node's shell to its end, outside of any run; ``data`` is its standard input."""
        return await self._remote(node).command(script, data, seconds)

    # --- ending ----------------------------------------------------------------------------------------------------

    async def cancel(self, node: Node, execution: Execution) -> None:
        """End every process of the execution; one that has not started yet never will (unless a newer epoch starts it).

        Raises:
            NodeUnreachable: the node did not answer, or some process could not be ended; the message names it.
        """
        remote = self._remote(node)
        channel = await remote.call("cancel", run_path(execution), str(execution.epoch), str(hundredths(_PATIENCE)))
        try:
            said = await remote.in_time(channel, 3 * (self._grace + _PATIENCE) + _START_SECONDS)
        finally:
            channel.close()
        heed_cancel(said, remote.title)

    # --- nodes -----------------------------------------------------------------------------------------------------

    def _remote(self, node: Node) -> SSHHost:
        if not isinstance(node.access, SSHAccess):
            raise ContractViolation(f"node {node.id!r} has no SSH access but {node.access!r}", provider=node.provider)
        return self._reached(node.access, machine_of(node, self._own))

    def _reached(self, access: SSHAccess, machine: str = "") -> SSHHost:
        """The one `SSHHost` of an access, whoever asks."""
        from lepton_sdk._executors.transports.ssh.host import SSHHost

        key = _key(access, machine)
        if key not in self._remotes:
            through = self._reached(_jump(access)).connection if access.proxy_jump else None
            self._remotes[key] = SSHHost(
                access, clock=self._clock, keys=self._keys, base=self._base, machine=machine, through=through
            )
        return self._remotes[key]

    async def forget(self, node: Node) -> None:
        """Drop connections to a machine that was given back, and its pinned host key. A host of the user's own keeps its pin."""
        machine = machine_of(node, self._own)
        if not machine or not isinstance(node.access, SSHAccess):
            return
        self._keys.forget(machine)
        if (remote := self._remotes.pop(_key(node.access, machine), None)) is not None:
            self._polling.forget(remote)
            self._first_output.drop(lambda key: isinstance(key, tuple) and key[0] is remote)
            # Whatever its connections are at, the machine is gone.
            with suppress(Exception):
                await remote.drop()

    # --- a person's own ssh -----------------------------------------------------------------------------------------

    def shell(self, node: Node, execution: Execution, command: str | None, *, outside: bool) -> Sequence[str]:
        """The user's own ssh, with a shell in the run's folder or its container."""
        return self._login(node, execution).shell(command, outside=outside)

    def forward(self, node: Node, execution: Execution, here: int, there: int) -> Sequence[str]:
        """The user's own ssh, with a port of the node at this host's loopback."""
        return self._login(node, execution).forward(here, there)

    def ssh_config(self, node: Node, execution: Execution, name: str) -> str:
        """A block for ``~/.ssh/config``."""
        return self._login(node, execution).config(name)

    def _login(self, node: Node, execution: Execution) -> Login:
        from lepton_sdk._executors.transports.ssh.login import Login

        return Login(node, execution, self._runs, self._own)

    async def aclose(self) -> None:
        """Close connections; runs go on."""
        self._first_output.close()
        remotes, self._remotes = list(self._remotes.values()), {}
        # A jump host comes before what is behind it.
        for remote in reversed(remotes):
            await remote.aclose()


async def _read(channel: Channel, ended: asyncio.Future[ExecutionState]) -> AsyncIterator[bytes]:
    """What comes from a channel, to its end or until ``ended``."""
    import asyncio

    while True:
        reading = asyncio.ensure_future(channel.read(_CHUNK))
        try:
            awaited: set[asyncio.Future[Any]] = {reading, ended}
            await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            if not reading.done() or not (piece := reading.result()):
                return
            yield piece
        finally:
            reading.cancel()


def _key(access: SSHAccess, machine: str) -> tuple[object, ...]:
    way = (access.host, access.user, access.port, access.host_keys, access.proxy_jump, access.identity)
    return *way, machine


def _jump(access: SSHAccess) -> SSHAccess:
    """The access of the last host before this one; ``proxy_jump`` lists them from the outside in."""
    before, _, last = (access.proxy_jump or "").rpartition(",")
    user, _, host = last.strip().rpartition("@")
    name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
    plain = evolve(access, host_keys=(), environment={}, proxy_jump=before or None, user=user)
    return evolve(plain, host=(name or host).strip("[]"), port=int(port) if name and port.isdigit() else 0)


def create(context: ExecutorContext) -> SSHExecutor:
    """The factory that the executor's record names."""
    return SSHExecutor(context)
