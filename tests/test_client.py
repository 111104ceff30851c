"""The synchronous client: inside a running loop, and after a fork."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from lepton_sdk import Client, Job, RunState
from lepton_sdk.errors import LeptonError
from lepton_sdk.testing import FAKE_SPEC, FakeProvider


def test_the_synchronous_client_works_inside_a_running_loop(tmp_path: Path) -> None:
    async def notebook_cell() -> RunState:
        with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: FakeProvider(tmp_path / "f")}) as client:
            return client.run(Job("true", resources="H100:8")).state

    assert asyncio.run(notebook_cell()) is RunState.SUCCEEDED


def test_a_client_works_after_a_fork(tmp_path: Path) -> None:
    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: FakeProvider(tmp_path / "f")}) as client:
        assert client.runs() == []
        child = os.fork()
        if child == 0:
            # Nothing of pytest may run in the child, whatever happens.
            code = 1
            try:
                code = 0 if client.route(Job("true", resources="H100:8")).best else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_questions_leave_no_file(tmp_path: Path) -> None:
    with Client(state=tmp_path / "s", cache=tmp_path / "c") as client:
        client.offers()
        client.route(Job("true"))
        client.plugins()
        assert client.runs(all=True) == []
        assert client.nodes() == []
        with pytest.raises(LeptonError, match="no journal"):
            client.get("x")
    assert not (tmp_path / "s").exists()


def test_a_run_goes_to_its_end_after_a_fork(tmp_path: Path) -> None:
    with Client(state=tmp_path / "s", cache=tmp_path / "c", providers={FAKE_SPEC: FakeProvider(tmp_path / "f")}) as client:
        assert client.run(Job("true", resources="H100:8", name="parent")).exit_code == 0
        child = os.fork()
        if child == 0:
            # Nothing of pytest may run in the child, whatever happens.
            code = 1
            try:
                code = client.run(Job("exit 6", resources="H100:8", name="child")).exit_code or 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 6
        assert {run.name for run in client.runs(all=True)} == {"parent", "child"}
