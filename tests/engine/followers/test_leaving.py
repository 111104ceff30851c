"""A call that ends before its run does says which run goes on, and stops it when that is wanted."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest

from lepton_sdk import AsyncClient, Client, Job, RunState
from lepton_sdk.domain.events import Event
from lepton_sdk.spi import Launch, Node, Offer
from lepton_sdk.testing import FAKE_SPEC, FakeProvider

_LONG = Job("echo begun; sleep 300", resources="H100:8", name="long")


class Slow(FakeProvider):
    """A cloud whose create calls and releases answer when a test lets them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.creating, self.create, self.releasing, self.release_now = (asyncio.Event() for _ in range(4))
        self.create.set()
        self.release_now.set()

    async def acquire(self, offer: Offer, launch: Launch) -> Node:
        self.creating.set()
        await self.create.wait()
        return await super().acquire(offer, launch)

    async def release(self, node: Node) -> Node:
        self.releasing.set()
        await self.release_now.wait()
        return await super().release(node)


@pytest.fixture
def slow(tmp_path: Path) -> Slow:
    return Slow(tmp_path / "cloud")


@pytest.fixture
def make(tmp_path: Path, slow: Slow) -> Callable[[], AsyncClient]:
    return lambda: AsyncClient(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: slow})


def _on(row: str) -> tuple[asyncio.Event, Callable[[Event], None]]:
    """An event that is set once the journal has a row of this kind."""
    there = asyncio.Event()
    return there, lambda event: there.set() if event.kind == row else None


async def _cancelled(task: asyncio.Task[object]) -> asyncio.CancelledError:
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    return caught.value


@pytest.mark.parametrize("row", ["run.planned", "node.intended", "node.owned", "node.running"])
def test_a_cancelled_run_is_left_with_its_name(
    row: str, make: Callable[[], AsyncClient], slow: Slow, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with make() as client:
            there, on_event = _on(row)
            task = asyncio.create_task(client.run(_LONG, on_event=on_event))
            await there.wait()
            task.cancel()
            error = await _cancelled(task)
            run = await client.get("long")
            assert [run.id in note and "goes on" in note and f"lepton stop {run.id}" in note for note in error.__notes__] == [
                True
            ]
            assert any(run.id in record.message for record in caplog.records if record.levelno == logging.WARNING)
            assert not run.state.ended
            await client.stop("long")
            assert slow.running() == []

    asyncio.run(main())


def test_a_timeout_names_the_run_that_goes_on(make: Callable[[], AsyncClient]) -> None:
    async def main() -> None:
        async with make() as client:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.5):
                    await client.run(_LONG)
            run = await client.get("long")
            assert run.id in str(caught.value.__cause__)
            with pytest.raises(TimeoutError) as caught:
                await asyncio.wait_for(client.wait("long"), 0.2)
            assert run.id in str(caught.value.__cause__)
            await client.stop("long")

    asyncio.run(main())


@pytest.mark.parametrize("row", ["run.planned", "node.intended", "node.owned", "node.running"])
def test_a_cancelled_run_is_stopped_where_that_is_wanted(row: str, make: Callable[[], AsyncClient], slow: Slow) -> None:
    async def main() -> None:
        async with make() as client:
            there, on_event = _on(row)
            task = asyncio.create_task(client.run(_LONG, on_event=on_event, on_cancel="stop"))
            await there.wait()
            task.cancel()
            error = await _cancelled(task)
            assert getattr(error, "__notes__", []) == []
            assert (await client.get("long")).state is RunState.STOPPED
            assert slow.running() == []

    asyncio.run(main())


def test_a_create_call_is_not_cut_off_by_a_stop(make: Callable[[], AsyncClient], slow: Slow) -> None:
    async def main() -> None:
        async with make() as client:
            slow.create.clear()
            task = asyncio.create_task(client.run(_LONG, on_cancel="stop"))
            await slow.creating.wait()
            task.cancel()
            while not (await client.get("long")).stop_requested:  # noqa: ASYNC110 - only the journal tells
                await asyncio.sleep(0.01)
            slow.create.set()
            await _cancelled(task)
            kinds = [event.kind for event in await client.events("long")]
            assert "node.unknown" not in kinds
            assert kinds.index("run.stop") < kinds.index("node.owned") < kinds.index("node.released")
            assert slow.running() == []

    asyncio.run(main())


@pytest.mark.parametrize("on_cancel", ["leave", "stop"])
def test_a_second_cancellation_leaves_the_run_with_its_name(
    on_cancel: Literal["leave", "stop"], make: Callable[[], AsyncClient], slow: Slow
) -> None:
    async def main() -> None:
        async with make() as client:
            there, on_event = _on("node.running")
            task = asyncio.create_task(client.run(_LONG, on_event=on_event, on_cancel=on_cancel))
            await there.wait()
            slow.release_now.clear()
            task.cancel()
            if on_cancel == "stop":
                await slow.releasing.wait()
            task.cancel()
            error = await _cancelled(task)
            run = await client.get("long")
            assert any(run.id in note for note in error.__notes__)
            slow.release_now.set()
            await client.stop("long")
            assert slow.running() == []

    asyncio.run(main())


def test_a_callback_that_fails_leaves_no_run_in_silence(make: Callable[[], AsyncClient]) -> None:
    async def main() -> None:
        async with make() as client:

            def fail(_: bytes) -> None:
                raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError) as caught:
                await client.run(_LONG, on_output=fail)
            run = await client.get("long")
            assert any(run.id in note for note in caught.value.__notes__)
            await client.stop("long")

    asyncio.run(main())


def test_a_call_that_has_its_answer_says_nothing(make: Callable[[], AsyncClient], caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with make() as client:
            assert (await client.run(Job("exit 3", resources="H100:8"))).exit_code == 3

    asyncio.run(main())
    assert caplog.records == []


_SCRIPT = """
import sys
from pathlib import Path
from lepton_sdk import Client, Job
from lepton_sdk.testing import FAKE_SPEC, FakeProvider
folder = Path(sys.argv[1])
with Client(state=folder / "s", cache=folder / "c", providers={FAKE_SPEC: FakeProvider(folder / "cloud")}) as client:
    client.run(
        Job("echo begun; sleep 300", resources="H100:8", name="long"),
        on_output=lambda chunk: print(chunk.decode(), flush=True),
        on_cancel=sys.argv[2],
    )
"""


@pytest.mark.parametrize(("on_cancel", "state"), [("leave", RunState.RUNNING), ("stop", RunState.STOPPED)])
def test_an_interrupt_of_the_synchronous_client_says_the_same(on_cancel: str, state: RunState, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(tmp_path), on_cancel],
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    cloud = FakeProvider(tmp_path / "cloud")
    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: cloud}) as client:
        run = client.get("long")
        assert run.state is state
        interrupt = said.rpartition("KeyboardInterrupt")[2]
        assert (run.id in interrupt) is (on_cancel == "leave"), said
        client.stop("long")
    assert cloud.running() == []
