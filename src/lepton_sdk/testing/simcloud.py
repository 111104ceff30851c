"""SimCloud: a cloud that lies, lags, forgets and bills, reproducibly by a seed.

A `World` holds the machines, their jobs and the bill. A `SimProcess` is one client process of that world: it can die
at any step, or freeze for a while and wake up as if no time had passed. `SimCloud` and `SimNodes` are the provider and the
executor as such a process sees them.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

from attrs import evolve

from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.resources import Resources
from lepton_sdk.errors import NoCapacity, OutcomeUnknown, Unavailable
from lepton_sdk.spi.provider import Launch
from lepton_sdk.testing.fake import fake_offer
from lepton_sdk.testing.simprocess import SimProcess
from lepton_sdk.testing.simworld import SIM_SPEC, Machine

__all__ = ["SimCloud"]


class SimCloud:
    """The provider contract over a `World`, as one process sees it.

    Args:
        process: the process whose view it is.
        offers: what is sold; by default one type in two regions.
        account: the account of the process's credentials. In another account all our machines look gone.
    """

    def __init__(self, process: SimProcess, offers: tuple[Offer, ...] = (), account: str = "main") -> None:
        self._process = process
        self._account = account
        self._world = process.world
        names = ("north", "south")
        self._offers = offers or tuple(fake_offer("box", provider=SIM_SPEC.name, region=name) for name in names)

    async def offers(self, resources: Resources) -> AsyncIterator[Offer]:
        """Yield everything, whatever the request."""
        await self._process.step()
        self._answer()
        for offer in self._offers:
            yield offer

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        """Create a machine, or fail in one of the simulated ways."""
        world = self._world
        await self._process.step()
        world.calls.setdefault(launch.token, []).append(self._process.monotonic())
        if (known := self._kept(launch)) is not None:
            return await self._again(known)
        if world.strikes("refuse"):
            await self._process.hear()
            raise NoCapacity("none left here", provider=SIM_SPEC.name)
        if world.strikes("lose_request"):
            await self._process.hear()
            raise OutcomeUnknown("the request was lost", provider=SIM_SPEC.name)
        late = world.between(1, SIM_SPEC.timings.create_horizon) if world.strikes("late", later=True) else 0.0
        machine = self._make(offer, launch, late)
        if late:
            world.strike_at(machine.created, "late", machine)
        if world.strikes("duplicate"):
            self._make(offer, launch, late).doubled = True
        if late or world.strikes("lose_reply"):
            await self._process.hear()
            raise OutcomeUnknown("the answer was lost", provider=SIM_SPEC.name)
        await self._process.step()
        return self._node(machine)

    def _kept(self, launch: Launch) -> Machine | None:
        """The machine of an earlier call with this token, while the cloud keeps the token as an idempotency key."""
        now = self._process.monotonic()
        made = (m for m in self._world.machines if m.token == launch.token and not m.cloned and not m.doubled)
        return next((one for one in made if now - self._world.calls[one.token][0] <= self._world.keys), None)

    async def _again(self, machine: Machine) -> Node:
        """Repeat the answer of an earlier call with the same key; create nothing."""
        if self._world.strikes("lose_reply"):
            await self._process.hear()
            raise OutcomeUnknown("the answer was lost again", provider=SIM_SPEC.name)
        await self._process.step()
        return self._node(machine)

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        """Return what the listing shows now."""
        await self._process.step()
        self._answer()
        self._meddle()
        now = self._process.monotonic()
        for machine in self._world.billed(now):
            if self._world.strikes("truncate"):
                break
            fits = owner in ("*", machine.owner) and token in (None, machine.token)
            if machine.account == self._account and machine.listed <= now and (fits if machine.stamped else token is None):
                yield self._node(machine)
        await self._process.hear()

    async def account(self) -> str:
        """Return the account of the credentials."""
        await self._process.step()
        self._answer()
        return self._account

    async def inspect(self, node: Node) -> Node:
        """Return the machine's state now."""
        await self._process.step()
        self._answer()
        machine = self._machine(node)
        is_here = machine is not None and machine.account == self._account
        seen = self._node(machine) if machine is not None and is_here else node.with_state(NodeState.GONE)
        await self._process.hear()
        return seen

    async def release(self, node: Node) -> Node:
        """Begin to release it."""
        machine = self._machine(node)
        if machine is not None and machine.asked_back is None:
            machine.asked_back = self._process.monotonic()
        await self._process.step()
        self._answer()
        if machine is None or machine.account != self._account:
            return node.with_state(NodeState.GONE)
        if machine.id in self._world.stranded:
            raise Unavailable("it cannot be reached", provider=SIM_SPEC.name)
        if machine.gone is None and not self._world.strikes("forget_release"):
            machine.gone = self._process.monotonic() + self._world.between(0, 60)
        await self._process.step()
        return self._node(machine)

    async def aclose(self) -> None:
        """Do nothing: nothing is open."""

    def _answer(self) -> None:
        if self._world.strikes("unavailable"):
            raise Unavailable("not now", provider=SIM_SPEC.name)

    def _meddle(self) -> None:
        """Simulate a person in the console, who does each thing once."""
        world, now = self._world, self._process.monotonic()
        there = world.billed(now)
        if there and not any(m.cloned for m in there) and world.strikes("clone"):
            copied = world.random.choice(there)
            copy = evolve(copied, id=f"m-{len(world.machines)}", created=now, listed=now, ready=now, gone=None, cloned=True)
            world.machines.append(evolve(copy, offer=evolve(copied.offer, instance_type="bigger box")))
        if there and all(m.stamped for m in there) and world.strikes("unstamp"):
            world.random.choice(there).stamped = False

    def _make(self, offer: Offer, launch: Launch, late: float) -> Machine:
        world = self._world
        created = self._process.monotonic() + late
        ready = created + (1e12 if world.strikes("fail_boot") else world.between(5, 120))
        machine = Machine(
            id=f"m-{len(world.machines)}",
            token=launch.token,
            owner=launch.owner,
            offer=offer,
            created=created,
            listed=created + world.between(0, SIM_SPEC.timings.listing_lag),
            ready=ready,
            interrupted=ready + world.between(0, 600) if world.strikes("interrupt", later=True) else 1e12,
            account=self._account,
        )
        if launch.startup_script:
            machine.plan = _plan_in(launch.startup_script)
            machine.armed = 1e12 if world.strikes("unarmed") else ready + world.between(0, 60)
        if machine.interrupted < 1e12:
            world.strike_at(machine.interrupted, "interrupt", machine)
        world.machines.append(machine)
        return machine

    def _machine(self, node: Node) -> Machine | None:
        """The machine of an id; ``None`` for an unknown id."""
        return next((machine for machine in self._world.machines if machine.id == node.id), None)

    def _node(self, machine: Machine) -> Node:
        now = self._process.monotonic()
        return Node(
            provider=SIM_SPEC.name,
            id=machine.id,
            token=machine.token if machine.stamped else None,
            owner=machine.owner if machine.stamped else None,
            state=machine.state(now),
            access=SSHAccess(machine.id),
            instance_type=machine.offer.instance_type,
            region=machine.offer.region,
            price=machine.offer.price,
            since=self._process.now() - timedelta(seconds=now - machine.created),
        )


def _plan_in(script: str) -> dict[str, float]:
    """The watchdog's deadlines in the script, in seconds."""
    return {name: int(value) / 100 for name, value in re.findall(r"\b(boot|limit|budget|keep)=(\d+)", script.splitlines()[-1])}
