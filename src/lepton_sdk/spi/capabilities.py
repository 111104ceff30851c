"""What a provider or an executor can do beyond its contract: a protocol for each ability, and one table of flags.

A plugin declares the flag in its spec exactly when its object has the methods. Core checks that when it loads the plugin, and
finds an ability by ``isinstance``. To add an ability, add a protocol here and one line to a table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from lepton_sdk.domain.node import Node
from lepton_sdk.domain.offer import Offer

if TYPE_CHECKING:
    from lepton_sdk.spi.executor import CommandResult, Execution, Fetched, Watchdog
    from lepton_sdk.spi.provider import Diagnosis, Launch

__all__ = [
    "EXECUTOR_CAPABILITIES",
    "EXECUTOR_FACTS",
    "PROVIDER_CAPABILITIES",
    "PROVIDER_FACTS",
    "Accounting",
    "Commanding",
    "Configuring",
    "Diagnosing",
    "Fetching",
    "Forgetting",
    "Forwarding",
    "GroupReleasing",
    "Grouping",
    "Guarding",
    "Shelling",
    "lacking",
    "methods_of",
    "misfit",
    "undeclared",
]

# --- of providers -----------------------------------------------------------------------------------------------------


@runtime_checkable
class Accounting(Protocol):
    """Flag ``account``: the provider can say which account its credentials belong to.

    Without it, a key that was rotated to another account looks as if every machine were gone.
    """

    async def account(self) -> str | None:
        """Return the account's name, which never changes; ``None`` while it is unknown. Free of charge."""
        ...


@runtime_checkable
class Diagnosing(Protocol):
    """Flag ``diagnose``: the provider has checks of its own for ``lepton doctor``."""

    async def diagnose(self) -> Sequence[Diagnosis]:
        """Return one line for each check. Free of charge."""
        ...


@runtime_checkable
class Grouping(Protocol):
    """Flag ``multi_node``: the provider creates the nodes of one attempt together."""

    async def acquire_group(self, offer: Offer, launches: Sequence[Launch]) -> Sequence[Node]:
        """Create one node for each launch, all or none: release what was created before a refusal.

        Raises:
            OutcomeUnknown: an answer did not come, or a machine could not be released; ``find`` shows which.
        """
        ...


@runtime_checkable
class GroupReleasing(Protocol):
    """Flag ``release_group``: the provider releases the nodes of one attempt together, as one object of its own."""

    async def release_group(self, nodes: Sequence[Node]) -> Sequence[Node]:
        """Release the nodes; return each with its state. ``gone`` is success, "not yet" is the state ``releasing``. Idempotent.

        Core calls this when it releases all nodes of the attempt. ``release`` still takes a single one: a leftover, a duplicate.
        """
        ...


# --- of executors -----------------------------------------------------------------------------------------------------


@runtime_checkable
class Fetching(Protocol):
    """Flag ``fetch``: the executor can fetch files."""

    async def fetch(
        self, node: Node, execution: Execution, patterns: Sequence[str], target: Path, *, most: int | None = None
    ) -> Fetched:
        """Write those files of the run's folder that fit a pattern (as in ``.gitignore``) below ``target``.

        An existing file is replaced whole or not at all. A link is created only if its real target is inside, and nothing is
        written through a link. A file that cannot be fetched does not stop the others.

        It ends as soon as it is cancelled. Files that were complete by then, or before the connection broke, stay.

        Args:
            most: bytes to write here at most, holes of sparse files included. ``None`` for no limit but the disk.

        Raises:
            NodeUnreachable: the node did not answer, or stopped answering before the first file was here.
            NodeError: the node cannot pack files.
        """
        ...


@runtime_checkable
class Commanding(Protocol):
    """Flag ``command``: the executor can run one short command on a node, outside of any run."""

    async def command(self, node: Node, script: str, data: bytes = b"", *, seconds: float = 60.0) -> CommandResult:
        """Run a script of the node's POSIX shell to its end.

        Args:
            script: one line; nothing in it is evaluated twice.
            data: its standard input. Secrets go here: they must not appear in a list of processes.
            seconds: after this time the node counts as unreachable.

        Raises:
            NodeUnreachable: the node did not answer, or stopped answering: the script may have run.
            NodeError: its host key is not the known one, or it refuses the login.
        """
        ...


@runtime_checkable
class Guarding(Protocol):
    """Flag ``guard``: the executor can check a node's watchdog, and install it where the vendor does not."""

    async def armed(self, node: Node, watchdog: Watchdog) -> bool:
        """Whether the watchdog runs there. If it does not and its script is given, install it first.

        Raises:
            NodeUnreachable: the node did not answer.
            NodeError: it cannot be installed there.
        """
        ...


@runtime_checkable
class Forgetting(Protocol):
    """Flag ``forget``: the executor keeps state of a machine while it is ours, such as a pinned host key or connections."""

    async def forget(self, node: Node) -> None:
        """Drop all state of a released machine. Never contacts the machine, never raises; idempotent."""
        ...


