"""Rules of what is tried again."""

from __future__ import annotations

import pytest

from lepton_sdk import Job
from lepton_sdk.errors import JobSpecError


@pytest.mark.parametrize(
    "retry",
    [
        3,
        {"eror": 1},
        {"error": -1},
        {"error": {"tries": 1}},
        {"error": {"backoff": "soon"}},
        {"error": {"unreachable": "10m"}},
        {"interruption": {"unreachable": "30s"}},
    ],
)
def test_a_rule_that_does_not_hold_is_refused(retry: object) -> None:
    with pytest.raises(JobSpecError, match="retry"):
        Job("true", retry=retry)


def test_rules_come_back_from_their_keys() -> None:
    job = Job("true", retry={"error": 2, "no_capacity": {"duration": "6h", "backoff": "30s"}})
    assert Job.from_dict(job.to_dict()) == job
