"""A run that did not succeed, as an error."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lepton_sdk import Client, Job
from lepton_sdk.errors import (
    JobFailed,
)
from lepton_sdk.testing import FakeProvider

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


def test_wait_can_raise(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    client = make_client(cloud)
    run = client.run(make_job("exit 3"))
    with pytest.raises(JobFailed):
        client.wait(run.id, check=True)
    assert client.wait(run.id).exit_code == 3
