"""A user's own access to a machine of a run: the executor names the program that opens a shell there or forwards a port."""

from __future__ import annotations

from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.launch.execution import execution_of
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import ContractViolation, NodeUnreachable, UsageError
from lepton_sdk.spi.capabilities import Configuring, Forwarding, Shelling
from lepton_sdk.spi.executor import Executor

__all__ = ["Reach", "node_called"]


class Reach:
    """One node of a run, for a user who wants to work on it.

    Args:
        outside: the machine itself, even if the run has a container there.

    Raises:
        UsageError: the run has no such node.
        NodeUnreachable: it is not there yet, or is gone.
        PluginError: no installed plugin reaches it.
    """

    def __init__(self, engine: Engine, run_id: str, node: int, *, outside: bool = False) -> None:
        run = engine.journal.run(run_id)
        self._record = _reachable(engine, run, node)
        self._node: Node = self._record.node  # type: ignore[assignment] # a reachable one has it
        self._executor: Executor = engine.executor(self._node.access)  # type: ignore[arg-type] # and its access
        self._execution = execution_of(engine, run, self._record, {})
        self._outside = outside

    def shell(self, command: str | None = None) -> list[str]:
        """The program and arguments that open a shell in the run's folder, or run a shell command there.

        If the run has a container, the shell is in it.

        Raises:
            UsageError: its executor opens no shell.
        """
        if not isinstance(self._executor, Shelling):
            raise self._unable("no shell can be opened there")
        return _words(self._executor.shell(self._node, self._execution, command, outside=self._outside))

    def forward(self, here: int, there: int) -> list[str]:
        """The program and arguments that forward a port of the node to this host's loopback, as long as the program runs.

        Raises:
            UsageError: the node is this host, where the port is already, or its executor forwards no ports.
        """
        if not isinstance(self._executor, Forwarding):
            raise self._unable("no port of it can be brought here")
        return _words(self._executor.forward(self._node, self._execution, here, there))

    def config(self) -> str:
        """A block for ``~/.ssh/config``, for editors that connect by a host's name.

        Raises:
            UsageError: it is not reached by SSH.
        """
        if not isinstance(self._executor, Configuring):
            raise self._unable("it is not reached by SSH")
        return str(self._executor.ssh_config(self._node, self._execution, f"{self._record.run}-{self._record.rank}"))

    def _unable(self, why: str) -> UsageError:
        kind = self._node.access.kind if self._node.access is not None else "nothing"
        return UsageError(
            f"node {self._record.rank} of run {self._record.run} is reached by {kind!r}: {why}",
            hint="lepton ssh RUN opens a shell where its executor can; lepton logs and lepton pull show what the job left",
        )


def _words(argv: object) -> list[str]:
    """Check the program and arguments that an executor gave, and return them."""
    if not isinstance(argv, list | tuple) or not argv or not all(isinstance(one, str) and "\0" not in one for one in argv):
        raise ContractViolation(f"an executor gave {argv!r:.120}, which names no program")
    return list(argv)


def node_called(engine: Engine, name: str) -> tuple[str, int] | None:
    """The run and the rank of the open node with this id or token (``lepton nodes`` shows them); ``None`` if there is none."""
    for run in engine.journal.runs(open_only=True) if engine.has_journal() else ():
        for member in run.members:
            if member.open and member.node is not None and name in (member.node.id, member.token):
                return run.id, member.rank
    return None


def _reachable(engine: Engine, run: Run, node: int) -> NodeRecord:
    record = next((member for member in run.members if member.rank == node), None)
    if record is None:
        raise UsageError(f"run {run.id} has no node {node}", hint=f"its nodes are 0 to {run.job.nodes - 1}")
    if record.node is None or record.node.access is None:
        raise NodeUnreachable(f"node {node} of run {run.id} cannot be reached: it is {record.stage}", hint="look with lepton ps")
    if not record.open and not engine.is_here(record.node.access):
        raise NodeUnreachable(
            f"the machine of run {run.id} was given back", hint="lepton logs and lepton pull have what was kept"
        )
    return record
