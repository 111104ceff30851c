"""SimCloud: a cloud that lies, lags, forgets and bills, by a seed.

A `World` holds the machines, what runs on them and the bill. A `SimProcess` is one client process of that world: it can die
at any step, or stand still for a while and wake up believing that no time has passed. `SimCloud` and `SimNodes` are the
provider and the executor as such a process sees them.
"""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from attrs import define, evolve, field, frozen

from lepton_sdk.domain.access import LocalAccess
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.resources import Resources
from lepton_sdk.errors import NoCapacity, OutcomeUnknown, Unavailable
from lepton_sdk.spi.provider import Launch
from lepton_sdk.spi.spec import PowerOff, ProviderSpec, Timings, WatchdogWay
from lepton_sdk.testing.fake import fake_offer
from lepton_sdk.testing.virtual import VirtualClock

__all__ = ["SIM_SPEC", "Died", "Faults", "Machine", "SimCloud", "SimProcess", "World"]

SIM_SPEC = ProviderSpec(
    "sim",
    title="Simulated cloud",
    factory="lepton_sdk.testing.simcloud:SimCloud",
    power_off=PowerOff.ENDS,
    watchdog=WatchdogWay.STARTUP,
    capabilities=frozenset({"account"}),
    timings=Timings(listing_lag=30, create_horizon=300, boot=600, billing_increment=60, poll=5),
)


class Died(BaseException):
    """The simulated process was killed here; nothing of it runs on."""


@frozen
class Faults:
    """How often what goes wrong, as probabilities of one call; 0 for never.

    Attributes:
        die, pause: of the calling process, at any step.
        refuse: a create is refused; nothing is made.
        lose_request: a create's answer is lost and nothing is made.
        lose_reply: a create's answer is lost and the machine is there.
        late: a create's answer is lost and the machine appears later, within the declared horizon.
        duplicate: one create makes two machines.
        fail_boot, interrupt: a machine never boots; it is taken back while it is used.
        forget_release: a release is accepted and nothing happens.
        unavailable: a question is not answered.
        cut: a node cannot be reached for a while.
        unarmed: a machine's watchdog never lives.
        truncate: a listing breaks off without saying so.
        clone: somebody copies a machine in the console, tags and all.
        unstamp: somebody takes a machine's tags off.
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
    truncate: float = 0.0
    clone: float = 0.0
    unstamp: float = 0.0


@define
class Machine:
    """A machine of the world, with the times of its life in seconds.

    Attributes:
        plan: its watchdog's, by word, in seconds from ``armed``; empty without a watchdog.
        armed: when the watchdog began to live.
        begun, over: of what runs on it.
        visited: when somebody last looked after it.
        told: whether it was ever spoken to as to a machine with a watchdog.
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

    def off(self) -> float:
        """When its watchdog ends it, if nothing else happens."""
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
        """When its bill ends, as things are."""
        return min(self.off(), self.gone if self.gone is not None else 1e12)

    account: str = "main"
    stamped: bool = True
    cloned: bool = False

    def state(self, now: float) -> NodeState:
        """What is true of it at a time."""
        if now >= self.ended():
            return NodeState.GONE
        if self.gone is not None:
            return NodeState.RELEASING
        if now >= self.interrupted:
            # A machine that was taken back is stopped, and its disk is still billed.
            return NodeState.INTERRUPTED
        return NodeState.READY if now >= self.ready else NodeState.PENDING

    def alive(self, now: float) -> bool:
        """Whether something can run on it."""
        return self.created <= now < self.interrupted and now < self.ended()


@define
class World:
    """Everything that is true, whatever anybody believes of it.

    Args:
        seed: two worlds of one seed go the same way.
        faults: what goes wrong in it; `calm` ends all of it.

    Attributes:
        calls: how many create calls were made for each token.
        watchdog: how its machines get theirs.
    """

    seed: int
    faults: Faults = field(factory=Faults)
    machines: list[Machine] = field(factory=list)
    calls: dict[str, int] = field(factory=dict)
    watchdog: WatchdogWay = WatchdogWay.STARTUP
    random: random.Random = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - a simulation wants the same numbers again

    @property
    def spec(self) -> ProviderSpec:
        """What the cloud says of itself."""
        return evolve(SIM_SPEC, watchdog=self.watchdog)

    def happens(self, chance: float) -> bool:
        """Whether it happens this time."""
        return chance > 0 and self.random.random() < chance

    def between(self, low: float, high: float) -> float:
        """A number between two."""
        return self.random.uniform(low, high)

    def calm(self) -> None:
        """From now on nothing goes wrong."""
        self.faults = Faults()

    def billed(self, now: float) -> list[Machine]:
        """The machines that cost money now."""
        return [machine for machine in self.machines if machine.created <= now < machine.ended()]


class SimProcess:
    """One client process: a clock that stops with it, and a life that can end at any step."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dead = False
        self._asleep_until = 0.0
        self._clock = VirtualClock()

    def now(self) -> datetime:
        """The time of day."""
        return self._clock.now()

    def monotonic(self) -> float:
        """Seconds since the simulation began."""
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait; a process that stands still wakes up late."""
        self.check()
        await self._clock.sleep(seconds)
        while self.monotonic() < self._asleep_until:
            await self._clock.sleep(self._asleep_until - self.monotonic())
        self.check()

    def check(self) -> None:
        """End here when the process is dead."""
        if self.dead:
            raise Died

    async def step(self, longest: float = 2.0) -> None:
        """One action of the process: it takes time, and the process may die or stand still in it."""
        faults, world = self.world.faults, self.world
        self.mortal_moment()
        if world.happens(faults.pause):
            self._asleep_until = self.monotonic() + world.between(10, 400)
        await self.sleep(world.between(0.001, longest))
        self.mortal_moment()

    def mortal_moment(self) -> None:
        """A moment at which the process may be killed."""
        self.check()
        if self.world.happens(self.world.faults.die):
            self.dead = True
            raise Died


