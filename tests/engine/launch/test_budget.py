"""What a run may still cost, and how long that lasts."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lepton_sdk import Client, Job
from lepton_sdk._engine.launch.budget import time_limit
from lepton_sdk.testing import FakeProvider

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


def test_a_total_budget_becomes_a_time_limit(cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob) -> None:
    # At 24 an hour, 50 buys 7500 seconds of the machine; the node is told what is left of them when the job begins, less the six
    # minutes in which its output is fetched and the machine goes.
    run = make_client(cloud).run(make_job(limits={"total": "50"}))
    assert run.current is not None
    assert run.current.node is not None
    began, since = run.current.running_at, run.current.node.since
    assert began is not None
    assert since is not None
    billed = began - since
    assert time_limit(run, run.current) == pytest.approx(7500 - 360 - billed.total_seconds())
