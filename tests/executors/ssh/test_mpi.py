"""Open MPI between the nodes of one run that have no way into each other: real ranks, on hosts in namespaces of their own."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from lepton_sdk import Client, Job, Run, RunState
from lepton_sdk._engine.mpi import daemon
from lepton_sdk.testing import FAKE_SPEC, fake_offer

_SUM = """
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char **argv) {
  int rank, ranks, mine, sum;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  mine = 1 << rank;
  MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  printf("rank %d of %d on node %s adds up to %d, %s\\n", rank, ranks, getenv("NODE_RANK"), sum, getenv("SAID"));
  fflush(stdout);
  if (argc > 1 && rank == atoi(argv[1])) exit(9);
  MPI_Barrier(MPI_COMM_WORLD);
  return MPI_Finalize();
}
"""
_NUMBERS = itertools.count(os.getpid() % 200)

pytestmark = pytest.mark.skipif(not (shutil.which("mpirun") and shutil.which("mpicc")), reason="Open MPI is not installed")


class Bridge:
    """A network of hosts, each in a namespace with an address and a name."""

    def __init__(self) -> None:
        number = next(_NUMBERS) % 250
        self.name, self.net = f"lb{os.getpid()}", f"10.214.{number}"
        self.hosts: list[str] = []
        _ip("link", "add", self.name, "type", "bridge")
        _ip("addr", "add", f"{self.net}.1/24", "dev", self.name)
        _ip("link", "set", self.name, "up")

    def move_in(self, server: Any) -> Any:
        """Start a server again on a host of the network."""
        rank = len(self.hosts)
        host, address = f"{self.name}-{rank}", f"{self.net}.{rank + 2}"
        self.hosts.append(host)
        _ip("netns", "add", host)
        _ip("link", "add", f"{self.name}v{rank}", "type", "veth", "peer", "name", "eth0", "netns", host)
        _ip("link", "set", f"{self.name}v{rank}", "master", self.name, "up")
        _ip("-n", host, "addr", "add", f"{address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            _ip("-n", host, "link", "set", device, "up")
        server.stop()
        config = server.folder / "sshd_config"
        config.write_text(config.read_text().replace("127.0.0.1", address))
        spaces = ["unshare", "--pid", "--uts", "--fork", "--kill-child=KILL", "--mount-proc"]
        named = ["sh", "-c", f'hostname host{rank}; exec "$@"', "sh"]
        server.address, server.wrap = address, ["ip", "netns", "exec", host, *spaces, *named]
        server.begin()
        return server

    def remove(self) -> None:
        for rank, host in enumerate(self.hosts):
            # The kernel takes its time with a namespace, and until then the link's name is not free.
            _ip("link", "del", f"{self.name}v{rank}", check=False)
            _ip("netns", "del", host, check=False)
        _ip("link", "del", self.name, check=False)


def _ip(*words: str, check: bool = True) -> bool:
    return subprocess.run(["ip", *words], check=check, capture_output=True).returncode == 0


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    if os.getuid() != 0 or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    probe = f"leptonprobe{os.getpid()}"
    if not _ip("netns", "add", probe, check=False):
        pytest.skip("network namespaces cannot be made here (ip netns add)")
    _ip("netns", "del", probe)
    bridge = Bridge()
    yield bridge
    bridge.remove()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/sum.c").write_text(_SUM)
    return tmp_path / "project"


@pytest.fixture
def make_client(tmp_path: Path, cloud_of: Any) -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(*servers: Any) -> Client:
        providers = {FAKE_SPEC: cloud_of(fake_offer("small", count=2), *servers)}
        made.append(Client(state=tmp_path / "state", cache=tmp_path / "cache", providers=providers))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def apart(make_server: Any, bridge: Bridge, make_client: Callable[..., Client]) -> Client:
    """A client of two hosts that know no key of each other."""
    return make_client(*(bridge.move_in(make_server()) for _ in range(2)))


@pytest.fixture
def together(make_server: Any, make_client: Callable[..., Client]) -> Client:
    """A client of two nodes that are one host."""
    return make_client(make_server(), make_server())


def _job(project: Path, command: str, **more: Any) -> Job:
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "SAID": "a 'quoted' $(word)"} | more.pop("env", {})
    setup = "mpicc sum.c -o sum"
    return Job(command, workdir=project, setup=setup, resources="H100:2", nodes=2, launcher="mpi", env=env, **more)


def _output(client: Client, run: Run) -> str:
    return b"".join(client.logs(run.id)).decode()


def test_ranks_of_two_hosts_meet_and_add_up(apart: Client, project: Path) -> None:
    run = apart.run(_job(project, "./sum; cat .lepton-hosts >&2"))
    output = _output(apart, run)
    assert run.state is RunState.SUCCEEDED, output
    told = {line[4:] for line in output.splitlines() if "adds up" in line}
    assert told == {f"rank {n} of 4 on node {n // 2} adds up to 15, a 'quoted' $(word)" for n in range(4)}
    # The names that other launchers have in every process, counted by process.
    names = {line.split(" ", 1)[1] for line in output.splitlines() if " slots=2" in line}
    assert len(names) == 2


@pytest.mark.parametrize("failing", [0, 3])
def test_a_rank_that_fails_ends_all_and_every_node_keeps_its_code(apart: Client, project: Path, failing: int) -> None:
    run = apart.run(_job(project, f"./sum {failing}"))
    assert (run.state, run.exit_code) == (RunState.FAILED, 9), _output(apart, run)
    guilty = run.members[failing // 2]
    assert guilty.exit_code == 9 or guilty.reason == "peer"
    assert all(node.exit_code is not None for node in run.members)


def test_two_nodes_on_one_host_stay_two(together: Client, project: Path) -> None:
    command = 'echo "rank $RANK of $WORLD_SIZE, $LOCAL_RANK of $LOCAL_WORLD_SIZE on $NODE_RANK in ${PWD%/work}"; ./sum'
    run = together.run(_job(project, command))
    output = _output(together, run)
    assert run.state is RunState.SUCCEEDED, output
    places = {line[4:].partition(" in ")[0] for line in output.splitlines() if " in /" in line}
    assert places == {f"rank {n} of 4, {n % 2} of 2 on {n // 2}" for n in range(4)}
    assert {line[-3:] for line in output.splitlines() if " in /" in line} == {"1-0", "1-1"}


def test_one_node_needs_nobody_to_wait(together: Client, project: Path) -> None:
    run = together.run(evolve(_job(project, "./sum"), nodes=1))
    assert run.state is RunState.SUCCEEDED
    told = {line.partition(",")[0] for line in _output(together, run).splitlines()}
    assert told == {f"rank {n} of 2 on node 0 adds up to 3" for n in range(2)}


def test_a_node_without_mpirun_is_told(together: Client, project: Path, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for tool in ("sh", "tr", "cat"):
        (tmp_path / "bin" / tool).symlink_to(f"/bin/{tool}")
    job = evolve(_job(project, "./sum", env={"PATH": str(tmp_path / "bin")}), setup=None)
    run = together.run(job)
    assert (run.state, run.exit_code) == (RunState.FAILED, 127)
    assert "launcher mpi needs Open MPI 4 and python3 on every node" in _output(together, run)


def test_the_waiting_node_runs_what_comes_from_its_run_and_nothing_else(tmp_path: Path, until: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = {"PATH": os.environ["PATH"], "MASTER_PORT": str(port - 1), "NODE_RANK": "1", "HOST_ADDRS": "127.0.0.1,127.0.0.1"}
    argv = [sys.executable, daemon.__file__]
    call = [*argv, "lepton-rank-1", "touch", f"{tmp_path}/ran;", "exit", "7"]
    with subprocess.Popen(argv, env=place | {"LEPTON_MPI_KEY": "right"}, cwd=tmp_path) as waiting:
        # Noise, silence, and somebody with another key.
        until(lambda: _says(port, b"\0\xff\n"))
        until(lambda: _says(port, b"{}\n"))
        stranger = subprocess.run(call, env=place | {"LEPTON_MPI_KEY": "wrong"}, check=False, capture_output=True)
        assert stranger.returncode == 1
        assert not (tmp_path / "ran").exists()
        assert subprocess.run(call, env=place | {"LEPTON_MPI_KEY": "right"}, check=False).returncode == 7
        assert waiting.wait(60) == 7
    assert (tmp_path / "ran").exists()


def _says(port: int, data: bytes) -> bool:
    """Whether the other side hung up on what it was told."""
    try:
        with socket.create_connection(("127.0.0.1", port), 20) as one:
            one.sendall(data)
            while one.recv(100):
                pass
            return True
    except ConnectionResetError:
        return True
    except ConnectionRefusedError:
        return False


def test_the_first_rank_that_failed_here_tells_the_code(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = {"PATH": os.environ["PATH"], "MASTER_PORT": str(port - 1), "NODE_RANK": "1", "HOST_ADDRS": "x,127.0.0.1"}
    place["LEPTON_MPI_KEY"] = "key"
    argv = [sys.executable, daemon.__file__]
    with subprocess.Popen(argv, env=place, cwd=tmp_path) as waiting:
        script = f": >{tmp_path}/.lepton-mpi-code.5; sleep 0.05; : >{tmp_path}/.lepton-mpi-code.4; kill -TERM $$"
        done = subprocess.run([*argv, "lepton-rank-1", script], env=place, check=False)
        assert done.returncode == 128 + signal.SIGTERM
        assert waiting.wait(60) == 5
