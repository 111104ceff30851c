"""The watchdog's program, and the script that installs it on a machine."""

from __future__ import annotations

from functools import cache
from math import ceil
from pathlib import Path

from attrs import fields_dict, frozen

__all__ = ["FOLDER", "WatchdogPlan", "install_script"]

FOLDER = "/var/lib/lepton/watchdog"
_HERE = Path(__file__).parent
_END = "LEPTON_WATCHDOG_END"


@frozen
class WatchdogPlan:
    """When a machine is powered off though nobody asks for it. All in seconds; ``None`` where it does not act.

    Attributes:
        boot: before any run has begun there, from arming.
        limit: after a run has begun.
        budget: in any case, counted from ``age``.
        keep: after the last run has ended, and after the last visit of somebody who looks after the machine.
        age: how old the machine's bill is when the watchdog is armed; ``None`` for as old as its first boot.
        tick: between two looks.
        power_off: one command in the place of the usual ways; for tests.
    """

    boot: float
    limit: float | None = None
    budget: float | None = None
    keep: float = 900.0
    age: float | None = None
    tick: float = 5.0
    power_off: str | None = None

    def words(self) -> tuple[str, ...]:
        """The plan as ``KEY=VALUE``, times in hundredths of a second; what does not act is left out."""
        given = {name: getattr(self, name) for name in fields_dict(type(self))}
        return tuple(
            f"{name}={value if isinstance(value, str) else ceil(value * 100)}"
            for name, value in given.items()
            if value is not None
        )


def install_script(plan: WatchdogPlan, folder: str = FOLDER) -> str:
    """A script for the superuser's POSIX shell that installs and arms the watchdog. It may run again: the first plan stands."""
    from shlex import quote

    place = quote(folder)
    words = " ".join(map(quote, plan.words()))
    return (
        "#!/bin/sh\n"
        "# Powers this rented machine off when nobody gives it back (lepton_sdk); holds no credentials.\n"
        f"umask 022\nmkdir -p {place} || exit\n"
        f"cat >{place}/program.$$ <<'{_END}'\n{_program()}{_END}\n"
        f"mv -f {place}/program.$$ {place}/program || exit\n"
        f"exec /bin/sh {place}/program {place} arm {words}\n"
    )


@cache
def _program() -> str:
    """The program as one file: what the kernel says is read as the keeper of runs reads it."""
    parts = (_HERE / "watchdog.sh", _HERE.parent / "keeper/program/facts.sh")
    return "".join(part.read_text() for part in parts) + '"$@"\n'
