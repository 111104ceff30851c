"""A journal that is emptied, cut or removed while something is rented is damage: nothing is begun in its place unasked."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres import Server

from lepton_sdk import Client, Job
from lepton_sdk._engine.engine import Engine
from lepton_sdk._journal import Mark, noted_in
from lepton_sdk.domain.events import event_of
from lepton_sdk.errors import JournalCorrupt, JournalError, JournalLost, UsageError
from lepton_sdk.spi.provider import Launch
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, fake_offer

_JOB = Job("true", resources="H100:8")
Damage = Callable[[Path], None]


def _cut(size: int) -> Damage:
    def cut(path: Path) -> None:
        _without_side_files(path)
        path.write_bytes(path.read_bytes()[:size])

    return cut


def _without_side_files(path: Path) -> None:
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _removed(path: Path) -> None:
    _without_side_files(path)
    path.unlink()


def _folder_removed(path: Path) -> None:
    shutil.rmtree(path.parent)


def _a_folder(path: Path) -> None:
    _removed(path)
    path.mkdir()


def _zeros(path: Path) -> None:
    _without_side_files(path)
    path.write_bytes(bytes(8192))


DAMAGES: dict[str, Damage] = {
    "emptied": _cut(0),
    "one byte": _cut(1),
    "15 bytes": _cut(15),
    "100 bytes": _cut(100),
    "one page": _cut(4096),
    "zeros": _zeros,
    "removed": _removed,
    "folder removed": _folder_removed,
    "a folder": _a_folder,
}


class Host:
    """A host whose client left a machine behind, and its journal's place."""

    def __init__(self, folder: Path, state: str) -> None:
        self.folder, self.state, self.cache = folder, state, folder / "cache"
        self.cloud = FakeProvider(folder / "cloud")

    def client(self, state: str | None = None) -> Client:
        return Client(state=state or self.state, cache=self.cache, providers={FAKE_SPEC: self.cloud})

    def rent(self, state: str | None = None) -> str:
        """Take a machine and be gone, as a client that was killed is; its id."""
        with self.client(state) as client:
            engine = client._client._engine
            run = engine.new_id()
            engine.journal.append(event_of("run.planned", run, engine.clock.now(), None, {"job": _JOB.to_dict()}))
            token, offer = engine.new_id(), fake_offer()
            data = {"attempt": 1, "rank": 0, "epoch": 1, "offer": offer.to_dict(), "increment": 1}
            engine.journal.append(event_of("node.intended", run, engine.clock.now(), token, data))
            node = client._portal.call(self.cloud.acquire(offer, _launch(engine, run, token)))
            engine.journal.append(event_of("node.owned", run, engine.clock.now(), token, {"node": node.to_dict()}))
            return node.id

    def running(self) -> list[str]:
        return [node.id for node in self.cloud.running()]


def _launch(engine: Engine, run: str, token: str) -> Launch:
    async def announce(kind: str, name: str, *, shared: bool = False) -> None: ...

    return Launch(
        owner=engine.journal.owner,
        token=token,
        run_id=run,
        job_name="job",
        attempt=1,
        rank=0,
        resources=_JOB.resources,
        deadline=None,
        announce=announce,
        startup_script="",
    )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path, str(tmp_path / "state"))


@pytest.fixture(params=DAMAGES)
def damage(request: pytest.FixtureRequest) -> Damage:
    return DAMAGES[request.param]


def _ends_well(host: Host, machine: str) -> None:
    """It is shown, refused to begin beside, given back when asked, and then nothing is in the way."""
    with host.client() as client:
        assert [(node.id, str(node.difference)) for node in client.nodes()] == [(machine, "lost")]
        assert [(node.id, str(node.difference)) for node in client.reconcile().nodes] == [(machine, "lost")]
        assert client.state()["exists"] is False
        with pytest.raises(JournalError):
            client.run(_JOB)
        assert host.running() == [machine]
    with host.client() as client:
        shown = client.reconcile(release_strays=True).nodes
        assert [(node.id, node.action) for node in shown] == [(machine, "released")]
    assert host.running() == []


def test_what_was_rented_is_shown_and_given_back(host: Host, damage: Damage) -> None:
    machine = host.rent()
    damage(Path(host.state) / "journal.db")
    _ends_well(host, machine)


def test_a_new_journal_is_begun_when_asked_and_takes_the_old_machines_over(host: Host, damage: Damage) -> None:
    machine = host.rent()
    damage(Path(host.state) / "journal.db")
    with host.client() as client:
        state = client.new_state()
        assert state["former_owners"] == [host.cloud.machines()[0].owner]
        assert client.run(_JOB).exit_code == 0
        lines = client.reconcile().nodes
        assert [(node.id, str(node.difference)) for node in lines] == [(machine, "stray")]
        client.reconcile(release_strays=True)
    assert host.running() == []


def test_where_nothing_was_rented_a_removed_journal_is_a_fresh_start(host: Host) -> None:
    with host.client() as client:
        assert client.run(_JOB).exit_code == 0
    _removed(Path(host.state) / "journal.db")
    with host.client() as client:
        assert client.nodes() == []
        assert client.run(_JOB).exit_code == 0
        assert client.warnings() == []


