"""Client: the synchronous twin of AsyncClient, method by method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import os

    from lepton_sdk._clock import Clock
    from lepton_sdk._config import Config
    from lepton_sdk._engine.followers.leaving import OnCancel
    from lepton_sdk._engine.output.shell import Reach
    from lepton_sdk._engine.reconcile import HeldNode, Report
    from lepton_sdk._plugins.status import PluginStatus
    from lepton_sdk._portal import Portal
    from lepton_sdk.aio import AsyncClient, JobLike
    from lepton_sdk.domain.events import Event
    from lepton_sdk.domain.offer import Offer
    from lepton_sdk.domain.resources import Resources
    from lepton_sdk.domain.run import Run
    from lepton_sdk.router import Plan
    from lepton_sdk.spi.provider import Diagnosis, Provider
    from lepton_sdk.spi.spec import ProviderSpec

__all__ = ["Client"]


class Client:
    """A client of the market for synchronous code, notebooks and code inside a running event loop.

    Each method does the same as the method of the same name of `AsyncClient`, with the same arguments.

    >>> with Client() as client:
    ...     offers = client.offers("H100:8")
    >>> {str(offer.gpu.model) for offer in offers}, {offer.gpu_count for offer in offers}
    ({'H100'}, {8})
    """

    def __init__(
        self,
        *,
        config_file: str | os.PathLike[str] | None = None,
        state: str | os.PathLike[str] | None = None,
        cache: str | os.PathLike[str] | None = None,
        providers: Mapping[ProviderSpec, Provider] | None = None,
        clock: Clock | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        from lepton_sdk._portal import Portal
        from lepton_sdk.aio import AsyncClient

        self._portal: Portal = Portal()
        self._client: AsyncClient = AsyncClient(
            config_file=config_file,
            state=state,
            cache=cache,
            providers=providers,
            clock=clock,
            environment=environment,
        )

    @property
    def config(self) -> Config:
        """See `AsyncClient.config`."""
        return self._client.config

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """See `AsyncClient.aclose`. Cancels the calls of other threads."""
        self._portal.end_calls()
        self._portal.call(self._client.aclose())
        self._portal.close()

    def offers(self, resources: Resources | Mapping[str, Any] | str | None = None, *, live: bool = False) -> list[Offer]:
        """See `AsyncClient.offers`."""
        return self._portal.call(self._client.offers(resources, live=live))

    def route(self, job: JobLike, *, live: bool = False) -> Plan:
        """See `AsyncClient.route`."""
        return self._portal.call(self._client.route(job, live=live))

    def warnings(self) -> list[str]:
        """See `AsyncClient.warnings`."""
        return self._portal.call(self._client.warnings())

    def settings(self) -> dict[str, object]:
        """See `AsyncClient.settings`."""
        return self._portal.call(self._client.settings())

    def plugins(self) -> list[PluginStatus]:
        """See `AsyncClient.plugins`."""
        return self._portal.call(self._client.plugins())

    def runs(self, *, all: bool = False, limit: int | None = None) -> list[Run]:  # noqa: A002 - the field's word
        """See `AsyncClient.runs`."""
        return self._portal.call(self._client.runs(all=all, limit=limit))

    def get(self, run: str) -> Run:
        """See `AsyncClient.get`."""
        return self._portal.call(self._client.get(run))

    def events(self, run: str, *, after: int = 0) -> list[Event]:
        """See `AsyncClient.events`."""
        return self._portal.call(self._client.events(run, after=after))

    def nodes(self) -> list[HeldNode]:
        """See `AsyncClient.nodes`."""
        return self._portal.call(self._client.nodes())

    def diagnose(self, provider: str | None = None) -> list[Diagnosis]:
        """See `AsyncClient.diagnose`."""
        return self._portal.call(self._client.diagnose(provider))

    def submit(self, job: JobLike, *, on_plan: Callable[[Plan], None] | None = None, accept_exposure: bool = False) -> Run:
        """See `AsyncClient.submit`."""
        return self._portal.call(self._client.submit(job, on_plan=on_plan, accept_exposure=accept_exposure))

    def run(
        self,
        job: JobLike,
        *,
        on_plan: Callable[[Plan], None] | None = None,
        on_event: Callable[[Event], None] | None = None,
        on_output: Callable[[bytes], object] | None = None,
        on_progress: Callable[[str], None] | None = None,
        on_cancel: OnCancel = "leave",
    ) -> Run:
        """See `AsyncClient.run`. The callbacks run in the client's own thread; an interrupt cancels the call."""
        return self._portal.call(
            self._client.run(
                job,
                on_plan=on_plan,
                on_event=on_event,
                on_output=on_output,
                on_progress=on_progress,
                on_cancel=on_cancel,
            )
        )

    def detach(self, run: str, *, accept_exposure: bool = False) -> None:
        """See `AsyncClient.detach`."""
        return self._portal.call(self._client.detach(run, accept_exposure=accept_exposure))

    def unfollowed(self, run: str) -> list[str]:
        """See `AsyncClient.unfollowed`."""
        return self._portal.call(self._client.unfollowed(run))

    def logs(self, run: str, *, offset: int = 0, follow: bool = False, node: int | None = None) -> Iterator[bytes]:
        """See `AsyncClient.logs`."""
        return self._portal.iterate(self._client.logs(run, offset=offset, follow=follow, node=node))

    def pull(self, run: str, target: str | os.PathLike[str], patterns: Sequence[str] = ()) -> tuple[str, ...]:
        """See `AsyncClient.pull`."""
        return self._portal.call(self._client.pull(run, target, patterns))

    def reach(self, run: str, node: int = 0) -> Reach:
        """See `AsyncClient.reach`."""
        return self._portal.call(self._client.reach(run, node))

    def wait(self, run: str, *, check: bool = False, on_cancel: OnCancel = "leave") -> Run:
        """See `AsyncClient.wait`."""
        return self._portal.call(self._client.wait(run, check=check, on_cancel=on_cancel))

    def stop(self, run: str, *, now: bool = False) -> Run:
        """See `AsyncClient.stop`."""
        return self._portal.call(self._client.stop(run, now=now))

    def follow(self, *, only: Sequence[str] = (), until_idle: bool = False, secrets: Mapping[str, str] | None = None) -> int:
        """See `AsyncClient.follow`."""
        return self._portal.call(self._client.follow(only=only, until_idle=until_idle, secrets=secrets))

    def reconcile(self, *, release_strays: bool = False, all_owners: bool = False, give_up: str | None = None) -> Report:
        """See `AsyncClient.reconcile`."""
        return self._portal.call(self._client.reconcile(release_strays=release_strays, all_owners=all_owners, give_up=give_up))

    def state(self) -> dict[str, object]:
        """See `AsyncClient.state`."""
        return self._portal.call(self._client.state())

    def adopt_state(self) -> dict[str, object]:
        """See `AsyncClient.adopt_state`."""
        return self._portal.call(self._client.adopt_state())

    def new_state(self) -> dict[str, object]:
        """See `AsyncClient.new_state`."""
        return self._portal.call(self._client.new_state())
