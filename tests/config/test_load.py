"""Where settings come from, which source wins, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path

import pytest
from settings import load

from lepton_sdk import Client
from lepton_sdk.errors import ConfigError


def test_defaults(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert config.state_dir == tmp_path / ".local/state/lepton"
    assert config.cache_dir == tmp_path / ".cache/lepton"
    assert config.path == tmp_path / ".config/lepton/config.toml"
    assert config.allowed is None
    assert config.strict is False
    assert set(config.origins.values()) == {"default"}


def test_xdg_is_respected_and_its_relative_paths_are_not(tmp_path: Path) -> None:
    xdg = {"XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "relative", "XDG_CONFIG_HOME": "/c"}
    config = load(tmp_path, environ=xdg)
    assert config.state_dir == Path("/s/lepton")
    assert config.cache_dir == tmp_path / ".cache/lepton"
    assert config.path == Path("/c/lepton/config.toml")


def test_arguments_win_over_variables_over_the_file_over_defaults(tmp_path: Path) -> None:
    text, environ = 'state = "from-file"', {"LEPTON_SDK_STATE": "~/from-env"}
    by_file = load(tmp_path, text)
    by_env = load(tmp_path, text, environ=environ)
    by_argument = load(tmp_path, text, environ=environ, state="/from-argument")
    assert by_file.state_dir == tmp_path / ".config/lepton/from-file"
    assert by_env.state_dir == tmp_path / "from-env"
    assert by_argument.state_dir == Path("/from-argument")
    assert by_file.origins["state"] == f"file {by_file.path}"
    assert by_env.origins["state"] == "env LEPTON_SDK_STATE"
    assert by_argument.origins["state"] == "argument"


def test_a_relative_state_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(tmp_path, environ={"LEPTON_SDK_STATE": "here"}).state_dir == tmp_path / "here"


def test_plugin_settings(tmp_path: Path) -> None:
    config = load(tmp_path, '[plugins]\ndisabled = ["a"]\n[plugins.prefer]\nb = "lepton-b"\n')
    assert config.disabled == {"a"}
    assert config.prefer == {"b": "lepton-b"}


@pytest.mark.parametrize(("text", "allowed"), [("", set()), (" , ", set()), ("a, b,", {"a", "b"})])
def test_the_allow_list(tmp_path: Path, text: str, allowed: set[str]) -> None:
    assert load(tmp_path, environ={"LEPTON_SDK_PLUGINS": text}).allowed == frozenset(allowed)


@pytest.mark.parametrize(("text", "on"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_strict(tmp_path: Path, text: str, on: bool) -> None:
    assert load(tmp_path, environ={"LEPTON_SDK_PLUGINS_STRICT": text}).strict is on


def test_a_switch_that_is_neither_on_nor_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LEPTON_SDK_PLUGINS_STRICT='maybe'"):
        load(tmp_path, environ={"LEPTON_SDK_PLUGINS_STRICT": "maybe"})


def test_another_scheme_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mysql:// is not supported"):
        Client(state="mysql://host/db")
    with pytest.raises(ConfigError, match="a cache is a folder"):
        Client(state=tmp_path, cache="postgresql://host/db")


def test_raw_sections_and_variables_do_not_show_in_repr(tmp_path: Path) -> None:
    config = load(tmp_path, '[providers.acme]\nkey = "s3cret"', environ={"ACME": "s3cret"})
    assert config.providers["acme"]["key"] == "s3cret"
    assert "s3cret" not in repr(config)
