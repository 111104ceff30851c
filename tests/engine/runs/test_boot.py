"""From a machine that is ours to one that can be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lepton_sdk import Client, Job, RunState
from lepton_sdk.testing import FAKE_SPEC, FakeProvider

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


def test_boot_and_release_may_take_time(tmp_path: Path, make_client: MakeClient, make_job: MakeJob) -> None:
    cloud = FakeProvider(tmp_path / "cloud", boot_seconds=0.2, release_seconds=0.2)
    run = make_client(cloud).run(make_job())
    assert run.state is RunState.SUCCEEDED
    assert cloud.running() == []
    assert cloud.calls.count("inspect") > 1
    assert cloud.calls.count("release") > 1


def test_a_machine_that_never_boots_is_given_back(tmp_path: Path, make_client: MakeClient, make_job: MakeJob) -> None:
    from attrs import evolve

    spec = evolve(FAKE_SPEC, timings=evolve(FAKE_SPEC.timings, boot=0.1))
    cloud = FakeProvider(tmp_path / "cloud", boot_seconds=3600)
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={spec: cloud}) as client:
        run = client.run(make_job())
    # Nothing ran there, so the next offer would be asked; there is none.
    assert run.state is RunState.REFUSED
    assert "not reachable 0 seconds after" in str(run.error)
    assert cloud.running() == []
