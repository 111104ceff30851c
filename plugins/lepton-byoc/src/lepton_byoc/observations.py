"""The last observations of hosts, on disk: the fleet's offers come from here, without network."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import asdict, evolve, field, frozen

from lepton_byoc.health import Finding, History, judge
from lepton_sdk.spi import Gpu

__all__ = ["Cordon", "Look", "Looks", "Silence"]

_SLOWDOWN = 0x08 | 0x40 | 0x80
_REMEMBERED = timedelta(minutes=10)


@frozen
class Cordon:
    """A cordon as the host has recorded it: no new work may come.

    Attributes:
        reason: the reason, as it was given.
        by: who set it, ``user@host``.
        since: when, in the host's time, as seconds since 1970; 0 if unknown.
    """

    reason: str
    by: str = ""
    since: float = 0.0

    def __str__(self) -> str:
        by = f" by {self.by}" if self.by else ""
        since = f" since {datetime.fromtimestamp(self.since, UTC):%Y-%m-%d %H:%M} UTC" if self.since else ""
        return f"cordoned{by}{since}: {self.reason}"


@frozen
class Silence:
    """A host did not answer the last request.

    Attributes:
        at: when, UTC.
        said: what was seen instead of an answer.
    """

    at: datetime
    said: str

    def lasts(self, now: datetime, seconds: float) -> bool:
        """Whether that was less than a number of seconds ago; a clock that was set back does not make it last longer."""
        return 0 <= (now - self.at).total_seconds() < seconds


@frozen
class Look:
    """One observation: a host as it was last seen.

    Attributes:
        seen_at: when, UTC.
        probe: what the probe saw.
        nodes: its allocations at that time, as the JSON of nodes.
        cordon: its cordon; ``None`` if new work may come.
        boots: ``"XID PCI"`` → the boots of the host in which that XID was seen.
        slowdowns: UUID → the times in the last ten minutes at which its hardware slowed it down.
        offset: seconds by which its clock is ahead of ours.
        silence: set if it has not answered since; else ``None``.
    """

    seen_at: datetime
    probe: Mapping[str, Any]
    nodes: tuple[Mapping[str, Any], ...] = ()
    cordon: Cordon | None = None
    boots: Mapping[str, list[str]] = field(factory=dict)
    slowdowns: Mapping[str, list[str]] = field(factory=dict)
    offset: float = 0.0
    silence: Silence | None = None

    @property
    def identity(self) -> tuple[str, str] | None:
        """The machine's identity under all its names; ``None`` if unknown. Clones share the machine's id but not the boot."""
        host = self.probe["host"]
        return (host["machine_id"], host["boot_id"]) if host["machine_id"] and host["boot_id"] else None

    @property
    def held(self) -> frozenset[str]:
        """UUIDs of the allocated GPUs."""
        return frozenset(u for node in self.nodes for u in node["provider_data"].get("gpus", "").split(",") if u)

    def gpus(self) -> dict[str, Gpu]:
        """UUID → model of the GPUs that can be allocated whole, by index."""
        cards = [card for card in self.probe["gpus"] if not card["failure"] and card["uuid"] and not card["mig"]]
        return {card["uuid"]: Gpu.nominal(card["name"] or "", card["memory_bytes"] or 0) for card in cards}

    def free(self) -> dict[str, Gpu]:
        """The `gpus` that are neither allocated nor computing."""
        busy = {card["uuid"] for card in self.probe["gpus"] if card.get("pids")} | self.held
        return {uuid: gpu for uuid, gpu in self.gpus().items() if uuid not in busy}

    def findings(self, gpus: int = 0) -> list[Finding]:
        """The findings of the health check.

        Args:
            gpus: how many GPUs the host must have; 0 if not specified.
        """
        ago = {
            uuid: [(self.seen_at - datetime.fromisoformat(at)).total_seconds() / 60 for at in times]
            for uuid, times in self.slowdowns.items()
        }
        reboots = {(int(key.split()[0]), key.split()[1]): len(boots) - 1 for key, boots in self.boots.items()}
        return judge(self.probe, History(reboots, ago, gpus))

    def after(self, before: Look | None) -> Look:
        """This observation, with the history of an earlier one."""
        if before is None:
            return evolve(self, boots=self._xids({}))
        since = (self.seen_at - _REMEMBERED).isoformat()
        slow = {uuid: [at for at in times if at >= since] for uuid, times in before.slowdowns.items()}
        for card in before.probe["gpus"]:
            if (card.get("clocks_event_reasons") or 0) & _SLOWDOWN and before.seen_at.isoformat() >= since:
                slow.setdefault(card["uuid"], []).append(before.seen_at.isoformat())
        return evolve(self, boots=self._xids(before.boots), slowdowns=slow)

    def _xids(self, before: Mapping[str, list[str]]) -> dict[str, list[str]]:
        from lepton_byoc.health import pci_address

        boots = {key: list(value) for key, value in before.items()}
        for event in self.probe["xids"] or ():
            seen = boots.setdefault(f"{event['xid']} {pci_address(event['pci'] or '')}", [])
            if self.probe["host"]["boot_id"] not in seen:
                seen.append(self.probe["host"]["boot_id"])
        return boots


class Looks:
    """The folder of observations. After losing it, run ``lepton byoc check`` again; the history of XIDs is lost."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "hosts"

    def of(self, host: str) -> Look | None:
        """The last observation of a host; ``None`` if there is none that can be read."""
        try:
            data = json.loads((self._folder / f"{host}.json").read_text())
            data["seen_at"], data["nodes"] = datetime.fromisoformat(data["seen_at"]), tuple(data["nodes"])
            data["cordon"] = Cordon(**data["cordon"]) if data["cordon"] else self.wish(host)
            return Look(**data, silence=self.silence(host))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, host: str, look: Look) -> Look:
        """Save an observation, and return it with the history. If the disk refuses, only the history is lost."""
        whole = look.after(self.of(host))
        self.replace(host, whole)
        return whole

    def replace(self, host: str, look: Look) -> None:
        """Save an observation as it is."""
        names = ("probe", "nodes", "boots", "slowdowns", "offset")
        cordon = asdict(look.cordon) if look.cordon else None
        data = {"seen_at": look.seen_at.isoformat(), "cordon": cordon, **{name: getattr(look, name) for name in names}}
        draft = self._folder / f"{host}.{os.getpid()}.new"
        with suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.write_text(json.dumps(data))
            draft.replace(self._folder / f"{host}.json")

    def silence(self, host: str) -> Silence | None:
        """The silence of a host that did not answer the last request; ``None`` if it answered."""
        data = self._note(host, "silent")
        try:
            return Silence(datetime.fromisoformat(data["at"]), str(data["said"])) if data else None
        except (KeyError, TypeError, ValueError):
            return None

    def note_silence(self, host: str, silence: Silence | None) -> None:
        """Record that a host did not answer, or that it did."""
        self._write_note(host, "silent", {"at": silence.at.isoformat(), "said": silence.said} if silence else None)

    def wish(self, host: str) -> Cordon | None:
        """A cordon that is kept here until its host answers."""
        data = self._note(host, "cordon")
        try:
            return Cordon(**data) if data else None
        except TypeError:
            return None

    def note_wish(self, host: str, cordon: Cordon | None) -> None:
        """Keep a cordon here while its host does not answer; ``None`` removes it."""
        self._write_note(host, "cordon", asdict(cordon) if cordon else None)

    def _note(self, host: str, kind: str) -> dict[str, Any] | None:
        try:
            data = json.loads((self._folder / f"{host}.{kind}").read_text())
        except (OSError, ValueError):
            return None
        return data if isinstance(data, dict) else None

    def _write_note(self, host: str, kind: str, data: Mapping[str, object] | None) -> None:
        path = self._folder / f"{host}.{kind}"
        with suppress(OSError):
            if data is None:
                path.unlink(missing_ok=True)
                return
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self._folder / f"{host}.{kind}.{os.getpid()}.new"
            draft.write_text(json.dumps(data))
            draft.replace(path)

    def forget(self, host: str) -> None:
        """Forget the host."""
        for kind in ("json", "silent", "cordon"):
            with suppress(OSError):
                (self._folder / f"{host}.{kind}").unlink(missing_ok=True)
