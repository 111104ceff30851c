"""The hosts of the fleet: probes them, allocates their GPUs one by one, and keeps work away from unhealthy ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from typing import Any

from attrs import evolve

from lepton_byoc.ask import ask
from lepton_byoc.fleet_listing import fleet_offers, once_each, part_price
from lepton_byoc.health import Finding
from lepton_byoc.observations import Cordon, Look, Looks, Silence
from lepton_byoc.refusals import SILENT_SECONDS, host_obstacle, silent
from lepton_byoc.roster import FleetHost, Roster
from lepton_sdk.spi import (
    ConfigError,
    Launch,
    LeptonError,
    NoCapacity,
    Node,
    NodeError,
    NodeState,
    NodeUnreachable,
    Offer,
    OutcomeUnknown,
    ProviderContext,
    Resources,
    SSHAccess,
    Unavailable,
)

__all__ = ["Fleet"]


# Time-outs for an answer, login included: a listing reads a file; a probe wakes up to eight GPUs.
_HELD_SECONDS, _LOOK_SECONDS, _CHANGE_SECONDS = 10.0, 45.0, 90.0
# How long a silent host is not asked for its allocations again.
_AGAIN_SECONDS = 30.0


class Fleet:
    """The fleet of one configuration. Allocations are written on the hosts themselves, so clients need no shared storage."""

    def __init__(self, context: ProviderContext) -> None:
        self._context = context
        self._name, self._clock = context.name, context.clock
        self.roster = Roster(context)
        self.looks = Looks(context.cache_dir)
        # If two nodes were placed at once, both would choose one host, and one of them would be refused there.
        self._choosing = asyncio.Lock()
        # Token → the host that it was requested from.
        self._sent: dict[str, str] = {}

    # --- the market ------------------------------------------------------------------------------------------------

    async def offers(self, resources: Resources) -> AsyncIterator[Offer]:
        """Parts of hosts as they were last seen; unavailable parts carry the reason.

        Raises:
            Unavailable: some host was never probed.
        """
        hosts, now = self.roster.hosts(), self._clock.now()
        seen = self._seen(hosts)
        for offer in fleet_offers(self._name, seen, resources, now):
            yield offer
        if unseen := sorted({host.name for host in hosts} - {host.name for host, _ in seen}):
            raise Unavailable(
                f"nothing is known of {', '.join(unseen)}", provider=self._name, hint=f"lepton byoc check {unseen[0]}"
            )

    def _seen(self, hosts: Sequence[FleetHost]) -> list[tuple[FleetHost, Look]]:
        return [(host, look) for host in hosts if (look := self.looks.of(host.name)) is not None]

    # --- looking ---------------------------------------------------------------------------------------------------

    async def look(self, host: FleetHost, watch: float = 0.0) -> Look:
        """Probe a host now.

        Args:
            watch: seconds to wait for XID events.
        """
        sent = self._clock.now()
        answer = await self._ask(host, {"do": "look", "watch": watch}, _LOOK_SECONDS + watch)
        now = self._clock.now()
        middle = sent.timestamp() + (now - sent).total_seconds() / 2
        offset = round(answer["probe"]["host"]["time"] - middle, 3)
        wish = self.looks.wish(host.name)
        look = self.looks.keep(host.name, Look(now, answer["probe"], tuple(answer["nodes"]), _cordon(answer), offset=offset))
        if wish is None:
            return look
        # The host did not answer before, so tell it now.
        await self.cordon(host, wish.reason, wish.by)
        return self.looks.of(host.name) or look

    async def cordon(self, host: FleetHost, reason: str | None, by: str = "") -> str:
        """Keep new work of every client away from a host; without a reason, allow it again.

        Args:
            by: who does this, as the host will record it.

        Returns:
            A note for the user: a host that does not answer is told later, and until then only this client knows.
        """
        now = self._clock.now()
        if reason is None:
            self.looks.note_wish(host.name, None)
        try:
            answer = await self._ask(host, {"do": "cordon", "reason": reason, "by": by}, _LOOK_SECONDS)
        except NodeError as error:
            if reason is None:
                raise
            self.looks.note_wish(host.name, Cordon(reason, by, now.timestamp()))
            return f"it does not answer, and is told when it does; until then this holds here alone: {error.message}"
        self.looks.note_wish(host.name, None)
        self._remember(host, answer)
        return ""

    async def _guarded(self, host: FleetHost) -> tuple[Look, list[Finding]]:
        """A probe, and the reason that keeps work away; an unhealthy host is cordoned."""
        look = await self.look(host)
        sick = [finding for finding in look.findings(host.gpus) if finding.keeps_work_away]
        if sick and look.cordon is None:
            await self.cordon(host, f"{sick[0].what}; {sick[0].action}", "the health check")
        return look, sick

    async def _ask(self, host: FleetHost, request: dict[str, object], seconds: float = _CHANGE_SECONDS) -> dict[str, Any]:
        """A host's answer within a number of seconds, connection time included; records whether it answered."""
        try:
            answer = await self._in_time(host, ask(self._context.shell, host, request, provider=self._name), seconds)
        except NodeError as error:
            self.looks.note_silence(host.name, Silence(self._clock.now(), error.message))
            raise
        self.looks.note_silence(host.name, None)
        return answer

    async def _in_time(self, host: FleetHost, work: Coroutine[Any, Any, dict[str, Any]], seconds: float) -> dict[str, Any]:
        answer, limit = asyncio.ensure_future(work), asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({answer, limit}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            text = f"{host.name} did not answer within {seconds:.0f} seconds"
            raise NodeUnreachable(text, provider=self._name, hint="is the host up, and does a login there come to its end?")
        finally:
            answer.cancel()
            limit.cancel()
            await asyncio.gather(answer, limit, return_exceptions=True)

    def _remember(self, host: FleetHost, answer: Mapping[str, Any]) -> None:
        look = self.looks.of(host.name)
        if look is not None:
            self.looks.replace(host.name, evolve(look, nodes=tuple(answer["nodes"]), cordon=_cordon(answer)))

    # --- a node's life ---------------------------------------------------------------------------------------------

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        """Allocate a part of one host that has it free; the nodes of one run go to different hosts first.

        Raises:
            NoCapacity: no host has it now; the message says why for each.
            OutcomeUnknown: the host did not answer whether it allocated the part.
        """
        reasons: list[str] = []
        async with self._choosing:
            for host in self._in_order(offer, launch):
                try:
                    uuids = await self._eligible(host, offer)
                except (NodeError, Unavailable, NoCapacity, ConfigError) as error:
                    # After any failure of one host, another may work.
                    reasons.append(error.message)
                    continue
                self._sent[launch.token] = host.name
                try:
                    return await self._take(host, offer, launch, uuids)
                except NodeUnreachable as error:
                    raise OutcomeUnknown(error.message, provider=self._name, hint=error.hint) from error
                except (NoCapacity, Unavailable) as error:
                    reasons.append(error.message)
        why = "; ".join(reasons) or "none of that price is on the list any more"
        raise NoCapacity(
            f"no host of {offer.region} has {offer.instance_type} free: {why}",
            provider=self._name,
            hint="lepton byoc list shows hosts, cordons and what holds their GPUs",
        )

    def _in_order(self, offer: Offer, launch: Launch) -> list[FleetHost]:
        """Hosts that may have it: those without a node of this run first, then those with the fewest free GPUs."""
        seen = once_each(self._seen(self.roster.hosts()))
        fitting = [
            (any(node["provider_data"].get("run") == launch.run_id for node in look.nodes), len(look.free()), host.name, host)
            for host, look in seen
            if host.group == offer.region and part_price(host, look, offer.gpu_count) == offer.price
        ]
        return [host for *_, host in sorted(fitting, key=lambda row: row[:3])]

    def _access(self, host: FleetHost) -> SSHAccess:
        """Its access, for us and for the other hosts of a job, which do not know the names in our SSH settings."""
        look = self.looks.of(host.name)
        seen = (look.probe["host"].get("address") if look else None) or ""
        return evolve(host.access, private_address=host.private_address or seen)

    async def _eligible(self, host: FleetHost, offer: Offer) -> list[str]:
        now = self._clock.now()
        if (silence := self.looks.silence(host.name)) and silence.lasts(now, SILENT_SECONDS):
            dead = silent(host, silence)
            raise NoCapacity(dead.what, provider=self._name, hint=dead.hint)
        past = self.looks.of(host.name) if host.is_quiet(now) else None
        look = past or (await self._guarded(host))[0]
        if why := host_obstacle(host, look, now):
            raise NoCapacity(why.what, provider=self._name, hint=why.hint)
        return [uuid for uuid, gpu in look.free().items() if offer.gpu is None or offer.gpu.fits(gpu) is None]

    async def _take(self, host: FleetHost, offer: Offer, launch: Launch, uuids: Sequence[str]) -> Node:
        node = Node(
            provider=self._name,
            id=f"{self._name}-{launch.token}",
            token=launch.token,
            owner=launch.owner,
            state=NodeState.READY,
            access=self._access(host),
            instance_type=offer.instance_type,
            region=offer.region,
            price=offer.price,
            since=self._clock.now(),
            provider_data={"host": host.name, "run": launch.run_id},
        )
        request = {"do": "take", "node": node.to_dict(), "eligible": list(uuids), "count": offer.gpu_count}
        answer = await self._ask(host, request)
        self._remember(host, answer)
        return Node.from_dict(answer["node"])

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> AsyncIterator[Node]:
        """The allocations of ``owner`` on the hosts.

        Raises:
            Unavailable: some hosts did not answer; the nodes of the others came before, and are valid (``partly``).
        """
        sent = self._sent.get(token or "")
        hosts = [host for host in self.roster.hosts() if sent in (None, host.name)]
        answers = await asyncio.gather(*map(self._held, hosts), return_exceptions=True)
        found = False
        for answer in answers:
            for row in answer["nodes"] if isinstance(answer, dict) else ():
                node = Node.from_dict(row)
                if "host" in node.provider_data and owner in ("*", node.owner) and token in (None, node.token):
                    found = True
                    yield node
        if bugs := [answer for answer in answers if isinstance(answer, BaseException) and not isinstance(answer, LeptonError)]:
            raise bugs[0]
        dead = {host.name: answer for host, answer in zip(hosts, answers, strict=True) if isinstance(answer, LeptonError)}
        # A token is on one host only.
        if dead and not (token is not None and found):
            text = "; ".join(f"{name} does not say what it holds: {error.message}" for name, error in dead.items())
            name = next(iter(dead))
            step = f"mend it, keep work away (lepton byoc cordon {name}), or take it off the list (lepton byoc remove {name})"
            raise Unavailable(text, provider=self._name, hint=step, partly=True)

    async def _held(self, host: FleetHost) -> dict[str, Any]:
        silence = self.looks.silence(host.name)
        if silence is not None and silence.lasts(self._clock.now(), _AGAIN_SECONDS):
            # Several requests in a row wait for a dead host only once.
            raise NodeUnreachable(silence.said, provider=self._name, hint=f"lepton byoc check {host.name}")
        return await self._ask(host, {"do": "held"}, _HELD_SECONDS)

    async def inspect(self, node: Node) -> Node:
        """Ready while it is allocated and its GPUs are healthy; failed, with GPU and reason, if one is not."""
        host = self._host_of(node)
        if host is None:
            return node.with_state(NodeState.GONE, f"{node.provider_data['host']} is not in the fleet any more")
        look, sick = await self._guarded(host)
        if not any(row["id"] == node.id for row in look.nodes):
            return node.with_state(
                NodeState.GONE, f"{host.name} does not hold it; it was given back, or the host has booted since"
            )
        detail = _failure(node, look, sick)
        return node.with_state(NodeState.FAILED if detail else NodeState.READY, detail and f"{host.name}: {detail}")

    async def release(self, node: Node) -> Node:
        """Free its GPUs; powers nothing off. A host that was removed from the fleet holds nothing for us."""
        if (host := self._host_of(node)) is not None:
            self._remember(host, await self._ask(host, {"do": "give-back", "id": node.id}))
        return node.with_state(NodeState.GONE)

    def _host_of(self, node: Node) -> FleetHost | None:
        return next((host for host in self.roster.hosts() if host.name == node.provider_data["host"]), None)


def _cordon(answer: Mapping[str, Any]) -> Cordon | None:
    return Cordon(**answer["cordon"]) if answer["cordon"] else None


def _failure(node: Node, look: Look, sick: Sequence[Finding]) -> str:
    """Which of the node's GPUs failed and why; empty if none did. A fault of the whole host fails all its nodes."""
    own = [uuid for uuid in node.provider_data.get("gpus", "").split(",") if uuid]
    lost = [card for card in look.probe["gpus"] if card["failure"]]
    gone = [uuid for uuid in own if uuid not in look.gpus()]
    if gone:
        said = "; ".join(f"GPU {card['index']}: {card['said']}" for card in lost) or "the driver does not list it any more"
        return f"{', '.join(gone)} is lost ({said})"
    told = [finding for finding in sick if finding.gpu in own or (own and not finding.gpu and not lost)]
    return "; ".join(f"{finding.what} ({finding.gpu or 'all GPUs'}); {finding.action}" for finding in told)
