"""The pinned requirements: complete, hashed, and naming no place to fetch from."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Pins = dict[str, Requirement]
_ENTRY = re.compile(r"(?P<pin>[A-Za-z0-9].*?)(?P<hashes>( \\\n    --hash=sha256:[0-9a-f]{64})+)\n")


def _pins(root: Path, profile: str) -> Pins:
    text = (root / "requirements" / f"{profile}.txt").read_text()
    entries = list(_ENTRY.finditer(text))
    assert "".join(entry.group() for entry in entries) == text, "there is a line which is neither a pin nor a hash"
    pins = (Requirement(entry["pin"]) for entry in entries)
    return {canonicalize_name(pin.name): pin for pin in pins}


@pytest.fixture(scope="module")
def projects(root: Path) -> list[dict[str, object]]:
    return [tomllib.loads(file.read_text()) for file in (root / "pyproject.toml", *root.glob("plugins/*/pyproject.toml"))]


@pytest.mark.parametrize("profile", ["dev", "run"])
def test_every_line_is_an_exact_pin_with_hashes(root: Path, profile: str) -> None:
    for name, pin in _pins(root, profile).items():
        assert [spec.operator for spec in pin.specifier] == ["=="], name
        assert pin.url is None, name


def test_what_runs_is_what_is_tested(root: Path) -> None:
    dev = _pins(root, "dev")
    assert {name: pin.specifier for name, pin in _pins(root, "run").items()} == {
        name: dev[name].specifier for name in _pins(root, "run")
    }


@pytest.mark.parametrize("profile", ["dev", "run"])
def test_the_pins_meet_what_the_distributions_ask_for(root: Path, projects: list[dict[str, object]], profile: str) -> None:
    pins = _pins(root, profile)
    ours = {canonicalize_name(project["project"]["name"]) for project in projects}  # type: ignore[index]
    asked = [line for project in projects for line in project["project"]["dependencies"]]  # type: ignore[index]
    groups = projects[0]["dependency-groups"]
    asked += _group(groups, "dev" if profile == "dev" else "build")
    for wanted in map(Requirement, asked):
        if canonicalize_name(wanted.name) not in ours:
            (pin,) = pins[canonicalize_name(wanted.name)].specifier
            assert pin.version in wanted.specifier, f"{wanted} is asked for, {pin} is pinned; run sh scripts/lock.sh"


def _group(groups: object, name: str) -> list[str]:
    assert isinstance(groups, dict)
    lines = []
    for line in groups[name]:
        lines += [line] if isinstance(line, str) else _group(groups, line["include-group"])
    return lines


def test_each_distribution_carries_the_same_licence(root: Path) -> None:
    text = (root / "LICENSE").read_text()
    assert "Apache License" in text
    assert {file.parent.name for file in root.glob("plugins/*/pyproject.toml")} == {
        file.parent.name for file in root.glob("plugins/*/LICENSE") if file.read_text() == text
    }
