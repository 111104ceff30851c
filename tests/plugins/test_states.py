"""Each state of a plugin, with real installed entry points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Python = Callable[..., Any]

_ROWS = "answer = [s.to_dict() for s in registry.statuses()]"
_WARNINGS = "registry.statuses(); answer = list(registry.warnings())"


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


@pytest.mark.parametrize(
    ("name", "reason", "step"),
    [
        ("raises", "RuntimeError: the vendor's SDK is not here", "pip install --upgrade lepton-raises"),
        ("exits", "it exited (SystemExit: no licence found)", "plugins.disabled"),
        ("wrong-type", "lepton_wrong_type:PROVIDER is dict, not ProviderSpec", "pip install --upgrade"),
        ("wrong-name", "its entry point is called wrong-name and its spec another", "tell the author"),
        ("future", "it is written for contract v2, this lepton_sdk speaks v1", "pip install --upgrade lepton-sdk"),
        ("needs-key", "no credentials", "set NEEDS_KEY_API_KEY, or write api_key under [providers.needs-key]"),
    ],
)
def test_a_row_says_why_and_what_next(python: Python, name: str, reason: str, step: str) -> None:
    (row,) = _rows(python(_ROWS), name)
    assert reason in row["reason"]
    assert step in row["next"]
    assert row["distribution"] == f"lepton-{name}"
    assert row["version"] == "1.0"


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


def test_a_section_without_the_required_value_is_loud(python: Python) -> None:
    rows, lines = python(f"{_ROWS}; answer = [answer, list(registry.warnings())]", config="[providers.needs-key]\npages = 2")
    assert _rows(rows, "needs-key")[0]["reason"] == "api_key has no value"
    assert any("needs-key" in line and "NEEDS_KEY_API_KEY" in line for line in lines)


def test_faults_are_one_loud_line_each_and_the_rest_is_quiet(python: Python) -> None:
    lines = python(_WARNINGS)
    assert all("; next: " in line and "\n" not in line for line in lines)
    loud = {line.split()[1] for line in lines if line.startswith("provider")}
    wrong = {f"wrong-{field}" for field in ("field", "flags", "pattern", "rates", "stored", "timings", "title")}
    assert loud == {"raises", "exits", "wrong-type", "wrong-name", "future", "twin"} | wrong


def test_a_section_without_a_plugin_is_named(python: Python) -> None:
    lines = python(_WARNINGS, config="[providers.helthy]\n[providers.unheard-of]\n[providers.off]\nenabled = false")
    assert any("providers.helthy: no installed plugin" in line and "did you mean healthy" in line for line in lines)
    assert any("pip install lepton-unheard-of" in line for line in lines)
    assert not any("providers.off" in line for line in lines)


def test_a_secret_in_a_file_that_others_read_is_loud(python: Python) -> None:
    config = '[providers.healthy]\ntoken = "s3cret"'
    open_file = "os.chmod(config.path, 0o644); config = load_config(); registry = Registry(config, SystemClock())\n"
    (line,) = [line for line in python(open_file + _WARNINGS, config=config) if "chmod" in line]
    assert "chmod 600" in line
    assert "providers.healthy.token" in line
    assert "s3cret" not in line
    assert not [line for line in python(_WARNINGS, config=config) if "chmod" in line]


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
