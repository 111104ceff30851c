"""How answers look."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

Lepton = Callable[..., subprocess.CompletedProcess[str]]


def test_no_color_is_respected_and_pipes_get_none(lepton: Lepton) -> None:
    assert "\x1b" not in lepton("plugins", NO_COLOR="1").stdout
    assert "\x1b" not in lepton("offers").stdout
