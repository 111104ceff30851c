"""The keeper's program: one text for a POSIX shell, and the name under which a host keeps it.

It stays with one run, on this host or on one behind SSH. ``base.sh`` says how it is called, ``run.sh`` is the life of a run,
``verbs.sh`` what is asked about it, ``processes.sh`` how every process of it is found and ended, ``files.sh`` how its files
come, ``watched.sh`` what it tells a machine's watchdog, and ``facts.sh`` what the kernel and a run's record say.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from lepton_sdk._executors.environment import PASSED, PASSED_FAMILIES

__all__ = ["KEEPER", "KEEPER_NAME"]

_PARTS = ("base", "facts", "processes", "files", "run", "watched", "verbs")
_PASSED_ON = " | ".join((*PASSED, *(f"{family}*" for family in PASSED_FAMILIES)))
_TEXT = b"".join(Path(__file__).with_name(f"{part}.sh").read_bytes() for part in _PARTS)
KEEPER = _TEXT.replace(b"@PASSED_ON@)", f"{_PASSED_ON})".encode())
# Each version has a name of its own: a shell reads its program as it goes, so none is ever written over.
KEEPER_NAME = f"keeper-{sha256(KEEPER).hexdigest()[:20]}"
