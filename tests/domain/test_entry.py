"""What all entries have: they are stamped when they are written, and keep only what they say."""

from __future__ import annotations

from writing import NOW

from lepton_sdk.domain.events import NodeAnnounced, NodeFinished, NodeLost, RunFinished


def test_an_entry_keeps_only_what_it_says() -> None:
    assert NodeLost().data == {}
    assert NodeLost("gone", stopped=True).data == {"detail": "gone", "stopped": True}


def test_how_something_ended_is_kept_also_where_there_is_nothing_to_say() -> None:
    assert RunFinished("failed").data == {"state": "failed", "exit_code": None, "signal": None, "error": None}
    assert set(NodeFinished().data) == {"detail", "reason", "there", "exit_code", "signal", "started_at", "finished_at"}


def test_an_entry_is_stamped_and_the_one_before_stays_as_it_was() -> None:
    made = NodeLost("gone")
    written = made.about("t").stamped("r", NOW)
    assert (written.run, written.at, written.token, written.data) == ("r", NOW, "t", {"detail": "gone"})
    assert (made.run, made.token) == ("", None)


def test_as_json_a_field_does_not_hide_the_kind_of_the_entry() -> None:
    shown = NodeLost("gone", seq=4).about("t").stamped("r", NOW).to_dict()
    assert shown == {"seq": 4, "at": NOW.isoformat(), "kind": "node.lost", "run": "r", "token": "t", "detail": "gone"}
    assert NodeAnnounced("disk", "d-1").data == {"kind": "disk", "name": "d-1"}
