"""Retry: after which causes another attempt follows, how often, for how long and after which pause."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from attrs import field, fields_dict, frozen

from lepton_sdk.domain.fields import keys_of
from lepton_sdk.domain.quantity import parse_duration
from lepton_sdk.errors import JobSpecError, UsageError

__all__ = ["Cause", "Retry", "Rule"]

_MOST = 1000
# A follower of thousands of runs polls each node every forty seconds; two polls must fit in with room.
_SHORTEST_SILENCE = 120


class Cause(StrEnum):
    """Why an attempt did not bring the job to its end."""

    NO_CAPACITY = "no_capacity"
    INTERRUPTION = "interruption"
    ERROR = "error"


def _count(value: Any) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST):
        raise JobSpecError(f"retry: {value!r} is not a count", hint=f"write a whole number from 0 to {_MOST}")
    return value


def _seconds(value: Any) -> int | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except UsageError as error:
        raise JobSpecError(f"retry: {error.message}", hint=error.hint) from None


@frozen
class Rule:
    """How one cause is retried.

    Args:
        count: the number of further attempts; ``None`` for no limit of its own.
        duration: how long after the run was planned attempts may follow, seconds or ``"6h"``; ``None`` for no limit of its own.
        backoff: pause before the next attempt, seconds or ``"30s"``; it doubles each time, up to an hour.
        unreachable: only for ``interruption``: a node that nobody has reached for this time, two minutes or more, stops the job
            by itself, so that another attempt may begin although the node still cannot be asked. That also happens while
            nobody follows the run. Without it the job runs on there, and nothing replaces it until the provider says that it
            is gone.
    """

    count: int | None = field(default=None, converter=_count)
    duration: int | None = field(default=None, converter=_seconds)
    backoff: int | None = field(default=None, converter=_seconds)
    unreachable: int | None = field(default=None, converter=_seconds)

    def __attrs_post_init__(self) -> None:
        if self.unreachable is not None and self.unreachable < _SHORTEST_SILENCE:
            text = f"retry: unreachable: {self.unreachable} s is too short"
            raise JobSpecError(text, hint=f"write {_SHORTEST_SILENCE // 60}m or more; 10m outlasts most broken connections")

    def allows(self, done: int, elapsed: float) -> bool:
        """Return True if one more attempt is allowed.

        Args:
            done: attempts that ended for this cause.
            elapsed: seconds since the run was planned.
        """
        if self.count is None and self.duration is None:
            return False
        in_count = self.count is None or done <= self.count
        return in_count and (self.duration is None or elapsed <= self.duration)

    def pause(self, done: int, default: float) -> float:
        """Seconds to wait before the next attempt after ``done`` of them."""
        first = default if self.backoff is None else self.backoff
        return float(min(3600.0, first * 2 ** min(done - 1, 12)))

    def to_dict(self) -> dict[str, object]:
        """Only the values that were given, as plain JSON values."""
        return {name: getattr(self, name) for name in fields_dict(Rule) if getattr(self, name) is not None}


def _rule(value: Any) -> Rule:
    if isinstance(value, Rule):
        return value
    if value is None:
        return Rule()
    if isinstance(value, int) and not isinstance(value, bool):
        return Rule(count=value)
    if not isinstance(value, Mapping) or set(value) - set(fields_dict(Rule)):
        raise JobSpecError(f"retry: {value!r} is not a rule", hint="write a count, or {count: 3, duration: 6h, backoff: 30s}")
    return Rule(**value)


@frozen
class Retry:
    """After which causes another attempt follows. By default none does: a job may not be made to run twice.

    Args:
        no_capacity: nothing in the market fits or can be taken; with a ``duration`` the run waits for an offer.
        interruption: the machine was taken back or lost.
        error: the job ended with an exit code other than 0.

    >>> Retry.parse({"interruption": 3, "no_capacity": {"duration": "6h"}}).to_dict()
    {'no_capacity': {'duration': 21600}, 'interruption': {'count': 3}}
    """

    no_capacity: Rule = field(factory=Rule, converter=_rule)
    interruption: Rule = field(factory=Rule, converter=_rule)
    error: Rule = field(factory=Rule, converter=_rule)

    def __attrs_post_init__(self) -> None:
        for cause in (Cause.NO_CAPACITY, Cause.ERROR):
            if self.rule(cause).unreachable is not None:
                raise JobSpecError(f"retry.{cause}: it has no unreachable", hint="write it under retry.interruption")

    @classmethod
    def parse(cls, value: Any) -> Retry:
        """Read Retry from itself, a mapping or ``None``.

        Raises:
            JobSpecError: an unknown key or an invalid rule.
        """
        if isinstance(value, Retry):
            return value
        if value is None:
            return cls()
        return cls(**keys_of(cls, "retry", value, hint="write retry: {interruption: 3}"))

    def rule(self, cause: Cause) -> Rule:
        """The rule for a cause."""
        rule: Rule = getattr(self, str(cause))
        return rule

    def to_dict(self) -> dict[str, object]:
        """Only the rules that are set."""
        rules = {str(cause): self.rule(cause).to_dict() for cause in Cause}
        return {name: rule for name, rule in rules.items() if rule}
