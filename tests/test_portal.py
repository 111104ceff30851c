"""Synchronous calls of an asynchronous client: from any thread, and from no callback."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton_sdk import Client, Job
from lepton_sdk.errors import UsageError
from lepton_sdk.testing import FAKE_SPEC, FakeProvider


def test_one_call_at_a_time_is_enough_for_threads(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    cloud = FakeProvider(tmp_path / "f")
    with (
        Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: cloud}) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        runs = list(pool.map(lambda n: client.run(Job(f"exit {n}", resources="H100:8")), range(4)))
    assert [run.exit_code for run in runs] == [0, 1, 2, 3]


def test_a_call_from_a_callback_of_its_own_is_refused(tmp_path: Path) -> None:
    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: FakeProvider(tmp_path / "f")}) as client:
        with pytest.raises(UsageError, match="callback of its own") as caught:
            client.run(Job("true", resources="H100:8", name="called"), on_event=lambda event: print(client.get(event.run)))
        assert any(client.get("called").id in note for note in caught.value.__notes__)
        client.stop("called")
