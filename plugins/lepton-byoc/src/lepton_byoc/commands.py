"""``lepton byoc``: the fleet from the command line."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click
from attrs import evolve

from lepton_byoc.fleet import Fleet
from lepton_byoc.health import Health, overall
from lepton_byoc.machine import hostname
from lepton_byoc.observations import Look
from lepton_byoc.preflight import PROFILES, Verdict, preflight
from lepton_byoc.refusals import host_obstacle, silent
from lepton_byoc.roster import FleetHost, parse_target
from lepton_sdk.spi import LeptonError, ProviderContext, UsageError

__all__ = ["command"]

T = TypeVar("T")
_Work = Callable[[Fleet, FleetHost], Awaitable[T]]
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON with stable keys.")
_hosts = click.argument("names", metavar="[HOST]...", nargs=-1)
_some_hosts = click.argument("names", metavar="HOST...", nargs=-1, required=True)
_DRAIN_LOOKS = 2.0


def command(context: ProviderContext) -> click.Group:
    """The commands over one configuration."""
    group = click.Group("byoc", help="Manage a fleet of your own hosts: add them, check their health, keep work away.")
    for make in (_add, _check, _list, _remove, _cordon, _uncordon, _drain):
        group.add_command(make(context))
    return group


def _each(
    context: ProviderContext, hosts: Sequence[FleetHost], work: Callable[[Fleet, FleetHost], Awaitable[T]]
) -> list[T | LeptonError]:
    """Do the same with every host at once; an error replaces the answer of its host."""

    async def all_of_them() -> list[T | BaseException]:
        fleet = Fleet(context)
        try:
            return await asyncio.gather(*(work(fleet, host) for host in hosts), return_exceptions=True)
        finally:
            await context.shell.aclose()

    answers: list[T | LeptonError] = []
    for answer in asyncio.run(all_of_them()):
        if isinstance(answer, BaseException) and not isinstance(answer, LeptonError):
            raise answer
        answers.append(answer)
    return answers


def _named(context: ProviderContext, names: Sequence[str]) -> list[FleetHost]:
    roster = Fleet(context).roster
    return [roster.host(name) for name in names] or roster.hosts()


def _print(rows: Sequence[dict[str, Any]], as_json: bool, columns: Sequence[str]) -> None:
    """Print the rows as JSON, or as a table of those without an error; `_end` prints the errors."""
    if as_json:
        click.echo(json.dumps(rows))
        return
    rows = [row for row in rows if "error" not in row]
    if not rows:
        return
    cells = [[name.upper() for name in columns], *([str(row.get(name, "")) for name in columns] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _failed(host: FleetHost, error: LeptonError) -> dict[str, Any]:
    return {"host": host.name, "health": str(Health.UNKNOWN), "error": error.message, "next": error.hint or ""}


def _end(rows: Sequence[dict[str, Any]]) -> None:
    if any("error" in row for row in rows):
        for row in rows:
            if "error" in row:
                click.echo(
                    f"error: {row['host']}: {row['error']}" + (f"\n  next: {row['next']}" if row["next"] else ""), err=True
                )
        click.get_current_context().exit(1)


# --- the list ---------------------------------------------------------------------------------------------------------


def _add(context: ProviderContext) -> click.Command:
    @click.command("add")
    @click.argument("targets", metavar="[USER@]HOST[:PORT]...", nargs=-1, required=True)
    @click.option("--group", default="fleet", help="The hosts' region in jobs.")
    @click.option("--label", "labels", multiple=True, help="A word to select hosts by; repeat for more.")
    @click.option("--identity", default="", help="The private key; by default the user's own.")
    @click.option("--price", type=click.FloatRange(0), default=0.0, help="Price of one host per hour, in US dollars.")
    @click.option("--name", default="", help="The host's name here, for a single host.")
    @_json
    def add(targets: Sequence[str], name: str, labels: Sequence[str], price: float, as_json: bool, **same: str) -> None:
        """Probe hosts, and add those that answer to the fleet. Options hold for all of them."""
        if name and len(targets) > 1:
            raise UsageError("--name is for one host", hint="leave it out; each host is called by its address")
        more = {**same, "labels": tuple(labels), "price_per_hour": price}
        hosts = [_renamed(parse_target(target), name, more) for target in targets]
        rows = _joined(context, hosts)
        _print(rows, as_json, ("host", "group", "gpus", "health"))
        _end(rows)

    return add


def _renamed(host: FleetHost, name: str, more: dict[str, Any]) -> FleetHost:
    table = host.to_table() | more
    if name:
        table |= {"address": host.address or host.name, "name": name}
    return FleetHost.parse(table, host.name)


def _joined(context: ProviderContext, hosts: Sequence[FleetHost]) -> list[dict[str, Any]]:
    """Probe hosts, and write down those that may join."""
    fleet = Fleet(context)
    listed = {host.name for host in fleet.roster.hosts()}
    if known := [host.name for host in hosts if host.name in listed]:
        raise UsageError(f"{known[0]} is on the list already", hint=f"lepton byoc remove {known[0]}, or add it with --name")
    machines = {past.identity: name for name in sorted(listed) if (past := fleet.looks.of(name)) and past.identity}
    rows: list[dict[str, Any]] = []
    joined = fleet.roster.added()
    looks = _each(context, hosts, lambda fleet, host: fleet.look(host))
    for host, look in zip(hosts, looks, strict=True):
        if isinstance(look, LeptonError):
            rows.append(_failed(host, look))
        elif look.identity is not None and (twin := machines.get(look.identity)) is not None:
            fleet.looks.forget(host.name)
            error = {"error": f"it is the machine that is on the list as {twin}", "next": f"lepton byoc remove {twin} first"}
            rows.append({"host": host.name, **error})
        else:
            machines |= {look.identity: host.name} if look.identity else {}
            whole = evolve(host, gpus=len(look.probe["gpus"]))
            joined.append(whole)
            rows.append(_summary(whole, look, context.clock.now()))
    fleet.roster.write(joined)
    return rows


def _remove(context: ProviderContext) -> click.Command:
    @click.command("remove")
    @_some_hosts
    @_json
    def remove(names: Sequence[str], as_json: bool) -> None:
        """Remove hosts from the fleet, also those that do not answer. Jobs there continue; the SDK counts them as released."""
        fleet = Fleet(context)
        added = fleet.roster.added()
        hosts = [fleet.roster.host(name) for name in names]
        written = [host.name for host in hosts if host.name in {one.name for one in added}]
        fleet.roster.write([host for host in added if host.name not in written])
        for name in written:
            fleet.looks.forget(name)
        _print([{"host": name, "removed": True} for name in written], as_json, ("host", "removed"))
        for host in hosts:
            if host.name not in written:
                raise _configured(fleet, host)

    return remove


def _configured(fleet: Fleet, host: FleetHost) -> UsageError:
    """The lines that the user must remove from the configuration."""
    path, lines = fleet.roster.settings, fleet.roster.stanza(host.name)
    step = f"take these lines out of it:\n{lines}" if lines else f'take the table with name = "{host.name}" out of hosts there'
    return UsageError(f"{host.name} stands in {path} itself, which only you change", hint=step)


def _summary(host: FleetHost, look: Look | None, now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {"host": host.name, "group": host.group, "labels": list(host.labels), "price": host.price_per_hour}
    if look is None:
        nothing = {
            "free": "",
            "health": str(Health.UNKNOWN),
            "cordon": "",
            "obstacle": "",
            "next": f"lepton byoc check {host.name}",
        }
        return row | nothing | {"gpus": "unknown", "seen": "never"}
    why = host_obstacle(host, look, now)
    models = sorted({str(gpu) for gpu in look.gpus().values()})
    row["gpus"] = f"{len(look.probe['gpus'])} x {', '.join(models)}" if models else str(len(look.probe["gpus"]))
    row |= {
        "free": len(look.free()),
        "health": str(overall(look.findings(host.gpus))),
        "cordon": look.cordon.reason if look.cordon else "",
    }
    row |= {"obstacle": why.what if why else "", "next": why.hint if why else ""}
    row["held"] = [
        {"token": node["token"], "owner": node["owner"], "gpus": node["provider_data"].get("gpus", "")} for node in look.nodes
    ]
    return row | {"seen": look.seen_at.isoformat(timespec="seconds"), "clock_offset": look.offset}


def _listed(fleet: Fleet, host: FleetHost, now: datetime) -> dict[str, Any]:
    """A host as it was last seen. A host that was never seen may be silent, and may be cordoned."""
    look = fleet.looks.of(host.name)
    row = _summary(host, look, now)
    if look is None:
        wish, silence = fleet.looks.wish(host.name), fleet.looks.silence(host.name)
        row["cordon"] = wish.reason if wish else ""
        row["obstacle"] = f"{host.name} is {wish}" if wish else silent(host, silence).what if silence else ""
    return row


def _list(context: ProviderContext) -> click.Command:
    @click.command("list")
    @click.option("--label", default="", help="Only hosts with this label.")
    @_json
    def list_(label: str, as_json: bool) -> None:
        """List hosts as they were last seen, without contacting them."""
        fleet = Fleet(context)
        hosts = [host for host in fleet.roster.hosts() if not label or label in host.labels]
        rows = [_listed(fleet, host, context.clock.now()) for host in hosts]
        _print(rows, as_json, ("host", "group", "gpus", "free", "price", "health", "seen", "obstacle"))
        if not rows and not as_json:
            click.echo("the fleet has no hosts" + (f" with the label {label}; lepton byoc list shows all" if label else ""))

    return list_


# --- fitness ----------------------------------------------------------------------------------------------------------


def _check(context: ProviderContext) -> click.Command:
    @click.command("check")
    @_hosts
    @click.option("--profile", type=click.Choice(sorted(PROFILES)), default="basic", help="The requirements to check.")
    @click.option("--watch", type=click.FloatRange(0, 50), default=0.0, help="Seconds to wait for XID events.")
    @_json
    def check(names: Sequence[str], profile: str, watch: float, as_json: bool) -> None:
        """Check hosts (without a name: all): requirements, then health. Exits with 1 if something fails."""
        hosts = _named(context, names)
        looks = _each(context, hosts, lambda fleet, host: fleet.look(host, watch))
        rows = [
            _failed(host, look) if isinstance(look, LeptonError) else _checked(host, look, profile, context.clock.now())
            for host, look in zip(hosts, looks, strict=True)
        ]
        if as_json:
            click.echo(json.dumps(rows))
        else:
            for row in rows:
                _show_check(row)
            if not hosts:
                click.echo("the fleet has no hosts; lepton byoc add HOST puts one there")
        _end(rows)
        if any(row["health"] == Health.UNHEALTHY or row["failed"] for row in rows):
            click.get_current_context().exit(1)

    return check


def _checked(host: FleetHost, look: Look, profile: str, now: datetime) -> dict[str, Any]:
    rows, findings = preflight(look.probe, profile), look.findings(host.gpus)
    return {
        **_summary(host, look, now),
        "failed": sum(row.verdict is Verdict.FAIL for row in rows),
        "preflight": [row.to_dict() for row in rows],
        "findings": [finding.to_dict() for finding in findings],
        "probe": dict(look.probe),
    }


def _show_check(row: dict[str, Any]) -> None:
    if "error" in row:
        return
    click.echo(f"{row['host']}: {row['gpus']}, {row['health']}" + (f"; {row['obstacle']}" if row["obstacle"] else ""))
    _print(row["preflight"], False, ("name", "verdict", "seen", "wanted", "fix"))
    if row["findings"]:
        _print(row["findings"], False, ("component", "health", "what", "action"))


# --- keeping work away ------------------------------------------------------------------------------------------------


def _cordon(context: ProviderContext) -> click.Command:
    @click.command("cordon")
    @_some_hosts
    @click.option("--reason", default="by hand", help="Shown to everyone who asks why.")
    @_json
    def cordon(names: Sequence[str], reason: str, as_json: bool) -> None:
        """Keep new work of any client away from hosts; running jobs continue."""
        hosts = _named(context, names)
        answers = _each(context, hosts, lambda fleet, host: fleet.cordon(host, reason, _me()))
        rows = [
            _failed(host, answer) if isinstance(answer, LeptonError) else {"host": host.name, "cordon": reason, "note": answer}
            for host, answer in zip(hosts, answers, strict=True)
        ]
        _print(rows, as_json, ("host", "cordon", "note"))
        _end(rows)

    return cordon


def _uncordon(context: ProviderContext) -> click.Command:
    @click.command("uncordon")
    @_some_hosts
    @_json
    def uncordon(names: Sequence[str], as_json: bool) -> None:
        """Allow work on hosts again, and check them. A host that is still unhealthy is cordoned again before the next job."""
        hosts, now = _named(context, names), context.clock.now()
        looks = _each(context, hosts, _opened)
        rows = [
            _failed(host, look) if isinstance(look, LeptonError) else _summary(host, look, now)
            for host, look in zip(hosts, looks, strict=True)
        ]
        _print(rows, as_json, ("host", "health", "obstacle"))
        _end(rows)

    return uncordon


async def _opened(fleet: Fleet, host: FleetHost) -> Look:
    await fleet.cordon(host, None)
    # An old finding would still keep work away.
    return await fleet.look(host)


def _drain(context: ProviderContext) -> click.Command:
    @click.command("drain")
    @_some_hosts
    @click.option("--reason", default="drained", help="Shown to everyone who asks why.")
    @_json
    def drain(names: Sequence[str], reason: str, as_json: bool) -> None:
        """Cordon hosts and wait until no GPU is allocated there; ends no job."""
        hosts = _named(context, names)
        answers = _each(context, hosts, lambda fleet, host: _emptied(context, fleet, host, reason))
        rows = [
            _failed(host, answer) if isinstance(answer, LeptonError) else {"host": host.name, "cordon": reason, "held": 0}
            for host, answer in zip(hosts, answers, strict=True)
        ]
        _print(rows, as_json, ("host", "cordon", "held"))
        _end(rows)

    return drain


async def _emptied(context: ProviderContext, fleet: Fleet, host: FleetHost, reason: str) -> None:
    await fleet.cordon(host, reason, _me())
    while (await fleet.look(host)).nodes:
        await context.clock.sleep(_DRAIN_LOOKS)


def _me() -> str:
    """The user and host name that others read on the host."""
    import getpass

    try:
        return f"{getpass.getuser()}@{hostname()}"
    except (OSError, KeyError):
        return f"user {os.getuid()}@{hostname()}"