def test_the_side_file_alone_is_damage_as_well(host: Host) -> None:
    """Rows that were never moved into the file itself are gone with it."""
    kept = host.client()
    assert kept.runs() == []
    engine = kept._client._engine
    engine.journal.runs()
    machine = host.rent()
    path = Path(host.state) / "journal.db"
    head = path.read_bytes()
    kept.close()
    _without_side_files(path)
    path.write_bytes(head)
    with host.client() as client:
        with pytest.raises(JournalError):
            client.run(_JOB)
        lines = client.reconcile().nodes
    assert machine in [line.id for line in lines]
    assert host.running() == [machine]


def test_nothing_is_begun_in_a_file_that_was_removed_while_it_was_open(host: Host) -> None:
    with host.client() as client:
        assert client.run(_JOB).exit_code == 0
        _removed(Path(host.state) / "journal.db")
        with pytest.raises(JournalLost, match="removed or replaced"):
            client.run(_JOB)
    assert len(host.cloud.machines()) == 1


def test_other_journals_of_this_host_are_shown_and_never_given_back(host: Host, tmp_path: Path) -> None:
    living, gone = host.rent(str(tmp_path / "living")), host.rent(str(tmp_path / "gone"))
    shutil.rmtree(tmp_path / "gone")
    with host.client() as client:
        lines = {line.id: line for line in client.reconcile(release_strays=True, all_owners=True).nodes}
    assert sorted(lines) == sorted([living, gone])
    assert {str(line.difference) for line in lines.values()} == {"other"}
    assert f"it belongs to the journal {tmp_path}/living/journal.db" in lines[living].action
    assert f"LEPTON_SDK_STATE={tmp_path}/gone lepton reconcile --release-strays" in lines[gone].action
    assert sorted(host.running()) == sorted([living, gone])


def test_a_whole_journal_with_open_runs_is_not_begun_anew(host: Host) -> None:
    host.rent()
    with host.client() as client, pytest.raises(UsageError, match="open"):
        client.new_state()


def test_a_journal_whose_cache_is_lost_too_tells_nothing(host: Host) -> None:
    """Nobody knows any more; the machine is of another owner then, and shown as such."""
    machine = host.rent()
    shutil.rmtree(host.state)
    shutil.rmtree(host.cache)
    with host.client() as client:
        assert client.nodes() == []
        lines = client.reconcile(release_strays=True, all_owners=True).nodes
    assert [(line.id, str(line.difference)) for line in lines] == [(machine, "other")]
    assert host.running() == [machine]


def test_marks_of_before_still_tell_how_far_a_journal_was_seen(tmp_path: Path) -> None:
    (tmp_path / "old.seen").write_text("17 4711".ljust(40))
    mark = Mark(tmp_path, "old", "/there/journal.db", "host")
    assert mark.read() == (17, 4711)
    (noted,) = noted_in(tmp_path)
    assert (noted.owner, noted.place, noted.rented) == ("old", "", ())
    mark.write(18, 1, ("lambda",))
    mark.write(16, 2, ())
    assert mark.read() == (18, 1)
    (noted,) = noted_in(tmp_path)
    assert (noted.place, noted.rented) == ("/there/journal.db", ("lambda",))
    mark.settle()
    assert mark.read() == (18, 1)
    assert next(noted_in(tmp_path)).rented == ()
    mark.close()


# --- in a database -----------------------------------------------------------------------------------------------------


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    with postgres.database() as name:
        yield name


_LOSSES = {
    "tables gone": "DROP SCHEMA lepton_sdk CASCADE",
    "all empty": "SET session_replication_role = replica; TRUNCATE lepton_sdk.meta, lepton_sdk.events, lepton_sdk.runs, "
    "lepton_sdk.nodes, lepton_sdk.claims, lepton_sdk.accounts",
    "events gone": "DROP TABLE lepton_sdk.events",
    "schema empty": "DROP TABLE lepton_sdk.meta, lepton_sdk.events, lepton_sdk.runs, lepton_sdk.nodes, lepton_sdk.claims, "
    "lepton_sdk.accounts",
    "made anew": "",
}


@pytest.mark.parametrize("loss", _LOSSES)
def test_a_database_that_lost_its_tables_is_damage(loss: str, postgres: Server, database: str, tmp_path: Path) -> None:
    host = Host(tmp_path, postgres.url(database).reveal())
    machine = host.rent()
    if _LOSSES[loss]:
        postgres.sql(_LOSSES[loss], database)
    else:
        postgres.sql(f"DROP DATABASE {database} WITH (FORCE)")
        with pytest.raises(JournalLost), host.client() as client:
            assert client._client._engine.journal
        postgres.sql(f"CREATE DATABASE {database} OWNER app")
    with host.client() as client:
        assert [(node.id, str(node.difference)) for node in client.nodes()] == [(machine, "lost")]
        with pytest.raises((JournalLost, JournalCorrupt)):
            client.run(_JOB)
        assert host.running() == [machine]
        assert client.new_state()["exists"] is True
        client.reconcile(release_strays=True)
        assert host.running() == []
        assert client.run(_JOB).exit_code == 0


def test_an_empty_database_is_where_a_journal_begins(postgres: Server, database: str, tmp_path: Path) -> None:
    host = Host(tmp_path, postgres.url(database).reveal())
    with host.client() as client:
        assert client.run(_JOB).exit_code == 0
    postgres.sql("DROP SCHEMA lepton_sdk CASCADE", database)
    with host.client() as client:
        assert client.run(_JOB).exit_code == 0
