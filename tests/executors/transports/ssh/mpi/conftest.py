"""Hosts in namespaces of their own, and a program of Open MPI that is made on them."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from namespaces import ip, skip_without_namespaces

from lepton_sdk import Client, Job
from lepton_sdk.testing import FAKE_SPEC, fake_offer

_SUM = """
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
  int rank, ranks, mine, sum;
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  mine = 1 << rank;
  MPI_Allreduce(&mine, &sum, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  printf("rank %d of %d on node %s adds up to %d, %s\\n", rank, ranks, getenv("NODE_RANK"), sum, getenv("SAID"));
  fflush(stdout);
  while (argc > 1 && !strcmp(argv[1], "forever")) { usleep(20000); MPI_Barrier(MPI_COMM_WORLD); }
  if (argc > 1 && rank == atoi(argv[1])) exit(9);
  MPI_Barrier(MPI_COMM_WORLD);
  return MPI_Finalize();
}
"""
_NUMBERS = itertools.count(os.getpid() % 200)


class Bridge:
    """A network of hosts, each in a namespace with an address and a name."""

    def __init__(self) -> None:
        number = next(_NUMBERS) % 250
        self.name, self.net = f"lb{os.getpid()}", f"10.214.{number}"
        self.hosts: list[str] = []
        ip("link", "add", self.name, "type", "bridge")
        ip("addr", "add", f"{self.net}.1/24", "dev", self.name)
        ip("link", "set", self.name, "up")

    def move_in(self, server: Any) -> Any:
        """Start a server again on a host of the network."""
        rank = len(self.hosts)
        host, address = f"{self.name}-{rank}", f"{self.net}.{rank + 2}"
        self.hosts.append(host)
        ip("netns", "add", host)
        ip("link", "add", f"{self.name}v{rank}", "type", "veth", "peer", "name", "eth0", "netns", host)
        ip("link", "set", f"{self.name}v{rank}", "master", self.name, "up")
        ip("-n", host, "addr", "add", f"{address}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            ip("-n", host, "link", "set", device, "up")
        server.stop()
        config = server.folder / "sshd_config"
        config.write_text(config.read_text().replace("127.0.0.1", address))
        spaces = ["unshare", "--pid", "--uts", "--fork", "--kill-child=KILL", "--mount-proc"]
        named = ["sh", "-c", f'hostname host{rank}; exec "$@"', "sh"]
        server.address, server.wrap = address, ["ip", "netns", "exec", host, *spaces, *named]
        server.begin()
        return server

    def cut(self, rank: int) -> None:
        """Take a host's cable out: nothing comes from it any more, not even that a connection is closed."""
        ip("link", "set", f"{self.name}v{rank}", "down")

    def remove(self) -> None:
        for rank, host in enumerate(self.hosts):
            # The kernel takes its time with a namespace, and until then the link's name is not free.
            ip("link", "del", f"{self.name}v{rank}", check=False)
            ip("netns", "del", host, check=False)
        ip("link", "del", self.name, check=False)


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    skip_without_namespaces()
    bridge = Bridge()
    yield bridge
    bridge.remove()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    if not (shutil.which("mpirun") and shutil.which("mpicc")):
        pytest.skip("Open MPI is not installed")
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


@pytest.fixture
def mpi_job(project: Path) -> Callable[..., Job]:
    """A job of two nodes with two ranks each that makes the program first."""
    return partial(_job, project)


def _job(project: Path, command: str, **more: Any) -> Job:
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "SAID": "a 'quoted' $(word)"} | more.pop("env", {})
    setup = "mpicc sum.c -o sum"
    return Job(command, workdir=project, setup=setup, resources="H100:2", nodes=2, launcher="mpi", env=env, **more)
