"""Deliberate bugs: a simulation that does not find them proves nothing by finding none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from zlib import crc32

import pytest
from attrs import evolve
from schedule import replay

from lepton_sdk._engine import acquire, execute, late, reconcile, release
from lepton_sdk._engine import run as story
from lepton_sdk._engine.lines import Difference
from lepton_sdk._engine.session import Session
from lepton_sdk._journal import Journal
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.run import Event, NodeRecord, Run
from lepton_sdk.errors import LeptonError, NoCapacity, OutcomeUnknown
from lepton_sdk.spi.executor import Execution, ExecutionState, ExecutionStatus

# After so many schedules without a finding the bug counts as not found.
_PATIENCE = 150
Mutate = Callable[[pytest.MonkeyPatch], None]


def _create_retried_blindly(patch: pytest.MonkeyPatch) -> None:
    """A lost answer is taken for a refusal, so the next offer is asked at once."""
    honest = acquire._failed

    async def failed(session: Session, run: Run, token: str, offer: object, error: LeptonError) -> Run:
        told = NoCapacity(error.message) if isinstance(error, OutcomeUnknown) else error
        return await honest(session, run, token, offer, told)  # type: ignore[arg-type]

    patch.setattr(acquire, "_failed", failed)
    _nobody_cleans(patch)


def _new_token_after_a_short_wait(patch: pytest.MonkeyPatch) -> None:
    """What is not listed at once is given up, and another machine is asked for."""
    honest = acquire.resolve

    async def resolve(session: Session, run: Run, record: NodeRecord) -> Run:
        after = await honest(session, run, record)
        if after == run:
            return session.journal.append(acquire._event(session, run, "node.released", record.token, detail="given up"))
        return after

    patch.setattr(story, "resolve", resolve)
    _nobody_cleans(patch)


def _intent_written_after(patch: pytest.MonkeyPatch) -> None:
    """The machine is made first and announced when its answer is there."""
    append = Journal.append
    held: dict[int, tuple[Event, ...]] = {}

    def late(self: Journal, *events: Event, caps: object = None) -> Run:
        waiting = held.pop(id(self), ())
        if events[0].kind == "node.intended" and not waiting:
            held[id(self)] = events
            return self.run(events[0].run)
        return append(self, *waiting, *events)

    import schedule

    patch.setattr(schedule._MortalJournal.__bases__[0], "append", late)


def _release_believed_at_once(patch: pytest.MonkeyPatch) -> None:
    """The first answer to a release counts as gone."""

    async def give_back(session: Session, node: Node) -> Node:
        await session.provider(node.provider).release(node)
        return node.with_state(NodeState.GONE)

    patch.setattr(release, "_give_back", give_back)
    _nobody_cleans(patch)


def _stopped_taken_for_gone(patch: pytest.MonkeyPatch) -> None:
    """A machine that was taken back, and is still billed, is not released."""
    honest = release._give_back

    async def give_back(session: Session, node: Node) -> Node:
        seen = await session.provider(node.provider).inspect(node)
        if seen.state is NodeState.INTERRUPTED:
            return node.with_state(NodeState.GONE)
        return await honest(session, node)

    patch.setattr(release, "_give_back", give_back)
    _nobody_cleans(patch)


def _duplicate_ignored(patch: pytest.MonkeyPatch) -> None:
    """A machine that turns up late under a token of ours is shown and left alone."""
    patch.setattr(reconcile, "_released_unasked", lambda _: False)


def _stray_released(patch: pytest.MonkeyPatch) -> None:
    """What the journal does not know is given back unasked."""
    patch.setattr(reconcile, "_released_unasked", lambda difference: difference is not Difference.DOUBTFUL)


def _copy_released(patch: pytest.MonkeyPatch) -> None:
    """What bears a token of ours is given back, though it cannot be what was asked for."""
    patch.setattr(reconcile, "_released_unasked", lambda difference: difference is not Difference.STRAY)


def _late_machine_ignored(patch: pytest.MonkeyPatch) -> None:
    """Once its run has gone on, nobody seeks what may still come of a create call."""

    async def settle(session: Session, run: Run, record: NodeRecord, found: object, *, over: bool) -> None:
        await late._write(session, run, record, "node.released", {})

    patch.setattr(late, "_settle", settle)
    _nobody_cleans(patch)


def _account_unchecked(patch: pytest.MonkeyPatch) -> None:
    """What the credentials of another account show is believed."""

    async def assure(session: Session, provider: str) -> None: ...

    for module in (acquire, execute, late, release):
        patch.setattr(module, "assure", assure)
    _nobody_cleans(patch)


def _older_journal_acts(patch: pytest.MonkeyPatch) -> None:
    """Rows that are gone are not missed."""
    patch.setattr(Journal, "_lost", lambda *_: None)
    patch.setattr(late, "_freeze_if_older", lambda *_: None)


def _start_not_exclusive(patch: pytest.MonkeyPatch) -> None:
    """A follower that takes over starts the job once more instead of attaching to what runs."""
    honest = execute.execution_of

    def execution_of(session: Session, run: Run, record: NodeRecord, secrets: Mapping[str, str]) -> Execution:
        execution = honest(session, run, record, secrets)
        return evolve(execution, attempt=execution.attempt * 1_000_000 + crc32(session.holder.encode()) % 1_000_000)

    patch.setattr(execute, "execution_of", execution_of)


def _absence_taken_for_gone(patch: pytest.MonkeyPatch) -> None:
    """A machine that a listing does not show is written off."""
    honest = execute.look_at_boot

    async def look_at_boot(session: Session, run: Run, record: NodeRecord) -> Run:
        provider = session.provider(record.offer.provider)
        if not [node async for node in provider.find(session.journal.owner, record.token)]:
            lost = await execute._write(session, run, record, "node.lost", detail="not listed")
            now = session.clock.now()
            return session.journal.append(
                Event("node.releasing", lost.id, now, record.token), Event("node.released", lost.id, now, record.token)
            )
        return await honest(session, run, record)

    patch.setattr(story, "look_at_boot", look_at_boot)
    _nobody_cleans(patch)


def _silence_taken_for_death(patch: pytest.MonkeyPatch) -> None:
    """A node that does not answer counts as lost, and another one is started without giving it back."""

    async def out_of_reach(*_: object, **__: object) -> ExecutionStatus:
        return ExecutionStatus(ExecutionState.LOST, detail="no answer")

    async def give_back(session: Session, node: Node) -> Node:
        return node.with_state(NodeState.GONE)

    patch.setattr(execute, "_out_of_reach", out_of_reach)
    patch.setattr(release, "_give_back", give_back)
    _nobody_cleans(patch)


def _row_closed_before_the_release(patch: pytest.MonkeyPatch) -> None:
    """The last row is written before the provider was asked to release anything."""

    async def give_back(session: Session, node: Node) -> Node:
        return node.with_state(NodeState.GONE)

    patch.setattr(release, "_give_back", give_back)
    _nobody_cleans(patch)


def _unarmed_machine_used(patch: pytest.MonkeyPatch) -> None:
    """A machine is used though nobody has seen that its watchdog lives."""

    async def look_at_watchdog(*_: object) -> bool:
        return True

    patch.setattr(execute, "look_at_watchdog", look_at_watchdog)


def _lease_where_nobody_rented(patch: pytest.MonkeyPatch) -> None:
    """A machine that has no watchdog is spoken to as if it had one."""
    patch.setattr(execute, "folder_of", lambda record: "/var/lib/lepton/watchdog")


def _nobody_cleans(patch: pytest.MonkeyPatch) -> None:
    """The last command of a schedule would mend what is looked for here: it lists, and gives nothing back."""
    _duplicate_ignored(patch)


_MUTANTS: list[Mutate] = [
    _create_retried_blindly,
    _new_token_after_a_short_wait,
    _intent_written_after,
    _release_believed_at_once,
    _stopped_taken_for_gone,
    _duplicate_ignored,
    _stray_released,
    _copy_released,
    _late_machine_ignored,
    _account_unchecked,
    _older_journal_acts,
    _start_not_exclusive,
    _absence_taken_for_gone,
    _silence_taken_for_death,
    _row_closed_before_the_release,
    _unarmed_machine_used,
    _lease_where_nobody_rented,
]


@pytest.mark.parametrize("mutate", _MUTANTS, ids=lambda mutate: mutate.__name__.strip("_"))
def test_a_deliberate_bug_is_found(mutate: Mutate, monkeypatch: pytest.MonkeyPatch) -> None:
    mutate(monkeypatch)
    for seed in range(_PATIENCE):
        try:
            if replay(seed).broken:
                return
        except (LeptonError, AssertionError, RuntimeError):
            return
    pytest.fail(f"{_PATIENCE} schedules did not find it")
