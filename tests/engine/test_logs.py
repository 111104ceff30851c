"""The output of a run."""

from __future__ import annotations

from collections.abc import Callable

from lepton_sdk import Client, Job
from lepton_sdk.testing import FakeProvider

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


def test_logs_come_again_from_any_byte(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    client = make_client(cloud)
    run = client.run(make_job("printf 0123456789"))
    assert b"".join(client.logs(run.id)) == b"0123456789"
    assert b"".join(client.logs(run.id, offset=4)) == b"456789"
    assert b"".join(client.logs(run.id, offset=4, follow=True)) == b"456789"
