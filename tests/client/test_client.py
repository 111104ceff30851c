"""The two faces of the API: inside a running loop, in threads, after a fork, and with providers of the application's own."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from lepton_sdk import AsyncClient, Client, Job, RunState
from lepton_sdk.aio import JobLike
from lepton_sdk.errors import JobSpecError, LeptonError, UsageError
from lepton_sdk.spi import Resources
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, fake_offer


def test_the_synchronous_client_works_inside_a_running_loop(tmp_path: Path) -> None:
    async def notebook_cell() -> RunState:
        with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: FakeProvider(tmp_path / "f")}) as client:
            return client.run(Job("true", resources="H100:8")).state

    assert asyncio.run(notebook_cell()) is RunState.SUCCEEDED


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


def test_a_client_works_after_a_fork(tmp_path: Path) -> None:
    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: FakeProvider(tmp_path / "f")}) as client:
        assert client.runs() == []
        child = os.fork()
        if child == 0:
            # Nothing of pytest may run in the child, whatever happens.
            code = 1
            try:
                code = 0 if client.route(Job("true", resources="H100:8")).best else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_job_comes_as_value_keys_or_path(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("command: exit 5\nresources: {gpu: H100:8}\n")
    job = Job("exit 5", resources="H100:8")
    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: FakeProvider(tmp_path / "f")}) as client:
        spellings: list[JobLike] = [job, job.to_dict(), tmp_path / "job.yaml", str(tmp_path / "job.yaml")]
        assert {client.run(spelling).exit_code for spelling in spellings} == {5}
        with pytest.raises(JobSpecError, match="comand: unknown key"):
            client.route({"comand": "true"})


def test_a_provider_that_breaks_costs_only_its_own_rows(tmp_path: Path) -> None:
    class Broken(FakeProvider):
        async def offers(self, resources: Resources):  # type: ignore[no-untyped-def]
            yield fake_offer("first")
            raise RuntimeError("parser met a list")

    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: Broken(tmp_path / "f")}) as client:
        plan = client.route(Job("true", resources="H100:8"))
        assert [candidate.offer.instance_type for candidate in plan] == ["first"]
        assert any("parser met a list" in line for line in client.warnings())
        assert any(offer.provider != "fake" for offer in client.offers("H100:8"))


def test_offers_in_anothers_name_are_refused(tmp_path: Path) -> None:
    cloud = FakeProvider(tmp_path / "f", [fake_offer(provider="lambda")])
    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: cloud}) as client:
        assert client.route(Job("true", resources="H100:8")).best is None
        assert any("provider of offer 'h100x8' is 'lambda'" in line for line in client.warnings())


def test_questions_leave_no_file(tmp_path: Path) -> None:
    with Client(state=tmp_path / "s", cache=tmp_path / "c") as client:
        client.offers()
        client.route(Job("true"))
        client.plugins()
        assert client.runs(all=True) == []
        assert client.nodes() == []
        with pytest.raises(LeptonError, match="no journal"):
            client.get("x")
    assert not (tmp_path / "s").exists()


def test_one_call_at_a_time_is_enough_for_threads(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    cloud = FakeProvider(tmp_path / "f")
    with (
        Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: cloud}) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        runs = list(pool.map(lambda n: client.run(Job(f"exit {n}", resources="H100:8")), range(4)))
    assert [run.exit_code for run in runs] == [0, 1, 2, 3]


def test_a_detached_run_keeps_its_secrets_though_others_wait_for_it(tmp_path: Path) -> None:
    environment = {**os.environ, "TOKEN": "t0k3n"}
    with Client(state=tmp_path / "s", cache=tmp_path / "c", environment=environment) as client:
        run = client.submit(Job('test "$(printf %s "$TOKEN" | tr 0-9 a-j)" = takdn', secrets=["TOKEN"]))
        assert client.wait(run.id).exit_code == 0


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


def test_a_run_goes_to_its_end_after_a_fork(tmp_path: Path) -> None:
    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: FakeProvider(tmp_path / "f")}) as client:
        assert client.run(Job("true", resources="H100:8", name="parent")).exit_code == 0
        child = os.fork()
        if child == 0:
            # Nothing of pytest may run in the child, whatever happens.
            code = 1
            try:
                code = client.run(Job("exit 6", resources="H100:8", name="child")).exit_code or 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 6
        assert {run.name for run in client.runs(all=True)} == {"parent", "child"}


def test_a_call_from_a_callback_of_its_own_is_refused(tmp_path: Path) -> None:
    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: FakeProvider(tmp_path / "f")}) as client:
        with pytest.raises(UsageError, match="callback of its own") as caught:
            client.run(Job("true", resources="H100:8", name="called"), on_event=lambda event: print(client.get(event.run)))
        assert any(client.get("called").id in note for note in caught.value.__notes__)
        client.stop("called")


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


def test_a_follower_that_has_ended_stays_in_no_list_of_processes(tmp_path: Path) -> None:
    with Client(state=tmp_path / "s", cache=tmp_path / "c") as client:
        before = _children()
        run = client.submit(Job("true"))
        assert client.wait(run.id).exit_code == 0
        end = time.monotonic() + 60
        while _children() != before:
            assert time.monotonic() < end, "its process is still there"
            time.sleep(0.05)


def _children() -> set[str]:
    listed = Path(f"/proc/self/task/{threading.get_native_id()}/children")
    if not listed.exists():
        pytest.skip("/proc does not list children here")
    return set(listed.read_text().split())
