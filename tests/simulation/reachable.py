"""Where the rows of a run may stand, what may strike there, and which of these pairs cannot be."""

from __future__ import annotations

from attrs import fields_dict

from lepton_sdk.domain.stage import Stage
from lepton_sdk.testing import Faults

__all__ = ["FAULTS", "IMPOSSIBLE", "PAIRS", "STAGES"]

_ROWS = [str(stage) for stage in Stage if stage not in {Stage.FINISHED, Stage.RELEASED}]
# Without an open row a run is before its next attempt, or at its end. After ``finished`` it never stands: the same
# transaction says ``releasing``.
STAGES = ("planned", *_ROWS, "ended")
FAULTS = (*fields_dict(Faults), "rollback", "power loss", "other account")

_CREATE = "it strikes in a create call, which only an open row leaves, and which comes before its attempt's nodes do anything"
_MACHINE = "it strikes a machine of an open row, or what is asked of one"
_STOOD = "a schedule ends with its run"
_REASONS = (
    (("refuse", "lose_request", "lose_reply", "duplicate", "fail_boot", "unarmed"), _CREATE),
    (("late", "interrupt", "forget_release", "cut", "garble", "mute", "clone", "unstamp"), _MACHINE),
    (("rollback", "power loss"), _STOOD),
)
_WHERE = {
    _CREATE: {"planned", "reachable", "running", "lost", "ended"},
    _MACHINE: {"planned", "ended"},
    _STOOD: {"ended"},
}
IMPOSSIBLE = {(stage, fault): why for faults, why in _REASONS for fault in faults for stage in _WHERE[why]}
PAIRS = tuple((stage, fault) for stage in STAGES for fault in FAULTS if (stage, fault) not in IMPOSSIBLE)
