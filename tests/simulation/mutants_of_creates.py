"""Deliberate bugs in how a create call is made again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pytest
from attrs import evolve
from mutants import mutant

from lepton_sdk._engine.launch import order
from lepton_sdk._engine.member import Member
from lepton_sdk._engine.runs import create, recover
from lepton_sdk.domain.stage import Stage
from lepton_sdk.spi.provider import Launch

__all__ = ["another_request", "key_outlived", "made_again_after_a_stop"]


@mutant(finds="machines were made for token|was made again", where="keys")
def key_outlived(patch: pytest.MonkeyPatch) -> None:
    """The same call is made again for as long as nothing is found, whatever the vendor keeps."""

    def may_repeat(member: Member, *_: object) -> bool:
        return member.record.stage is Stage.UNKNOWN and member.due("repeat", member.spec.timings.poll)

    patch.setattr(recover, "_may_repeat", may_repeat)


@mutant(finds="made again with another request", where="keys")
def another_request(patch: pytest.MonkeyPatch) -> None:
    """The deadline of a launch counts from now."""
    honest = order.launch_of

    def launch_of(member: Member, secrets: Mapping[str, str]) -> Launch:
        limit = member.run.job.limits.duration or 3600
        return evolve(honest(member, secrets), deadline=member.now() + timedelta(seconds=limit))

    patch.setattr(create, "launch_of", launch_of)


@mutant(finds="made again after a stop", where="keys")
def made_again_after_a_stop(patch: pytest.MonkeyPatch) -> None:
    """A run that shall end asks for its machine once more."""
    honest = recover._may_repeat

    def may_repeat(member: Member, *more: object) -> bool:
        going = evolve(member.run, stop_requested=False)
        return honest(Member(member.engine, going, member.record, member.throttle), *more)  # type: ignore[arg-type]

    patch.setattr(recover, "_may_repeat", may_repeat)
