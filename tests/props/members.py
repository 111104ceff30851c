"""One node of one run in an engine's hands, at the stage that a test wants it at."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from writing import NOW

from lepton_sdk import Job
from lepton_sdk._config import load_config
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.member import Member
from lepton_sdk.domain.events import AnyEvent, NodeIntended, NodeOwned, NodeReachable, NodeRunning, RunPlanned
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.run import Run
from lepton_sdk.domain.stage import Stage
from lepton_sdk.spi import LocalAccess, ProviderSpec
from lepton_sdk.testing import FAKE_SPEC, FakeProvider, fake_offer

__all__ = ["StillClock", "engine_over", "planned", "stand"]

_RUN = "1m8fzm4m1yz9cta20m"


class StillClock:
    """Time that only the test moves, by its attribute ``time``."""

    def __init__(self) -> None:
        self.time = NOW

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


@contextmanager
def engine_over(folder: Path, cloud: FakeProvider | None = None, spec: ProviderSpec = FAKE_SPEC, **more: Any) -> Iterator[Engine]:
    """An engine over the fake cloud, at a time that stands still, with a journal of its own."""
    home = {"HOME": str(folder), "LEPTON_SDK_PLUGINS": "local"}
    config = load_config(state=folder / "state", cache=folder / "cache", environ=home)
    engine = Engine(config, **{"clock": StillClock()} | more, providers={spec: cloud or FakeProvider(folder / "cloud")})
    try:
        yield engine
    finally:
        engine.close_journal()


def planned(engine: Engine, **job: Any) -> Run:
    """A run that was taken in."""
    return engine.append(_RUN, RunPlanned(Job("true", **{"resources": "H100:8", **job})))


def stand(engine: Engine, stage: Stage = Stage.OWNED, *, rank: int = 0, attempt: int = 1, **job: Any) -> Member:
    """A node that has come to a stage; the run is planned with the first one."""
    run = planned(engine, **job) if not engine.has_journal() else engine.journal.run(_RUN)
    token = f"token-{attempt}-{rank}"
    offer = fake_offer(provider=next(iter(engine._brought)), seen_at=engine.clock.now())
    node = Node(
        offer.provider,
        f"m-{attempt}-{rank}",
        token,
        engine.journal.owner,
        state="ready",
        access=LocalAccess(),
        instance_type=offer.instance_type,
        region=offer.region,
        price=offer.price,
        since=engine.clock.now(),
    )
    intended = NodeIntended(attempt, rank, 1, offer, 1.0, owner=engine.journal.owner, group="group-1")
    steps: list[tuple[Stage, AnyEvent]] = [
        (Stage.INTENDED, intended),
        (Stage.OWNED, NodeOwned(node)),
        (Stage.REACHABLE, NodeReachable(node)),
        (Stage.RUNNING, NodeRunning(1)),
    ]
    for reached, step in steps:
        run = engine.append(run.id, step.about(token))
        if reached is stage:
            break
    record = next(one for one in run.nodes if one.token == token)
    assert record.stage is stage
    return Member(engine, run, record, engine.throttle)
