"""The configuration as people are shown it: origins, and no secret."""

from __future__ import annotations

import json
from typing import Any

import pytest
from settings import ACME, config_of

from lepton_sdk._config import config_to_dict
from lepton_sdk.spi import ProviderSpec


def test_the_configuration_shows_origins_and_no_secret() -> None:
    config = config_of({"api_key": "s3cret", "enabled": True}, ACME_REGION="south")
    shown = config_to_dict(config, {"acme-east": ACME})
    settings: Any = shown["settings"]
    assert shown["file"] == "/c.toml"
    assert settings["providers.acme-east.api_key"] == {"value": "••••••", "origin": "file /c.toml"}
    assert settings["providers.acme-east.region"] == {"value": "south", "origin": "env ACME_REGION"}
    assert settings["providers.acme-east.enabled"]["value"] is True
    assert settings["state"] == {"value": "/s", "origin": "default"}
    assert "s3cret" not in json.dumps(shown)


@pytest.mark.parametrize(("section", "specs"), [({"key": "s3cret"}, {}), ({"regoin": "s3cret"}, {"acme-east": ACME})])
def test_what_no_spec_vouches_for_is_dots(section: dict[str, Any], specs: dict[str, ProviderSpec]) -> None:
    shown = json.dumps(config_to_dict(config_of(section), specs), ensure_ascii=False)
    assert "s3cret" not in shown
    assert "••••••" in shown
