"""Whatever a node answers ends as a value that can be, or as an error of our tree: soon, and within bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.executors.sane import holds
from tests.executors.transports.ssh.lying import EXECUTION, NODE, Script, reached

from lepton_sdk._clock import Clock, SystemClock
from lepton_sdk._executors.transports.ssh.executor import SSHExecutor
from lepton_sdk.errors import LeptonError, NodeError, NodeUnreachable
from lepton_sdk.spi.executor import Fetched, Watchdog

_quick = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
# Half of them look like the protocol: that goes deeper than noise.
_WORDS = st.sampled_from(
    b"ready absent started lives running state finished lost code reason exit clock failures detail error stale cancelled "
    b"ok left armed gone spare . 0 -1 99999999999999999999 1e300 nan \xff\xfe \x1b[2J \0 ./a \r".split(b" ")
)
_LINES = st.lists(st.lists(_WORDS, max_size=4).map(b" ".join), max_size=12).map(lambda lines: b"\n".join([*lines, b""]))
_BYTES = st.one_of(st.binary(max_size=3000), _LINES, st.tuples(_LINES, st.binary(max_size=600)).map(b"".join))


async def _logs(executor: SSHExecutor) -> bytes:
    return b"".join([piece async for piece in executor.logs(NODE, EXECUTION)])


def _calls(folder: Path) -> dict[str, Callable[[SSHExecutor], Awaitable[Any]]]:
    return {
        "start": lambda executor: executor.start(NODE, EXECUTION),
        "poll": lambda executor: executor.poll(NODE, EXECUTION),
        "cancel": lambda executor: executor.cancel(NODE, EXECUTION),
        "armed": lambda executor: executor.armed(NODE, Watchdog("/w", "true")),
        "logs": _logs,
        "fetch": lambda executor: executor.fetch(NODE, EXECUTION, ["*"], folder / "got", most=1 << 20),
    }


def outcome(call: str, script: Script, folder: Path, greeting: bytes = b"ready\n", clock: Clock | None = None) -> Any:
    """What one call gives, or its error; nothing that it opened stays open."""

    async def asked() -> Any:
        before = asyncio.all_tasks()
        executor, connection = reached(script, folder, greeting, clock)
        try:
            return await _calls(folder)[call](executor)
        except LeptonError as error:
            return error
        finally:
            await executor.aclose()
            assert all(process.closed for process in connection.processes)
            if left := asyncio.all_tasks() - before:
                await asyncio.wait(left, timeout=5)
            assert asyncio.all_tasks() <= before

    return asyncio.run(asyncio.wait_for(asked(), 60))


@pytest.mark.parametrize("call", ["start", "poll", "cancel", "armed", "logs", "fetch"])
def test_random_bytes_as_an_answer(call: str, tmp_path: Path) -> None:
    @_quick
    @given(said=_BYTES)
    @example(said=b"started zzz\nstate finished\ncode abc\nreason exit\n.\n")
    @example(said=b"started 1\nfailures 1 x\n.\n")
    @example(said=b"stale 9999999999999999999999\n.\n")
    def check(said: bytes) -> None:
        holds(outcome(call, lambda _: said, tmp_path))

    check()


@_quick
@given(greeting=_BYTES, said=_BYTES)
def test_random_bytes_instead_of_a_greeting(greeting: bytes, said: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    holds(outcome("poll", lambda _: said, tmp_path_factory.getbasetemp(), greeting))


@pytest.mark.parametrize("call", ["start", "poll", "cancel", "armed", "logs", "fetch"])
def test_silence_is_a_node_that_cannot_be_reached(call: str, tmp_path: Path) -> None:
    assert isinstance(outcome(call, lambda _: None, tmp_path), NodeUnreachable)
    assert isinstance(outcome(call, lambda _: None, tmp_path, greeting=b"welcome\n"), NodeError)


@pytest.mark.parametrize("said", [b"x" * (1 << 20), b"x\n" * (1 << 20), b"\0" * (1 << 21), b"started 1\n" * 200_000])
def test_an_answer_without_end_is_not_read_to_its_end(said: bytes, tmp_path: Path) -> None:
    for call in ("start", "poll", "cancel"):
        found = outcome(call, lambda _: said, tmp_path)
        assert isinstance(found, NodeUnreachable)
        holds(found)
    assert isinstance(outcome("poll", lambda _: said, tmp_path, greeting=said), NodeError)


def test_a_good_answer_after_a_bad_one_is_heard(tmp_path: Path) -> None:
    good = b"lives\nrunning\nstarted 1777500000\nstate finished\ncode 3\nreason exit\n.\n"
    answers = iter([b"nonsense\n.\n", b"x" * 100_000, good])
    patient = SystemClock()

    async def asked() -> Any:
        executor, _ = reached(lambda verb: next(answers) if verb == "poll" else b"", tmp_path, clock=patient)
        try:
            for _ in range(2):
                with pytest.raises(NodeUnreachable):
                    await executor.poll(NODE, EXECUTION)
            return await executor.poll(NODE, EXECUTION)
        finally:
            await executor.aclose()

    assert asyncio.run(asked()).exit_code == 3


def test_a_list_of_files_that_broke_off_is_none(tmp_path: Path) -> None:
    def fetched(names: bytes) -> Any:
        return outcome("fetch", lambda verb: names if verb == "list" else b"", tmp_path, clock=SystemClock())

    assert isinstance(fetched(b"./a\0./b\0"), NodeUnreachable)
    assert fetched(b"\0\0.\0") == Fetched()
    found = fetched(b"./a\0\0./pipe\0\0.\0")
    assert found.paths == ()
    assert sorted(path for path, _ in found.missing) == ["a", "pipe"]
