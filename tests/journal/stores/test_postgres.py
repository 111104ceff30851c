"""What only a server can do: be out of reach, be restored, take over, refuse; and a password that nobody may read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres import PASSWORD, Server
from writing import FixedClock, filled, plan

from lepton_sdk import Client
from lepton_sdk._journal import Journal, exists
from lepton_sdk.domain.events import event_of
from lepton_sdk.errors import (
    ConfigError,
    JournalError,
    JournalForeign,
    JournalLocked,
    JournalRolledBack,
    JournalTooNew,
    JournalUnreachable,
    JournalUnwritable,
)
from lepton_sdk.spi.secret import Secret


@pytest.fixture
def database(postgres: Server) -> Iterator[str]:
    with postgres.database() as name:
        yield name


@pytest.fixture
def url(postgres: Server, database: str) -> Secret:
    return postgres.url(database)


def test_asking_makes_nothing(url: Secret) -> None:
    assert not exists(url)
    with Client(state=url.reveal()) as client:
        assert client.runs(all=True) == []
        assert client.state() == {"path": client.state()["path"], "exists": False}
    assert not exists(url)
    Journal(url, FixedClock()).close()
    assert exists(url)


def test_the_owner_belongs_to_the_database_and_not_to_the_host(url: Secret) -> None:
    first = Journal(url, FixedClock())
    second = Journal(url, FixedClock())
    assert first.owner == second.owner
    assert first.host == second.host == first._store.home
    assert "/" in first.host
    for journal in (first, second):
        journal.close()


def test_a_copy_of_the_database_is_foreign_until_adopted(postgres: Server, database: str, url: Secret) -> None:
    journal = Journal(url, FixedClock())
    ids = filled(journal)
    old = journal.owner
    journal.close()
    postgres.sql(f"CREATE DATABASE copy_of_{database} OWNER app TEMPLATE {database}")
    try:
        copy = Journal(postgres.url(f"copy_of_{database}"), FixedClock())
        assert [run.id for run in copy.runs()] == ids[::-1]
        with pytest.raises(JournalForeign, match="lepton state adopt"):
            copy.append(event_of("run.stop", ids[0], FixedClock().now()))
        copy.adopt()
        assert copy.owners == (copy.owner, old)
        copy.append(event_of("run.stop", ids[0], FixedClock().now()))
        copy.close()
    finally:
        postgres.sql(f"DROP DATABASE copy_of_{database} WITH (FORCE)")


def _fail_over(postgres: Server, database: str, lost: int) -> None:
    """What a stand-by that was ``lost`` rows behind holds when it takes over."""
    newest = f"(SELECT max(seq) - {lost} FROM lepton_sdk.events)"
    postgres.sql(
        f"SET session_replication_role = replica; DELETE FROM lepton_sdk.runs WHERE id IN "
        f"(SELECT run FROM lepton_sdk.events WHERE seq > {newest}); DELETE FROM lepton_sdk.events WHERE seq > {newest}",
        database,
    )


def test_a_stand_by_that_lost_rows_freezes_whoever_saw_them(postgres: Server, database: str, url: Secret, tmp_path: Path) -> None:
    journal = Journal(url, FixedClock(), marks=tmp_path)
    ids = filled(journal)
    journal.close()
    _fail_over(postgres, database, lost=2)
    late = Journal(url, FixedClock(), marks=tmp_path)
    with pytest.raises(JournalRolledBack, match="row 6 is missing"):
        late.append(event_of("run.stop", ids[0], FixedClock().now()))
    # And with it everybody else, also those who never saw the lost rows.
    other = Journal(url, FixedClock(), marks=tmp_path / "other")
    with pytest.raises(JournalRolledBack):
        other.append(plan("0123456789abcdefgh"))
    late.adopt()
    other.close()
    again = Journal(url, FixedClock(), marks=tmp_path)
    assert again.frozen is None
    again.append(event_of("run.stop", ids[0], FixedClock().now()))
    for opened in (late, again):
        opened.close()


def test_rows_survive_a_server_that_loses_its_power(postgres: Server, url: Secret) -> None:
    journal = Journal(url, FixedClock())
    ids = filled(journal)
    postgres.stop("immediate")
    try:
        with pytest.raises(JournalUnreachable, match="does not answer"):
            journal.append(plan("0123456789abcdefgh"))
        with pytest.raises(JournalUnreachable):
            Journal(url, FixedClock())
    finally:
        postgres.start()
    # The same object goes on when the server does.
    assert [run.id for run in journal.runs()] == ids[::-1]
    journal.append(plan("0123456789abcdefgh"))
    assert journal.verify() == 7
    journal.close()


def test_a_commit_is_on_the_disk_whatever_the_server_is_set_to(postgres: Server, database: str, url: Secret) -> None:
    postgres.sql(f"ALTER DATABASE {database} SET synchronous_commit = off")
    journal = Journal(url, FixedClock())
    with journal._store.transaction() as execute:
        assert execute("SHOW synchronous_commit") == [("on",)]
    assert journal._store.query("SHOW synchronous_commit") == [("off",)]
    journal.close()


def test_a_newer_version_is_left_alone(postgres: Server, database: str, url: Secret) -> None:
    Journal(url, FixedClock()).close()
    postgres.sql("UPDATE lepton_sdk.meta SET value = '999' WHERE name = 'version'", database)
    with pytest.raises(JournalTooNew, match="version 999"):
        Journal(url, FixedClock())


def test_a_role_without_rights_is_told(postgres: Server, database: str) -> None:
    postgres.sql(f"CREATE ROLE guest_{database} LOGIN PASSWORD '{PASSWORD}'")
    try:
        with pytest.raises(JournalUnwritable, match="permission denied"):
            Journal(postgres.url(database, f"guest_{database}"), FixedClock())
    finally:
        postgres.sql(f"DROP ROLE guest_{database}")


def test_a_lock_that_somebody_keeps_is_told(url: Secret, monkeypatch: pytest.MonkeyPatch) -> None:
    from lepton_sdk._journal.stores import postgres as home

    monkeypatch.setattr(home, "_BEGIN", home._BEGIN.replace("'10s'", "'100ms'"))
    first, second = Journal(url, FixedClock()), Journal(url, FixedClock())
    with first._store.transaction(), pytest.raises(JournalLocked, match="locked"):
        second.append(plan("0123456789abcdefgh"))
    second.append(plan("0123456789abcdefgh"))
    for journal in (first, second):
        journal.close()


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://app:{}@/nowhere?host={}",
        "postgresql://app:{}@/nowhere?host={}&port=s3cr3t%2Fw0rd%40%25x",
        "postgresql://app:s3cr3t/w0rd@%x@host/db",
        "postgresql://app@/nowhere?host={1}&password={0}",
        "postgresql://app:wrong-s3cr3t@/postgres?host={1}",
    ],
)
def test_no_error_shows_a_password(address: str, postgres: Server) -> None:
    url = Secret(address.format("s3cr3t%2Fw0rd%40%25x", postgres.folder))
    with pytest.raises((JournalError, ConfigError)) as caught:
        Journal(url, FixedClock())
    error = caught.value
    chain = []
    while error is not None:
        chain += [str(error), repr(error), repr(error.__dict__)]
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)  # type: ignore[assignment]
    assert "s3cr3t" not in "".join(chain)


def test_no_command_shows_a_password(url: Secret, tmp_path: Path) -> None:
    Journal(url, FixedClock()).close()
    environment = {"LEPTON_SDK_STATE": url.reveal(), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    for words in (["config"], ["config", "--json"], ["state", "--json"], ["doctor"], ["ps"]):
        done = subprocess.run([sys.executable, "-m", "lepton_sdk", *words], env=environment, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr
        assert "s3cr3t" not in done.stdout + done.stderr
    done = subprocess.run(
        [sys.executable, "-m", "lepton_sdk", "state", "--json"], env=environment, capture_output=True, text=True
    )
    assert json.loads(done.stdout)["path"].startswith("postgresql://app@")
