"""The two faces of the API: inside a running loop, in threads, after a fork, and with providers of the application's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lepton_sdk import AsyncClient, Client, Job, RunState
from lepton_sdk.aio import JobLike
from lepton_sdk.errors import JobSpecError
from lepton_sdk.testing import FAKE_SPEC, FakeProvider


def test_the_asynchronous_client_runs_many_jobs_at_once(tmp_path: Path) -> None:
    async def main() -> list[int | None]:
        cloud = FakeProvider(tmp_path / "f")
        async with AsyncClient(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: cloud}) as client:
            runs = await asyncio.gather(*(client.run(Job(f"exit {n}", resources="H100:8")) for n in range(5)))
            assert cloud.running() == []
            return [run.exit_code for run in runs]

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_cancelling_ends_the_following_and_not_the_job(tmp_path: Path) -> None:
    async def main() -> RunState:
        cloud = FakeProvider(tmp_path / "f")
        async with AsyncClient(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: cloud}) as client:
            started = asyncio.Event()
            job = Job("echo begun; sleep 0.5; echo ended", resources="H100:8", name="long")
            task = asyncio.create_task(client.run(job, on_output=lambda _: started.set()))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await client.get("long")).state is RunState.RUNNING
            ended = await client.wait("long")
            assert b"".join([chunk async for chunk in client.logs("long")]) == b"begun\nended\n"
            return ended.state

    assert asyncio.run(main()) is RunState.SUCCEEDED


def test_a_job_comes_as_value_keys_or_path(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("command: exit 5\nresources: {gpu: H100:8}\n")
    job = Job("exit 5", resources="H100:8")
    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: FakeProvider(tmp_path / "f")}) as client:
        spellings: list[JobLike] = [job, job.to_dict(), tmp_path / "job.yaml", str(tmp_path / "job.yaml")]
        assert {client.run(spelling).exit_code for spelling in spellings} == {5}
        with pytest.raises(JobSpecError, match="comand: unknown key"):
            client.route({"comand": "true"})


def test_one_client_never_drives_a_run_twice(tmp_path: Path) -> None:
    async def main() -> list[object]:
        cloud = FakeProvider(tmp_path / "f")
        async with AsyncClient(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: cloud}) as client:
            task = asyncio.create_task(client.run(Job("sleep 0.3", resources="H100:8", name="one")))
            while not await client.runs():  # noqa: ASYNC110 - another client has no event of ours
                await asyncio.sleep(0.01)
            waited = await client.wait("one")
            ran = await task
            return [waited.state, ran.state, len(cloud.machines())]

    assert asyncio.run(main()) == [RunState.SUCCEEDED, RunState.SUCCEEDED, 1]


def test_callbacks_see_their_own_run_alone(tmp_path: Path) -> None:
    async def main() -> None:
        cloud = FakeProvider(tmp_path / "f")
        async with AsyncClient(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: cloud}) as client:
            seen: dict[str, set[str]] = {"one": set(), "two": set()}
            job = {name: Job("sleep 0.2", resources="H100:8", name=name) for name in seen}
            runs = await asyncio.gather(
                client.run(job["one"], on_event=lambda event: seen["one"].add(event.run)),
                client.run(job["two"], on_event=lambda event: seen["two"].add(event.run)),
            )
            assert [seen[run.name] for run in runs] == [{run.id} for run in runs]

    asyncio.run(main())
