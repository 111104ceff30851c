"""The configuration as a value."""

from __future__ import annotations

from pathlib import Path

from settings import load


def test_raw_sections_and_variables_do_not_show_in_repr(tmp_path: Path) -> None:
    config = load(tmp_path, '[providers.acme]\nkey = "s3cret"', environ={"ACME": "s3cret"})
    assert config.providers["acme"]["key"] == "s3cret"
    assert "s3cret" not in repr(config)
