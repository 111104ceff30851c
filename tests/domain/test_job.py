"""Jobs: what is written reads back."""

from __future__ import annotations

import json

from hypothesis import given
from values import jobs

from lepton_sdk.domain.job import Job


@given(jobs)
def test_a_job(job: Job) -> None:
    assert Job.from_dict(json.loads(json.dumps(job.to_dict()))) == job
    assert job.with_() == job
