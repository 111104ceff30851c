"""``lepton offers`` and ``lepton route``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from lepton_sdk.cli.job_options import JobCommand, job_from, job_options, resource_options, resources_from
from lepton_sdk.cli.render import emit, json_option, table, warn
from lepton_sdk.client import Client

if TYPE_CHECKING:
    from lepton_sdk.domain.offer import Offer

__all__ = ["offers_command", "route_command"]

_HEAD = ("PROVIDER", "INSTANCE TYPE", "REGION", "GPU", "CPUS", "GIB", "TERMS", "PRICE/H", "AVAILABLE", "AS OF", "NOTE")
_live = click.option("--live", is_flag=True, help="Ask every usable provider over the network.")


@click.command("offers")
@resource_options
@click.option("--limit", type=click.IntRange(1), default=40, show_default=True, help="Rows of the table.")
@_live
@json_option
def offers_command(limit: int, live: bool, as_json: bool, **flags: Any) -> None:
    """List offers, cheapest first, with price, source and date."""
    wanted = resources_from(flags)
    wanted.setdefault("spot", "any")
    with Client() as client:
        offers = client.offers(wanted, live=live)
        warn(*client.warnings())
    if as_json:
        emit([offer.to_dict() for offer in offers])
        return
    rows = [_row(offer) for offer in offers[:limit]]
    table(_HEAD, rows, "no offer has what was asked for; lepton route says what comes nearest")
    if len(offers) > limit:
        click.echo(f"{len(offers) - limit} more; see them with --limit {len(offers)} or --json")


def _row(o: Offer) -> tuple[object, ...]:
    return (
        o.provider,
        o.instance_type,
        o.region,
        f"{o.gpu}:{o.gpu_count}" if o.gpu else "-",
        f"{o.cpus:g}" if o.cpus else "",
        f"{o.memory_gib:.0f}" if o.memory_gib else "",
        o.terms,
        o.price.display() if o.price is not None else "?",
        o.availability,
        o.seen_at.date() if o.seen_at else "",
        ", ".join(o.flags) or _note(o),
    )


def _note(o: Offer) -> str:
    if o.reference:
        return "reference"
    if o.obstacle:
        return o.obstacle
    # Live capacity of a vendor whose API states no prices.
    return "reference price" if o.price_source.startswith("reference:") else ""


@click.command("route", cls=JobCommand)
@click.argument("file", required=False)
@job_options
@_live
@json_option
def route_command(file: str | None, live: bool, as_json: bool, **flags: Any) -> None:
    """Show where a job would run, at what price, and why everything else lost.

    FILE is a job in YAML or TOML.
    """
    if file is None and "words" not in click.get_current_context().meta:
        # A route needs no command.
        click.get_current_context().meta["words"] = ["true"]
        flags["no_workdir"] = True
    job = job_from(file, flags)
    with Client() as client:
        plan = client.route(job, live=live)
        warn(*client.warnings())
    if as_json:
        emit(plan.to_dict())
    else:
        click.echo(str(plan))
