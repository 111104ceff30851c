"""The XIDs in the kernel's log since the host booted."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

__all__ = ["logged_xids"]

# "6,1234,98765,-;NVRM: Xid (PCI:0000:1a:00): 79, pid=..., GPU has fallen off the bus."
_XID = re.compile(rb"^\d+,\d+,(\d+),[^;]*;NVRM: Xid \(PCI:([0-9a-fA-F:.]+)\): (\d+)")
_RECORD = 1 << 13


def logged_xids(root: Path) -> list[dict[str, Any]] | None:
    """Each XID with its number, PCI address and seconds since boot; ``None`` if the log is not readable."""
    try:
        log = os.open(root / "dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return [_xid(match) for line in _lines(log) if (match := _XID.match(line))]
    finally:
        os.close(log)


def _xid(match: Any) -> dict[str, Any]:
    return {"xid": int(match[3]), "pci": match[2].decode(), "at": int(match[1]) / 1e6}


def _lines(log: int) -> list[bytes]:
    """The log's records: the device returns one at each read; a file works, too."""
    text = b""
    while True:
        try:
            piece = os.read(log, _RECORD)
        except BlockingIOError:
            break
        except BrokenPipeError:
            # A record was overwritten during the read; the next read continues after it.
            continue
        except OSError:
            break
        if not piece:
            break
        text += piece
    return text.splitlines()
