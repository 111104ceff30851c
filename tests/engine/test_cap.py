"""One cap over all machines, held in the transaction that announces a machine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lepton_sdk import AsyncClient, Client, Job, Run, RunState
from lepton_sdk.errors import ConfigError
from lepton_sdk.testing import FAKE_SPEC, FakeProvider


def environment(cap: str, home: Path) -> dict[str, str]:
    return {"LEPTON_SDK_LIMITS_HOURLY": cap, "HOME": str(home), "PATH": "/usr/bin:/bin"}


def test_many_clients_at_once_stay_under_one_cap(tmp_path: Path, state: str) -> None:
    cloud = FakeProvider(tmp_path / "cloud")
    most = 0

    async def one(number: int) -> Run:
        async with AsyncClient(
            state=state,
            cache=tmp_path / "c",
            providers={FAKE_SPEC: cloud},
            environment=environment("50", tmp_path),
        ) as client:
            return await client.run(
                Job("sleep 0.2", resources="H100:8", name=f"j{number}", retry={"no_capacity": {"duration": 120, "backoff": 1}}),
            )

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(cloud.running()))
            await asyncio.sleep(0.005)

    async def main() -> list[Run]:
        watcher = asyncio.create_task(watch())
        runs = await asyncio.gather(*(one(number) for number in range(5)))
        watcher.cancel()
        return runs

    runs = asyncio.run(main())
    # Each machine costs 24 an hour, so 50 pay two.
    assert {run.state for run in runs} == {RunState.SUCCEEDED}
    assert most == 2


def test_a_run_above_the_cap_is_refused_before_anything_is_made(tmp_path: Path, state: str) -> None:
    cloud = FakeProvider(tmp_path / "cloud")
    with Client(
        state=state, cache=tmp_path / "c", providers={FAKE_SPEC: cloud}, environment=environment("20", tmp_path)
    ) as client:
        run = client.run(Job("true", resources="H100:8"))
    assert run.state is RunState.REFUSED
    assert "$24.00 an hour, above the cap of $20.00" in str(run.error)
    assert cloud.calls.count("acquire") == 0


@pytest.mark.parametrize("cap", ["-1", "much", "nan"])
def test_a_cap_that_does_not_hold_is_refused(cap: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"limits\.hourly"):
        Client(environment=environment(cap, tmp_path))
