"""The reasons why no new work goes to a host, or to its GPUs: in words, with the command that helps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import frozen

from lepton_byoc.observations import Look, Silence
from lepton_byoc.roster import FleetHost
from lepton_sdk.spi import Gpu

__all__ = ["FRESH_SECONDS", "SILENT_SECONDS", "Obstacle", "held_by", "host_obstacle", "in_use", "taken", "twin_obstacle"]

# After this time an observed allocation may be over.
FRESH_SECONDS = 60.0
# How long a silent host gets no work; then it is asked again.
SILENT_SECONDS = 300.0


@frozen
class Obstacle:
    """A reason why an offer is unavailable.

    Attributes:
        what: a sentence that begins with the host.
        hint: the next step.
    """

    what: str
    hint: str


def host_obstacle(host: FleetHost, look: Look, now: datetime) -> Obstacle | None:
    """Why no new work goes to a host, by its last observation; ``None`` if it may."""
    sick = [finding for finding in look.findings(host.gpus) if finding.keeps_work_away]
    if look.cordon is not None:
        step = f"lepton byoc uncordon {host.name}"
        step = f"{sick[0].action}, then {step}" if sick else step
        return Obstacle(f"{host.name} is {look.cordon}{_seen(look, now)}", step)
    if sick:
        text = f"{host.name} is unhealthy: {'; '.join(finding.what for finding in sick)}{_seen(look, now)}"
        return Obstacle(text, f"{sick[0].action}, then lepton byoc check {host.name}")
    if look.silence is not None and look.silence.lasts(now, SILENT_SECONDS):
        return silent(host, look.silence)
    if host.is_quiet(now):
        until = host.quiet_until(now)
        when = f"until {until:%H:%M} UTC" if until else "at all hours"
        return Obstacle(f"{host.name} has quiet hours {when}", f"wait, or change the quiet_hours of {host.name}")
    return None


def silent(host: FleetHost, silence: Silence) -> Obstacle:
    """The reason for a host that did not answer."""
    text = f"{host.name} did not answer at {silence.at:%Y-%m-%d %H:%M} UTC: {silence.said}"
    return Obstacle(text, f"lepton byoc check {host.name} asks again; lepton byoc remove {host.name} takes it off the list")


def twin_obstacle(host: FleetHost, first: str) -> Obstacle:
    """The reason for a machine that is already listed under another name."""
    return Obstacle(f"{host.name} is the same machine as {first}, which is offered", f"take {host.name} off the list")


def _seen(look: Look, now: datetime) -> str:
    """When that was seen, if not just now: it may have been repaired since."""
    old = (now - look.seen_at).total_seconds() > FRESH_SECONDS
    return f" (last looked at {look.seen_at:%Y-%m-%d %H:%M} UTC)" if old else ""


def taken(host: FleetHost, look: Look, gpu: Gpu, count: int) -> Obstacle:
    """The reason for a host with too few free GPUs of a model, and who has the others."""
    cards = [card for card in look.probe["gpus"] if look.gpus().get(card["uuid"]) == gpu]
    pids = {card["uuid"]: _computing(card["pids"]) for card in cards if card.get("pids")}
    free = sum(one == gpu for one in look.free().values())
    names = {card["uuid"] for card in cards}
    held = {uuid: holder for uuid, holder in held_by(look.nodes).items() if uuid in names}
    what = in_use(host.name, f"{len(cards)} x {gpu}", free, count, held, pids)
    return Obstacle(what, f"wait; lepton ps shows runs of yours, lepton byoc check {host.name} looks again")


def held_by(nodes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """UUID → the node that holds it, in words."""
    held: dict[str, str] = {}
    for node in nodes:
        data = node["provider_data"]
        holder = f"run {data['run']}" if data.get("run") else f"node {node['id']}"
        held |= {uuid: holder for uuid in data.get("gpus", "").split(",") if uuid}
    return held


def in_use(where: str, there: str, free: int, wanted: int, held: Mapping[str, str], occupied: Mapping[str, str]) -> str:
    """One sentence: how many GPUs exist, how many are free, and who has the rest. A job that holds a GPU also computes on it."""
    holders = Counter(held.values())
    holders.update(who for uuid, who in occupied.items() if uuid not in held)
    rest = ", ".join(f"{count} by {who}" for who, count in sorted(holders.items()))
    return f"{where} has {there}, {free} free, {wanted} wanted" + (f"; in use: {rest}" if rest else "")


def _computing(pids: Sequence[int]) -> str:
    return f"process {', '.join(map(str, sorted(pids)))}"
