"""Sends a request to a host: its own Python runs our probe, a single file that is sent once for each version."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lepton_byoc.bundle import bundle, bundle_name
from lepton_byoc.roster import FleetHost
from lepton_sdk.spi import CommandResult, NoCapacity, NodeError, NodeUnreachable, RemoteShell, Unavailable

__all__ = ["ask"]

_LONGEST_NOTE = 500
# The request goes through standard input: nothing of it is in a command line.
_ASK = (
    'p=$HOME/.lepton/{name}; command -v python3 >/dev/null || {{ echo \'{{"refused": "no-python"}}\'; exit; }}; '
    'test -f "$p" || {{ echo \'{{"refused": "absent"}}\'; exit; }}; exec python3 -I "$p"'
)
_BRING = (
    'umask 077; p=$HOME/.lepton/{name}; mkdir -p "$HOME/.lepton" && cat >"$p.$$" && '
    'test "$(wc -c <"$p.$$")" -eq {size} && mv -f "$p.$$" "$p" && echo \'{{}}\''
)


async def ask(shell: RemoteShell, host: FleetHost, request: Mapping[str, object], *, provider: str) -> dict[str, Any]:
    """Send a request to the program on the host, and return its answer.

    Raises:
        NoCapacity: the host has fewer free GPUs than requested.
        Unavailable: its record cannot be used.
        NodeUnreachable: no answer; the request may have taken effect.
        NodeError: it refuses the login, or cannot run the program; the message says what is missing.
    """
    data = json.dumps(request).encode()
    answer = await _once(shell, host, data)
    if answer.get("refused") == "absent":
        await _bring(shell, host)
        answer = await _once(shell, host, data)
    if word := answer.get("refused"):
        raise _refusal(host, str(word), str(answer.get("said", "")), provider)
    return answer


async def _once(shell: RemoteShell, host: FleetHost, data: bytes) -> dict[str, Any]:
    return _parsed(host, await shell.run(host.access, _ASK.format(name=bundle_name()), data))


async def _bring(shell: RemoteShell, host: FleetHost) -> None:
    done = await shell.run(host.access, _BRING.format(name=bundle_name(), size=len(bundle())), bundle())
    if done.exit_code != 0:
        note = done.errors.decode(errors="replace").strip() or f"exit code {done.exit_code}"
        raise NodeError(f"the probe cannot be written on {host.name}: {note}", hint="is there room in the user's home there?")


def _parsed(host: FleetHost, done: CommandResult) -> dict[str, Any]:
    """The last line that is our answer: the user's shell start-up files may print before it, also without a line end."""
    for line in reversed(done.output.splitlines()):
        at = line.find(b"{")
        while at >= 0:
            try:
                return dict(json.loads(line[at:]))
            except (ValueError, RecursionError):
                at = line.find(b"{", at + 1)
    if done.exit_code is None:
        raise NodeUnreachable(f"the probe on {host.name} was ended from outside", provider="byoc", hint="try again")
    # A host that refuses logins says so on standard output. Show that as one line, safe for a terminal.
    told = done.errors if done.errors.strip() else done.output
    said = "".join(c if c.isprintable() else " " for c in told[-_LONGEST_NOTE:].decode(errors="replace"))
    note = " ".join(said.split()[-30:]) or "it said nothing"
    raise NodeError(
        f"the probe fails on {host.name}: {note}",
        hint="python3 there must be 3.8 or newer, and a command over ssh must reach a shell",
    )


def _refusal(host: FleetHost, word: str, said: str, provider: str) -> Exception:
    if word == "no-python":
        text = f"{host.name} has no python3, which the probe needs"
        return NodeError(text, provider=provider, hint="install it there: sudo apt-get install python3")
    if word == "no-capacity":
        return NoCapacity(f"{host.name}: {said}", provider=provider, hint="lepton byoc list shows what holds the others")
    return Unavailable(f"{host.name}: {said}", provider=provider, hint="look at that file on the host")
