"""Commands that ask: stable keys, no state, no network."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Lepton = Callable[..., subprocess.CompletedProcess[str]]


def test_offers_have_their_keys_and_leave_no_trace(lepton: Lepton, tmp_path: Path) -> None:
    done = lepton("offers", "--gpu", "H100:8", "--json")
    assert done.returncode == 0, done.stderr
    offers = json.loads(done.stdout)
    assert offers
    for offer in offers:
        assert {
            "provider",
            "instance_type",
            "region",
            "gpu",
            "gpu_count",
            "cpus",
            "memory_gib",
            "price_per_hour",
            "terms",
            "price_source",
            "seen_at",
            "availability",
        } <= set(offer)
        assert {"model", "form_factor", "memory_gib"} <= set(offer["gpu"])
        assert (offer["gpu"]["model"], offer["gpu_count"]) == ("H100", 8)
        assert isinstance(offer["price_per_hour"], str)
        assert offer["price_source"]
        assert offer["seen_at"]
    prices = [float(offer["price_per_hour"]) for offer in offers]
    assert prices == sorted(prices)
    assert not (tmp_path / "state").exists()


def test_route_explains_every_loss(lepton: Lepton, tmp_path: Path) -> None:
    done = lepton("route", "--gpu", "H100:8", "--json")
    plan = json.loads(done.stdout)
    assert plan["candidates"] == []
    assert all({"reason", "count", "example"} <= set(group) for group in plan["rejected"])
    whole = json.loads(lepton("offers", "--json").stdout)
    assert sum(group["count"] for group in plan["rejected"]) >= len([o for o in whole if o["gpu"]])
    assert not (tmp_path / "state").exists()


def test_route_of_this_machine_names_the_clouds_beside_it(lepton: Lepton) -> None:
    done = lepton("route", "--cpus", "1", "--provider", "byoc")
    assert "byoc" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("command", ["ps", "nodes"])
def test_lists_are_empty_without_a_journal(command: str, lepton: Lepton, tmp_path: Path) -> None:
    assert json.loads(lepton(command, "--json").stdout) == []
    assert not (tmp_path / "state").exists()


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


def test_no_color_is_respected_and_pipes_get_none(lepton: Lepton) -> None:
    assert "\x1b" not in lepton("plugins", NO_COLOR="1").stdout
    assert "\x1b" not in lepton("offers").stdout


def test_an_unknown_command_gets_the_nearest(lepton: Lepton) -> None:
    done = lepton("ofers")
    assert done.returncode == 2
    assert "offers" in done.stderr


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["offers", "--gpu", "H1000:8"], ["H1000", "H100"]),
        (["route", "--gpu", "H100:7"], ["nobody sells H100:7", "H100:4", "H100:8"]),
        (["run", "job.yaml"], ["job.yaml", "No such file"]),
        (["run"], ["nothing to run", "--"]),
        (["run", "--env", "NO_SUCH_VARIABLE", "--", "true"], ["NO_SUCH_VARIABLE"]),
        (["run", "--secret", "NO_SUCH_SECRET", "--", "true"], ["NO_SUCH_SECRET", "export"]),
        (["run", "--workdir", "/no/such", "--", "true"], ["workdir", "/no/such"]),
        (["run", "--gpu", "H100:8", "--", "true"], ["no credentials"]),
        (["run", "--duration", "-3", "--", "true"], ["limits.duration", "-3"]),
        (["logs", "nothing"], ["no run"]),
        (["stop", "nothing"], ["no run"]),
    ],
)
def test_bad_input_is_one_clear_error_and_no_state(words: list[str], parts: list[str], lepton: Lepton, tmp_path: Path) -> None:
    done = lepton(*words)
    text = done.stdout + done.stderr
    for part in parts:
        assert part in text, text
    assert "Traceback" not in text
    assert words[0] == "route" or done.returncode not in (0, 1)
    assert not (tmp_path / "state" / "journal.db").exists()


def test_an_error_speaks_json_too(lepton: Lepton) -> None:
    done = lepton("run", "--gpu", "H1000:8", "--json", "--", "true")
    error = json.loads(done.stderr)
    assert error["error"] == "ResourcesError"
    assert error["next"]
