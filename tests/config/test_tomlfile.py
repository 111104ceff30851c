"""The file of settings: what is wrong in it is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from settings import load

from lepton_sdk._config import load_config
from lepton_sdk.errors import ConfigError


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
        load(tmp_path, text)
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
        load(tmp_path, environ={"LEPTON_SDK_CONFIG": "~/none.toml"})


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(file=tmp_path, environ={"HOME": str(tmp_path)})


def test_an_unknown_key_does_not_show_its_value(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, 'api_key = "s3cret"')
    assert "s3cret" not in str(caught.value)
