"""Resources: what is asked for reads back, and what cannot be is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from values import requests, resources

from lepton_sdk.domain.resources import GpuRequest, Resources
from lepton_sdk.errors import LeptonError


@given(requests)
def test_a_gpu_request(request: GpuRequest) -> None:
    assert GpuRequest.parse(str(request)) == request


@given(resources)
def test_resources(value: Resources) -> None:
    assert Resources.parse(json.loads(json.dumps(value.to_dict()))) == value


def test_a_gpu_and_a_memory_size_that_it_never_has_contradict_each_other() -> None:
    with pytest.raises(LeptonError, match="contradict"):
        Resources(gpu="A100:8", gpu_memory="141+")
    with pytest.raises(LeptonError, match="contradict"):
        Resources(gpu="H100-80GB", gpu_memory=94)
