"""What the plugin says of itself, and what importing it costs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from lepton_crusoe.plugin import COMMAND, PROVIDER
from lepton_sdk.spi import ConfigError, Money, Provider


def test_the_entry_points_lead_to_the_specs() -> None:
    (provider,) = entry_points(group="lepton_sdk.providers.v1", name="crusoe")
    (command,) = entry_points(group="lepton_sdk.commands.v1", name="crusoe")
    assert provider.load() is PROVIDER
    assert command.load() is COMMAND


def test_the_spec_is_light() -> None:
    code = "import sys, lepton_crusoe.plugin; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.split())
    assert "lepton_sdk.spi.spec" in imported
    assert not imported & {"httpx", "asyncio", "click", "http.server", "lepton_crusoe.provider"}


def test_the_plugin_comes_through_the_doors_for_authors_only() -> None:
    folder = Path(__file__).parents[1] / "src" / "lepton_crusoe"
    lines = [line for file in folder.glob("*.py") for line in file.read_text().splitlines()]
    assert {match[1] for line in lines if (match := re.match(r"\s*(?:from|import) (lepton_sdk[\w.]*)", line))} == {
        "lepton_sdk.spi",
        "lepton_sdk.spi.http",
    }


@pytest.mark.parametrize("words", [["double"], ["--help"], ["double", "--", "true"]])
def test_without_the_doubles_the_command_says_what_to_install(words: list[str], tmp_path: Path) -> None:
    # As if lepton-doubles had never been installed: nothing of it can be found.
    blocker = "import sys\nclass Blocker:\n    def find_spec(self, name, path=None, target=None):\n"
    blocker += "        if name.partition('.')[0] == 'lepton_doubles':\n            raise ModuleNotFoundError(name=name)\n"
    (tmp_path / "sitecustomize.py").write_text(f"{blocker}sys.meta_path.insert(0, Blocker())\n")
    command = [sys.executable, "-m", "lepton_sdk", "crusoe", *words]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (ConfigError.exit_code, "")
    assert done.stderr == "error: the double of Crusoe Cloud is not installed\n  next: pip install lepton-doubles\n"


def test_the_wheel_holds_no_double() -> None:
    folder = Path(__file__).parents[1] / "src"
    assert [file for file in folder.rglob("*.py") if "double" in str(file.relative_to(folder))] == []


def test_it_is_a_provider(make_provider: Any) -> None:
    assert isinstance(make_provider("http://127.0.0.1:9/v1"), Provider)


@pytest.mark.parametrize(("owner", "token"), [("a" * 18, "b" * 18), ("a" * 24, "b" * 24)])
def test_names_keep_the_declared_rule(owner: str, token: str) -> None:
    from lepton_crusoe._models import Stamp, name_for, read_name

    for part in ("", "disk", "ib"):
        name = name_for(owner, token, part)
        assert re.fullmatch(PROVIDER.name_pattern, name)
        assert read_name(name) == Stamp(owner, token)


def test_a_negative_disk_is_refused(make_provider: Any) -> None:
    with pytest.raises(ConfigError, match="data_disk_gib: -1"):
        make_provider("http://127.0.0.1:9/v1", data_disk_gib=-1)


def test_a_types_own_price_goes_before_its_familys_and_list_prices_come_last() -> None:
    from lepton_crusoe._listing import Prices, type_named

    prices = Prices.read(["a100-80gb=2.00", "a100-80gb.8x=14"])
    assert prices.of(type_named("a100-80gb.4x")).amount == Money("8")
    assert prices.of(type_named("a100-80gb.8x")).amount == Money("14")
    listed = prices.of(type_named("h100-80gb-sxm-ib.8x"))
    assert listed.amount is not None
    assert listed.read_at is not None
    assert re.fullmatch(rf"reference: .+, read {listed.read_at.date()}", listed.source)
    assert prices.of(type_named("c1a.4x")).amount is None
    # The name alone leaves PCIe or SXM open.
    open_name, dearer = (prices.of(type_named(f"{name}.1x")).amount for name in ("a100-80gb-sxm", "a100-80gb-sxm-ib"))
    assert open_name == dearer
    assert Prices.read([]).of(type_named("a100-80gb.1x")).amount == dearer
