"""What an XID means for health, and which action it needs: GPUd's classes (leptonai/gpud at 4a8de33a, read 2026-11)."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Action", "xid_class"]


class Action(StrEnum):
    """The action for an operator."""

    NONE = "nothing to do"
    CHECK_JOB = "check the job"
    REBOOT = "reboot the host"
    INSPECT = "have the hardware inspected"


_REBOOT = frozenset({
    9, 12, 16, 18, 19, 26, 27, 28, 29, 30, 33, 34, 35, 36, 42, 46, 47, 59, 60, 61, 78,
    # These need an inspection if one reboot does not help; every other XID after two reboots.
    32, 38, 44, 48, 62, 63, 64, 65, 68, 69, 74, 79, 94, 95, 110, 119, 120, 121, 123, 140,
})  # fmt: skip
_INSPECT = frozenset({81, 143})
_CHECK_JOB = frozenset({13, 31, 43, 137, 170})
_WARNING_REBOOT = frozenset({*range(144, 152), 155, 156, 158, 163, 166, 167, 169, 172, 173})
# After this many reboots with the same XID on the same GPU, another reboot will not help.
_REBOOTS = 2


def xid_class(xid: int, reboots: int = 0) -> tuple[bool, Action]:
    """Whether an XID is fatal to the GPU, and which action it needs.

    Args:
        xid: NVIDIA's number; an unlisted number is not a fault of the GPU.
        reboots: after how many reboots it came back on one GPU.
    """
    if xid in _INSPECT:
        return True, Action.INSPECT
    if xid in _REBOOT:
        return True, Action.INSPECT if reboots >= _REBOOTS else Action.REBOOT
    if xid in _CHECK_JOB:
        return False, Action.CHECK_JOB
    return False, Action.REBOOT if xid in _WARNING_REBOOT else Action.NONE
