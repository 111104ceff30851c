"""What is done under a double has a place of its own, which stays only when there is a journal in it."""

from __future__ import annotations

import doctest
import stat
from pathlib import Path

import pytest

from lepton_sdk.testing import isolation
from lepton_sdk.testing.doubles import isolated_environment


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)


def test_the_example_holds() -> None:
    assert doctest.testmod(isolation).failed == 0


def test_without_settings_there_is_an_empty_file_that_nobody_else_reads() -> None:
    with isolated_environment() as variables:
        settings = Path(variables["LEPTON_SDK_CONFIG"])
        assert (settings.read_text(), stat.S_IMODE(settings.stat().st_mode)) == ("", 0o600)
    assert not settings.exists()


def test_the_users_settings_hold_there(own_home: Path) -> None:
    theirs = own_home / ".config" / "lepton" / "config.toml"
    theirs.parent.mkdir(parents=True)
    theirs.write_text('[limits]\nhourly = "5"\n')
    with isolated_environment() as variables:
        assert Path(variables["LEPTON_SDK_CONFIG"]).resolve() == theirs
    assert theirs.exists()


def test_a_place_with_a_journal_in_it_stays() -> None:
    with isolated_environment() as variables:
        Path(variables["LEPTON_SDK_STATE"]).mkdir()
    assert Path(variables["LEPTON_SDK_DOUBLE"]).is_dir()


def test_an_inner_double_shares_the_place_of_the_outer_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with isolated_environment() as outer:
        monkeypatch.setenv("LEPTON_SDK_DOUBLE", outer["LEPTON_SDK_DOUBLE"])
        monkeypatch.setenv("LEPTON_SDK_CONFIG", outer["LEPTON_SDK_CONFIG"])
        with isolated_environment() as inner:
            assert inner == outer
        assert Path(outer["LEPTON_SDK_CONFIG"]).exists()
