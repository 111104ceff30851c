"""What may still turn up of create calls that nobody waits for any more: sought in every listing, given back, never started."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from lepton_sdk._engine.calls.bounded import words_of
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.inventory.account import assure, settle_account
from lepton_sdk._engine.inventory.duplicates import settle_duplicates
from lepton_sdk._engine.inventory.identity import contradiction
from lepton_sdk._engine.launch.watchdog import unseen_seconds
from lepton_sdk._engine.providers import found, released
from lepton_sdk.domain.events import NodeReleased, NodeReleasing
from lepton_sdk.domain.ids import is_id
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import ContractViolation, JournalError, LeptonError, Unavailable

__all__ = ["admit", "listing", "shown", "sweep", "sweep_everywhere"]


async def listing(engine: Engine, provider: str) -> list[Node]:
    """Everything of ours that a provider shows, once it is certain that it speaks of our account."""
    await assure(engine, provider)
    nodes: list[Node] = []
    try:
        for owner in engine.journal.owners:
            await found(engine, provider, owner, into=nodes)
    finally:
        # Listed first, and the journal read after: a row that is written in between can only explain more. What came before
        # an error counts.
        for node in nodes:
            _freeze_if_older(engine, node)
    return nodes


def _freeze_if_older(engine: Engine, node: Node) -> None:
    """A token is written before its create call leaves, so one that the journal does not know is a row that it has lost."""
    journal = engine.journal
    if node.owner == journal.owner and node.token and is_id(node.token) and not journal.knows(node.token):
        journal.freeze(
            f"the journal {journal.place} is older than what was created from it: {node.provider} lists {node.id}, "
            f"whose token {node.token} it does not know"
        )


async def admit(engine: Engine, provider: str) -> None:
    """Before anything is taken: the credentials open our account, and the provider shows nothing that the journal has lost.

    Raises:
        AuthError: open rows are in another account.
        JournalRolledBack: a machine of ours is there that the journal does not know.
    """
    await settle_account(engine, provider)
    # What a journal has lost it has lost for good: a pipeline of a thousand runs does not need a thousand listings to see it.
    try:
        await shown(engine, provider, engine.timing.admitted)
    except Unavailable as error:
        if not error.partly:
            raise
        # One host of a fleet that does not answer costs itself; the others have shown what they hold.
        engine.tell(f"{provider}: {error.message}" + (f"; next: {error.hint}" if error.hint else ""))
    engine.journal.refuse_frozen()


async def shown(engine: Engine, provider: str, seconds: float) -> Mapping[str, Node]:
    """What a listing that is no older than ``seconds`` shows of ours, by the provider's id."""

    async def ask() -> Mapping[str, Node]:
        return {node.id: node for node in await listing(engine, provider)}

    return await engine.listings.get(provider, seconds, ask)


async def sweep_everywhere(engine: Engine) -> None:
    """Look at every provider where something is open; one that cannot be asked is asked the next time."""
    for name in engine.journal.providers_with_open_nodes():
        asked_at = engine.clock.now()
        try:
            await sweep(engine, name, await listing(engine, name), asked_at)
        except Exception as error:
            text = error.message if isinstance(error, LeptonError) else f"{type(error).__name__}: {error}"
            engine.tell(f"{name}: its listing could not be held against the journal: {text}")


async def sweep(engine: Engine, provider: str, nodes: Sequence[Node], asked_at: datetime) -> None:
    """Give back what a listing shows of late create calls and of duplicates, and close the calls of which nothing can appear.

    Args:
        asked_at: when the listing was asked for: what it does not show was not there at that time, give or take its lag.
    """
    engine.journal.refuse_frozen()
    timings, late = engine.spec(provider).timings, list(_late(engine, provider))
    shown_now = {node.token for node in nodes}
    if any(r.node is None and r.token not in shown_now and asked_at >= _horizon(engine, r) for _, r in late):
        # What is not found now is closed for good, and a listing may be cut short: look once more.
        await engine.clock.sleep(timings.poll)
        nodes = list({node.id: node for node in (*nodes, *await listing(engine, provider))}.values())
    errors: list[LeptonError] = []
    for run, record in late:
        mine = [n for n in nodes if n.token == record.token and n.state is not NodeState.GONE]
        fitting = [node for node in mine if contradiction(node, record, timings) is None]
        try:
            await _settle(engine, run, record, fitting, over=asked_at >= _horizon(engine, record))
        except JournalError:
            raise
        except LeptonError as error:
            # One that cannot be given back holds no other up.
            errors += _in_the_way(engine, run, record, error)
    errors += await _settle_doubled(engine, provider, nodes, asked_at)
    if errors:
        raise errors[0]


