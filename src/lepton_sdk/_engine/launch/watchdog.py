"""The watchdog of a rented machine: its plan goes out with the create call, and no job begins before it lives."""

from __future__ import annotations

from lepton_sdk._engine.calls.bounded import ask_node
from lepton_sdk._engine.calls.gate import checked_armed
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.launch.budget import budget_seconds
from lepton_sdk._engine.member import Member
from lepton_sdk._executors.watchdog.program import FOLDER, WatchdogPlan, install_script
from lepton_sdk.domain.job import Limits
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import NodeError, NodeUnreachable
from lepton_sdk.spi.capabilities import Guarding
from lepton_sdk.spi.executor import Watchdog
from lepton_sdk.spi.spec import WatchdogWay

__all__ = ["boot_seconds", "check_watchdog", "folder_of", "kept_seconds", "startup_script", "unseen_seconds"]

# A job is sent, its environment is made ready; whoever does that visits the machine and so puts the end off further.
_BEFORE_START = 900.0
# The node ends the job at its limit first, with time to say so; the watchdog is for when that went wrong.
_MARGIN = 300.0
# Long enough to come back from a closed laptop, short enough to be a small part of a bill.
_KEEP = 3600
# Tests replace it: what they start must not power this host off.
_POWER_OFF: str | None = None


def boot_seconds(engine: Engine, offer: Offer) -> float:
    """How long a machine of the offer may take until it can be used."""
    timings = engine.spec(offer.provider).timings
    return timings.boot_by_type.get(offer.instance_type, timings.boot)


def startup_script(engine: Engine, run: Run, record: NodeRecord) -> str:
    """What the vendor shall run when the machine boots; ``""`` for nothing."""
    spec = engine.spec(record.offer.provider)
    if not spec.watched or spec.watchdog is not WatchdogWay.STARTUP:
        return ""
    return install_script(_plan(engine, run, record), FOLDER)


def _plan(engine: Engine, run: Run, record: NodeRecord, age: float | None = None) -> WatchdogPlan:
    limits, offer, bought = run.job.limits, record.offer, record.budget
    if bought is None:
        # An entry of an earlier version does not say.
        bought = budget_seconds(run, offer, earlier_than=record.attempt)
    return WatchdogPlan(
        boot=boot_seconds(engine, offer) + _BEFORE_START,
        limit=None if limits.duration is None else limits.duration + _MARGIN,
        budget=bought,
        keep=kept_seconds(limits),
        age=age,
        power_off=_POWER_OFF,
    )


def kept_seconds(limits: Limits) -> int:
    """How long a machine with a watchdog waits after its job when nobody comes for its output."""
    return _KEEP if limits.keep is None else limits.keep


async def check_watchdog(member: Member, node: Node) -> bool | None:
    """Whether the machine's watchdog lives; ``None`` for a machine that has none.

    Raises:
        NodeError: none can be installed there.
    """
    engine, spec, record = member.engine, member.spec, member.record
    if not spec.watched or node.access is None:
        return None
    script = ""
    if spec.watchdog is WatchdogWay.LOGIN:
        age = (member.now() - (node.since or record.intended_at)).total_seconds()
        script = install_script(_plan(engine, member.run, record, max(0.0, age)), FOLDER)
    access = node.access

    async def armed() -> bool | None:
        executor = engine.executor(access)
        return checked_armed(await executor.armed(node, Watchdog(FOLDER, script))) if isinstance(executor, Guarding) else None

    try:
        return await ask_node(
            "looking for its watchdog", armed, engine.timing.arming, engine.clock, hurry=member.hurry, passed=(NodeError,)
        )
    except NodeUnreachable:
        # A provider says ready before the machine lets anyone in.
        return False


def unseen_seconds(engine: Engine, run: Run, record: NodeRecord) -> float:
    """For how long a machine that nobody ever saw may have been billed by now.

    What came of a create call stays until it is released, so that somebody sees it, unless its watchdog ends it before.
    """
    if not engine.spec(record.offer.provider).watched:
        return 0.0
    bought = budget_seconds(run, record.offer, earlier_than=record.attempt)
    soonest = boot_seconds(engine, record.offer) + _BEFORE_START
    age = (engine.clock.now() - record.intended_at).total_seconds()
    return age if age >= (soonest if bought is None else min(soonest, bought)) else 0.0


def folder_of(record: NodeRecord) -> str:
    """The folder of the node's watchdog on the node; ``""`` for a node without one."""
    return FOLDER if record.armed_at is not None else ""
