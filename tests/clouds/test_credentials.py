"""Where keys come from, in which order, that nobody sees them, and that all who use one keep its pace together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def settings(lepton: Any) -> Any:
    """What ``lepton config`` says of a provider's settings: name → (value, origin)."""

    def ask(provider: str) -> dict[str, tuple[str, str]]:
        said = json.loads(lepton("config", "--json"))["settings"]
        prefix = f"providers.{provider}."
        return {name.removeprefix(prefix): (row["value"], row["origin"]) for name, row in said.items() if name.startswith(prefix)}

    return ask


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(0o600)


def test_config_then_environment_then_the_vendors_file(cloud: Any, lepton: Any, settings: Any, tmp_path: Path) -> None:
    keys = {
        "lambda": {"api_key": "LAMBDA_API_KEY"},
        "crusoe": {"access_key_id": "CRUSOE_ACCESS_KEY_ID", "secret_key": "CRUSOE_SECRET_KEY"},
    }
    fields = keys[cloud.name]
    good = {field: lepton.environment[variable] for field, variable in fields.items()}
    config = tmp_path / ".config" / "lepton" / "config.toml"
    _write(config, f"[providers.{cloud.name}]\n" + "".join(f'{field} = "{value}"\n' for field, value in good.items()))
    # What stands in the configuration wins over a wrong key in the environment.
    for variable in fields.values():
        lepton.environment[variable] = "d3Jvbmc"
    assert {settings(cloud.name)[field] for field in fields} == {("••••••", f"file {config}")}
    lepton("doctor", cloud.name)
    config.unlink()
    assert {settings(cloud.name)[field][1] for field in fields} == {f"env {variable}" for variable in fields.values()}
    lepton("doctor", cloud.name, code=1)
    for variable in fields.values():
        del lepton.environment[variable]
    if cloud.name == "crusoe":
        file = tmp_path / ".crusoe" / "config"
        project = lepton.environment.pop("CRUSOE_PROJECT_ID")
        _write(file, "[default]\n" + "".join(f'{f} = "{v}"\n' for f, v in good.items()) + f'default_project = "{project}"\n')
        shown = settings("crusoe")
        assert {shown[field] for field in fields} == {("••••••", f"file {file}")}
        assert shown["project_id"] == (project, f"file {file}")
        lepton("doctor", "crusoe")
    else:
        assert "LAMBDA_API_KEY" in lepton("plugins")


def test_no_key_is_in_what_is_shown_or_kept(cloud: Any, lepton: Any, tmp_path: Path) -> None:
    secret = lepton.environment[{"lambda": "LAMBDA_API_KEY", "crusoe": "CRUSOE_SECRET_KEY"}[cloud.name]]
    shown = [lepton("config"), lepton("plugins"), lepton("doctor", cloud.name)]
    shown.append(lepton("run", "--provider", cloud.name, "--gpu", cloud.gpu, "--", "true"))
    assert not [text for text in shown if secret in text]
    kept = [file for folder in ("state", "cache") for file in (tmp_path / folder).rglob("*") if file.is_file()]
    assert kept
    assert not [file for file in kept if secret.encode() in file.read_bytes()]


def test_processes_that_use_one_key_keep_its_pace_together(cloud: Any, lepton: Any) -> None:
    rules: dict[str, dict[str, float]] = {"lambda": {"pace": 1.0}, "crusoe": {"per_second": 10}}
    cloud.tell("/settings", **rules[cloud.name])
    command = [sys.executable, "-m", "lepton_sdk", "doctor", cloud.name]
    doctors = [subprocess.Popen(command, env=lepton.environment, stdout=subprocess.DEVNULL) for _ in range(3)]
    assert [doctor.wait(90) for doctor in doctors] == [0, 0, 0]
    rows = cloud.exchanges()
    assert len(rows) == 3 * {"lambda": 2, "crusoe": 5}[cloud.name]
    assert {row["status"] for row in rows} == {200}
