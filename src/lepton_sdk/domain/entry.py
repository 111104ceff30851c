"""What every entry of the journal has: its run, its time, its node, and what it says as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from attrs import Attribute, evolve, field, fields, frozen

from lepton_sdk.domain.plain import to_plain

__all__ = ["ALWAYS", "Event", "key_of", "named", "said_by"]

_UNSTAMPED = datetime(1, 1, 1, tzinfo=UTC)
# Fields that stand in the entry's data also when they say nothing.
ALWAYS = {"always": True}


def named(key: str) -> dict[str, str]:
    """What a field is called in the entry's data."""
    return {"key": key}


@frozen
class Event:
    """One entry of the journal.

    Attributes:
        run: the run that it belongs to.
        at: when it was written, UTC.
        token: the node that it is about; ``None`` for one about the whole run.
        seq: the entry's number; 0 until it was written.
    """

    kind: ClassVar[str] = ""

    run: str = field(default="", kw_only=True)
    at: datetime = field(default=_UNSTAMPED, kw_only=True)
    token: str | None = field(default=None, kw_only=True)
    seq: int = field(default=0, kw_only=True)

    def stamped(self, run: str, at: datetime) -> Self:
        """The same, for one run at one time."""
        return evolve(self, run=run, at=at)

    def about(self, token: str) -> Self:
        """The same, about one node."""
        return evolve(self, token=token)

    @property
    def data(self) -> Mapping[str, Any]:
        """What it says beside run, time and node, as plain JSON values."""
        return {
            key_of(one): to_plain(value)
            for one in said_by(type(self))
            if (value := getattr(self, one.name)) != one.default or one.metadata.get("always")
        }

    def to_dict(self) -> dict[str, object]:
        """The event as JSON keys."""
        return {
            "seq": self.seq,
            "at": self.at.isoformat(),
            "kind": self.kind,
            "run": self.run,
            "token": self.token,
            **self.data,
        }


def said_by(cls: type[Event]) -> list[Attribute[Any]]:
    return [one for one in fields(cls) if one.name not in ("run", "at", "token", "seq")]


def key_of(one: Attribute[Any]) -> str:
    return str(one.metadata.get("key", one.name))
