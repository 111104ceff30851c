"""Container engines that really run containers: podman, and Docker's own; each with an image that holds busybox alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

IMAGE = "localhost/lepton-test-box"
_TOOLS = "sh cat echo env sleep id pwd true false ls printf hostname grep touch awk df tr kill mkdir sed"
# What podman needs in a sandbox: the limits of the outside may not be raised, and crun cannot start there.
_CONF = """\
[containers]
default_ulimits = ["nofile=1000:1000", "nproc=1000:1000"]
[engine]
runtime = "runc"
"""
# What Docker needs in a sandbox: no packet filter, no bridge, no overlay, no systemd.
_DAEMON = "--iptables=false --ip6tables=false --bridge=none --storage-driver=vfs --exec-opt native.cgroupdriver=cgroupfs"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Engine:
    """One engine, and the variables with which a job's node finds it and no other."""

    def __init__(self, name: str, env: dict[str, str]) -> None:
        self.name, self.env = name, env

    def __call__(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        variables = {"PATH": _PATH, "HOME": str(Path.home()), **self.env}
        return subprocess.run([self.name, *words], env=variables, capture_output=True, text=True, check=check, timeout=120)

    def left(self, run: Any) -> list[str]:
        """The containers of a run that are there in any state."""
        name = f"lepton-{run.run_id}-{run.attempt}-{run.rank}"
        return self("ps", "--all", "--format", "{{.Names}}", "--filter", f"name={name}").stdout.split()


def _needs(*names: str) -> None:
    missing = [name for name in names if shutil.which(name, path=_PATH) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@contextmanager
def _podman(folder: Path) -> Iterator[Engine]:
    _needs("podman", "runc")
    conf = folder / "containers.conf"
    conf.write_text(_CONF)
    # Where a Docker engine works as well, it would go first.
    yield Engine("podman", {"CONTAINERS_CONF": str(conf), "DOCKER_HOST": f"unix://{folder}/no-docker"})


@contextmanager
def _docker(folder: Path) -> Iterator[Engine]:
    _needs("docker")
    there = Engine("docker", {})
    if there("info", check=False).returncode == 0:
        yield there
        return
    _needs("dockerd", "runc")
    if os.getuid() != 0:
        pytest.skip("no Docker engine answers this user, and only root can start one")
    address = f"unix://{folder}/docker.sock"
    places = ["--data-root", folder / "data", "--exec-root", folder / "exec", "--pidfile", folder / "pid", "--host", address]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(["dockerd", *_DAEMON.split(), *map(str, places)], stdout=log, stderr=log, env={"PATH": _PATH})
    engine = Engine("docker", {"DOCKER_HOST": address})
    try:
        _await(daemon, engine, folder / "log")
        yield engine
    finally:
        daemon.terminate()
        daemon.wait(60)
        _remove(folder)


def _remove(folder: Path) -> None:
    """What an engine leaves behind, its mounts first."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((one for one in mounts if one.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _await(daemon: subprocess.Popen[bytes], engine: Engine, log: Path) -> None:
    end = time.monotonic() + 60
    while engine("info", check=False).returncode:
        if daemon.poll() is not None or time.monotonic() > end:
            pytest.skip(f"dockerd does not start here: {log.read_text().strip()[-300:]}")
        time.sleep(0.1)


def _bring_image(engine: Engine, folder: Path) -> None:
    box = shutil.which("busybox")
    if box is None:
        pytest.skip("not installed: busybox")
    with tarfile.open(folder / "box.tar", "w") as tar:
        # Docker makes folders that are not in the archive for root alone.
        for name in (".", "bin"):
            place = tarfile.TarInfo(name)
            place.type, place.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(place)
        tar.add(box, "bin/busybox")
        for name in _TOOLS.split():
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    made = engine("import", str(folder / "box.tar"), IMAGE, check=False)
    if made.returncode:
        pytest.skip(f"{engine.name} cannot take an image here: {made.stderr.strip()[-200:]}")
    done = engine("run", "--rm", "--network", "host", IMAGE, "true", check=False)
    if done.returncode:
        pytest.skip(f"{engine.name} cannot run a container here: {done.stderr.strip()[-200:]}")


@pytest.fixture(scope="session", params=["podman", "docker"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp(request.param)
    with (_podman if request.param == "podman" else _docker)(folder) as engine:
        _bring_image(engine, folder)
        yield engine


@pytest.fixture
def image() -> str:
    return IMAGE


@pytest.fixture
def begin(host: Any, engine: Engine) -> Callable[..., Any]:
    """Start a job in the image."""

    def begin(command: str, **more: Any) -> Any:
        env = engine.env | more.pop("env", {})
        return host.start(command, image=IMAGE, env=env, **more)

    return begin
