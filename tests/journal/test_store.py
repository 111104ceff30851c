"""A journal that was copied to another host may be read there, and acts only when it was adopted."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from lepton_sdk import Client, Job
from lepton_sdk.errors import JournalForeign
from lepton_sdk.testing import FAKE_SPEC, FakeProvider


def copied(folder: Path) -> Path:
    """A state folder as if it came from elsewhere: the only difference that a copy has is the host it is read on."""
    target = folder / "copy"
    shutil.copytree(folder / "state", target)
    connection = sqlite3.connect(target / "journal.db")
    connection.execute("UPDATE meta SET value = 'another-host' WHERE name = 'host'")
    connection.commit()
    connection.close()
    return target


def test_a_copy_reads_and_does_not_act_until_it_is_adopted(tmp_path: Path) -> None:
    cloud = FakeProvider(tmp_path / "cloud")
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}) as client:
        first = client.run(Job("true", resources="H100:8", name="first"))
    state = copied(tmp_path)
    made = len(cloud.machines())
    with Client(state=state, cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}) as client:
        assert [run.id for run in client.runs(all=True)] == [first.id]
        assert client.state()["foreign"] is True
        with pytest.raises(JournalForeign, match="another host") as caught:
            client.run(Job("true", resources="H100:8"))
        assert "lepton state adopt" in str(caught.value)
        assert len(cloud.machines()) == made
        old = client.state()["owner"]
        adopted = client.adopt_state()
        assert adopted["foreign"] is False
        assert adopted["owner"] != old
        assert adopted["former_owners"] == [old]
        assert client.run(Job("true", resources="H100:8")).exit_code == 0


def test_machines_of_the_old_owner_stay_listed(tmp_path: Path) -> None:
    cloud = FakeProvider(tmp_path / "cloud")
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}) as client:
        run = client.run(Job("true", resources="H100:8"))
        assert run.current is not None
        assert run.current.node is not None
        # A machine of the first owner that its journal lost sight of.
        record = cloud._read(run.current.node.id)
        assert record is not None
        cloud._write({**record, "id": "fake-left-over", "token": "unknown", "released": None})
    state = copied(tmp_path)
    with Client(state=state, cache=tmp_path / "cache", providers={FAKE_SPEC: cloud}) as client:
        client.adopt_state()
        (line,) = client.reconcile().nodes
        assert (line.id, str(line.difference)) == ("fake-left-over", "stray")
        assert cloud.running() != []