class SimCloud:
    """The provider contract over a `World`, as one process sees it.

    Args:
        process: whose view it is.
        offers: what is sold; one type in two regions by default.
        account: what the process's credentials open. In another one everything of ours is gone, whatever is asked.
    """

    def __init__(self, process: SimProcess, offers: tuple[Offer, ...] = (), account: str = "main") -> None:
        self._process = process
        self._account = account
        self._world = process.world
        names = ("north", "south")
        self._offers = offers or tuple(fake_offer("box", provider=SIM_SPEC.name, region=name) for name in names)

    async def offers(self, resources: Resources) -> AsyncIterator[Offer]:
        """Everything, whatever is asked."""
        await self._process.step()
        self._answer()
        for offer in self._offers:
            yield offer

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        """Make a machine, or one of the ways in which that goes wrong."""
        world, faults = self._world, self._world.faults
        await self._process.step()
        world.calls[launch.token] = world.calls.get(launch.token, 0) + 1
        if world.happens(faults.refuse):
            raise NoCapacity("none left here", provider=SIM_SPEC.name)
        if world.happens(faults.lose_request):
            raise OutcomeUnknown("the request was lost", provider=SIM_SPEC.name)
        late = world.between(1, SIM_SPEC.timings.create_horizon) if world.happens(faults.late) else 0.0
        machine = self._make(offer, launch, late)
        if world.happens(faults.duplicate):
            self._make(offer, launch, late)
        if late or world.happens(faults.lose_reply):
            raise OutcomeUnknown("the answer was lost", provider=SIM_SPEC.name)
        await self._process.step()
        return self._node(machine)

    async def find(self, owner: str, token: str | None = None) -> AsyncIterator[Node]:
        """What the listing shows by now."""
        await self._process.step()
        self._answer()
        self._meddle()
        now = self._process.monotonic()
        for machine in self._world.billed(now):
            if self._world.happens(self._world.faults.truncate):
                return
            fits = owner in ("*", machine.owner) and token in (None, machine.token)
            if machine.account == self._account and machine.listed <= now and (fits if machine.stamped else token is None):
                yield self._node(machine)

    async def account(self) -> str:
        """What the credentials open."""
        await self._process.step()
        self._answer()
        return self._account

    async def inspect(self, node: Node) -> Node:
        """The machine now."""
        await self._process.step()
        self._answer()
        machine = self._machine(node)
        return self._node(machine) if machine.account == self._account else node.with_state(NodeState.GONE)

    async def release(self, node: Node) -> Node:
        """Begin to give it back."""
        await self._process.step()
        self._answer()
        machine = self._machine(node)
        if machine.account != self._account:
            return node.with_state(NodeState.GONE)
        if machine.gone is None and not self._world.happens(self._world.faults.forget_release):
            machine.gone = self._process.monotonic() + self._world.between(0, 60)
        await self._process.step()
        return self._node(machine)

    async def aclose(self) -> None:
        """Nothing is open."""

    def _answer(self) -> None:
        if self._world.happens(self._world.faults.unavailable):
            raise Unavailable("not now", provider=SIM_SPEC.name)

    def _meddle(self) -> None:
        """Somebody works in the console, and does each thing once."""
        world, now = self._world, self._process.monotonic()
        there = world.billed(now)
        if there and not any(m.cloned for m in there) and world.happens(world.faults.clone):
            copied = world.random.choice(there)
            copy = evolve(copied, id=f"m-{len(world.machines)}", created=now, listed=now, ready=now, gone=None, cloned=True)
            world.machines.append(evolve(copy, offer=evolve(copied.offer, instance_type="bigger box")))
        if there and all(m.stamped for m in there) and world.happens(world.faults.unstamp):
            world.random.choice(there).stamped = False

    def _make(self, offer: Offer, launch: Launch, late: float) -> Machine:
        world, faults = self._world, self._world.faults
        created = self._process.monotonic() + late
        ready = created + (1e12 if world.happens(faults.fail_boot) else world.between(5, 120))
        machine = Machine(
            id=f"m-{len(world.machines)}",
            token=launch.token,
            owner=launch.owner,
            offer=offer,
            created=created,
            listed=created + world.between(0, SIM_SPEC.timings.listing_lag),
            ready=ready,
            interrupted=ready + world.between(0, 600) if world.happens(faults.interrupt) else 1e12,
            account=self._account,
        )
        if launch.startup_script:
            machine.plan = _plan_in(launch.startup_script)
            machine.armed = 1e12 if world.happens(faults.unarmed) else ready + world.between(0, 60)
        world.machines.append(machine)
        return machine

    def _machine(self, node: Node) -> Machine:
        return next(machine for machine in self._world.machines if machine.id == node.id)

    def _node(self, machine: Machine) -> Node:
        now = self._process.monotonic()
        return Node(
            provider=SIM_SPEC.name,
            id=machine.id,
            token=machine.token if machine.stamped else None,
            owner=machine.owner if machine.stamped else None,
            state=machine.state(now),
            access=LocalAccess(host=machine.id),
            instance_type=machine.offer.instance_type,
            region=machine.offer.region,
            price=machine.offer.price,
            since=self._process.now() - timedelta(seconds=now - machine.created),
        )


def _plan_in(script: str) -> dict[str, float]:
    """The watchdog's plan as the script has it, in seconds."""
    return {name: int(value) / 100 for name, value in re.findall(r"\b(boot|limit|budget|keep)=(\d+)", script.splitlines()[-1])}
