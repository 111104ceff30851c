"""A provider's section: types, sources, secrets."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from settings import ACME, config_of

from lepton_sdk._config import config_to_dict, read_section
from lepton_sdk.errors import ConfigError, PluginBroken
from lepton_sdk.spi import ConfigField, ProviderSpec, Secret


def test_our_variable_wins_over_the_file_over_the_vendors_over_the_default() -> None:
    ours = {"LEPTON_SDK_PROVIDERS_ACME_EAST_REGION": "ours", "ACME_REGION": "vendor"}
    first = read_section(config_of({"region": "file"}, **ours), ACME)
    second = read_section(config_of({"region": "file"}, ACME_REGION="vendor"), ACME)
    third = read_section(config_of({}, ACME_REGION="vendor"), ACME)
    fourth = read_section(config_of({}), ACME)
    assert [s.values["region"] for s in (first, second, third, fourth)] == ["ours", "file", "vendor", "north"]
    assert [s.origins["region"] for s in (first, second, third, fourth)] == [
        "env LEPTON_SDK_PROVIDERS_ACME_EAST_REGION",
        "file /c.toml",
        "env ACME_REGION",
        "default",
    ]


def test_variables_become_the_fields_type() -> None:
    section = read_section(config_of(ACME_BETA="yes", ACME_ZONES="a, b,", LEPTON_SDK_PROVIDERS_ACME_EAST_RATE="2"), ACME)
    assert (section.values["beta"], section.values["zones"], section.values["rate"]) == (True, ["a", "b"], 2.0)


@pytest.mark.parametrize(
    ("section", "environ", "named", "missing"),
    [
        (None, {}, False, ["api_key"]),
        ({}, {}, True, ["api_key"]),
        (None, {"ACME_KEY": "k"}, True, []),
        (None, {"ACME_REGION": "x"}, False, ["api_key"]),
        (None, {"ACME_KEY": ""}, False, ["api_key"]),
        ({"api_key": ""}, {}, True, ["api_key"]),
        (None, {"LEPTON_SDK_PROVIDERS_ACME_EAST_PAGES": "2"}, True, ["api_key"]),
    ],
)
def test_what_names_a_provider(section: dict[str, Any] | None, environ: dict[str, str], named: bool, missing: list[str]) -> None:
    read = read_section(config_of(section, **environ), ACME)
    # An empty secret is wrapped, and still no value.
    assert read.named is named
    assert [item.name for item in read.missing] == missing


@pytest.mark.parametrize(
    ("section", "environ", "message"),
    [
        ({"pages": "3"}, {}, "/c.toml: providers.acme-east.pages: '3' is not a whole number"),
        ({"pages": True}, {}, "True is not a whole number"),
        ({"rate": float("nan")}, {}, "nan is not a finite number"),
        ({"zones": "a"}, {}, "'a' is not a list"),
        ({}, {"ACME_BETA": "perhaps"}, "ACME_BETA: 'perhaps' is not true or false"),
        ({"regoin": "x"}, {}, "/c.toml: providers.acme-east.regoin: unknown key"),
    ],
)
def test_a_wrong_value_is_named(section: dict[str, Any], environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_section(config_of(section, **environ), ACME)
    assert message in caught.value.message
    assert caught.value.hint


def test_a_wrong_secret_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        read_section(config_of({"api_key": 12345}), ACME)
    assert "12345" not in str(caught.value)


_STORED: dict[str, str] = {}


def stored(home: Path) -> tuple[Path, dict[str, str]]:
    """What the vendor's own tool would have stored."""
    if "fault" in _STORED:
        raise ValueError(_STORED["fault"])
    return home / ".acme", _STORED


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> ProviderSpec:
    """A spec whose vendor has a file of its own, with a whole key and a region in it."""
    sys.modules.setdefault("acme_stored", sys.modules[__name__])
    for key in list(_STORED):
        monkeypatch.delitem(_STORED, key)
    for key, value in {"api_key": "theirs-1", "api_secret": "theirs-2", "region": "south", "unknown": "x"}.items():
        monkeypatch.setitem(_STORED, key, value)
    config = (
        ConfigField("api_key", required=True, secret=True, env="ACME_KEY"),
        ConfigField("api_secret", required=True, secret=True, env="ACME_SECRET"),
        ConfigField("region", required=True),
    )
    return ProviderSpec("acme-east", title="Acme", factory="acme:create", config=config, stored="acme_stored:stored")


def test_the_vendors_file_comes_last_and_its_secrets_are_dots(theirs: ProviderSpec) -> None:
    section = read_section(config_of(HOME="/home/me"), theirs)
    assert section.values == {"api_key": Secret("theirs-1"), "api_secret": Secret("theirs-2"), "region": "south"}
    assert set(section.origins.values()) == {"file /home/me/.acme"}
    assert not section.missing
    assert not section.named
    shown = json.dumps(config_to_dict(config_of(HOME="/home/me"), {"acme-east": theirs}))
    assert "theirs" not in shown
    assert "file /home/me/.acme" in shown


def test_half_a_key_is_never_filled_up_from_another_place(theirs: ProviderSpec) -> None:
    section = read_section(config_of(HOME="/home/me", ACME_KEY="mine"), theirs)
    assert section.values == {"api_key": Secret("mine"), "api_secret": None, "region": "south"}
    assert [item.name for item in section.missing] == ["api_secret"]


def test_a_whole_key_of_ours_goes_before_theirs(theirs: ProviderSpec) -> None:
    ours = {"api_key": "a", "api_secret": "b", "region": "north"}
    assert set(read_section(config_of(ours, HOME="/home/me"), theirs).origins.values()) == {"file /c.toml"}


def test_a_reader_that_fails_is_the_plugins_fault_and_quotes_nothing(
    theirs: ProviderSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_STORED, "fault", "line 3: key = s3cret")
    with pytest.raises(PluginBroken, match=r"acme_stored:stored failed \(ValueError\)") as caught:
        read_section(config_of(HOME="/home/me"), theirs)
    assert "s3cret" not in str(caught.value)
