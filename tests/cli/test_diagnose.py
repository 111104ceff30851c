"""``lepton plugins``, ``config``, ``doctor`` and ``completion``."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

Lepton = Callable[..., subprocess.CompletedProcess[str]]


def test_plugins_config_doctor_and_reconcile_speak_json(lepton: Lepton) -> None:
    plugins = {plugin["name"]: plugin for plugin in json.loads(lepton("plugins", "--json").stdout)}
    assert plugins["byoc"]["state"] == plugins["local"]["state"] == "ready"
    assert "settings" in json.loads(lepton("config", "--json").stdout)
    assert any(line["subject"] == "plugin byoc" for line in json.loads(lepton("doctor", "--json").stdout))
    assert json.loads(lepton("reconcile", "--json").stdout)["nodes"] == []


def test_version_and_completion(lepton: Lepton) -> None:
    assert lepton("--version").stdout.startswith("lepton 0.")
    for shell in ("bash", "zsh", "fish"):
        assert "_LEPTON_COMPLETE" in lepton("completion", shell).stdout
    done = lepton(_LEPTON_COMPLETE="bash_complete", COMP_WORDS="lepton rec", COMP_CWORD="1")
    assert "reconcile" in done.stdout
