"""A journal that is away for a while: followers wait for it, nothing is lost, and nothing is done without a row."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import disks
import pytest
from attrs import evolve
from postgres import Server
from waiting import until

from lepton_sdk import Client, Job
from lepton_sdk._engine import timing
from lepton_sdk._engine.engine import Engine
from lepton_sdk._journal import Journal
from lepton_sdk.domain.events import AnyEvent, event_of
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import JournalUnreachable, JournalUnwritable
from lepton_sdk.spi.provider import Launch
from lepton_sdk.testing import FAKE_SPEC, FakeProvider

_SECONDS = 60.0
_CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lepton_sdk'"


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    with postgres.database() as name:
        yield name


def kill(server: Server) -> None:
    """``kill -9`` of the server's first process, and of all that it leaves behind."""
    pid = int((server.data / "postmaster.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])
    until(lambda: _starts(server))


def _starts(server: Server) -> bool:
    """Its children end by themselves within a moment, and hold the memory until then."""
    (server.data / "postmaster.pid").unlink(missing_ok=True)
    try:
        server.start()
        server.stop()
    except subprocess.CalledProcessError:
        return False
    return True


def client(tmp_path: Path, state: str, cloud: FakeProvider) -> Client:
    return Client(state=state, cache=tmp_path / "cache", providers={FAKE_SPEC: cloud})


def test_a_run_goes_on_when_the_server_that_was_killed_is_back(postgres: Server, database: str, tmp_path: Path) -> None:
    cloud, go = FakeProvider(tmp_path / "cloud"), tmp_path / "go"
    ended: list[Run] = []
    output: list[bytes] = []
    job = Job(f"echo begun; while [ ! -e {go} ]; do sleep 0.05; done; echo done", resources="H100:8")

    def run() -> None:
        with client(tmp_path, postgres.url(database).reveal(), cloud) as one:
            ended.append(one.run(job, on_output=output.append))

    work = threading.Thread(target=run)
    work.start()
    try:
        until(lambda: b"begun" in b"".join(output))
        kill(postgres)
        try:
            go.touch()
            # Nothing is given back while its row cannot be written.
            assert len(cloud.running()) == 1
        finally:
            postgres.start()
        work.join(_SECONDS)
    finally:
        go.touch()
        work.join(_SECONDS)
    assert [run.exit_code for run in ended] == [0]
    assert b"".join(output) == b"begun\ndone\n"
    assert cloud.running() == []
    with client(tmp_path, postgres.url(database).reveal(), cloud) as one:
        assert one.get(ended[0].id).attempts == 1
        assert one._client._engine.journal.verify() > 0


class StopsTheServer(FakeProvider):
    """A cloud that answers a create call just when the journal's server is gone."""

    server: Server

    async def acquire(self, offer: Offer, launch: Launch) -> Any:
        node = await super().acquire(offer, launch)
        if not (mark := self.server.folder / "stopped").exists():
            mark.touch()
            self.server.stop("immediate")
            threading.Timer(1.0, self.server.start).start()
        return node


def test_a_create_call_that_was_answered_is_written_when_the_server_is_back(
    postgres: Server, database: str, tmp_path: Path
) -> None:
    cloud = StopsTheServer(tmp_path / "cloud")
    cloud.server = postgres
    try:
        with client(tmp_path, postgres.url(database).reveal(), cloud) as one:
            run = one.run(Job("true", resources="H100:8"))
            kinds = [event.kind for event in one.events(run.id)]
    finally:
        (postgres.folder / "stopped").unlink(missing_ok=True)
    assert run.exit_code == 0
    assert run.attempts == 1
    assert kinds.count("node.owned") == 1
    assert len(cloud.machines()) == 1
    assert cloud.running() == []


def test_a_row_of_which_nobody_knows_whether_it_stands_is_written_once(
    place: Any, tmp_path: Path, run_async: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection breaks when the commit is through: the answer is lost, and the row is there."""
    from writing import FixedClock, intend, plan

    journal, failures = Journal(place, FixedClock()), iter([True, False])
    honest = journal._commit

    def commit(entries: Any) -> Any:
        answers = honest(entries)
        if next(failures, False):
            raise JournalUnreachable("the connection broke")
        return answers

    monkeypatch.setattr(journal, "_commit", commit)
    journal._group._commit = commit
    told: list[str] = []
    seen: list[AnyEvent] = []
    journal.when_away = lambda error: told.append(error.message)
    journal.listen(seen.append)
    run = run_async(journal.write(plan("r"), intend("r", "t")))
    assert [event.kind for event in journal.events("r")] == ["run.planned", "node.intended"]
    assert [event.seq for event in seen] == [1, 2]
    assert run == journal.run("r")
    assert told == ["the connection broke"]
    assert journal.verify() == 2
    journal.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with disks.small_disk(tmp_path / "disk", "2m") as folder:
        yield folder


def _fill(folder: Path) -> Path:
    path = folder / "filling"
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1024))
        except OSError:
            return path


def test_a_run_waits_for_a_disk_that_is_full(small_disk: Path, tmp_path: Path) -> None:
    cloud, go = FakeProvider(tmp_path / "cloud"), tmp_path / "go"
    job = Job(f"while [ ! -e {go} ]; do sleep 0.05; done", resources="H100:8")
    ended: list[Run] = []

    def run() -> None:
        with client(tmp_path, str(small_disk / "state"), cloud) as one:
            ended.append(one.run(job))

    work = threading.Thread(target=run)
    work.start()
    try:
        with client(tmp_path, str(small_disk / "state"), cloud) as onlooker:
            until(lambda: [run for run in onlooker.runs(all=True) if run.started_at])
        filling = _fill(small_disk)
        go.touch()
        work.join(3)
        assert len(cloud.running()) == 1
        filling.unlink()
        work.join(_SECONDS)
    finally:
        go.touch()
        (small_disk / "filling").unlink(missing_ok=True)
        work.join(_SECONDS)
    assert [run.exit_code for run in ended] == [0]
    assert cloud.running() == []


def test_nothing_was_started_is_said_only_where_it_is_so(small_disk: Path, tmp_path: Path) -> None:
    cloud = FakeProvider(tmp_path / "cloud")
    with client(tmp_path, str(small_disk / "state"), cloud) as one:
        assert one.run(Job("true", resources="H100:8")).exit_code == 0
        _fill(small_disk)
        with pytest.raises(JournalUnwritable, match="nothing was started"):
            one.run(Job("true", resources="H100:8", env={"A": "a" * 4000}))
        engine = one._client._engine
        with pytest.raises(JournalUnwritable) as caught:
            _write_much(engine)
        assert "nothing was started" not in str(caught.value)
    assert cloud.running() == []


def _write_much(engine: Engine) -> None:
    for number in range(1000):
        engine.journal.append(event_of("run.planned", f"r{number}", engine.clock.now(), None, {"job": {"command": "true"}}))


def test_a_follower_in_a_process_of_its_own_waits(postgres: Server, database: str, tmp_path: Path) -> None:
    """The service that finds no server goes on, and drives what comes when it is back."""
    url = postgres.url(database).reveal()
    with Client(state=url, cache=tmp_path / "cache") as one:
        assert one.runs() == []
    environment = {**os.environ, "LEPTON_SDK_STATE": url, "LEPTON_SDK_CACHE": str(tmp_path / "cache")}
    said = tmp_path / "said"
    with said.open("w") as file:
        service = subprocess.Popen([sys.executable, "-m", "lepton_sdk", "follow"], env=environment, stderr=file, cwd=tmp_path)
    try:
        until(lambda: postgres.sql(_CONNECTED).strip() != "0")
        postgres.stop("immediate")
        try:
            until(lambda: "it is waited for" in said.read_text())
        finally:
            postgres.start()
        until(lambda: "answers again" in said.read_text())
        assert service.poll() is None
    finally:
        service.terminate()
        service.wait(_SECONDS)


def test_who_waits_for_another_follower_says_for_whom(
    tmp_path: Path, where: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "USUAL", evolve(timing.USUAL, told=0.2))
    cloud, go = FakeProvider(tmp_path / "cloud"), tmp_path / "go"
    job = Job(f"while [ ! -e {go} ]; do sleep 0.05; done", resources="H100:8")
    with client(tmp_path, where, cloud) as first, client(tmp_path, where, cloud) as second:
        work = threading.Thread(target=first.run, args=[job])
        work.start()
        try:
            (run,) = until(lambda: [run for run in second.runs(all=True) if run.started_at])
            waiter = threading.Thread(target=second.wait, args=[run.id])
            waiter.start()
            until(lambda: "waiting for run" in caplog.text)
        finally:
            go.touch()
            work.join(_SECONDS)
        waiter.join(_SECONDS)
    line = next(line for line in caplog.messages if "waiting for run" in line)
    assert f"process {os.getpid()} on host" in line
    assert "whose claim lasts until" in line
