"""The create call of a node, and the one call of a whole group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from lepton_sdk import Client, Job, RunState
from lepton_sdk.domain.node import Node
from lepton_sdk.errors import NoCapacity, OutcomeUnknown
from lepton_sdk.spi import Launch, Offer
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, fake_offer

MakeJob = Callable[..., Job]


def lines(client: Client, run: str, **more: Any) -> list[str]:
    return b"".join(client.logs(run, **more)).decode().splitlines()


class Whole(FakeProvider):
    """Makes several machines by one call."""

    answer: str = ""

    async def acquire_group(self, offer: Offer, launches: Sequence[Launch]) -> Sequence[Node]:
        self.calls.append("acquire_group")
        if self.answer == "refuse":
            self.answer = ""
            raise NoCapacity("not so many", provider="fake")
        nodes = [self._make(offer, launch) for launch in launches]
        if self.answer == "lose":
            raise OutcomeUnknown("the answer was lost", provider="fake")
        return nodes[:-1] if self.answer == "short" else nodes


@pytest.mark.parametrize(("answer", "attempts"), [("", 1), ("refuse", 2), ("lose", 1), ("short", 1)])
def test_a_provider_may_make_all_by_one_call(answer: str, attempts: int, tmp_path: Path, make_job: MakeJob) -> None:
    cloud = Whole(tmp_path / "cloud", [fake_offer("small"), fake_offer("large")])
    cloud.answer = answer
    spec = evolve(FAKE_SPEC, capabilities=FAKE_SPEC.capabilities | {"multi_node"})
    with Client(state=tmp_path / "state", cache=tmp_path / "cache", providers={spec: cloud}) as client:
        run = client.run(make_job("echo $RANK", nodes=3))
        assert (run.state, run.attempts) == (RunState.SUCCEEDED, attempts)
        assert sorted(lines(client, run.id)) == ["[0] 0", "[1] 1", "[2] 2"]
    assert cloud.calls.count("acquire_group") == attempts
    assert cloud.calls.count("acquire") == 0
    assert cloud.running() == []
