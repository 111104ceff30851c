"""The truth of a simulation, whatever its clients believe: machines, their bills, and faults."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from attrs import define, evolve, field, frozen

from lepton_sdk.domain.node import NodeState
from lepton_sdk.domain.offer import Offer
from lepton_sdk.spi.spec import PowerOff, ProviderSpec, Timings, WatchdogWay

__all__ = ["SIM_SPEC", "Faults", "Machine", "World"]

SIM_SPEC = ProviderSpec(
    "sim",
    title="Simulated cloud",
    factory="lepton_sdk.testing.simcloud:SimCloud",
    power_off=PowerOff.ENDS,
    watchdog=WatchdogWay.STARTUP,
    capabilities=frozenset({"account"}),
    timings=Timings(listing_lag=30, create_horizon=300, boot=600, billing_increment=60, poll=5),
)


@frozen
class Faults:
    """The probability of each fault in one call; 0 for never.

    Attributes:
        die, pause: of the calling process, at any step.
        refuse: a create is refused; nothing is created.
        lose_request: a create's answer is lost and nothing is created.
        lose_reply: a create's answer is lost and the machine exists.
        late: a create's answer is lost and the machine appears later, within the declared horizon.
        duplicate: one create makes two machines.
        fail_boot, interrupt: a machine never boots; it is reclaimed while it is used.
        forget_release: a release is accepted and nothing happens.
        unavailable: a query is not answered.
        cut: a node cannot be reached for a while.
        unarmed: a machine's watchdog never runs.
        garble: a node's answer is garbage, or its executor raises an unexpected error.
        mute: a node never answers, and its executor may ignore cancellation.
        truncate: a listing is cut off without an error.
        clone: a person copies a machine in the console, with its tags.
        unstamp: a person removes a machine's tags.
        jump: a wall clock jumps by hours in either direction, for one process or permanently.
    """

    die: float = 0.0
    pause: float = 0.0
    refuse: float = 0.0
    lose_request: float = 0.0
    lose_reply: float = 0.0
    late: float = 0.0
    duplicate: float = 0.0
    fail_boot: float = 0.0
    interrupt: float = 0.0
    forget_release: float = 0.0
    unavailable: float = 0.0
    cut: float = 0.0
    unarmed: float = 0.0
    garble: float = 0.0
    mute: float = 0.0
    truncate: float = 0.0
    clone: float = 0.0
    unstamp: float = 0.0
    jump: float = 0.0


@define
class Machine:
    """A machine of the world, with the times of its life in seconds.

    Attributes:
        plan: its watchdog's deadlines, by name, in seconds from ``armed``; empty without a watchdog.
        armed: when the watchdog started.
        begun, over: of its job.
        visited: when a client last polled it.
        told: whether an executor ever addressed its watchdog.
        asked_back: when its provider was first asked to release it.
        doubled: one create call made it together with another machine.
    """

    id: str
    token: str
    owner: str
    offer: Offer
    created: float
    listed: float
    ready: float
    interrupted: float
    gone: float | None = None
    plan: dict[str, float] = field(factory=dict)
    armed: float = 1e12
    begun: float | None = None
    over: float = 1e12
    visited: float = 0.0
    told: bool = False
    asked_back: float | None = None

    def off(self) -> float:
        """When its watchdog will end it, if nothing else happens."""
        if not self.plan:
            return 1e12
        budget = self.armed + self.plan.get("budget", 1e12)
        put_off = self.visited + self.plan["keep"]
        if self.begun is None:
            return min(budget, max(self.armed + self.plan["boot"], put_off))
        limit = self.begun + self.plan.get("limit", 1e12)
        if limit < self.over:
            return min(budget, limit)
        return min(budget, max(self.over + self.plan["keep"], put_off))

    def ended(self) -> float:
        """When its bill ends, in the current state."""
        return min(self.off(), self.gone if self.gone is not None else 1e12)

    account: str = "main"
    stamped: bool = True
    cloned: bool = False
    doubled: bool = False

    def state(self, now: float) -> NodeState:
        """Its true state at a time."""
        if now >= self.ended():
            return NodeState.GONE
        if self.gone is not None:
            return NodeState.RELEASING
        if now >= self.interrupted:
            # A reclaimed machine is stopped, and its disk is still billed.
            return NodeState.INTERRUPTED
        return NodeState.READY if now >= self.ready else NodeState.PENDING

    def alive(self, now: float) -> bool:
        """Whether something can run on it."""
        return self.created <= now < self.interrupted and now < self.ended()


@define
class World:
    """The whole truth of a simulation, whatever its clients believe.

    Args:
        seed: two worlds with one seed behave in the same way.
        faults: the probabilities of faults; `calm` ends all of them.

    Attributes:
        calls: the times of the create calls for each token.
        keys: for how many seconds the cloud keeps the token of a create call as an idempotency key; 0 for none.
        watchdog: how its machines get their watchdog.
        stranded: ids of machines that nobody can reach, and that can be released only when reached, as with hosts that nobody
            rents.
        lies: how every node behaves from now on, by request (``poll``, ``cancel``, ``logs``, ``fetch``, ``armed``, ``start``):
            ``garble``, ``mute``, ``deaf`` (mute, and its executor ignores cancellation), ``trickle`` or ``endless``.
        clocks: the random numbers for setting clocks.
        wall_off: by how many seconds the wall clock of the clients' host is wrong.
        on_fault: called with the name of a fault (an attribute of `Faults`) when it happens.
    """

    seed: int
    faults: Faults = field(factory=Faults)
    machines: list[Machine] = field(factory=list)
    calls: dict[str, list[float]] = field(factory=dict)
    keys: float = 0.0
    watchdog: WatchdogWay = WatchdogWay.STARTUP
    stranded: set[str] = field(factory=set)
    lies: dict[str, str] = field(factory=dict)
    wall_off: float = 0.0
    on_fault: Callable[[str], None] | None = None
    clocks: random.Random = field(init=False)
    random: random.Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - a simulation wants the same numbers again
        # Separate random numbers, so that a clock jump changes nothing else in the world.
        self.clocks = random.Random(f"clocks {self.seed}")  # noqa: S311

    @property
    def spec(self) -> ProviderSpec:
        """The cloud's spec."""
        return evolve(SIM_SPEC, watchdog=self.watchdog, timings=evolve(SIM_SPEC.timings, idempotency=self.keys))

    def happens(self, chance: float) -> bool:
        """Whether an event with this probability happens now."""
        return chance > 0 and self.random.random() < chance

    def sets_a_clock(self) -> float | None:
        """By how many hours a wall clock jumps now; ``None`` for no jump."""
        if self.faults.jump <= 0 or self.clocks.random() >= self.faults.jump:
            return None
        self._tell("jump")
        return self.clocks.choice((-1, 1)) * self.clocks.uniform(1, 20)

    def strikes(self, fault: str, *, later: bool = False) -> bool:
        """Whether a fault of `Faults` happens now; with ``later`` it is reported when its effect appears."""
        struck = self.happens(getattr(self.faults, fault))
        if struck and not later:
            self._tell(fault)
        return struck

    def strike_at(self, when: float, fault: str, machine: Machine) -> None:
        """Report a fault when its effect appears, if its machine exists then."""
        asyncio.get_running_loop().call_at(when, lambda: self._tell(fault) if machine.ended() > when else None)

    def _tell(self, fault: str) -> None:
        if self.on_fault is not None:
            self.on_fault(fault)

    def between(self, low: float, high: float) -> float:
        """A random number between two."""
        return self.random.uniform(low, high)

    def calm(self) -> None:
        """End all faults from now on."""
        self.faults = Faults()

    def billed(self, now: float) -> list[Machine]:
        """The machines that cost money now."""
        return [machine for machine in self.machines if machine.created <= now < machine.ended()]
