"""The limits for fetching the log and the outputs of a job that is over, before its machine is given back."""

from __future__ import annotations

from attrs import frozen

from lepton_sdk.domain.quantity import show_duration

__all__ = ["Keeping"]

_GIB = 1 << 30


@frozen
class Keeping:
    """The budget for fetching log and outputs from one machine. The machine is billed meanwhile.

    Attributes:
        time: the most seconds.
        size: the most bytes that are written here.
        after_stop: the most seconds from a stop to the release: ending the job and fetching together.

    >>> str(Keeping())
    'up to 5m and 10 GiB of log and outputs'
    """

    time: int = 300
    size: int = 10 * _GIB
    after_stop: int = 10

    def __str__(self) -> str:
        return f"up to {show_duration(self.time)} and {self.size / _GIB:g} GiB of log and outputs"
