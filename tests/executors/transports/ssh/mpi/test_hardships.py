"""A host of an MPI job that loses its power, or its cable, while the ranks are at work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk import Client, RunState

# Until the hosts notice 30 seconds pass; the rest is a busy machine's.
_BOUND = 240


@pytest.fixture
def hosts(make_server: Any, bridge: Any) -> list[Any]:
    return [bridge.move_in(make_server()) for _ in range(2)]


def _ranks(hosts: list[Any]) -> list[int]:
    """Live processes of the program, wherever they are."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                name = str((entry / "exe").readlink())
            except OSError:
                continue
            if Path(name).name == "sum" and any(name.startswith(f"{host.home}/") for host in hosts):
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("how", ["power", "cable"])
def test_the_attempt_ends_and_no_rank_is_left(
    how: str,
    lost: int,
    hosts: list[Any],
    bridge: Any,
    make_client: Any,
    mpi_job: Any,
    until: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lepton_sdk._executors.transports.ssh.connection._ALIVE_SECONDS", 1)
    client: Client = make_client(*hosts)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(client.run, mpi_job("./sum forever", retry={"interruption": 0, "error": 0}))
        until(lambda: client.runs() and b"".join(client.logs(client.runs()[0].id)).count(b"adds up") == 4, 120)
        until(lambda: len(_ranks(hosts)) == 4)
        bridge.cut(lost)
        if how == "power":
            hosts[lost].process.kill()
        run = running.result(_BOUND)
    assert run.state in (RunState.LOST, RunState.FAILED), run.error
    assert run.members[lost].reason is None, "nobody can know how the job ended there"
    assert str(run.error).startswith(f"node {lost}: another node failed while this one was out of reach: ")
    # Behind the cut cable nobody can tell the ranks to end, and they end.
    until(lambda: _ranks(hosts) == [], 120)
