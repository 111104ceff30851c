"""Leftovers: machines that may still turn up of create calls that nobody waits for any more. Begin with `sweep`.

A sweep searches a provider's listing for them and gives them back; no job is ever started on one. Once nothing can turn up any
more, it closes the entry. It also settles duplicates. `admit` is the check before a new machine is taken: the listing must
show nothing that the journal does not know, or the journal is an old copy and may not act (`freeze`).
"""

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
    """Everything of ours that a provider lists, after the check that it lists our account."""
    await assure(engine, provider)
    nodes: list[Node] = []
    try:
        for owner in engine.journal.owners:
            await found(engine, provider, owner, into=nodes)
    finally:
        # List first and read the journal after: an entry written in between can only explain more. Nodes that came before an
        # error count as well.
        for node in nodes:
            _freeze_if_older(engine, node)
    return nodes


def _freeze_if_older(engine: Engine, node: Node) -> None:
    """Freeze the journal if it does not know a node's token.

    A token is written before its create call leaves, so the journal has lost an entry.
    """
    journal = engine.journal
    if node.owner == journal.owner and node.token and is_id(node.token) and not journal.knows(node.token):
        journal.freeze(
            f"the journal {journal.place} is older than what was created from it: {node.provider} lists {node.id}, "
            f"whose token {node.token} it does not know"
        )


async def admit(engine: Engine, provider: str) -> None:
    """Check before a machine is taken: the credentials open our account, and the listing shows nothing unknown to the journal.

    Raises:
        AuthError: open nodes are in another account.
        JournalRolledBack: the provider lists a machine of ours that the journal does not know.
    """
    await settle_account(engine, provider)
    # A lost entry stays lost, so a recent listing is enough: a thousand runs do not need a thousand listings.
    try:
        await shown(engine, provider, engine.timing.admitted)
    except Unavailable as error:
        if not error.partly:
            raise
        # One host of a fleet does not answer: only that host is lost. The others have shown what they have.
        engine.tell(f"{provider}: {error.message}" + (f"; next: {error.hint}" if error.hint else ""))
    engine.journal.refuse_frozen()


async def shown(engine: Engine, provider: str, seconds: float) -> Mapping[str, Node]:
    """Our nodes by the provider's id, from a listing that is at most ``seconds`` old."""

    async def ask() -> Mapping[str, Node]:
        return {node.id: node for node in await listing(engine, provider)}

    return await engine.listings.get(provider, seconds, ask)


async def sweep_everywhere(engine: Engine) -> None:
    """Sweep every provider where something is open. One that cannot be asked is asked the next time."""
    for name in engine.journal.providers_with_open_nodes():
        asked_at = engine.clock.now()
        try:
            await sweep(engine, name, await listing(engine, name), asked_at)
        except Exception as error:
            text = error.message if isinstance(error, LeptonError) else f"{type(error).__name__}: {error}"
            engine.tell(f"{name}: its listing could not be held against the journal: {text}")


async def sweep(engine: Engine, provider: str, nodes: Sequence[Node], asked_at: datetime) -> None:
    """Give back the late machines and duplicates in a listing, and close the create calls that can make nothing any more.

    Args:
        asked_at: when the listing was asked for: what it does not show was not there at that time, except for its lag.
    """
    engine.journal.refuse_frozen()
    timings, late = engine.spec(provider).timings, list(_late(engine, provider))
    shown_now = {node.token for node in nodes}
    if any(r.node is None and r.token not in shown_now and asked_at >= _horizon(engine, r) for _, r in late):
        # If nothing is found now, the entry is closed for good. A listing may be cut short, so list once more.
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
            # One machine that cannot be given back must not delay the others.
            errors += _in_the_way(engine, run, record, error)
    errors += await _settle_doubled(engine, provider, nodes, asked_at)
    if errors:
        raise errors[0]


def _in_the_way(engine: Engine, run: Run, record: NodeRecord, error: LeptonError) -> list[LeptonError]:
    """The error, unless it needs no report."""
    if isinstance(error, ContractViolation) and error.provider is None:
        # Another client has just taken the same step.
        return []
    if not record.stopped:
        return [error]
    # A host that a run has left behind may be out of reach for days.
    engine.tell(f"run {run.id}: {record.offer.provider} cannot give back {record.node and record.node.id}: {words_of(error)}")
    return []


def _late(engine: Engine, provider: str) -> Iterator[tuple[Run, NodeRecord]]:
    for run in engine.journal.runs_at(provider, Stage.UNRESOLVED, Stage.RELEASING):
        yield from ((run, n) for n in run.nodes if n.late and n.held and n.offer.provider == provider)


async def _settle_doubled(engine: Engine, provider: str, nodes: Sequence[Node], asked_at: datetime) -> list[LeptonError]:
    """Settle the duplicates of every node that may have some. All nodes are read now and then, and while any duplicate goes.

    Returns:
        The errors of single nodes.
    """
    shown = Counter(node.token for node in nodes if node.token and node.kind == "machine")
    known = engine.journal.open_tokens(provider)
    doubled = (token for token, count in shown.items() if count > 1 or token not in known)
    # Only the listing shows duplicates of closed nodes. That also holds while a machine of another node cannot be given back.
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
    # All other machines of the token are duplicates of this one.
    given = [node for node in found if node not in machines] + ([record.node] if record.node is not None else [])
    rests = [await released(engine, node) for node in given]
    if all(rest.state is NodeState.GONE for rest in rests) and (over or rests):
        unseen = 0.0 if record.node is not None else unseen_seconds(engine, run, record)
        await _write(engine, run, record, NodeReleased(unseen=unseen))


async def _write(engine: Engine, run: Run, record: NodeRecord, step: NodeReleasing | NodeReleased) -> Run:
    return await engine.write(run.id, step.about(record.token).decided(record.stage))
