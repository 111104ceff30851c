"""One cap over all machines, held in the transaction that announces a machine."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lepton_sdk import AsyncClient, Client, Job, Money, Run, RunState
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, fake_offer

# So dear that seconds count; no market would be believed to ask that.
_DEAR = {"gpu": "H100:8", "allow_flagged": True}


def environment(cap: str, home: Path) -> dict[str, str]:
    return {"LEPTON_SDK_LIMITS_HOURLY": cap, "HOME": str(home), "PATH": "/usr/bin:/bin"}


def test_many_clients_at_once_stay_under_one_cap(tmp_path: Path, where: str) -> None:
    cloud = FakeProvider(tmp_path / "cloud")
    most = 0

    async def one(number: int) -> Run:
        async with AsyncClient(
            state=where,
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


def test_a_run_above_the_cap_is_refused_before_anything_is_made(tmp_path: Path, where: str) -> None:
    cloud = FakeProvider(tmp_path / "cloud")
    with Client(
        state=where, cache=tmp_path / "c", providers={FAKE_SPEC: cloud}, environment=environment("20", tmp_path)
    ) as client:
        run = client.run(Job("true", resources="H100:8"))
    assert run.state is RunState.REFUSED
    assert "$24.00 an hour, above the cap of $20.00" in str(run.error)
    assert cloud.calls.count("acquire") == 0


_TOTAL = """
import sys
from pathlib import Path
from lepton_sdk import Client, Job
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, fake_offer
folder = Path(sys.argv[1])
sys.stdin.readline()
with Client(state=folder / "s", cache=folder / "c", providers={FAKE_SPEC: FakeProvider(folder / "cloud")}) as client:
    run = client.run(Job(f"while ! [ -e {folder}/go ]; do sleep 0.1; done", resources="H100:8", limits={"total": "30"}))
    print(run.state, run.error)
"""


def test_two_processes_cannot_both_pass_the_total(tmp_path: Path) -> None:
    # Each may come to cost 30, so 50 pay one of them while it is open.
    variables = environment("1000", tmp_path) | {"LEPTON_SDK_LIMITS_TOTAL": "50"}
    argv = [sys.executable, "-c", _TOTAL, str(tmp_path)]
    clients = [subprocess.Popen(argv, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for client in clients:
        assert client.stdin is not None
        client.stdin.write("go\n")
        client.stdin.flush()
    end = time.monotonic() + 120
    while sum(client.poll() is None for client in clients) > 1:
        assert time.monotonic() < end, "more than one of them runs"
        time.sleep(0.05)
    (tmp_path / "go").touch()
    said = sorted(client.communicate(timeout=120)[0].strip() for client in clients)
    assert [line.split()[0] for line in said] == ["refused", "refused", "succeeded"]
    assert "$60.00 until their limits end them, above the cap of $50.00" in said[0]
    assert len(FakeProvider(tmp_path / "cloud").machines()) == 1


@pytest.mark.parametrize(
    ("cap", "limits", "words"),
    [
        ("0", {"total": "30"}, "above the cap of $0.00"),
        ("50", {}, "no bound"),
        ("50", {"duration": "10h"}, "above the cap of $50.00"),
    ],
)
def test_a_run_that_may_break_the_total_is_refused_before_anything_is_made(
    cap: str, limits: dict[str, str], words: str, tmp_path: Path
) -> None:
    cloud = FakeProvider(tmp_path / "cloud")
    variables = environment("1000", tmp_path) | {"LEPTON_SDK_LIMITS_TOTAL": cap}
    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: cloud}, environment=variables) as client:
        run = client.run(Job("true", resources="H100:8", limits=limits))
    assert run.state is RunState.REFUSED
    assert words in str(run.error)
    assert cloud.calls.count("acquire") == 0


def test_what_earlier_runs_did_cost_counts_for_the_period_only(tmp_path: Path) -> None:
    cloud = FakeProvider(tmp_path / "cloud", [fake_offer(price=Money("36000"))])
    # A second of it costs 10. The period is over when the second run begins.
    for period, states in (("30d", ["succeeded", "refused"]), ("1s", ["succeeded", "succeeded"])):
        variables = environment("100000", tmp_path) | {"LEPTON_SDK_LIMITS_TOTAL": "3005", "LEPTON_SDK_LIMITS_PERIOD": period}
        state, known = tmp_path / period, {FAKE_SPEC: cloud}
        with Client(state=state, cache=tmp_path / "c", providers=known, environment=variables) as client:
            job = Job("sleep 1.2", resources=_DEAR, limits={"total": "3000"})
            runs = [client.run(job) for _ in range(2)]
        assert [run.state for run in runs] == states, [run.error for run in runs]


def test_an_attempt_that_nothing_is_left_for_is_not_made(tmp_path: Path) -> None:
    cloud = FakeProvider(tmp_path / "cloud", [fake_offer(price=Money("3600"))])
    job = Job("exit 3", resources=_DEAR, limits={"total": "61"}, retry={"error": {"count": 5, "backoff": 1}})
    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: cloud}) as client:
        run = client.run(job)
    # At 1 a second the first attempt leaves less than a minute.
    assert run.state is RunState.REFUSED
    assert "does not buy a minute" in str(run.error)
    assert len(cloud.machines()) < 3


def test_a_budget_of_zero_takes_nothing(tmp_path: Path, where: str) -> None:
    cloud, variables = FakeProvider(tmp_path / "cloud"), environment("0", tmp_path) | {"LEPTON_SDK_PLUGINS": "local"}
    with Client(state=where, cache=tmp_path / "c", providers={FAKE_SPEC: cloud}, environment=variables) as client:
        run = client.run(Job("true", resources="H100:8"))
    assert (run.state, cloud.calls.count("acquire")) == (RunState.REFUSED, 0)
    assert "above the cap of $0.00" in str(run.error)
