"""Deliberate bugs of the engine, and by which sentence each of them is to be found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any
from zlib import crc32

import pytest
from attrs import evolve, frozen
from clients import MortalJournal

from lepton_sdk._engine import reconcile
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.inventory import duplicates
from lepton_sdk._engine.inventory import leftovers as late
from lepton_sdk._engine.inventory.report import Difference
from lepton_sdk._engine.launch import execution
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.runs import acquire, boot, create, execute, observe, recover, release
from lepton_sdk._engine.runs import drive as story
from lepton_sdk._journal import Journal
from lepton_sdk._journal.stores import sqlite
from lepton_sdk.domain import history
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.events import AnyEvent, AnyStep, NodeIntended, NodeLost, NodeReleased, NodeReleasing
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import LeptonError, NoCapacity, OutcomeUnknown
from lepton_sdk.spi.executor import Execution, ExecutionState, ExecutionStatus
from lepton_sdk.testing import SimNodes

__all__ = ["MUTANTS", "Mutant", "mutant"]

Mutate = Callable[[pytest.MonkeyPatch], None]


@frozen
class Mutant:
    """A deliberate bug.

    Attributes:
        finds: a pattern that the sentence has which tells of it; any other one proves nothing.
        where: the kind of schedule that it is looked for in.
        aim: the stage and the fault that bring it out; chance alone would take thousands of schedules.
    """

    name: str
    mutate: Mutate
    finds: str
    where: str
    aim: tuple[str, str] | None


MUTANTS: list[Mutant] = []


def mutant(*, finds: str, where: str = "replay", aim: tuple[str, str] | None = None) -> Callable[[Mutate], Mutate]:
    """Add a deliberate bug to the list."""

    def add(mutate: Mutate) -> Mutate:
        MUTANTS.append(Mutant(mutate.__name__, mutate, finds, where, aim))
        return mutate

    return add


@mutant(finds="was closed while its machine")
def create_retried_blindly(patch: pytest.MonkeyPatch) -> None:
    """A lost answer is taken for a refusal, so the next offer is asked at once."""
    honest = create._failed

    async def failed(member: Member, error: LeptonError) -> Run:
        return await honest(member, NoCapacity(error.message) if isinstance(error, OutcomeUnknown) else error)

    patch.setattr(create, "_failed", failed)


@mutant(finds="was closed while its machine")
def new_token_after_a_short_wait(patch: pytest.MonkeyPatch) -> None:
    """What is not listed at once is given up, and another machine is asked for."""
    honest = recover.resolve

    async def resolve(member: Member, secrets: Mapping[str, str]) -> Run:
        after = await honest(member, secrets)
        return await member.write(NodeReleased("given up")) if after == member.run else after

    patch.setattr(story, "resolve", resolve)


@mutant(finds=r"which no row announced|in no cost|is still billed")
def intent_written_after(patch: pytest.MonkeyPatch) -> None:
    """The machine is made first and announced when its answer is there."""
    append = Journal.append

    def later(self: Journal, *events: AnyEvent, caps: object = None) -> Run:
        waiting = self.__dict__.pop("waiting", ())
        if events[0].kind == "node.intended" and not waiting:
            self.__dict__["waiting"] = events
            return reduce(history.apply, events, self.run(events[0].run))
        return append(self, *waiting, *events)

    patch.setattr(create, "_refuse_late", lambda *_, **__: None)
    patch.setattr(Journal, "append", later)


@mutant(finds="was closed while its machine")
def release_believed_at_once(patch: pytest.MonkeyPatch) -> None:
    """The first answer to a release counts as gone."""

    async def give_back(member: Member) -> Node:
        await member.provider.release(member.node)
        return member.node.with_state(NodeState.GONE)

    patch.setattr(release, "_give_back", give_back)


@mutant(finds="was closed while its machine")
def stopped_taken_for_gone(patch: pytest.MonkeyPatch) -> None:
    """A machine that was taken back, and is still billed, is not released."""
    honest = release._give_back

    async def give_back(member: Member) -> Node:
        seen = await member.provider.inspect(member.node)
        if seen.state is NodeState.INTERRUPTED:
            return member.node.with_state(NodeState.GONE)
        return await honest(member)

    patch.setattr(release, "_give_back", give_back)


@mutant(finds=r"is still billed|in no cost")
def duplicate_ignored(patch: pytest.MonkeyPatch) -> None:
    """A machine that turns up late under a token of ours is shown and left alone."""

    async def settle_duplicates(*_: object) -> None: ...

    patch.setattr(reconcile, "_released_unasked", lambda _: False)
    patch.setattr(late, "settle_duplicates", settle_duplicates)


@mutant(finds=r"of .* was released and is not ours to release")
def stray_released(patch: pytest.MonkeyPatch) -> None:
    """What the journal does not know is given back unasked."""
    patch.setattr(reconcile, "_released_unasked", lambda difference: difference is not Difference.DOUBTFUL)


@mutant(finds=r"of .* was released and is not ours to release")
def copy_released(patch: pytest.MonkeyPatch) -> None:
    """What bears a token of ours is given back, though it cannot be what was asked for."""
    patch.setattr(reconcile, "_released_unasked", lambda difference: difference is not Difference.STRAY)


@mutant(finds="was closed while its machine")
def late_machine_ignored(patch: pytest.MonkeyPatch) -> None:
    """Once its run has gone on, nobody seeks what may still come of a create call."""

    async def settle(engine: Engine, run: Run, record: NodeRecord, found: object, *, over: bool) -> None:
        await late._write(engine, run, record, NodeReleased())

    patch.setattr(late, "_settle", settle)


@mutant(finds="was closed while its machine")
def account_unchecked(patch: pytest.MonkeyPatch) -> None:
    """What the credentials of another account show is believed."""

    async def assure(engine: Engine, provider: str) -> None: ...

    for module in (recover, boot, execute, late, release):
        patch.setattr(module, "assure", assure)


@mutant(finds="obeyed epoch|executions? of one node|executed one node at once", aim=("running", "rollback"))
def older_journal_acts(patch: pytest.MonkeyPatch) -> None:
    """Rows that are gone are not missed."""
    patch.setattr(Journal, "_lost", lambda *_: None)
    patch.setattr(late, "_freeze_if_older", lambda *_: None)


@mutant(finds=r"executed one node at once|executions of one node")
def start_not_exclusive(patch: pytest.MonkeyPatch) -> None:
    """A follower that takes over starts the job once more instead of attaching to what runs."""
    honest = execution.execution_of

    def execution_of(engine: Engine, run: Run, record: NodeRecord, secrets: Mapping[str, str]) -> Execution:
        execution = honest(engine, run, record, secrets)
        return evolve(execution, attempt=execution.attempt * 1_000_000 + crc32(engine.holder.encode()) % 1_000_000)

    for module in (execute, observe):
        patch.setattr(module, "execution_of", execution_of)


@mutant(finds="was closed while its machine")
def absence_taken_for_gone(patch: pytest.MonkeyPatch) -> None:
    """A machine that a listing does not show is written off."""
    honest = boot.check_boot

    async def check_boot(member: Member) -> Run:
        if not [node async for node in member.provider.find(member.engine.journal.owner, member.token)]:
            return await member.write(NodeLost("not listed"), NodeReleasing(), NodeReleased())
        return await honest(member)

    patch.setattr(story, "check_boot", check_boot)


@mutant(finds="was closed while its machine")
def silence_taken_for_death(patch: pytest.MonkeyPatch) -> None:
    """A node that does not answer counts as lost, and another one is started without giving it back."""

    async def out_of_reach(*_: object, **__: object) -> ExecutionStatus:
        return ExecutionStatus(ExecutionState.LOST, detail="no answer")

    async def give_back(member: Member) -> Node:
        return member.node.with_state(NodeState.GONE)

    patch.setattr(observe, "_out_of_reach", out_of_reach)
    patch.setattr(release, "_give_back", give_back)


@mutant(finds="was closed while its machine")
def row_closed_before_the_release(patch: pytest.MonkeyPatch) -> None:
    """The last row is written before the provider was asked to release anything."""

    async def give_back(member: Member) -> Node:
        return member.node.with_state(NodeState.GONE)

    patch.setattr(release, "_give_back", give_back)


@mutant(finds=r"no watchdog and was spoken|before its watchdog lived")
def unarmed_machine_used(patch: pytest.MonkeyPatch) -> None:
    """A machine is used though nobody has seen that its watchdog lives."""

    async def check_watchdog(*_: object) -> bool:
        return True

    patch.setattr(boot, "check_watchdog", check_watchdog)


@mutant(finds=r"no watchdog and was spoken")
def lease_where_nobody_rented(patch: pytest.MonkeyPatch) -> None:
    """A machine that has no watchdog is spoken to as if it had one."""
    patch.setattr(execution, "folder_of", lambda record: "/var/lib/lepton/watchdog")


@mutant(finds="from a follower whose claim had run out", aim=("intended", "pause"))
def epoch_unchecked(patch: pytest.MonkeyPatch) -> None:
    """A follower that slept through the end of its claim makes its create call all the same."""
    patch.setattr(create, "_refuse_late", lambda *_, **__: None)


@mutant(finds=r"began its job with \d of \d nodes", aim=("intended", "refuse"))
def partial_gang_kept(patch: pytest.MonkeyPatch) -> None:
    """Of several nodes one was refused, and the job begins on the others."""
    honest = NodeRecord.failed

    def failed(self: NodeRecord) -> bool:
        return bool(honest.fget(self)) and self.node is not None  # type: ignore[attr-defined]

    patch.setattr(NodeRecord, "failed", property(failed))


@mutant(finds="left after its attempt had failed", aim=("intended", "refuse"))
def create_after_the_first_refusal(patch: pytest.MonkeyPatch) -> None:
    """The other nodes of an attempt are asked for though one was refused."""

    async def unless_refused(member: Member, secrets: Mapping[str, str], gate: asyncio.Semaphore) -> Run:
        async with gate:
            return await create.create(member.again(), secrets)

    patch.setattr(acquire, "_unless_refused", unless_refused)


@mutant(finds="there is no run|which no row announced|in no cost", aim=("owned", "power loss"))
def acknowledged_before_it_is_durable(patch: pytest.MonkeyPatch) -> None:
    """A commit counts as done before the disk has it."""
    honest = sqlite._prepare
    patch.setattr(sqlite, "_prepare", lambda file: (honest(file), file.execute("PRAGMA synchronous = NORMAL")))


@mutant(finds="is in no cost")
def duplicate_not_written_down(patch: pytest.MonkeyPatch) -> None:
    """A machine beyond the one of its row is given back, and nobody can say what it has cost."""

    async def give_back(engine: Engine, record: NodeRecord, node: Node, seen_at: object) -> Node:
        return await engine.provider(node.provider).release(node)

    for module in (create, recover, duplicates, reconcile):
        patch.setattr(module, "give_back_duplicate", give_back)


@mutant(finds="and the cloud bills")
def found_gone_taken_for_the_end(patch: pytest.MonkeyPatch) -> None:
    """A machine that was found gone has cost all the time until somebody looked."""
    patch.setattr(NodeRecord, "cost_least", NodeRecord.cost)


@mutant(finds="may have been billed", where="leave")
def unseen_taken_for_free(patch: pytest.MonkeyPatch) -> None:
    """What came and was ended by its own watchdog while nobody looked has cost nothing."""
    for module in (recover, late):
        patch.setattr(module, "unseen_seconds", lambda *_: 0.0)


@mutant(finds="machines at once, above the cap", where="crowd")
def cap_checked_outside_the_transaction(patch: pytest.MonkeyPatch) -> None:
    """The caps are held first, and the row is written afterwards."""
    honest = MortalJournal.write

    async def write(self: MortalJournal, *events: AnyEvent, caps: Caps | None = None) -> Run:
        if caps:
            wanted = [event.offer.price for event in events if isinstance(event, NodeIntended)]
            caps.hold_hourly([node.hourly for run in self.runs(open_only=True) for node in run.nodes if node.open] + wanted)
            await self.process.step(0.01)
        return await honest(self, *events)

    patch.setattr(MortalJournal, "write", write)


@mutant(finds="executed one node at once", where="strand")
def silence_taken_for_an_end(patch: pytest.MonkeyPatch) -> None:
    """A node that does not answer is replaced before it has certainly stopped the job."""
    for module in (observe, release):
        patch.setattr(module, "has_stopped", lambda member: True)


@mutant(finds="executed one node at once", where="strand")
def silence_counted_from_the_start(patch: pytest.MonkeyPatch) -> None:
    """The node's lease was put off by every look since the job began, and is believed to have run since then."""

    def has_stopped(member: Member) -> bool:
        member.due("began")
        return (member.elapsed("began") or 0) > (member.run.job.retry.interruption.unreachable or 0)

    honest = observe.observe

    async def observing(member: Member, **more: Any) -> Run:
        member.due("began")
        return await honest(member, **more)

    patch.setattr(story, "observe", observing)
    for module in (observe, release):
        patch.setattr(module, "has_stopped", has_stopped)


