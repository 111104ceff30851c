"""The watchdog of a rented machine. Its plan goes out with the create call, and no job begins before the watchdog lives."""

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

# Time to send a job and to prepare its environment. The client that does so visits the machine, and each visit puts the end off.
_BEFORE_START = 900.0
# The node itself ends the job at its limit, and needs time to report that. The watchdog acts only if that failed.
_MARGIN = 300.0
# Long enough to open a closed laptop again, short enough to be a small part of a bill.
_KEEP = 3600
# Tests replace it: a watchdog that they start must not power this host off.
_POWER_OFF: str | None = None


def boot_seconds(engine: Engine, offer: Offer) -> float:
    """Seconds that a machine of the offer may take until it can be used."""
    timings = engine.spec(offer.provider).timings
    return timings.boot_by_type.get(offer.instance_type, timings.boot)


def startup_script(engine: Engine, run: Run, record: NodeRecord) -> str:
    """The script that the vendor runs when the machine boots; ``""`` for none."""
    spec = engine.spec(record.offer.provider)
    if not spec.watched or spec.watchdog is not WatchdogWay.STARTUP:
        return ""
    return install_script(_plan(engine, run, record), FOLDER)


def _plan(engine: Engine, run: Run, record: NodeRecord, age: float | None = None) -> WatchdogPlan:
    limits, offer, bought = run.job.limits, record.offer, record.budget
    if bought is None:
        # Entries of an earlier version do not have it.
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
    """Seconds that a machine with a watchdog waits after its job if nobody fetches its output."""
    return _KEEP if limits.keep is None else limits.keep


async def check_watchdog(member: Member, node: Node) -> bool | None:
    """Return True if the machine's watchdog lives; ``None`` for a machine that gets none.

    Raises:
        NodeError: it cannot be installed there.
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
        # A provider may say ready before the machine accepts connections.
        return False


def unseen_seconds(engine: Engine, run: Run, record: NodeRecord) -> float:
    """Seconds that a machine that nobody ever saw may have been billed until now.

    A machine that was made stays until it is released, and so is seen, unless its watchdog ends it before. So the time is zero
    without a watchdog.
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