def _in_the_way(engine: Engine, run: Run, record: NodeRecord, error: LeptonError) -> list[LeptonError]:
    """The error, unless it is nobody's."""
    if isinstance(error, ContractViolation) and error.provider is None:
        # Another client has come to the same end a moment ago.
        return []
    if not record.stopped:
        return [error]
    # A host that was left may be away for days.
    engine.tell(f"run {run.id}: {record.offer.provider} cannot give back {record.node and record.node.id}: {words_of(error)}")
    return []


def _late(engine: Engine, provider: str) -> Iterator[tuple[Run, NodeRecord]]:
    for run in engine.journal.runs_at(provider, Stage.UNRESOLVED, Stage.RELEASING):
        yield from ((run, n) for n in run.nodes if n.late and n.held and n.offer.provider == provider)


async def _settle_doubled(engine: Engine, provider: str, nodes: Sequence[Node], asked_at: datetime) -> list[LeptonError]:
    """Settle the duplicates of every row that may have some; all rows are read now and then, and while any is going.

    Returns:
        What went wrong with single rows.
    """
    shown = Counter(node.token for node in nodes if node.token and node.kind == "machine")
    known = engine.journal.open_tokens(provider)
    doubled = (token for token, count in shown.items() if count > 1 or token not in known)
    # Of rows that are closed only the listing tells, also while a machine of another row is not to be had back.
    runs = {run.id: run for token in doubled if (run := engine.journal.run_of(token))}
    if engine.throttle.due("duplicates", provider, engine.timing.doubled):
        runs |= {run.id: run for run in engine.journal.runs(open_only=True)}
    errors: list[LeptonError] = []
    for run, record in [(one, record) for one in runs.values() for record in one.nodes if record.offer.provider == provider]:
        try:
            found_some = await settle_duplicates(engine, record, nodes, asked_at)
        except JournalError:
            raise
        except LeptonError as error:
            errors += _in_the_way(engine, run, record, error)
            found_some = True
        if found_some:
            engine.throttle.forget("duplicates", provider)
    return errors


def _horizon(engine: Engine, record: NodeRecord) -> datetime:
    timings = engine.spec(record.offer.provider).timings
    return record.called_at + timedelta(seconds=timings.create_horizon + timings.listing_lag)


async def _settle(engine: Engine, run: Run, record: NodeRecord, found: list[Node], *, over: bool) -> None:
    machines = [node for node in found if node.kind == "machine"]
    machine = next(iter(machines), None)
    if machine is not None and record.stage is Stage.UNRESOLVED:
        step = NodeReleasing("it turned up when its run had gone on: a duplicate", node=machine)
        run = await _write(engine, run, record, step)
        record = next(n for n in run.nodes if n.token == record.token)
    # Every other machine of the token is a duplicate of this one.
    given = [node for node in found if node not in machines] + ([record.node] if record.node is not None else [])
    rests = [await released(engine, node) for node in given]
    if all(rest.state is NodeState.GONE for rest in rests) and (over or rests):
        unseen = 0.0 if record.node is not None else unseen_seconds(engine, run, record)
        await _write(engine, run, record, NodeReleased(unseen=unseen))


async def _write(engine: Engine, run: Run, record: NodeRecord, step: NodeReleasing | NodeReleased) -> Run:
    return await engine.write(run.id, step.about(record.token).decided(record.stage))
