"""Member: one node of one run, with all that a step needs to work on it. Steps get a member and return the run."""

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
    """One node of one run, as the journal has it at one moment.

    Attributes:
        throttle: when this process last asked each question about it.
    """

    engine: Engine
    run: Run
    record: NodeRecord
    throttle: Throttle

    @property
    def token(self) -> str:
        """The node's name in the journal and at its provider."""
        return self.record.token

    @property
    def provider_name(self) -> str:
        """The name of its machine's provider."""
        return self.record.offer.provider

    @property
    def spec(self) -> ProviderSpec:
        """What its provider says about itself."""
        return self.engine.spec(self.provider_name)

    @property
    def provider(self) -> Provider:
        """Its provider."""
        return self.engine.provider(self.provider_name)

    @property
    def node(self) -> Node:
        """Its machine; only for a node that has one."""
        assert self.record.node is not None
        return self.record.node

    @property
    def access(self) -> Access:
        """How to reach its machine.

        Raises:
            NodeLost: the journal does not know it.
        """
        if self.record.node is None or self.record.node.access is None:
            raise NodeLost(f"node {self.token} has no way to be reached", provider=self.provider_name)
        return self.record.node.access

    @property
    def executor(self) -> Executor:
        """The executor that reaches it.

        Raises:
            NodeUnreachable: the plugin blocked the event loop when it was asked about this node, or it cannot be used.
        """
        if self.record.hung:
            raise NodeUnreachable(
                f"{self.record.hung} blocked whoever asked it about this node", hint="its machine is given back without it"
            )
        access = self.access
        try:
            return self.engine.executor(access)
        except PluginError as error:
            # The job goes on; only nobody here can ask for it. So the node is silent: this is no garbled answer.
            name = self.record.executor or f"the executor for {access.kind}"
            raise NodeUnreachable(f"{name} cannot be used: {error.message}", hint=error.hint) from error

    @property
    def hurry(self) -> Hurry:
        """The time that is left for the work before its machine's release."""
        return self.engine.hurry(self.run.id)

    @property
    def title(self) -> str:
        """For messages: provider and machine."""
        return f"{self.provider_name} {self.node.id if self.record.node else self.token}"

    def now(self) -> datetime:
        """The time now, UTC."""
        return self.engine.clock.now()

    def again(self) -> Member:
        """The same node, as the journal has it now."""
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
        """Write a step that was decided from this record's stage.

        Another follower may have gone on meanwhile. From the newer stage the same step may be legal and wrong, so the journal
        refuses it then.

        Args:
            before: entries to write before it, in the same transaction.
        """
        return await self.write(*before, step.decided(self.record.stage))

    # --- how often it is asked --------------------------------------------------------------------------------------

    def due(self, what: str, seconds: float | None = None) -> bool:
        """Return True if something is due now, and note that it is done; ``seconds=None`` means only once."""
        return self.throttle.due(what, self.token, seconds)

    def mark(self, what: str) -> None:
        """Note that something was done or seen now."""
        self.throttle.mark(what, self.token)

    def elapsed(self, what: str) -> float | None:
        """Seconds since something was last done or seen; ``None`` if it never was."""
        return self.throttle.elapsed(what, self.token)

    def forget(self, what: str) -> None:
        """Forget that something was done or seen."""
        self.throttle.forget(what, self.token)
