"""Addresses of a journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton_sdk import Client
from lepton_sdk.errors import (
    ConfigError,
)


def test_another_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mysql:// is not supported"):
        Client(state="mysql://host/db")
    with pytest.raises(ConfigError, match="a cache is a folder"):
        Client(state=tmp_path, cache="postgresql://host/db")
