"""Each state of a plugin, with real installed entry points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Python = Callable[..., Any]
_ROWS = "answer = [s.to_dict() for s in registry.statuses()]"


def _rows(answer: list[dict[str, Any]], name: str, kind: str = "provider") -> list[dict[str, Any]]:
    return [row for row in answer if (row["name"], row["kind"]) == (name, kind)]


def _state(answer: list[dict[str, Any]], name: str, kind: str = "provider") -> str:
    (row,) = _rows(answer, name, kind)
    return str(row["state"])


def test_every_state_is_told_apart(python: Python) -> None:
    rows = python(_ROWS)
    states = {name: {row["state"] for row in _rows(rows, name)} for name in {row["name"] for row in rows}}
    assert states["healthy"] == states["both"] == {"ready"}
    assert states["raises"] == states["exits"] == states["wrong-type"] == states["wrong-name"] == {"broken"}
    assert states["future"] == {"incompatible"}
    assert states["twin"] == {"conflict"}
    assert states["needs-key"] == {"unconfigured"}
    assert _state(rows, "healthy", "command") == _state(rows, "loopback", "executor") == "ready"


def test_a_plugin_of_another_contract_is_named_and_not_imported(python: Python) -> None:
    code = f"{_ROWS}; answer = [answer, sorted(sys.modules)]"
    rows, modules = python(code)
    assert _rows(rows, "future")[0]["contract"] == "v2"
    assert not {"lepton_future", "lepton_both_v2"} & set(modules)
    assert _rows(rows, "both")[0]["contract"] == "v1"


def test_listing_imports_no_factory_no_http_and_no_loop(python: Python) -> None:
    code = "registry.standing(); registry.warnings(); registry.command_names(); registry.statuses()"
    modules = set(python(f"import sys; before = set(sys.modules)\n{code}\nanswer = sorted(set(sys.modules) - before)"))
    assert "lepton_healthy" in modules
    assert not modules & {"lepton_healthy_provider", "lepton_watchers_hooks", "httpx", "pluggy", "importlib.metadata"}


def test_nothing_heavy_is_imported_before_the_listing(installed: object, python: Python) -> None:
    code = """
import subprocess
script = '''
import sys
from lepton_sdk._clock import SystemClock
from lepton_sdk._config import load_config
from lepton_sdk._plugins.registry import Registry
registry = Registry(load_config(), SystemClock())
registry.statuses()
print(*sorted(sys.modules))
'''
answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
"""
    modules = set(python(code))
    assert "lepton_byoc.plugin" in modules
    assert not modules & {"httpx", "asyncio", "importlib.metadata", "pluggy", "pynvml", "lepton_byoc.provider"}


def test_names_of_commands_cost_no_import(python: Python) -> None:
    names, modules = python("answer = [registry.command_names(), sorted(sys.modules)]")
    assert "healthy" in names
    assert "lepton_healthy" not in modules


def test_two_claims_are_both_shown_and_a_choice_settles_them(python: Python) -> None:
    rows = _rows(python(_ROWS), "twin")
    assert [row["distribution"] for row in rows] == ["lepton-twin-a", "lepton-twin-b"]
    assert "lepton-twin-b (lepton_twin_b:PROVIDER) claims the name as well" in rows[0]["reason"]
    chosen = _rows(python(_ROWS, config='[plugins.prefer]\ntwin = "lepton_twin_b"'), "twin")
    assert {row["distribution"]: row["state"] for row in chosen} == {
        "lepton-twin-a": "disabled",
        "lepton-twin-b": "ready",
    }


def test_a_preferred_distribution_that_is_not_there_keeps_others_out(python: Python) -> None:
    (row,) = _rows(python(_ROWS, config='[plugins.prefer]\nhealthy = "lepton-real"'), "healthy")
    assert row["state"] == "disabled"
    assert "lepton-real, which is not installed" in row["reason"]


def test_switching_off(python: Python) -> None:
    by_name = python(_ROWS, config='[plugins]\ndisabled = ["healthy"]')
    by_section = python(_ROWS, config="[providers.healthy]\nenabled = false")
    assert _state(by_name, "healthy") == _state(by_section, "healthy") == "disabled"
    assert _state(by_section, "healthy", "command") == "ready"
    assert "plugins.disabled" in _rows(by_name, "healthy")[0]["next"]


@pytest.mark.parametrize("listed", ["", "lepton-both", "both, needs-key"])
def test_the_allow_list_keeps_all_others_unimported(python: Python, listed: str) -> None:
    rows, modules = python(f"{_ROWS}; answer = [answer, sorted(sys.modules)]", LEPTON_SDK_PLUGINS=listed)
    assert {row["state"] for row in rows if row["name"] in {"healthy", "raises", "future", "twin"}} == {"disabled"}
    assert _state(rows, "both") == ("ready" if listed else "disabled")
    assert not {"lepton_healthy", "lepton_raises"} & set(modules)


def test_the_allow_list_does_not_reach_cores_own_executor(python: Python) -> None:
    (row,) = _rows(python(_ROWS, LEPTON_SDK_PLUGINS=""), "local", "executor")
    assert (row["distribution"], row["state"]) == ("lepton-sdk", "ready")


def test_a_credential_in_the_environment_enables_a_cloud(python: Python) -> None:
    assert _state(python(_ROWS, NEEDS_KEY_API_KEY="k"), "needs-key") == "ready"
    assert _state(python(_ROWS, config='[providers.needs-key]\napi_key = "k"'), "needs-key") == "ready"


def test_strict_makes_a_fault_an_error(python: Python) -> None:
    code = "answer = error(registry.statuses, 'provider')"
    assert python(code, LEPTON_SDK_PLUGINS_STRICT="1")["error"] == "PluginBroken"
    assert python(code, LEPTON_SDK_PLUGINS_STRICT="1", LEPTON_SDK_PLUGINS="healthy,needs-key") is None


def test_standing_covers_every_provider(python: Python) -> None:
    code = "answer = {name: [s.usable, s.reason, s.hint] for name, s in registry.standing().items()}"
    standing = python(code, config='[plugins.prefer]\ntwin = "lepton-twin-a"')
    assert standing["healthy"] == [True, "", ""]
    assert standing["twin"] == [True, "", ""]
    assert standing["needs-key"][:2] == [False, "no credentials"]
    assert standing["future"][0] is standing["raises"][0] is False
