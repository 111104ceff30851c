"""Taking a job in: every check that costs nothing comes first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lepton_sdk import Client, Job
from lepton_sdk.errors import (
    JobSpecError,
)
from lepton_sdk.testing import FakeProvider

MakeClient = Callable[[FakeProvider], Client]
MakeJob = Callable[..., Job]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"workdir": "/no/such/folder"}, "workdir"),
        ({"secrets": ["NO_SUCH_SECRET"]}, "NO_SUCH_SECRET"),
    ],
)
def test_bad_input_starts_nothing_and_leaves_no_journal(
    fields: dict[str, object],
    word: str,
    cloud: FakeProvider,
    make_client: MakeClient,
    make_job: MakeJob,
    tmp_path: Path,
) -> None:
    with pytest.raises(JobSpecError, match=word):
        make_client(cloud).run(make_job(**fields))
    assert cloud.calls.count("acquire") == 0
    assert not (tmp_path / "state" / "journal.db").exists()
