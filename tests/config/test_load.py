"""Where settings come from, which source wins, and what a wrong one says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lepton_sdk._config import Config, load_config
from lepton_sdk.errors import ConfigError


def _load(home: Path, text: str | None = None, **more: Any) -> Config:
    environ = {"HOME": str(home), **more.pop("environ", {})}
    if text is not None:
        path = home / ".config" / "lepton" / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load_config(environ=environ, **more)


def test_defaults(tmp_path: Path) -> None:
    config = _load(tmp_path)
    assert config.state_dir == tmp_path / ".local/state/lepton"
    assert config.cache_dir == tmp_path / ".cache/lepton"
    assert config.path == tmp_path / ".config/lepton/config.toml"
    assert config.allowed is None
    assert config.strict is False
    assert set(config.origins.values()) == {"default"}


def test_xdg_is_respected_and_its_relative_paths_are_not(tmp_path: Path) -> None:
    xdg = {"XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "relative", "XDG_CONFIG_HOME": "/c"}
    config = _load(tmp_path, environ=xdg)
    assert config.state_dir == Path("/s/lepton")
    assert config.cache_dir == tmp_path / ".cache/lepton"
    assert config.path == Path("/c/lepton/config.toml")


def test_arguments_win_over_variables_over_the_file_over_defaults(tmp_path: Path) -> None:
    text, environ = 'state = "from-file"', {"LEPTON_SDK_STATE": "~/from-env"}
    by_file = _load(tmp_path, text)
    by_env = _load(tmp_path, text, environ=environ)
    by_argument = _load(tmp_path, text, environ=environ, state="/from-argument")
    assert by_file.state_dir == tmp_path / ".config/lepton/from-file"
    assert by_env.state_dir == tmp_path / "from-env"
    assert by_argument.state_dir == Path("/from-argument")
    assert by_file.origins["state"] == f"file {by_file.path}"
    assert by_env.origins["state"] == "env LEPTON_SDK_STATE"
    assert by_argument.origins["state"] == "argument"


def test_a_relative_state_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _load(tmp_path, environ={"LEPTON_SDK_STATE": "here"}).state_dir == tmp_path / "here"


def test_plugin_settings(tmp_path: Path) -> None:
    config = _load(tmp_path, '[plugins]\ndisabled = ["a"]\n[plugins.prefer]\nb = "lepton-b"\n')
    assert config.disabled == {"a"}
    assert config.prefer == {"b": "lepton-b"}


@pytest.mark.parametrize(("text", "allowed"), [("", set()), (" , ", set()), ("a, b,", {"a", "b"})])
def test_the_allow_list(tmp_path: Path, text: str, allowed: set[str]) -> None:
    assert _load(tmp_path, environ={"LEPTON_SDK_PLUGINS": text}).allowed == frozenset(allowed)


@pytest.mark.parametrize(("text", "on"), [("1", True), ("yes", True), ("0", False), ("", False)])
def test_strict(tmp_path: Path, text: str, on: bool) -> None:
    assert _load(tmp_path, environ={"LEPTON_SDK_PLUGINS_STRICT": text}).strict is on


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("provders = 1", "provders: unknown key", "did you mean providers"),
        ("[plugins]\nprefr = 1", "plugins.prefr: unknown key", "did you mean prefer"),
        ("providers = 3", "providers: 3 is not a table", "[providers]"),
        ("[providers]\nacme = 3", "providers.acme: 3 is not a table", "[providers.acme]"),
        ("[providers.acme]\nenabled = 'no'", "providers.acme.enabled: 'no' is not true or false", "true or false"),
        ("state = 3", "state: 3 is not a text", 'state = "…"'),
        ("[plugins]\ndisabled = 'a'", "plugins.disabled: 'a' is not a list of names", "disabled = ["),
        ("[plugins.prefer]\na = 1", "plugins.prefer.a: 1 is not a text", 'a = "…"'),
        ("a = ", "is not TOML: Invalid value (at end of document)", "toml.io"),
        ("state = 'mysql://db/x'", "mysql:// is not supported", "path of a folder"),
    ],
)
def test_a_wrong_file_is_named_with_key_value_and_fix(tmp_path: Path, text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text)
    assert message in caught.value.message
    assert "config.toml" in caught.value.message
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(("raw", "words"), [(b"a = '\xff'", "not UTF-8 at byte 5"), (b"#" * (1 << 20 | 1), "1 MiB")])
def test_a_file_that_is_no_text_is_refused(tmp_path: Path, raw: bytes, words: str) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match=words):
        load_config(file=path, environ={"HOME": str(tmp_path)})


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        _load(tmp_path, environ={"LEPTON_SDK_CONFIG": "~/none.toml"})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(file=tmp_path, environ={"HOME": str(tmp_path)})


def test_a_switch_that_is_neither_on_nor_off_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LEPTON_SDK_PLUGINS_STRICT='maybe'"):
        _load(tmp_path, environ={"LEPTON_SDK_PLUGINS_STRICT": "maybe"})


def test_an_unknown_key_does_not_show_its_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, 'api_key = "s3cret"')
    assert "s3cret" not in str(caught.value)


def test_raw_sections_and_variables_do_not_show_in_repr(tmp_path: Path) -> None:
    config = _load(tmp_path, '[providers.acme]\nkey = "s3cret"', environ={"ACME": "s3cret"})
    assert config.providers["acme"]["key"] == "s3cret"
    assert "s3cret" not in repr(config)
