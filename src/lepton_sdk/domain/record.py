"""The state that the journal's entries add up to: `NodeRecord` for one node of a run, `Attempt` for one attempt that failed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import evolve, fields_dict, frozen

from lepton_sdk.domain.bill import Duplicate, charged
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.plain import from_plain, to_plain
from lepton_sdk.domain.stage import OVER, Stage

__all__ = ["PREREQUISITE", "Attempt", "NodeRecord"]

# The rank of an attempt's prerequisites, made once for all its nodes (a network, a GPU cluster). Their token is the group's id.
PREREQUISITE = -1


@frozen
class Attempt:
    """Why one attempt did not end the run: which offer, what happened, what was blocked, what came next.

    Attributes:
        cause: a `lepton_sdk.domain.retry.Cause`, which the job's retry rules count.
        blocked: the name that is not asked again until the market is asked anew; ``""`` for none.
        at: the time, ISO 8601.
        wait: seconds until the same provider is asked again; ``None`` if something else comes next.
    """

    number: int
    provider: str
    instance_type: str
    error: str
    message: str
    blocked: str
    next: str
    cause: str = "no_capacity"
    at: str = ""
    wait: float | None = None

    def to_dict(self) -> dict[str, object]:
        """The attempt as JSON keys."""
        return {name: getattr(self, name) for name in fields_dict(type(self))}


@frozen
class NodeRecord:
    """One node of one attempt, as the journal knows it.

    Attributes:
        armed_at: when its watchdog, if it has one, was seen alive.
        lasts: the most seconds that it can be billed under its limits.
        failures: exit codes after which the command was started again there.
        there_at: the last time at which its machine was certainly there.
        unseen: the seconds that a machine that nobody ever saw may have been billed when the entry was closed.
        duplicates: other machines with its token than the one that it adopted.
        unknown_at: when its create call ended without an answer.
        stopped: its machine could not be asked, and has certainly stopped the job by itself.
        unkept: which parts of its log and outputs could not be fetched before its machine was given back, one sentence each.
        hung: the name of a plugin that blocked the process that asked it about this node; it is not asked again.
        given_up_at: when a person closed the entry without its provider's word; the machine may still be billed.
        owner: the owner name in its machine's tags; ``""`` for the journal's own.
        group: the id that the nodes of its attempt share.
        budget: the seconds of it that the run's total bought when it was asked for.
        executor: the plugin that started its job, with its distribution.
        queued: why the provider has accepted it but not begun it; ``""`` once it has begun, or if nothing queues.
        queued_at: when it was first seen in the queue.
        admitted_at: when it was seen to have left the queue: it boots from then on.
        repeated_at: when its create call was last repeated, under a key that the vendor keeps.

    What a record may still cost, and whether its run waits for it:

    =====================  ==============================================================================================
    `held`                 what was asked for may still cost something
    `awaited`              `held`, and its run waits for its release
    ``late``               `held` perhaps, and its run does not wait: it may turn up, or it was left when it could not be asked
    `open`                 anything of its token may cost something, also duplicates of its machine
    ``stopped``            its job has certainly stopped, whatever becomes of its machine
    `failed`               it can no longer do its part in the attempt
    =====================  ==============================================================================================
    """

    token: str
    run: str
    attempt: int
    rank: int
    epoch: int
    offer: Offer
    stage: Stage
    intended_at: datetime
    node: Node | None = None
    running_at: datetime | None = None
    released_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    signal: str | None = None
    reason: str | None = None
    detail: str = ""
    increment: float = 1
    announced: tuple[str, ...] = ()
    armed_at: datetime | None = None
    lasts: float | None = None
    late: bool = False
    failures: tuple[int, ...] = ()
    there_at: datetime | None = None
    unseen: float = 0
    duplicates: tuple[Duplicate, ...] = ()
    unknown_at: datetime | None = None
    stopped: bool = False
    unkept: tuple[str, ...] = ()
    hung: str = ""
    given_up_at: datetime | None = None
    owner: str = ""
    group: str = ""
    budget: float | None = None
    executor: str = ""
    queued: str = ""
    queued_at: datetime | None = None
    admitted_at: datetime | None = None
    repeated_at: datetime | None = None

    @property
    def awaited(self) -> bool:
        """Return True if the run must wait for its release.

        ``late`` nodes never block: they only may still turn up, or they were left when they could not be asked and had stopped
        the job.
        """
        return self.held and not self.late

    @property
    def held(self) -> bool:
        """Return True if what was asked for may still cost something."""
        return self.stage is not Stage.RELEASED and self.given_up_at is None

    @property
    def open(self) -> bool:
        """Return True if anything of its token may still cost something."""
        return self.held or (self.given_up_at is None and any(one.gone_at is None for one in self.duplicates))

    @property
    def failed(self) -> bool:
        """Return True if it can no longer do its part: refused, lost, or ended with an exit code other than 0."""
        return self.stage in OVER and not (self.reason == "exit" and self.exit_code == 0)

    @property
    def price(self) -> Money | None:
        """The price of one hour: the node's price from its provider, else the offer's."""
        return self.node.price if self.node and self.node.price is not None else self.offer.price

    @property
    def called_at(self) -> datetime:
        """The latest time at which its create call may have left: a host that was suspended sends it when it wakes up."""
        called = self.unknown_at or self.intended_at
        return max(called, self.repeated_at) if self.repeated_at else called

    @property
    def boots_since(self) -> datetime:
        """The time from which its boot time counts: the time in the queue does not count."""
        return self.admitted_at or self.intended_at

    @property
    def hourly(self) -> Money | None:
        """The price of one hour of everything open under its token."""
        return None if self.price is None else self.price * (self.held + sum(one.gone_at is None for one in self.duplicates))

    def cost(self, now: datetime) -> Money | None:
        """What it has cost so far, rounded up to the billing increment; ``None`` if the price is unknown.

        A machine that was found gone is counted until it was found gone: nobody knows when its bill ended.
        """
        return self._cost(now, self.released_at or self.given_up_at or now)

    def cost_least(self, now: datetime) -> Money | None:
        """What it has certainly cost so far: a machine that was found gone is counted until it was last seen.

        If the provider does not say the machine's price, this is zero: the planned price is no bill.
        """
        end = now if self.held else self.there_at or self.running_at or self.intended_at
        return self._cost(now, end, least=True)

    def cost_most(self, now: datetime) -> Money | None:
        """The most that it may have cost so far.

        A machine that nobody has seen may exist since it was asked for, and one that was given up may still exist. ``None`` if
        the provider does not say the machine's price: then nothing bounds it.
        """
        cost = self._cost(now, self.released_at or self.billed_until(now))
        if self.node is not None and self._is_untold(self.node):
            return None
        if self.node is not None or cost is None or self.price is None:
            return cost
        end = now if self.held else self.intended_at + timedelta(seconds=self.unseen)
        if self.given_up_at is not None and self.released_at is None:
            end = self.billed_until(now)
        return cost + charged(self.price, self.intended_at, end, self.increment)

    def billed_until(self, now: datetime) -> datetime:
        """The latest time until which it may be billed, as known now: its own limits may end the bill before."""
        if self.given_up_at is None or self.lasts is None:
            return now
        return min(now, self.intended_at + timedelta(seconds=self.lasts))

    def _cost(self, now: datetime, until: datetime, *, least: bool = False) -> Money | None:
        if self.price is None:
            return None
        # A queued machine has no bill yet.
        machines = [(self.node, until)] if self.node is not None and not self.queued else []
        machines += [(one.node, (one.seen_at if least and one.gone_at else one.gone_at) or now) for one in self.duplicates]
        if least:
            machines = [(node, end) for node, end in machines if not self._is_untold(node)]
        costs = [charged(self._price_of(node), node.since or self.boots_since, end, self.increment) for node, end in machines]
        return sum(costs, Money("0", self.price.currency))

    def _price_of(self, node: Node) -> Money:
        price = node.price if node.price is not None else self.price
        assert price is not None
        return price

    def _is_untold(self, node: Node) -> bool:
        """Return True if the price of a machine is only known from our plan."""
        return node.price is None and bool(self.price)

    def with_duplicate(self, node: Node, there: datetime, at: datetime, *, gone: bool) -> NodeRecord:
        """The record after another machine of its token was seen at ``there``, or is gone."""
        known = {one.node.id: one for one in self.duplicates}
        before = known.get(node.id) or Duplicate(node, there)
        known[node.id] = evolve(before, gone_at=before.gone_at or at) if gone else before
        return evolve(self, duplicates=tuple(known.values()))

    def to_dict(self) -> dict[str, object]:
        """Every field, as the journal stores it."""
        return {name: to_plain(getattr(self, name)) for name in fields_dict(type(self))}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NodeRecord:
        """The reverse of `to_dict`."""
        return from_plain(cls, data)
