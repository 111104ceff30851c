"""A row whose account can never be opened again: a person closes it, and what it may cost stays said."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk import Client, Job
from lepton_sdk._engine.inventory.report import given_up_lines
from lepton_sdk.domain.events import event_of
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.run import RunState
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import AuthError, UsageError
from lepton_sdk.testing import FakeProvider, fake_offer

MakeClient = Callable[[FakeProvider], Client]


class Closed(FakeProvider):
    """A cloud whose account is closed from one moment on: nothing that needs the key is answered."""

    closed = False

    def _refuse(self) -> None:
        if self.closed:
            raise AuthError("the account is closed", provider="fake")

    async def find(self, owner: str, token: str | None = None, *, regions: Sequence[str] = ()) -> Any:
        self._refuse()
        async for node in super().find(owner, token):
            yield node

    async def inspect(self, node: Node) -> Node:
        self._refuse()
        return await super().inspect(node)

    async def release(self, node: Node) -> Node:
        self._refuse()
        return await super().release(node)


def _stranded(client: Client, cloud: Closed) -> tuple[str, Node]:
    """A run whose machine is there and whose account is closed."""
    engine = client._client._engine
    run, token, offer = engine.new_id(), engine.new_id(), fake_offer()
    now = engine.clock.now
    job = Job("true", resources="H100:8")
    node = Node("fake", "m-1", token, engine.journal.owner, price=offer.price, since=now(), instance_type="h100x8")
    data = {"attempt": 1, "rank": 0, "epoch": 1, "offer": offer.to_dict(), "increment": 1}
    engine.journal.append(
        event_of("run.planned", run, now(), None, {"job": job.to_dict()}),
        event_of("node.intended", run, now(), token, data),
        event_of("node.owned", run, now(), token, {"node": node.to_dict()}),
        event_of("node.releasing", run, now(), token),
    )
    cloud.closed = True
    return run, node


def test_a_row_is_given_up_and_its_run_ends(tmp_path: Path, where: str, make_client: MakeClient) -> None:
    cloud = Closed(tmp_path / "cloud")
    client = make_client(cloud)
    run_id, node = _stranded(client, cloud)
    with pytest.raises(UsageError, match="no open row has a node 'm-2'"):
        client.reconcile(give_up="m-2")
    assert client.get(run_id).state is RunState.STOPPING
    report = client.reconcile(give_up="m-1")
    assert [(line.id, str(line.difference)) for line in report.nodes] == [("m-1", "given-up")]
    assert "nothing here ends its bill" in report.nodes[0].action
    run = client.wait(run_id)
    assert run.state is RunState.STOPPED
    (record,) = run.nodes
    assert record.stage is Stage.RELEASING
    assert record.released_at is None
    assert record.given_up_at is not None
    assert "it may be billed at $24.00 an hour until somebody ends it at fake" in record.detail
    # It holds nobody up any more, and is still told.
    assert client._client._engine.journal.providers_with_open_nodes() == []
    assert [(line.id, str(line.difference)) for line in client.nodes()] == [("m-1", "given-up")]
    told = run.to_dict(record.given_up_at + timedelta(hours=10))
    assert float(str(told["cost_at_most"])) >= 240 > float(str(told["cost"]))
    with pytest.raises(UsageError):
        client.reconcile(give_up=node.id)
    assert client._client._engine.journal.verify() > 0


def test_the_command_asks_before_it_gives_anything_up(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lepton_sdk", "reconcile", "--give-up", "m-1"]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=tmp_path)
    assert done.returncode != 0
    assert "--yes" in done.stderr
    done = subprocess.run([*command, "--yes"], env=dict(os.environ), capture_output=True, text=True, cwd=tmp_path)
    assert "no open row has a node 'm-1'" in done.stderr


def test_it_is_told_for_a_month_or_until_its_limits_end_it(tmp_path: Path, where: str, make_client: MakeClient) -> None:
    cloud = Closed(tmp_path / "cloud")
    client = make_client(cloud)
    _stranded(client, cloud)
    client.reconcile(give_up="m-1")
    engine = client._client._engine
    now = engine.clock.now()
    assert given_up_lines(engine, now + timedelta(days=29))
    assert not given_up_lines(engine, now + timedelta(days=31))
