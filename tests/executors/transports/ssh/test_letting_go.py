"""A whole run on a machine that lies: whatever it says, a stop gives it back, and the run says what it lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from tests.executors.transports.ssh.hostile import Shell, endless, keeper, serve, trickle

from lepton_sdk import AsyncClient, Job, RunState
from lepton_sdk.domain.access import SSHAccess
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.stage import Stage
from lepton_sdk.testing import FAKE_SPEC, FakeProvider

pytest.importorskip("asyncssh")


class Rented(FakeProvider):
    """A cloud whose machines are all one server."""

    port = 0

    def _node(self, record: dict[str, Any]) -> Node:
        return evolve(super()._node(record), access=SSHAccess("127.0.0.1", user="root", port=self.port))


async def _garbage(process: Any) -> None:
    await keeper(process)
    process.stdout.write(b"started zzz\ncode abc\nfinished 1e300\n.\n" * 100)
    await process.stdin.read()


async def _silence(process: Any) -> None:
    await process.stdin.read()


_LIES: dict[str, Shell] = {
    "silent": _silence,
    "garbage": _garbage,
    "trickling": trickle,
    "endless": lambda process: endless(process, b"x\n" * 32768),
}


@pytest.mark.parametrize("now", [False, True], ids=["a stop", "a stop at once"])
@pytest.mark.parametrize("lie", _LIES)
def test_a_machine_that_lies_is_given_back(lie: str, now: bool, tmp_path: Path, run_async: Callable[[Any], Any]) -> None:
    cloud = Rented(tmp_path / "cloud")

    async def main() -> None:
        server, cloud.port = await serve(_LIES[lie])
        async with AsyncClient(state=tmp_path / "state", cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}) as client:
            job = Job("true", resources="H100:8", name="held", outputs=("results/",), workdir=None)
            work = asyncio.create_task(client.run(job))
            try:
                await _until_it_began(client, work)
                stopped = await client.stop("held", now=now)
                assert (await asyncio.wait_for(work, 60)).state in (RunState.STOPPED, RunState.LOST)
            finally:
                work.cancel()
                server.close()
        assert cloud.running() == []
        (node,) = stopped.members
        # Nothing was lost in silence.
        assert any("log" in line for line in node.unkept)
        assert any("outputs" in line for line in node.unkept)

    run_async(main())


async def _until_it_began(client: AsyncClient, work: asyncio.Task[Any]) -> None:
    async with asyncio.timeout(60):
        while True:
            runs = await client.runs(all=True)
            if runs and runs[0].members and runs[0].members[0].stage is Stage.RUNNING:
                return
            assert not work.done()
            await asyncio.sleep(0.05)
