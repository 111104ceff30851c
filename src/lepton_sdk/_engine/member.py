"""Member: one node of one run in the engine's hands."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from lepton_sdk._engine.calls.hurry import Hurry
from lepton_sdk._engine.engine import Engine
from lepton_sdk._engine.polling import Throttle
from lepton_sdk.domain.access import Access
from lepton_sdk.domain.events import AnyEvent, AnyStep
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import NodeLost, NodeUnreachable, PluginError
from lepton_sdk.spi.executor import Executor
from lepton_sdk.spi.provider import Provider
from lepton_sdk.spi.spec import ProviderSpec

__all__ = ["Member"]


@frozen(eq=False)
class Member:
    """One node of one run, as its journal says at one moment.

    Attributes:
        throttle: when it was last asked what, by this process.
    """

    engine: Engine
    run: Run
    record: NodeRecord
    throttle: Throttle

    @property
    def token(self) -> str:
        """Names the node in the journal and at its provider."""
        return self.record.token

    @property
    def provider_name(self) -> str:
        """Where its machine is."""
        return self.record.offer.provider

    @property
    def spec(self) -> ProviderSpec:
        """What its provider says of itself."""
        return self.engine.spec(self.provider_name)

    @property
    def provider(self) -> Provider:
        """Its provider."""
        return self.engine.provider(self.provider_name)

    @property
    def node(self) -> Node:
        """Its machine, where it has one."""
        assert self.record.node is not None
        return self.record.node

    @property
    def access(self) -> Access:
        """How its machine is reached.

        Raises:
            NodeLost: nobody knows.
        """
        if self.record.node is None or self.record.node.access is None:
            raise NodeLost(f"node {self.token} has no way to be reached", provider=self.provider_name)
        return self.record.node.access

    @property
    def executor(self) -> Executor:
        """The way to run on it.

        Raises:
            NodeUnreachable: its plugin has blocked whoever asked it about this node.
        """
        if self.record.hung:
            raise NodeUnreachable(
                f"{self.record.hung} blocked whoever asked it about this node", hint="its machine is given back without it"
            )
        access = self.access
        try:
            return self.engine.executor(access)
        except PluginError as error:
            # Its job goes on, and only nobody here can ask it: that is silence, and no nonsense of the node.
            name = self.record.executor or f"the executor for {access.kind}"
            raise NodeUnreachable(f"{name} cannot be used: {error.message}", hint=error.hint) from error

    @property
    def hurry(self) -> Hurry:
        """How much time is left for what stands before its machine's release."""
        return self.engine.hurry(self.run.id)

    @property
    def title(self) -> str:
        """For messages: provider and machine."""
        return f"{self.provider_name} {self.node.id if self.record.node else self.token}"

    def now(self) -> datetime:
        """The time now, UTC."""
        return self.engine.clock.now()

    def again(self) -> Member:
        """The same node, as the journal says now."""
        return self.in_run(self.engine.journal.run(self.run.id))

    def in_run(self, run: Run) -> Member:
        """The same node in a newer state of its run."""
        record = next(record for record in run.nodes if record.token == self.token)
        return Member(self.engine, run, record, self.throttle)

    # --- its entries in the journal ---------------------------------------------------------------------------------

    async def write(self, *events: AnyEvent) -> Run:
        """Write entries about this node durably; the run after them."""
        return await self.engine.write(self.run.id, *(event if event.token else event.about(self.token) for event in events))

    async def step(self, step: AnyStep, *before: AnyEvent) -> Run:
        """Write a step that was decided on what the record says.

        Another follower may have gone on meanwhile, and from where the row stands now the same step may be legal and wrong: it is
        refused then.

        Args:
            before: entries that go before it, in the same transaction.
        """
        return await self.write(*before, step.decided(self.record.stage))

    # --- how often it is asked --------------------------------------------------------------------------------------

    def due(self, what: str, seconds: float | None = None) -> bool:
        """Whether to ask for something now, which is then noted; ``None`` for once and never again."""
        return self.throttle.due(what, self.token, seconds)

    def mark(self, what: str) -> None:
        """Note that something was seen now."""
        self.throttle.mark(what, self.token)

    def elapsed(self, what: str) -> float | None:
        """Seconds since something was last seen; ``None`` when it never was."""
        return self.throttle.elapsed(what, self.token)

    def forget(self, what: str) -> None:
        """Something is as if it had never been seen."""
        self.throttle.forget(what, self.token)
