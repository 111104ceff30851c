"""The provider contract: six methods and what core hands to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from attrs import field, frozen

from lepton_sdk._clock import Clock
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.resources import Resources

if TYPE_CHECKING:
    from lepton_sdk.domain.access import SSHAccess
    from lepton_sdk.spi.executor import CommandResult, Execution
    from lepton_sdk.spi.http import ApiClient

__all__ = ["Announce", "Diagnosis", "Group", "Launch", "Pacer", "Provider", "ProviderContext", "RemoteShell"]


def _nothing() -> None:
    """Nobody wants to know."""


class Pacer(Protocol):
    """Keeps the vendor's rate over all processes of this host that use one key."""

    async def wait(self, bucket: str = "") -> None:
        """Return when the next call of ``bucket`` may leave."""
        ...


class RemoteShell(Protocol):
    """Runs short commands on hosts behind SSH: over connections that are kept, with the host keys that jobs go by."""

    async def run(self, access: SSHAccess, script: str, data: bytes = b"", *, seconds: float = 60.0) -> CommandResult:
        """Run a script of the host's POSIX shell to its end; ``data`` is its standard input.

        Raises:
            NodeUnreachable: the host did not answer within ``seconds``, or stopped answering: the script may have run.
            NodeError: it is not the host that is known, or does not let us in.
            PluginError: nothing is installed that reaches hosts by SSH.
        """
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


@frozen
class ProviderContext:
    """All that a provider's factory gets from core.

    Attributes:
        name: the provider's name in the configuration.
        config: its own section, checked against its declared fields; nothing of others.
        http: makes a `lepton_sdk.spi.http.ApiClient`, an ``httpx.AsyncClient`` with our time limits, error mapping, redaction and
            the rates of the spec; keyword arguments go to httpx.
        pacer: shared by all processes that use one key; for calls that do not go through ``http``, which waits by itself.
        clock: time and sleep.
        cache_dir: a folder of its own under the user's cache, made on demand with mode 0700.
        config_dir: where the user's config file is or would be, for a file that the provider's own command keeps there.
        shell: reaches hosts that stand behind SSH; what is made with it opens on first use.
    """

    name: str
    config: Mapping[str, object]
    http: Callable[..., ApiClient] = field(repr=False)
    pacer: Pacer = field(repr=False)
    clock: Clock = field(repr=False)
    cache_dir: Path
    config_dir: Path
    shell: RemoteShell = field(repr=False)


@frozen
class Group:
    """The nodes of one attempt, as each of their launches knows them.

    Attributes:
        id: the same for all of them, and for no other attempt. What is made once for the attempt is stamped with it as its token.
        rank: of this node, from 0.
        size: how many nodes there are.
    """

    id: str
    rank: int
    size: int


class Announce(Protocol):
    """Writes a durable journal row for a billable prerequisite before it is made."""

    async def __call__(self, kind: str, name: str, *, shared: bool = False) -> None:
        """Return when the row is durable.

        Args:
            kind: ``"disk"``, ``"network"``, …
            name: what the vendor will call it; made of the token, or of the group's id for what is shared.
            shared: it is made once for all nodes of the attempt, stamped with ``launch.group.id`` as its token, and given back
                when the last of them is.
        """
        ...


@frozen
class Launch:
    """What ``acquire`` needs beside the offer. ``owner`` and ``token`` must be stamped on everything billable.

    Attributes:
        owner: which journal asks.
        token: this node of this attempt. At most one machine is ever made for it: the same call is made again only while the
            vendor keeps the token as a key (`Timings.idempotency`).
        run_id, job_name, attempt, rank: for names and labels that people read.
        resources: what the job asked of one node, for providers that hand out parts of a machine.
        deadline: when the job's own limits will have ended it, UTC; ``None`` without limits.
        startup_script: a shell script that the vendor shall run as the superuser when the machine boots, given for a spec with
            ``watchdog="startup"``: it arms the watchdog. ``""`` where there is nothing to run.
        announce: ``await announce(kind, name)`` writes a durable journal row for a billable prerequisite **before** it is made.
        group: the nodes of the attempt.
        execution: what shall run there, with its secrets, for a provider that submits the job itself (``submits_job``). Nothing
            of it begins before the executor's ``start``, where the vendor can hold it. ``None`` for every other provider.
        leaving: ``leaving()`` says that the create call leaves now. A plugin that creates through ``context.http`` need not
            call it. One that creates by a vendor's SDK calls it right before, from any thread, and declares ``marks_leaving``:
            a bug before that moment is then known to have made nothing.
    """

    owner: str
    token: str
    run_id: str
    job_name: str
    attempt: int
    rank: int
    resources: Resources
    deadline: datetime | None
    announce: Announce = field(repr=False)
    startup_script: str = field(default="", repr=False)
    group: Group = Group("", 0, 1)
    execution: Execution | None = field(default=None, repr=False)
    leaving: Callable[[], None] = field(default=_nothing, repr=False)


@frozen
class Diagnosis:
    """One line of ``lepton doctor``: what was looked at, whether it holds (``None``: cannot be known), and the next step."""

    subject: str
    ok: bool | None
    detail: str
    hint: str = ""


@runtime_checkable
class Provider(Protocol):
    """A source of capacity.

    Every call makes one attempt: only the engine retries. Failures are raised from `lepton_sdk.errors`.
    """

    def offers(self, resources: Resources) -> AsyncIterator[Offer]:
        """What can be had; may be partial, may use ``resources`` to ask less."""
        ...

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        """Make one billable machine and return as soon as the vendor has given an id.

        Raises:
            OutcomeUnknown: the call left and its answer did not come back.
        """
        ...

    def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        """Every billable thing of ours with its full state, also what a lost reply created.

        Args:
            owner: only things stamped with it; ``"*"`` for every owner.
            token: only the things of this token: of a node, or of an attempt's group.
            regions: where they may be, in the words of the offers; nothing for everywhere. A vendor with one listing for all
                regions passes over it.
        """
        ...

    async def inspect(self, node: Node) -> Node:
        """The state now; never waits.

        Raises:
            MarketError: the vendor took back what it had promised, and the machine never comes (no stock after all, a
                quota). Core gives the node back and goes on as after a refused ``acquire``.
        """
        ...

    async def release(self, node: Node) -> Node:
        """Give it back, children included. Idempotent; gone is success; "not yet" is the state ``releasing``."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...
