"""What may come of a node that says anything."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

from lepton_sdk.errors import LeptonError, NodeError
from lepton_sdk.spi.executor import ExecutionState, ExecutionStatus

__all__ = ["holds"]


def holds(found: Any) -> None:
    """A value that can be, or an error whose words are fit to be shown."""
    if isinstance(found, LeptonError):
        assert isinstance(found, NodeError) or type(found).__name__ == "JobCancelled"
        assert len(found.message) < 1200
        shown(found.message)
    if isinstance(found, ExecutionStatus):
        assert (found.state is ExecutionState.FINISHED) == (found.exit_code is not None)
        assert all(code in range(256) for code in (*found.failures, found.exit_code or 0))
        for time in (found.started_at, found.finished_at):
            assert time is None or time < datetime.now(UTC) + timedelta(days=2)
        assert len(found.detail) <= 500
        shown(found.detail + (found.reason or ""))


def shown(text: str) -> None:
    assert not [c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs")]
