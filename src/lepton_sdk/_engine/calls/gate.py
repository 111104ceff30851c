"""What executors and providers answer is checked before it is believed: a stranger wrote them, or what is behind them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import evolve

from lepton_sdk.domain.access import Access
from lepton_sdk.domain.money import Money
from lepton_sdk.domain.node import Node, NodeState
from lepton_sdk.domain.words import one_line
from lepton_sdk.errors import ContractViolation
from lepton_sdk.spi.executor import ExecutionState, ExecutionStatus

__all__ = ["checked_node", "checked_status"]

_REASONS = frozenset({"exit", "setup", "timeout", "idle", "cancelled", "refused"})
# A signal's name is a word, and no job's exit code has more than a byte.
_LONGEST_WORD, _LARGEST_CODE = 32, 255
# Restarts that a job may be given (`max_failure_retry`), with room.
_MOST_FAILURES = 10_000
_LONGEST_ID = 512
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)


def checked_status(status: Any) -> ExecutionStatus:
    """The same status, with texts that can be shown and without times that cannot be.

    Raises:
        ContractViolation: it is not a status, or something in it is not what the contract allows.
    """
    if not isinstance(status, ExecutionStatus) or not isinstance(status.state, ExecutionState):
        raise _wrong("the answer", status)
    if not (status.exit_code is None or _is_code(status.exit_code)):
        raise _wrong("exit_code", status.exit_code)
    if not isinstance(status.failures, tuple) or len(status.failures) > _MOST_FAILURES or not all(map(_is_code, status.failures)):
        raise _wrong("failures", status.failures)
    if status.reason not in _REASONS and status.reason not in (None, ""):
        raise _wrong("reason", status.reason)
    if status.signal is not None and not (isinstance(status.signal, str) and len(status.signal) <= _LONGEST_WORD):
        raise _wrong("signal", status.signal)
    if not isinstance(status.detail, str):
        raise _wrong("detail", status.detail)
    return evolve(
        status,
        signal=status.signal and one_line(status.signal),
        detail=one_line(status.detail),
        started_at=_time("started_at", status.started_at),
        finished_at=_time("finished_at", status.finished_at),
    )


def checked_node(value: Any, provider: str, known: Node | None = None) -> Node:
    """The same node; what is wrong in it and not needed to release it is left out, or stays as it is known.

    Raises:
        ContractViolation: it is no node, of another provider, in no state that there is, or its id cannot name anything.
    """
    if not isinstance(value, Node) or not isinstance(value.state, NodeState):
        raise _wrong("the answer", value, provider)
    if value.provider != provider:
        raise _wrong("the provider of a node", value.provider, provider)
    if not isinstance(value.id, str) or not 0 < len(value.id) <= _LONGEST_ID or one_line(value.id, _LONGEST_ID) != value.id:
        raise _wrong("the id of a node", value.id, provider)
    if known is not None and value.id != known.id:
        raise _wrong(f"the answer to a question about {known.id}", value.id, provider)
    right: dict[str, tuple[Any, type | tuple[type, ...]]] = {
        "token": (None, (str, type(None))),
        "owner": (None, (str, type(None))),
        "kind": ("machine", str),
        "access": (None, (Access, type(None))),
        "instance_type": ("", str),
        "region": ("", str),
        "price": (None, (Money, type(None))),
        "detail": ("", str),
        "provider_data": ({}, Mapping),
    }
    changes = {
        name: getattr(known, name) if known is not None else usual
        for name, (usual, kinds) in right.items()
        if not isinstance(getattr(value, name), kinds)
    }
    try:
        since = _time("since", value.since)
    except ContractViolation:
        since = None
    changes["since"] = since or (known.since if known is not None else None)
    node = evolve(value, **changes)
    return evolve(node, detail=one_line(node.detail))


def _is_code(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _LARGEST_CODE


def _time(name: str, value: object) -> datetime | None:
    """A time that can be: a node's clock decides nothing, so one that cannot be is left out."""
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise _wrong(name, value)
    if value.tzinfo is None:
        return None
    try:
        return value if _EARLIEST <= value <= _LATEST else None
    except OverflowError:
        return None


def _wrong(name: str, value: object, provider: str | None = None) -> ContractViolation:
    try:
        shown = one_line(repr(value), 120)
    except Exception:
        # Its repr may be a bug of its own.
        shown = f"a {type(value).__name__}"
    return ContractViolation(f"{name} is {shown}, which the contract does not allow", provider=provider)
