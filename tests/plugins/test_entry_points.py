"""Entry points read from folders are those that importlib.metadata finds."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton_sdk._plugins.entry_points import EntryPoint, entry_points, normal_name, plain_entry_points, stdlib_entry_points


def _distribution(folder: Path, name: str, text: str) -> Path:
    info = folder / f"{name}.dist-info"
    info.mkdir(parents=True)
    project, _, version = name.partition("-")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(text)
    return info


def test_both_ways_see_the_same_here() -> None:
    found = list(plain_entry_points(sys.path))
    assert any(entry.distribution == "lepton-byoc" for entry in found)
    assert sorted(found) == sorted(stdlib_entry_points())


def test_both_ways_see_the_same_of_the_fixtures(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(installed))
    found = list(plain_entry_points(sys.path))
    assert {"lepton-healthy", "lepton-twin-a", "lepton-future"} <= {entry.distribution for entry in found}
    assert sorted(found) == sorted(stdlib_entry_points())


def test_the_first_of_two_installations_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, value in (("one", "new:X"), ("two", "old:X")):
        _distribution(tmp_path / place, "lepton_x-1.0", f"[lepton_sdk.providers.v1]\nx = {value}\n")
        monkeypatch.syspath_prepend(str(tmp_path / place))
    mine = [entry for entry in plain_entry_points(sys.path) if entry.distribution == "lepton-x"]
    assert [entry.value for entry in mine] == ["old:X"]
    assert mine == [entry for entry in stdlib_entry_points() if entry.distribution == "lepton-x"]


def test_a_line_without_sense_hides_no_other(tmp_path: Path) -> None:
    text = "junk\n[lepton_sdk.providers.v1]\n# note\n; note\n=\nx = x.plugin:X [fast]\nnonsense\n[other]\ny = y:Y\n"
    _distribution(tmp_path, "lepton_x-1.0", text)
    found = [entry for entry in plain_entry_points([str(tmp_path)]) if entry.name]
    assert found == [EntryPoint("lepton_sdk.providers.v1", "x", "x.plugin:X", "lepton-x", "1.0")]


def test_bytes_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    info = _distribution(tmp_path, "lepton_x-1.0", "")
    (info / "entry_points.txt").write_bytes(b"\xff\xfe[lepton_sdk.providers.v1]\nx = x:X\n[lepton_sdk.commands.v1]\nc = c:C\n")
    assert [entry.name for entry in plain_entry_points([str(tmp_path)])] == ["c"]


def test_folders_that_are_not_there_are_passed_over(tmp_path: Path) -> None:
    assert list(plain_entry_points([str(tmp_path / "nowhere")])) == []


def test_a_zip_on_the_path_is_read_the_long_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "lepton_z-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("lepton_z-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: lepton-z\nVersion: 1.0\n")
        file.writestr("lepton_z-1.0.dist-info/entry_points.txt", "[lepton_sdk.providers.v1]\nz = z:Z\n")
    monkeypatch.syspath_prepend(str(wheel))
    assert EntryPoint("lepton_sdk.providers.v1", "z", "z:Z", "lepton-z", "1.0") in entry_points()


def test_an_egg_info_on_the_path_is_read_the_long_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "lepton_e.egg-info"
    info.mkdir()
    (info / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: lepton-e\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lepton_sdk.providers.v1]\ne = e:E\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert EntryPoint("lepton_sdk.providers.v1", "e", "e:E", "lepton-e", "1.0") in entry_points()


@given(st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True))
def test_names_are_normal_as_pep_503_says(name: str) -> None:
    import re

    assert normal_name(name) == re.sub(r"[-_.]+", "-", name).lower()
