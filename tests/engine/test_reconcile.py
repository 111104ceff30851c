"""What a provider shows and the journal holds: another account, lost and copied tags, plugins that are gone. No harm is done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from lepton_sdk import AsyncClient, Client, Job, RunState
from lepton_sdk._engine.inventory.report import HeldNode
from lepton_sdk.domain.events import Event
from lepton_sdk.domain.ids import new_id
from lepton_sdk.errors import JournalRolledBack
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, SystemClock

Open = Callable[..., Client]


@pytest.fixture
def open_client(tmp_path: Path) -> Iterator[Open]:
    made: list[Client] = []

    def make(*, account: str = "fake-account", gone: bool = False) -> Client:
        known = {} if gone else {FAKE_SPEC: FakeProvider(tmp_path / "cloud", account=account)}
        # Nobody but the fake cloud: this host's own offers would run what the cloud refuses.
        environment = {"LEPTON_SDK_PLUGINS": "local", "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        made.append(Client(state=tmp_path / "state", cache=tmp_path / "cache", providers=known, environment=environment))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def held(tmp_path: Path) -> str:
    """A run whose client has left while its job runs: a machine is held, and nobody drives it."""

    async def main() -> str:
        begun = asyncio.Event()

        def on_event(event: Event) -> None:
            if event.kind == "node.running":
                begun.set()

        cloud = {FAKE_SPEC: FakeProvider(tmp_path / "cloud")}
        async with AsyncClient(state=tmp_path / "state", cache=tmp_path / "cache", providers=cloud) as client:
            task = asyncio.create_task(client.run(Job("sleep 600", resources="H100:8", name="long"), on_event=on_event))
            async with asyncio.timeout(60):
                await begun.wait()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return (await client.get("long")).id

    return asyncio.run(main())


def running(tmp_path: Path) -> list[str]:
    return [node.id for node in FakeProvider(tmp_path / "cloud").running()]


def rewrite(tmp_path: Path, **changes: Any) -> None:
    """What somebody does to the one machine in the vendor's console; with an ``id`` it is a copy."""
    (path,) = (tmp_path / "cloud").glob("*.json")
    record = json.loads(path.read_text()) | changes
    path.with_name(f"{record['id']}.json").write_text(json.dumps(record))


def only(lines: tuple[HeldNode, ...]) -> HeldNode:
    (line,) = lines
    return line


def test_a_key_of_another_account_closes_no_row_and_takes_nothing(held: str, tmp_path: Path, open_client: Open) -> None:
    client = open_client(account="rotated")
    report = client.reconcile()
    line = only(report.nodes)
    assert (str(line.difference), line.run) == ("missing", held)
    assert line.cost is not None
    assert line.cost.amount > 0
    assert "account rotated" in line.action
    assert "give fake the credentials of fake-account again" in line.action
    assert [name for name, _ in report.unasked] == ["fake"]
    refused = client.run(Job("true", resources="H100:8"))
    assert refused.state is RunState.REFUSED
    assert "account rotated" in str(refused.error)
    assert len(running(tmp_path)) == 1
    # With the right key again, all goes on.
    assert open_client().stop(held).state is RunState.STOPPED
    assert running(tmp_path) == []


def test_a_new_account_is_taken_when_nothing_is_held_in_the_old_one(tmp_path: Path, open_client: Open) -> None:
    assert open_client().run(Job("true", resources="H100:8")).exit_code == 0
    assert open_client(account="rotated").run(Job("true", resources="H100:8")).exit_code == 0


def test_a_plugin_that_is_gone_leaves_its_machines_listed(held: str, tmp_path: Path, open_client: Open) -> None:
    client = open_client(gone=True)
    line = only(tuple(client.nodes()))
    assert line.run == held
    assert line.cost is not None
    report = client.reconcile()
    line = only(report.nodes)
    assert str(line.difference) == "missing"
    assert "out of reach" in line.action
    assert "next:" in line.action
    assert len(running(tmp_path)) == 1
    assert open_client().stop(held).state is RunState.STOPPED
    assert running(tmp_path) == []


def test_a_machine_without_its_tags_is_held_by_its_id(held: str, tmp_path: Path, open_client: Open) -> None:
    rewrite(tmp_path, owner=None, token=None)
    client = open_client()
    line = only(client.reconcile().nodes)
    assert (str(line.difference), line.run) == ("unmarked", held)
    assert "without our tags" in line.action
    client.stop(held)
    assert running(tmp_path) == []


def test_a_copy_made_in_the_console_is_shown_and_kept(held: str, tmp_path: Path, open_client: Open) -> None:
    rewrite(tmp_path, id="copy", created=SystemClock().now().timestamp() + 90_000)
    client = open_client()
    shown = {line.id: line for line in client.reconcile().nodes}
    assert str(shown["copy"].difference) == "doubtful"
    assert "was asked for at" in shown["copy"].action
    client.stop(held)
    assert running(tmp_path) == ["copy"]
    client.reconcile(release_strays=True)
    assert running(tmp_path) == []


def test_a_duplicate_that_fits_its_intent_is_released_unasked(held: str, tmp_path: Path, open_client: Open) -> None:
    rewrite(tmp_path, id="twin")
    shown = {line.id: line for line in open_client().reconcile().nodes}
    assert (str(shown["twin"].difference), shown["twin"].action) == ("duplicate", "released")
    assert "twin" not in running(tmp_path)


def test_machines_of_other_owners_are_shown_when_asked_and_never_released(held: str, tmp_path: Path, open_client: Open) -> None:
    rewrite(tmp_path, id="theirs", owner="somebody", token="t")
    client = open_client()
    assert [str(line.difference) for line in client.reconcile().nodes] == ["held"]
    shown = {line.id: line for line in client.reconcile(all_owners=True, release_strays=True).nodes}
    assert str(shown["theirs"].difference) == "other"
    assert "theirs" in running(tmp_path)


def test_a_machine_that_the_journal_has_forgotten_freezes_it(held: str, tmp_path: Path, open_client: Open) -> None:
    """A token is written before its create call leaves: one that nobody knows is a row that the journal has lost."""
    rewrite(tmp_path, id="newer", token=new_id(SystemClock().now(), bytes(6)))
    client = open_client()
    shown = {line.id: line for line in client.reconcile(release_strays=True).nodes}
    assert str(shown["newer"].difference) == "stray"
    assert "nothing is released" in shown["newer"].action
    with pytest.raises(JournalRolledBack, match="older than what was created from it"):
        client.run(Job("true", resources="H100:8"))
    assert len(running(tmp_path)) == 2
    client.adopt_state()
    # What had been open is stopped, and what the old owner left behind stays listed until somebody says so.
    assert client.wait(held).state is RunState.STOPPED
    assert [line.id for line in client.reconcile().nodes] == ["newer"]
    client.reconcile(release_strays=True)
    assert running(tmp_path) == []


def test_a_truncated_listing_makes_no_row_gone(held: str, tmp_path: Path, open_client: Open) -> None:
    class Truncated(FakeProvider):
        def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> Any:
            return super().find("nobody", token)

    client = Client(
        state=tmp_path / "state", cache=tmp_path / "cache", providers={evolve(FAKE_SPEC): Truncated(tmp_path / "cloud")}
    )
    with client:
        line = only(client.reconcile().nodes)
        assert line.run == held
        assert line.cost is not None
    assert len(running(tmp_path)) == 1
    open_client().stop(held)
