"""Every kind of entry comes back from what the journal keeps of it, whatever its fields hold."""

from __future__ import annotations

import json
from datetime import datetime
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st
from values import jobs, nodes, offers, texts, times
from writing import NOW

from lepton_sdk.domain import events
from lepton_sdk.domain.entry import key_of, said_by
from lepton_sdk.domain.events import AnyEvent, Event, NodeAnnounced, NodeOwned, Step, event_of
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.stage import Stage
from lepton_sdk.errors import ContractViolation

KINDS: list[type[Event]] = list(get_args(AnyEvent))
_VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(-1000, 1000),
    float: st.floats(-1e9, 1e9),
    bool: st.booleans(),
    datetime: times,
    Job: jobs,
    Offer: offers,
    Node: nodes,
    Stage: st.sampled_from(Stage),
    type(None): st.none(),
}


def _value(hint: Any) -> Any:
    if get_origin(hint) is UnionType:
        return st.one_of([_value(one) for one in get_args(hint)])
    if get_origin(hint) is tuple:
        return st.lists(_value(get_args(hint)[0]), max_size=3).map(tuple)
    return _VALUES[hint]


def _entries(cls: type[Event]) -> st.SearchStrategy[Event]:
    hints = get_type_hints(cls)
    fields = {one.name: _value(hints[one.name]) for one in said_by(cls)}
    return st.builds(cls, run=st.just("r"), at=times, token=st.none() | texts, seq=st.integers(0, 9), **fields)


@given(st.sampled_from(KINDS).flatmap(_entries))
def test_every_entry_comes_back_from_what_is_kept_of_it(entry: Event) -> None:
    kept = json.loads(json.dumps(entry.data))
    assert event_of(entry.kind, entry.run, entry.at, entry.token, kept, entry.seq) == entry


def test_every_class_has_a_kind_of_its_own_and_is_exported() -> None:
    assert len({cls.kind for cls in KINDS}) == len(KINDS)
    assert {cls.__name__ for cls in KINDS} | {"AnyEvent", "Event", "Step", "event_of"} == set(events.__all__)


@pytest.mark.parametrize("cls", KINDS)
def test_no_field_is_kept_under_the_name_of_another(cls: type[Event]) -> None:
    keys = [key_of(one) for one in said_by(cls)]
    assert len(set(keys)) == len(keys)


def test_every_stage_has_the_one_step_that_leads_to_it() -> None:
    steps = [cls for cls in KINDS if issubclass(cls, Step)]
    assert sorted(cls.stage for cls in steps) == sorted(Stage)
    assert all(cls.kind == f"node.{cls.stage}" for cls in steps)


def test_what_is_no_entry_is_refused_with_its_run() -> None:
    with pytest.raises(ContractViolation, match=r"no entry of a journal is called 'node\.flew'"):
        event_of("node.flew", "r", NOW)
    for kind, data in (
        ("node.owned", {}),
        ("node.running", {}),
        ("node.lost", {"there": "yesterday"}),
        ("node.unkept", {"unkept": 3}),
    ):
        with pytest.raises(ContractViolation, match=f"the entry {kind} of run r does not hold"):
            event_of(kind, "r", NOW, "t", data)


def test_what_a_later_version_says_beside_is_passed_over() -> None:
    data = {"kind": "disk", "name": "d-1", "colour": "red"}
    assert event_of("node.announced", "r", NOW, "t", data) == NodeAnnounced("disk", "d-1", run="r", at=NOW, token="t")


def test_a_step_says_on_which_stage_it_was_decided() -> None:
    step = NodeOwned(Node("fake", "m"))
    assert step.decided(Stage.UNKNOWN).seen is Stage.UNKNOWN
    assert step.seen is None
