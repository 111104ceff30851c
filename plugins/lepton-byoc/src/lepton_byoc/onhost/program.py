"""One request on standard input, one answer on standard output, both JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from lepton_byoc.onhost.cards import read_cards
from lepton_byoc.onhost.facts import host_facts, record_name
from lepton_byoc.onhost.kernellog import logged_xids
from lepton_byoc.onhost.record import Record, Refused

__all__ = ["answer", "main", "probe"]


def main() -> None:
    """Answer the request on standard input."""
    request = json.loads(sys.stdin.read())
    sys.stdout.write(json.dumps(answer(request)) + "\n")


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do what ``request["do"]`` says: look, take, give-back, cordon, held.

    Every answer has the allocations and the cordon; a look has the probe as well. A refusal is
    ``{"refused": word, "said": sentence}``.
    """
    root = Path(os.environ.get("LEPTON_HOST_ROOT") or "/")
    home = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(home if home.startswith("/") else Path.home() / ".cache") / "lepton" / "providers" / "byoc"
    boot = (root / "proc/sys/kernel/random/boot_id").read_text().strip()
    record = Record(folder, record_name(root), boot)
    try:
        more = _do(record, request, root)
        return {"nodes": record.nodes(), "cordon": record.cordon(), **more}
    except Refused as refusal:
        return {"refused": refusal.args[0], "said": refusal.args[1]}


def _do(record: Record, request: dict[str, Any], root: Path) -> dict[str, Any]:
    what = request["do"]
    if what == "look":
        return {"probe": probe(root, request.get("watch", 0.0))}
    if what == "take":
        return {"node": record.take(request["node"], request["eligible"], request["count"])}
    if what == "give-back":
        record.give_back(request["id"])
    elif what == "cordon":
        record.set_cordon(request["reason"], request.get("by", ""))
    return {}


def probe(root: Path = Path("/"), watch: float = 0.0) -> dict[str, Any]:
    """Everything about this host now, and the XIDs of the next ``watch`` seconds."""
    begun = time.monotonic()
    host, cards, logged = host_facts(root), read_cards(watch), logged_xids(root)
    events = cards.pop("events")
    xids = None if logged is None and not watch else [*(logged or []), *events]
    seen = {"host": host, **cards, "xids": xids, "xids_since_boot": logged is not None}
    return {**seen, "seconds": round(time.monotonic() - begun, 4)}
