"""Start the job on the nodes of an attempt. Begin with `start`.

The journal announces the start first. The start is exclusive on the node, so a second start attaches to the first.
"""

from __future__ import annotations

from collections.abc import Mapping

from lepton_sdk._engine.calls.bounded import bounded, words_of
from lepton_sdk._engine.claims.renewal import is_ours
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.inventory.account import assure
from lepton_sdk._engine.launch.budget import time_limit
from lepton_sdk._engine.launch.execution import execution_of
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.polling import Throttle
from lepton_sdk._engine.providers import inspected
from lepton_sdk._engine.runs.boot import ENDED
from lepton_sdk._engine.tasks import gather_all
from lepton_sdk._retry import retrying
from lepton_sdk.domain.events import NodeFinished, NodeLost, NodeReleasing, NodeRunning
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.run import Run
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import JobCancelled, JobSpecError, JournalError, LeptonError, NodeUnreachable, PluginError, StaleEpoch
from lepton_sdk.errors import NodeLost as Lost
from lepton_sdk.spi.executor import Execution

__all__ = ["begin", "provider_word", "start"]


async def start(engine: Engine, run: Run, epoch: int, secrets: Mapping[str, str], throttle: Throttle) -> Run:
    """Announce the start on every node of the attempt that is ready for it, then start the job there."""
    waiting = [record for record in run.members if record.stage is Stage.REACHABLE]
    for record in waiting:
        try:
            engine.executor(Member(engine, run, record, throttle).access)
        except PluginError as error:
            # Nothing has begun, and no executor here could begin it.
            return await _not_started(Member(engine, run, record, throttle), "refused", words_of(error))
    ready = {record.token for record in waiting}
    steps = (NodeRunning(epoch, engine.executor_plugin(record.node)).about(record.token) for record in waiting)
    run = await engine.write(run.id, *steps)
    members = [Member(engine, run, record, throttle) for record in run.members if record.token in ready]
    runs = await gather_all(*(begin(member, secrets) for member in members))
    return runs[0] if len(runs) == 1 else engine.journal.run(run.id)


async def begin(member: Member, secrets: Mapping[str, str]) -> Run:
    """Start the job that was announced. The start is exclusive on the node, so a second one attaches to the first."""
    engine, run, silence = member.engine, member.run, member.engine.timing.silence
    if missing := [name for name in run.job.secrets if name not in secrets]:
        text = f"the value of the secret {missing[0]} is not here: it is never stored, and the client that had it is gone"
        return await _not_started(member, "refused", text)
    execution = execution_of(engine, run, member.record, secrets)

    async def knock() -> None:
        await retrying(lambda: _start_there(member, execution), engine.clock, seconds=silence)

    # Sending a workdir may take hours, but no longer than the job itself may take.
    seconds = (time_limit(run, member.record) or engine.timing.start) + silence
    try:
        await bounded(knock, seconds, engine.clock)
    except JobSpecError as error:
        return await _not_started(member, "refused", words_of(error))
    except JobCancelled as error:
        return await _not_started(member, "cancelled", words_of(error))
    except JournalError:
        raise
    except StaleEpoch as error:
        # This is only the node's word. If the journal says that nobody has taken over, it is false.
        if run.id not in engine.claims or not is_ours(engine, run.id):
            raise
        return await member.step(NodeLost(words_of(error)))
    except Exception as error:
        return await member.step(NodeLost(words_of(error)))
    return run


async def _not_started(member: Member, reason: str, detail: str) -> Run:
    return await member.write(NodeFinished(reason=reason, detail=detail, seen=member.record.stage), NodeReleasing(detail))


async def _start_there(member: Member, execution: Execution) -> None:
    node = member.node
    try:
        await member.executor.start(node, execution)
    except NodeUnreachable as error:
        seen = await provider_word(member.engine, node)
        if seen.state in ENDED:
            # The machine has ended: do not retry the start for minutes.
            detail = seen.detail or words_of(error)
            raise Lost(f"the provider says {seen.state}: {detail}", provider=node.provider) from error
        raise


async def provider_word(engine: Engine, node: Node) -> Node:
    """The machine's state at its provider now; the last known one if the provider cannot be asked."""
    try:
        seen = await inspected(engine, node)
        if seen.state in ENDED:
            await assure(engine, node.provider)
    except LeptonError:
        return node
    return seen
