"""The table of stages, and the sets and the chart that are made of it."""

from __future__ import annotations

from lepton_sdk.domain.stage import BEFORE_THE_JOB, ENDING, GIVEN_BACK, OVER, READY, STAGES, Stage, chart


def test_what_is_being_given_back_is_never_used_again() -> None:
    assert STAGES[Stage.RELEASING] == {Stage.RELEASED}
    assert _reached(Stage.RELEASING) == {Stage.RELEASING, Stage.RELEASED}


def test_every_stage_stands_before_the_job_in_it_or_after_it() -> None:
    assert BEFORE_THE_JOB | {Stage.RUNNING} | OVER == set(Stage)
    assert not (BEFORE_THE_JOB | {Stage.RUNNING}) & OVER
    assert {Stage.RUNNING} == READY - BEFORE_THE_JOB
    assert OVER >= ENDING
    assert OVER >= GIVEN_BACK


def test_every_stage_comes_to_its_release_and_none_that_is_over_comes_back() -> None:
    for stage in Stage:
        assert Stage.RELEASED in _reached(stage)
        if stage in OVER:
            assert _reached(stage) <= OVER


def test_only_the_table_leads_into_a_stage() -> None:
    assert set(STAGES) == {None, *Stage}
    assert STAGES[None] == {Stage.INTENDED}
    assert STAGES[Stage.RELEASED] == set()


def test_the_chart_has_every_step_of_the_table_and_no_other() -> None:
    head, *steps = chart().splitlines()
    assert head == "stateDiagram-v2"
    told = {tuple(step.split(" --> ")) for step in map(str.strip, steps)}
    legal = {(str(before or "[*]"), str(after)) for before, nexts in STAGES.items() for after in nexts}
    assert told == legal | {("released", "[*]")}
    assert len(steps) == len(told)


def _reached(stage: Stage) -> set[Stage]:
    reached, todo = set[Stage](), [stage]
    while todo:
        one = todo.pop()
        if one not in reached:
            reached.add(one)
            todo += STAGES[one]
    return reached
