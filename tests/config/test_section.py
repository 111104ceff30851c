"""A provider's section: types, sources, secrets."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_sdk._config import Config, config_to_dict, read_section
from lepton_sdk.errors import ConfigError, PluginBroken
from lepton_sdk.spi import ConfigField, ProviderSpec, Secret

_SPEC = ProviderSpec(
    "acme-east",
    title="Acme",
    factory="acme:create",
    config=(
        ConfigField("api_key", required=True, secret=True, env="ACME_KEY"),
        ConfigField("region", env="ACME_REGION", default="north"),
        ConfigField("pages", type="int", default=1),
        ConfigField("rate", type="float", help="write a rate"),
        ConfigField("beta", type="bool", env="ACME_BETA"),
        ConfigField("zones", type="list", env="ACME_ZONES", default=()),
    ),
)


def _config(section: dict[str, Any] | None = None, **environ: str) -> Config:
    providers = {} if section is None else {"acme-east": section}
    return Config(Path("/c.toml"), Path("/s"), Path("/k"), providers=providers, environ=environ)


def test_our_variable_wins_over_the_file_over_the_vendors_over_the_default() -> None:
    ours = {"LEPTON_SDK_PROVIDERS_ACME_EAST_REGION": "ours", "ACME_REGION": "vendor"}
    first = read_section(_config({"region": "file"}, **ours), _SPEC)
    second = read_section(_config({"region": "file"}, ACME_REGION="vendor"), _SPEC)
    third = read_section(_config({}, ACME_REGION="vendor"), _SPEC)
    fourth = read_section(_config({}), _SPEC)
    assert [s.values["region"] for s in (first, second, third, fourth)] == ["ours", "file", "vendor", "north"]
    assert [s.origins["region"] for s in (first, second, third, fourth)] == [
        "env LEPTON_SDK_PROVIDERS_ACME_EAST_REGION",
        "file /c.toml",
        "env ACME_REGION",
        "default",
    ]


def test_variables_become_the_fields_type() -> None:
    section = read_section(_config(ACME_BETA="yes", ACME_ZONES="a, b,", LEPTON_SDK_PROVIDERS_ACME_EAST_RATE="2"), _SPEC)
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
    read = read_section(_config(section, **environ), _SPEC)
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
        read_section(_config(section, **environ), _SPEC)
    assert message in caught.value.message
    assert caught.value.hint


def test_a_wrong_secret_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        read_section(_config({"api_key": 12345}), _SPEC)
    assert "12345" not in str(caught.value)


@given(st.text(min_size=1, alphabet=st.characters(exclude_characters="•")))
def test_a_secret_never_shows(text: str) -> None:
    secret = Secret(text)
    shown = {repr(secret), str(secret), f"{secret}", f"{secret:>80}", "%s" % secret, str([secret]), str({"k": secret})}  # noqa: UP031
    assert shown == {"••••••", "[••••••]", "{'k': ••••••}"}
    assert secret.reveal() == text
    assert secret == Secret(text)


def test_a_secret_is_not_written_out() -> None:
    with pytest.raises(TypeError):
        json.dumps(Secret("k"))
    for write in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="reveal"):
            write(Secret("k"))


def test_the_configuration_shows_origins_and_no_secret() -> None:
    config = _config({"api_key": "s3cret", "enabled": True}, ACME_REGION="south")
    shown = config_to_dict(config, {"acme-east": _SPEC})
    settings: Any = shown["settings"]
    assert shown["file"] == "/c.toml"
    assert settings["providers.acme-east.api_key"] == {"value": "••••••", "origin": "file /c.toml"}
    assert settings["providers.acme-east.region"] == {"value": "south", "origin": "env ACME_REGION"}
    assert settings["providers.acme-east.enabled"]["value"] is True
    assert settings["state"] == {"value": "/s", "origin": "default"}
    assert "s3cret" not in json.dumps(shown)


@pytest.mark.parametrize(("section", "specs"), [({"key": "s3cret"}, {}), ({"regoin": "s3cret"}, {"acme-east": _SPEC})])
def test_what_no_spec_vouches_for_is_dots(section: dict[str, Any], specs: dict[str, ProviderSpec]) -> None:
    shown = json.dumps(config_to_dict(_config(section), specs), ensure_ascii=False)
    assert "s3cret" not in shown
    assert "••••••" in shown


# --- the vendor's own file -------------------------------------------------------------------------------------------

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
    section = read_section(_config(HOME="/home/me"), theirs)
    assert section.values == {"api_key": Secret("theirs-1"), "api_secret": Secret("theirs-2"), "region": "south"}
    assert set(section.origins.values()) == {"file /home/me/.acme"}
    assert not section.missing
    assert not section.named
    shown = json.dumps(config_to_dict(_config(HOME="/home/me"), {"acme-east": theirs}))
    assert "theirs" not in shown
    assert "file /home/me/.acme" in shown


def test_half_a_key_is_never_filled_up_from_another_place(theirs: ProviderSpec) -> None:
    section = read_section(_config(HOME="/home/me", ACME_KEY="mine"), theirs)
    assert section.values == {"api_key": Secret("mine"), "api_secret": None, "region": "south"}
    assert [item.name for item in section.missing] == ["api_secret"]


def test_a_whole_key_of_ours_goes_before_theirs(theirs: ProviderSpec) -> None:
    ours = {"api_key": "a", "api_secret": "b", "region": "north"}
    assert set(read_section(_config(ours, HOME="/home/me"), theirs).origins.values()) == {"file /c.toml"}


def test_a_reader_that_fails_is_the_plugins_fault_and_quotes_nothing(
    theirs: ProviderSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_STORED, "fault", "line 3: key = s3cret")
    with pytest.raises(PluginBroken, match=r"acme_stored:stored failed \(ValueError\)") as caught:
        read_section(_config(HOME="/home/me"), theirs)
    assert "s3cret" not in str(caught.value)
