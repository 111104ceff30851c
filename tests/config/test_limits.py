"""The limits of the config."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton_sdk import Client
from lepton_sdk.errors import ConfigError


def environment(cap: str, home: Path) -> dict[str, str]:
    return {"LEPTON_SDK_LIMITS_HOURLY": cap, "HOME": str(home), "PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize("cap", ["-1", "much", "nan"])
def test_a_cap_that_does_not_hold_is_refused(cap: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"limits\.hourly"):
        Client(environment=environment(cap, tmp_path))
