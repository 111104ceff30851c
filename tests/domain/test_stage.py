"""The table of stages, and the sets and the chart that are made of it."""

from __future__ import annotations

from lepton_sdk.domain.stage import STAGES, Stage


def test_what_is_being_given_back_is_never_used_again() -> None:
    assert STAGES[Stage.RELEASING] == {Stage.RELEASED}
    reachable, todo = set(), [Stage.RELEASING]
    while todo:
        stage = todo.pop()
        reachable.add(stage)
        todo += [s for s in STAGES[stage] if s not in reachable]
    assert reachable == {Stage.RELEASING, Stage.RELEASED}
