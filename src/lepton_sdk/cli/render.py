"""How answers are printed: tables, JSON, notes on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from lepton_sdk._text import aligned

if TYPE_CHECKING:
    from lepton_sdk.router import Plan

__all__ = ["ago", "emit", "json_option", "note", "plan_lines", "readable", "styled", "table", "warn"]

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON with stable keys.")


def styled(text: str, **style: Any) -> str:
    """The text with terminal styles, unless the user wants none (no-color.org, 2017)."""
    return text if os.environ.get("NO_COLOR") else click.style(text, **style)


def emit(value: Any) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2 if sys.stdout.isatty() else None))


def note(text: str, *, end: str = "\n") -> None:
    """Write text for the user on standard error; ignore a reader that is gone."""
    with suppress(OSError, ValueError):
        click.echo(f"{text}{end}", err=True, nl=False)


def warn(*lines: str) -> None:
    """Write warnings on standard error."""
    for line in lines:
        note(f"{styled('warning:', fg='yellow')} {line}")


def readable(name: str) -> str:
    """A file's name that is safe for a terminal: control characters are escaped (``\\x1b``)."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in name)


def table(head: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Print aligned columns, or a sentence when there are no rows."""
    if not rows:
        click.echo(empty)
        return
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    for number, line in enumerate(aligned(head, cells)):
        click.echo(styled(line, bold=True) if number == 0 else line)


def ago(time: datetime | None, now: datetime) -> str:
    """How long ago, in two units."""
    from lepton_sdk.domain.quantity import show_duration

    return "" if time is None else show_duration(max(0, (now - time).total_seconds()))


def plan_lines(plan: Plan) -> str:
    """The plan, and the cost after the job, if there is one."""
    return "\n".join([str(plan), *plan.aftermath, ""])
