"""A client over the fake cloud: renting is played, running is real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lepton_sdk import Client, Job
from lepton_sdk.testing import FAKE_SPEC, FakeProvider


@pytest.fixture
def make_job() -> Callable[..., Job]:
    def make(command: str = "true", **fields: Any) -> Job:
        return Job(command, **{"resources": "H100:8", **fields})

    return make


@pytest.fixture
def cloud(tmp_path: Path) -> FakeProvider:
    return FakeProvider(tmp_path / "cloud")


@pytest.fixture
def make_client(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[FakeProvider], Client]]:
    """Clients that share one journal, as one client after another would; a test that asks for ``where`` says which."""
    made: list[Client] = []
    state = request.getfixturevalue("where") if "where" in request.fixturenames else tmp_path / "state"

    def make(provider: FakeProvider) -> Client:
        client = Client(state=state, cache=tmp_path / "cache", providers={FAKE_SPEC: provider})
        made.append(client)
        return client

    yield make
    for client in made:
        client.close()
