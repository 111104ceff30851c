"""A job of this host that changes the files beside its folder spoils its own run, and is ended all the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lepton_sdk._executors.record import read_status
from lepton_sdk.errors import NodeUnreachable
from lepton_sdk.spi.executor import ExecutionState, ExecutionStatus

_EVIL: list[object] = [None, "", "abc", -1, 1e300, 10**40, True, [], {}, ["x"] * 3, "\x1b[2J", float("nan")]


@pytest.mark.parametrize("file", ["start.json", "status.json"])
@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "[]", "{}", "[" * 100_000, '{"state": "finished"}', '{"state": []}', '{"pid": ' + "9" * 5000 + "}"],
)
def test_bytes_that_nobody_wrote(host: Any, file: str, text: str) -> None:
    run = host.start("sleep 300")
    keeper = (host.folder(run) / "start.json").read_text()
    (host.folder(run) / file).write_text(text)
    assert isinstance(host.poll(run), ExecutionStatus)
    (host.folder(run) / "start.json").write_text(keeper)
    host.cancel(run)
    assert host.none_of(run) or host.until(lambda: host.none_of(run))


@pytest.mark.parametrize("key", ["state", "code", "reason", "failures", "detail", "finished_at"])
def test_one_field_that_is_wrong(host: Any, key: str) -> None:
    run = host.start("exit 3")
    host.result(run)
    # While its keeper lives, it is believed to write the record once more.
    host.until(lambda: host.none_of(run))
    record = json.loads((host.folder(run) / "status.json").read_text())
    for evil in _EVIL:
        (host.folder(run) / "status.json").write_text(json.dumps(record | {key: evil}))
        status = read_status(host.folder(run))
        assert status.state in (ExecutionState.FINISHED, ExecutionState.LOST)
        assert (status.exit_code in range(256)) == (status.state is ExecutionState.FINISHED)
        assert "\x1b" not in status.detail


@pytest.mark.parametrize("key", ["pid", "born", "boot", "mark", "epoch", "grace", "pipe", "started_at"])
def test_a_start_that_is_wrong_ends_in_no_traceback(host: Any, key: str) -> None:
    run = host.start("sleep 300")
    place = host.folder(run) / "start.json"
    good = place.read_text()
    for evil in _EVIL:
        place.write_text(json.dumps(json.loads(good) | {key: evil}))
        assert isinstance(host.poll(run), ExecutionStatus)
    place.write_text(json.dumps(json.loads(good) | {key: [1e300]}))
    # Its processes carry the mark, whatever its record says; only the name of the boot must hold.
    host.cancel(run)
    if key == "boot":
        place.write_text(good)
        host.cancel(run)
    host.until(lambda: host.none_of(run))


@pytest.mark.parametrize("name", ["status.json", "log", "cancel", "epoch"])
@pytest.mark.parametrize("what", ["mkfifo", "mkdir", "ln -s /dev/zero", "ln -s ."])
def test_something_else_in_the_place_of_a_file(host: Any, name: str, what: str) -> None:
    run = host.start(f"rm -rf ../{name}; {what} ../{name} && : > there; sleep 300")
    host.until(lambda: (host.folder(run) / "work/there").exists())
    try:
        assert isinstance(host.poll(run), ExecutionStatus)
    except NodeUnreachable:
        assert name == "status.json"
    assert host.logs(run) == b""
    host.cancel(run)
    host.until(lambda: host.none_of(run))


def test_a_job_that_holds_its_own_lock_is_ended(host: Any) -> None:
    run = host.start("exec 9<>../../1-0.lock; flock 9; : > there; sleep 300")
    host.until(lambda: (host.folder(run) / "work/there").exists())
    host.start(run)
    host.cancel(run)
    host.until(lambda: host.none_of(run))