@runtime_checkable
class Shelling(Protocol):
    """Flag ``shell``: the executor knows the command that opens a shell on a node for a person."""

    def shell(self, node: Node, execution: Execution, command: str | None, *, outside: bool) -> Sequence[str]:
        """The program and its arguments, for this host, that open a shell in the run's folder on the node.

        Args:
            command: a shell command line to run there instead; ``None`` for an interactive shell.
            outside: on the machine itself, also if the run has a container there.

        Raises:
            UsageError: it cannot be had for this node.
        """
        ...


@runtime_checkable
class Forwarding(Protocol):
    """Flag ``forward``: the executor knows the command that forwards a port of a node to this host."""

    def forward(self, node: Node, execution: Execution, here: int, there: int) -> Sequence[str]:
        """The program and its arguments that forward the node's port ``there`` to the loopback port ``here`` of this host.

        Raises:
            UsageError: it cannot be had for this node, or is here already.
        """
        ...


@runtime_checkable
class Configuring(Protocol):
    """Flag ``ssh_config``: the executor can write a block for ``~/.ssh/config``, for editors that connect by host name."""

    def ssh_config(self, node: Node, execution: Execution, name: str) -> str:
        """The block, with the host name ``name``.

        Raises:
            UsageError: it cannot be had for this node.
        """
        ...


# --- flags ------------------------------------------------------------------------------------------------------------

PROVIDER_CAPABILITIES: Mapping[str, type] = {
    "account": Accounting,
    "diagnose": Diagnosing,
    "multi_node": Grouping,
    "release_group": GroupReleasing,
}
EXECUTOR_CAPABILITIES: Mapping[str, type] = {
    "command": Commanding,
    "fetch": Fetching,
    "forget": Forgetting,
    "forward": Forwarding,
    "guard": Guarding,
    "shell": Shelling,
    "ssh_config": Configuring,
}
# Flags without methods: facts about an executor.
EXECUTOR_FACTS: Mapping[str, str] = {
    "here": "what it runs is on this host, and its files lie below `runs_dir`: nothing has to be fetched before a release",
}
# Flags without methods: facts about a provider.
PROVIDER_FACTS: Mapping[str, str] = {
    "health": "`inspect` looks at the machine itself: core asks it while a job runs and when one fails, and a machine that it "
    "calls failed is lost with the provider's word for it, whatever the job's exit code",
    "live_stock": "`offers` tells what can be taken now, not only what is sold",
    "local": "`offers` asks nothing but this host, so that read-only questions may call it",
    "marks_leaving": "`acquire` calls `launch.leaving()` right before its create call leaves, because that does not go through "
    "`context.http`",
    "starts_alone": "`submits_job`, and the vendor cannot hold what it submits: it may begin before anybody says so. An unknown "
    "submit is then settled before any other offer is taken",
    "submits_job": "`acquire` submits the job itself (`launch.execution`), held until the executor's `start`",
}


def methods_of(protocol: type) -> tuple[str, ...]:
    """The names of a protocol's methods.

    >>> methods_of(Grouping)
    ('acquire_group',)
    """
    return tuple(name for name, value in vars(protocol).items() if isinstance(value, FunctionType) and not name.startswith("_"))


def lacking(made: object, declared: Collection[str], table: Mapping[str, type]) -> str | None:
    """A flag of the spec whose method the object lacks, with the fix; ``None`` if there is none."""
    kind = type(made).__name__
    for flag, name in _each(table):
        if flag in declared and not callable(getattr(made, name, None)):
            return f"its spec declares {flag!r} and {kind} lacks {name}(): write the method or drop the flag"
    return None


def undeclared(made: object, declared: Collection[str], table: Mapping[str, type]) -> str | None:
    """A method of the object whose flag the spec does not declare, with the fix; ``None`` if there is none."""
    kind = type(made).__name__
    for flag, name in _each(table):
        if flag not in declared and callable(getattr(made, name, None)):
            return f"{kind} has {name}() and its spec does not declare {flag!r}: add the flag or drop the method"
    return None


def misfit(made: object, protocols: Iterable[type]) -> str | None:
    """A method of the object that does not accept core's arguments, with the fix; ``None`` if there is none."""
    from inspect import Parameter, Signature, signature

    for protocol in protocols:
        for name in methods_of(protocol):
            method = getattr(made, name, None)
            wanted = list(signature(getattr(protocol, name)).parameters.values())[1:]
            try:
                given = signature(method) if callable(method) else None
            except ValueError:
                # Its signature cannot be read.
                continue
            words = {one.name: None for one in wanted if one.kind is Parameter.KEYWORD_ONLY}
            try:
                if given is not None:
                    given.bind(*[None] * (len(wanted) - len(words)), **words)
            except TypeError as error:
                shown = Signature([one.replace(annotation=Parameter.empty) for one in wanted])
                return f"{type(made).__name__}.{name}() does not take what core gives it ({error}): write {name}{shown}"
    return None


def _each(table: Mapping[str, type]) -> Iterator[tuple[str, str]]:
    return ((flag, name) for flag, protocol in table.items() for name in methods_of(protocol))
