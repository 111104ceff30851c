"""Lines for the user about the config file and the plugins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Python = Callable[..., Any]
_ROWS = "answer = [s.to_dict() for s in registry.statuses()]"
_WARNINGS = "registry.statuses(); answer = list(registry.warnings())"


def _rows(answer: list[dict[str, Any]], name: str, kind: str = "provider") -> list[dict[str, Any]]:
    return [row for row in answer if (row["name"], row["kind"]) == (name, kind)]


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
