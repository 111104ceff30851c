"""What every entry of the journal has: its run, its time, its node, and its data as plain JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from attrs import Attribute, evolve, field, fields, frozen

from lepton_sdk.domain.plain import to_plain

__all__ = ["ALWAYS", "Event", "key_of", "named", "said_by"]

_UNSTAMPED = datetime(1, 1, 1, tzinfo=UTC)
# Fields that are in the entry's data even if they are empty.
ALWAYS = {"always": True}


def named(key: str) -> dict[str, str]:
    """Give a field another name in the entry's data."""
    return {"key": key}


@frozen
class Event:
    """One entry of the journal.

    Attributes:
        run: the run that it belongs to.
        at: when it was written, UTC.
        token: the node that it is about; ``None`` for an entry about the whole run.
        seq: the entry's number; 0 until it is written.
    """

    kind: ClassVar[str] = ""

    run: str = field(default="", kw_only=True)
    at: datetime = field(default=_UNSTAMPED, kw_only=True)
    token: str | None = field(default=None, kw_only=True)
    seq: int = field(default=0, kw_only=True)

    def stamped(self, run: str, at: datetime) -> Self:
        """The same entry, with its run and its time."""
        return evolve(self, run=run, at=at)

    def about(self, token: str) -> Self:
        """The same entry, about one node."""
        return evolve(self, token=token)

    @property
    def data(self) -> Mapping[str, Any]:
        """Its fields other than run, time and node, as plain JSON values."""
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
