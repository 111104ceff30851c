"""``lepton byoc``: adding, checking, listing, cordoning, draining, removing."""

from __future__ import annotations

import re
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk import Client


def test_a_host_is_added_listed_and_removed(far: list[Any], lepton: Any, own_home: Path) -> None:
    far[0].has("gpus 8")
    (row,) = lepton("byoc", "add", "--name", "one", "--label", "rack1", far[0].target)
    assert (row["gpus"], row["free"], row["health"]) == ("8 x H100-SXM-80GB", 8, "healthy")
    file = own_home / ".config/lepton/byoc.toml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert 'name = "one"' in file.read_text()
    assert abs(row["clock_offset"]) < 60
    assert [row["host"] for row in lepton("byoc", "list", "--label", "rack1")] == ["one"]
    assert lepton("byoc", "list", "--label", "rack2") == []
    assert "on the list already" in lepton("byoc", "add", "--name", "one", far[0].target, code=2)
    assert lepton("byoc", "remove", "one") == [{"host": "one", "removed": True}]
    assert lepton("byoc", "list") == []
    assert "no host of the fleet is called 'one'" in lepton("byoc", "cordon", "one", code=2)


def test_one_machine_under_two_names_is_recognised(far: list[Any], lepton: Any) -> None:
    lepton("byoc", "add", "--name", "one", far[0].target)
    (row,) = lepton("byoc", "add", "--name", "again", far[0].target, code=1)
    assert "on the list as one" in row["error"]
    assert [row["host"] for row in lepton("byoc", "list")] == ["one"]


def test_hosts_that_cannot_be_reached_are_told_and_the_others_join(far: list[Any], lepton: Any) -> None:
    far[1].server.stop()
    good, bad = lepton("byoc", "add", far[0].target.replace("127.0.0.1", "localhost"), far[1].target, code=1)
    assert good["health"] == "healthy"
    assert "cannot be reached" in bad["error"]
    (far[0].server.folder / "authorized_keys").write_text("")
    (row,) = lepton("byoc", "check", code=1)
    assert "refused the user" in row["error"]


@pytest.mark.parametrize("target", ["", "a b", "user@", "host:99999999", "$(reboot)", "a;b", "x@-oProxyCommand=y"])
def test_what_is_no_host_is_refused(lepton: Any, target: str) -> None:
    assert "is no host" in lepton("byoc", "add", target, code=2)


def test_a_check_shows_requirements_health_and_the_probe(fleet: list[Any], lepton: Any) -> None:
    fleet[0].has("gpus 2", "gpu 1 remapped 0 1 0 1", "gpu 0 xid 79")
    (row,) = lepton("byoc", "check", "one", "--profile", "lepton", "--watch", "0.2", code=1)
    verdicts = {line["name"]: line["verdict"] for line in row["preflight"]}
    assert (verdicts["os"], verdicts["kernel"], verdicts["swap"], verdicts["driver"]) == ("pass",) * 4
    assert {(found["component"], found["action"]) for found in row["findings"]} == {
        ("remapped-rows", "have the hardware inspected"),
        ("error-xid", "reboot the host"),
    }
    assert row["probe"]["gpus"][0]["temperature"] == 35
    assert row["health"] == "unhealthy"


def test_a_drain_waits_until_nothing_is_held(fleet: list[Any], lepton: Any, until: Any) -> None:
    with Client() as client:
        run = client.submit(_job())
    argv = [sys.executable, "-m", "lepton_sdk", "byoc", "drain", "one", "--json"]
    until(fleet[0].held)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as draining:
        until(lambda: list((fleet[0].server.home / ".cache/lepton/providers/byoc").glob("cordon-*")))
        assert draining.poll() is None
        with Client() as client:
            client.stop(run.id)
            client.wait(run.id)
        out, _ = draining.communicate(timeout=60)
    assert '"held": 0' in out
    assert fleet[0].held() == []


def _job() -> Any:
    from lepton_sdk import Job, Resources

    return Job("sleep 300", resources=Resources(gpu="H100:2", regions=["lab"]))


def test_a_host_without_python_says_so(far: list[Any], lepton: Any) -> None:
    config = far[0].server.folder / "sshd_config"
    bare = far[0].root / "bin"
    bare.mkdir()
    for tool in ("sh", "mkdir", "cat", "wc", "mv", "echo", "test"):
        (bare / tool).symlink_to(f"/bin/{tool}")
    config.write_text(config.read_text().replace("SetEnv ", f"SetEnv PATH={bare} "))
    far[0].server.stop()
    far[0].server.begin()
    (row,) = lepton("byoc", "add", far[0].target, code=1)
    assert "has no python3" in row["error"]
    assert "apt-get install python3" in row["next"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('name = "a b"', "cannot name a host"),
        ('name = "a"\nport = "22"', "'22' is str"),
        ('name = "a"\nprice_per_hour = -1', "is negative"),
        ('name = "a"\nquiet_hours = ["25:00-26:00"]', "no span of hours"),
        ('name = "a"\nadress = "b"', "unknown key"),
    ],
)
def test_a_host_that_does_not_hold_is_refused(own_home: Path, lepton: Any, line: str, said: str) -> None:
    folder = own_home / ".config/lepton"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(f"[[providers.byoc.hosts]]\n{line}\n")
    (folder / "config.toml").chmod(0o600)
    assert said in lepton("byoc", "list", code=2)


def test_a_terminal_shows_how_far_a_workdir_is(fleet: list[Any], tmp_path: Path) -> None:
    if shutil.which("script") is None:
        pytest.skip("script is not installed (bsdutils)")
    project = tmp_path / "project"
    project.mkdir()
    with (project / "weights").open("wb") as file:
        file.truncate(100 << 20)
    job = ["--gpu", "H100:1", "--region", "lab", "--workdir", str(project), "--", "wc", "-c", "weights"]
    argv = [sys.executable, "-m", "lepton_sdk", "run", *job]
    shown = subprocess.run(["script", "-qec", shlex.join(argv), "/dev/null"], capture_output=True, text=True, timeout=120)
    assert shown.returncode == 0, shown.stdout
    told = re.findall(r"lepton: sending the workdir to (\S+): ([\d.]+) of 100\.0 MiB", shown.stdout)
    assert told, shown.stdout
    assert [float(done) for _, done in told] == sorted(float(done) for _, done in told)
    assert f"{100 << 20} weights" in shown.stdout
    # Without a terminal nobody watches a line move.
    plain = subprocess.run(argv, capture_output=True, text=True, timeout=120)
    assert "MiB" not in plain.stdout + plain.stderr
