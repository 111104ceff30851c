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
    """The default: ignore the moment of leaving."""


class Pacer(Protocol):
    """Keeps the vendor's rate limit across all processes of this host that use one key."""

    async def wait(self, bucket: str = "") -> None:
        """Return when the next call of ``bucket`` may leave."""
        ...


class RemoteShell(Protocol):
    """Runs short commands on hosts behind SSH, over connections that stay open, with the same host keys as jobs."""

    async def run(self, access: SSHAccess, script: str, data: bytes = b"", *, seconds: float = 60.0) -> CommandResult:
        """Run a script of the host's POSIX shell to its end; ``data`` is its standard input.

        Raises:
            NodeUnreachable: the host did not answer within ``seconds``, or stopped answering: the script may have run.
            NodeError: its host key is not the known one, or it refuses the login.
            PluginError: no installed executor reaches hosts by SSH.
        """
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...


@frozen
class ProviderContext:
    """Everything that a provider's factory gets from core.

    Attributes:
        name: the provider's name in the configuration.
        config: its own section, checked against its declared fields; no other provider's.
        http: makes a `lepton_sdk.spi.http.ApiClient`, an ``httpx.AsyncClient`` with our time limits, error mapping, redaction and
            the rates of the spec; keyword arguments go to httpx.
        pacer: shared by all processes that use one key; for calls that do not go through ``http``, which waits by itself.
        clock: time and sleep.
        cache_dir: a folder of its own under the user's cache, created on demand with mode 0700.
        config_dir: where the user's config file is or would be, for a file that the provider's own command keeps there.
        shell: runs commands on hosts behind SSH; it connects on first use.
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
    """The group of an attempt's nodes, and the place of one node in it.

    Attributes:
        id: the same for all of them, and for no other attempt. Things created once for the attempt carry it as their token.
        rank: of this node, from 0.
        size: how many nodes there are.
    """

    id: str
    rank: int
    size: int


class Announce(Protocol):
    """Writes a durable journal entry for a billable prerequisite before it is created."""

    async def __call__(self, kind: str, name: str, *, shared: bool = False) -> None:
        """Return when the entry is durable.

        Args:
            kind: ``"disk"``, ``"network"``, …
            name: its name at the vendor, built from the token, or from the group's id for a shared thing.
            shared: it is created once for all nodes of the attempt, stamped with ``launch.group.id`` as its token, and released
                after the last of them.
        """
        ...


@frozen
class Launch:
    """What ``acquire`` needs beside the offer. It must stamp ``owner`` and ``token`` on everything billable.

    Attributes:
        owner: the journal that asks.
        token: this node of this attempt. At most one machine is ever created for it: the same call is repeated only while the
            vendor keeps the token as an idempotency key (`Timings.idempotency`).
        run_id, job_name, attempt, rank: for names and labels that people read.
        resources: what the job needs on one node, for providers that rent out parts of a machine.
        deadline: the time by which the job's own limits end it, UTC; ``None`` without limits.
        startup_script: a shell script that the vendor must run as the superuser when the machine boots, given for a spec with
            ``watchdog="startup"``: it arms the watchdog. ``""`` where there is nothing to run.
        announce: ``await announce(kind, name)`` writes a durable journal entry **before** a billable prerequisite is created.
        group: the nodes of the attempt.
        execution: what to run there, with its secrets, for a provider that submits the job itself (``submits_job``). Where the
            vendor can hold it, nothing of it begins before the executor's ``start``. ``None`` for every other provider.
        leaving: ``leaving()`` says that the create call leaves now. A plugin that creates through ``context.http`` need not
            call it. A plugin that creates with a vendor's SDK calls it right before, from any thread, and declares
            ``marks_leaving``. Core then knows that a bug before that moment created nothing.
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
    """One line of ``lepton doctor``: what was checked, whether it holds (``None``: unknown), and the next step."""

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
        """Yield the offers. The list may be partial; ``resources`` may narrow the vendor's calls."""
        ...

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        """Create one billable machine and return as soon as the vendor has given an id.

        Raises:
            OutcomeUnknown: the call left and its answer did not come back.
        """
        ...

    def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        """Return everything billable of ours with its full state, also what a lost reply created.

        Args:
            owner: only things stamped with it; ``"*"`` for every owner.
            token: only the things of this token: of a node, or of an attempt's group.
            regions: the offers' names of the regions where they may be; empty for everywhere. A vendor with one listing for all
                regions ignores it.
        """
        ...

    async def inspect(self, node: Node) -> Node:
        """The state now; never waits.

        Raises:
            MarketError: the vendor broke its promise, and the machine never comes (no stock after all, a quota). Core
                releases the node and continues as after a refused ``acquire``.
        """
        ...

    async def release(self, node: Node) -> Node:
        """Release the node and its children. Idempotent; gone is success; "not yet" is the state ``releasing``."""
        ...

    async def aclose(self) -> None:
        """Close connections."""
        ...
