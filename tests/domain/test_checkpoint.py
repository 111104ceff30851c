"""Where a job keeps its checkpoints."""

from __future__ import annotations

import pytest

from lepton_sdk import Job
from lepton_sdk.errors import JobSpecError


@pytest.mark.parametrize("place", ["", "/", "there", "/a/../b", "/a:b", "s3://", "s3:// x", "/a\nb", 3])
def test_a_checkpoint_place_that_cannot_be_is_refused(place: object) -> None:
    with pytest.raises(JobSpecError, match="checkpoint"):
        Job("true", checkpoint=place)