@mutant(finds="obeyed epoch", where="twins")
def older_epoch_obeyed(patch: pytest.MonkeyPatch) -> None:
    """A node does what a follower asks that was overtaken."""
    honest = SimNodes._obey

    def obey(self: SimNodes, node: Node, execution: Execution) -> None:
        honest(self, node, evolve(execution, epoch=10**9))

    patch.setattr(SimNodes, "_obey", obey)


@mutant(finds="obeyed epoch", where="twins")
def orders_under_the_epoch_of_another(patch: pytest.MonkeyPatch) -> None:
    """A follower that takes over gives its orders as the one before it did, so that no node can tell them apart."""
    honest = execution.execution_of

    def execution_of(engine: Engine, run: Run, record: NodeRecord, secrets: Mapping[str, str]) -> Execution:
        return evolve(honest(engine, run, record, secrets), epoch=record.epoch)

    for module in (execute, observe):
        patch.setattr(module, "execution_of", execution_of)


@mutant(finds="was closed while its machine", where="twins")
def decided_on_what_is_true_no_more(patch: pytest.MonkeyPatch) -> None:
    """A step that is legal is taken, though its row stands elsewhere than when it was decided."""
    honest = history._step

    def step(run: Run, event: AnyStep) -> Run:
        return honest(run, evolve(event, seen=None))

    patch.setattr(history, "_step", step)


@mutant(finds="the run is in limbo|executed one node at once", where="twins")
def attempt_that_is_over_made_again(patch: pytest.MonkeyPatch) -> None:
    """A follower that slept through an attempt asks for a node of it."""
    honest = history._intended

    def intended(run: Run, event: NodeIntended) -> NodeRecord:
        return evolve(honest(evolve(run, nodes=()), event))

    patch.setattr(history, "_intended", intended)
