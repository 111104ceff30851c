"""Network namespaces: hosts of their own on this one, for tests that cut cables and pull plugs."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

__all__ = ["ip", "skip_without_namespaces"]


def ip(*words: str, check: bool = True) -> bool:
    """Run ``ip``; whether it succeeded."""
    return subprocess.run(["ip", *words], check=check, capture_output=True).returncode == 0


def skip_without_namespaces() -> None:
    """Skip the test, and say why, where none can be made."""
    if os.getuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    probe = f"leptonprobe{os.getpid()}"
    if not ip("netns", "add", probe, check=False):
        pytest.skip("network namespaces cannot be made here (ip netns add)")
    ip("netns", "del", probe)
