"""Which host this is."""

from __future__ import annotations

import socket
from pathlib import Path

__all__ = ["this_host"]


def this_host() -> str:
    """The host's own id, which a copy of a file does not bring along (machine-id(5)); its name where it has none."""
    try:
        return Path("/etc/machine-id").read_text().strip() or socket.gethostname()
    except OSError:
        return socket.gethostname()
