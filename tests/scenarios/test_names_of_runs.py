"""How a run is called: by its id, the beginning of it, or its job's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lepton_sdk import Client, Job
from lepton_sdk.domain.events import event_of
from lepton_sdk.errors import (
    UsageError,
)
from lepton_sdk.testing import FakeProvider

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


def test_a_run_is_named_by_its_id_its_jobs_name_or_the_beginning_of_its_id(
    cloud: FakeProvider, make_client: MakeClient, make_job: MakeJob
) -> None:
    client = make_client(cloud)
    run = client.run(make_job(name="digits"))
    assert client.get("digits").id == client.get(run.id[:12]).id == client.get(run.id).id == run.id
    # The end of an id, wildcards and parts that are too short hit nothing.
    for word in ("zzz", run.id[-6:], run.id[:3], run.id[0], "%", "____", f"{run.id[:5]}%", run.id + "0"):
        with pytest.raises(UsageError, match="no run is called"):
            client.get(word)
    for word in ("", " ", "\t"):
        with pytest.raises(UsageError, match="this name is empty"):
            client.stop(word)


def test_a_name_goes_before_the_beginning_of_an_id_and_an_open_run_before_others(
    tmp_path: Path, make_client: MakeClient, make_job: MakeJob
) -> None:
    client = make_client(FakeProvider(tmp_path / "cloud"))
    first = client.run(make_job(name="twice"))
    named = client.run(make_job(name=first.id[:8].replace(first.id[0], "a", 1)))
    begins = client.run(make_job(name="other"))
    journal = client._client._engine.journal
    # An open run is older here than an ended one of the same name.
    plan = event_of(
        "run.planned", "00000000000000000a", client.get(first.id).created_at, None, {"job": make_job(name="twice").to_dict()}
    )
    journal.append(plan)
    assert client.get("twice").id == plan.run
    assert client.get(named.name).id == named.id
    with pytest.raises(UsageError, match=f"names several runs.*{begins.id}"):
        client.get(first.id[:4])
    journal.append(event_of("run.planned", "00000000000000000b", plan.at, None, plan.data))
    with pytest.raises(UsageError, match=f"{plan.run[:-1]}b, {plan.run}"):
        client.stop("twice")
    assert not client.get(plan.run).stop_requested
    for run in (plan.run, "00000000000000000b"):
        client.stop(run)
    assert client.get("twice").id == first.id
