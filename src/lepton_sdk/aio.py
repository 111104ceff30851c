"""AsyncClient: the public asynchronous API."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from lepton_sdk._config import Config, load_config
from lepton_sdk.domain.job import Job
from lepton_sdk.domain.resources import Resources
from lepton_sdk.errors import UsageError

if TYPE_CHECKING:
    from lepton_sdk._clock import Clock
    from lepton_sdk._engine.engine import Engine
    from lepton_sdk._engine.followers.leaving import OnCancel
    from lepton_sdk._engine.output.shell import Reach
    from lepton_sdk._engine.reconcile import HeldNode, Report
    from lepton_sdk._plugins.status import PluginStatus
    from lepton_sdk.domain.events import Event
    from lepton_sdk.domain.offer import Offer
    from lepton_sdk.domain.run import Run
    from lepton_sdk.router import Plan
    from lepton_sdk.spi.provider import Diagnosis, Provider
    from lepton_sdk.spi.spec import ProviderSpec

__all__ = ["AsyncClient", "JobLike"]

# A job, a mapping with a job file's keys, or the path of a job file.
JobLike = Job | Mapping[str, Any] | str | os.PathLike[str]


class AsyncClient:
    """A client of the market. Questions touch no network and no state; only `submit`, `run` and `stop` act.

    Where a method takes a job, pass a `Job`, a mapping with a job file's keys, or the path of a job file. Where it takes a
    run, pass the run's id, the name of its job, or the beginning of the id: four letters or more. If several runs have this
    name, the open one counts; if none is open, the newest.

    Args:
        config_file: the config file; else ``LEPTON_SDK_CONFIG``, else ``~/.config/lepton/config.toml``.
        state: the folder of the journal and of runs' files; else ``LEPTON_SDK_STATE``, else ``state`` in the config file.
        cache: the cache folder, whose files can be created again.
        providers: the application's own provider objects, by their spec.
        clock: a clock for tests and simulations.
        environment: the variables for settings and secrets; by default those of the process.

    Use it as a context manager, or call `aclose`.
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
        self._environment = os.environ if environment is None else environment
        self._config = load_config(file=config_file, state=state, cache=cache, environ=self._environment)
        self._providers = providers
        self._clock = clock
        self._opened: Engine | None = None
        self._inherited: Engine | None = None
        self._pid = os.getpid()

    @property
    def config(self) -> Config:
        """The settings in force."""
        return self._config

    @property
    def _engine(self) -> Engine:
        if self._pid != os.getpid():
            # After a fork the parent's open connections and files must be neither used nor closed here.
            self._inherited, self._opened, self._pid = self._opened, None, os.getpid()
        if self._opened is None:
            from lepton_sdk._engine.engine import Engine

            self._opened = Engine(self._config, clock=self._clock, providers=self._providers)
        return self._opened

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close connections and the journal. Runs continue."""
        if self._opened is not None and self._pid == os.getpid():
            await self._opened.aclose()
            self._opened = None

    # --- questions -------------------------------------------------------------------------------------------------

    async def offers(self, resources: Resources | Mapping[str, Any] | str | None = None, *, live: bool = False) -> list[Offer]:
        """Every known offer that fits ``resources``, cheapest first, usable or not.

        Args:
            resources: for example ``"H100:8"``; ``None`` for all offers. Spot offers are included unless it says otherwise.
            live: ask every usable provider; without it, reference data and this machine answer, without network.
        """
        from lepton_sdk._engine.market import ask_market
        from lepton_sdk.router import matching

        wanted = resources if isinstance(resources, Resources) else Resources.parse({"spot": "any"} | _keys(resources))
        market = await ask_market(self._engine, wanted, live=live)
        return list(matching(wanted, market.catalog))

    async def route(self, job: JobLike, *, live: bool = False) -> Plan:
        """Where the job would run, at what price, and why everything else lost.

        Args:
            live: ask every usable provider, and let no list price win; without it, reference data and this machine answer,
                without network.
        """
        from lepton_sdk._engine.market import plan_for

        return await plan_for(self._engine, _job(job), live=live)

    async def warnings(self) -> list[str]:
        """Warnings for the user, a line each: faulty plugins, providers that could not be asked."""
        return [*self._engine.registry.warnings(), *self._engine.notices]

    async def settings(self) -> dict[str, object]:
        """The settings in force: each with its value and its source, secrets as dots."""
        from lepton_sdk._config import config_to_dict

        return config_to_dict(self._config, self._engine.registry.specs())

    async def plugins(self) -> list[PluginStatus]:
        """Every installed plugin with its state, and the next step for those that are not ready."""
        return list(self._engine.registry.statuses())

    async def runs(self, *, all: bool = False, limit: int | None = None) -> list[Run]:  # noqa: A002 - the field's word
        """Open runs, newest first; with ``all``, ended ones too."""
        from lepton_sdk._engine.followers.follow import listed

        return await listed(self._engine, open_only=not all, limit=limit)

    async def get(self, run: str) -> Run:
        """One run by its id, its job's name, or the beginning of its id.

        Raises:
            UsageError: there is none, or there are several.
        """
        run_id = self._resolve(run)
        return self._engine.journal.run(run_id)

    async def events(self, run: str, *, after: int = 0) -> list[Event]:
        """The journal's entries of one run after entry number ``after``, oldest first."""
        run_id = self._resolve(run)
        return [*self._engine.journal.events(run_id, after)]

    async def nodes(self) -> list[HeldNode]:
        """Everything in the journal that may cost money, with its cost so far."""
        from lepton_sdk._engine.reconcile import nodes

        return await nodes(self._engine)

    async def diagnose(self, provider: str | None = None) -> list[Diagnosis]:
        """Check this host and each usable provider; free of charge."""
        from lepton_sdk._engine.doctor import examine

        return await examine(self._engine, provider)

    # --- actions ---------------------------------------------------------------------------------------------------

    async def submit(self, job: JobLike, *, on_plan: Callable[[Plan], None] | None = None, accept_exposure: bool = False) -> Run:
        """Submit a job, start a follower process that drives it, and return at once.

        Args:
            on_plan: called with the plan before anything is written or rented.
            accept_exposure: go on also where nothing ends a machine's bill if that follower dies.

        Raises:
            JobSpecError: the job cannot run as it is; nothing was started.
            NoOffers: nothing in the market fits.
            ExposureNotAccepted: without a follower a machine could stay on the bill; nothing was started.
        """
        from lepton_sdk._engine.jobs import submit

        if self._providers:
            raise UsageError(
                "a follower process cannot know the providers that this program brought",
                hint="use run(), or ship the provider as a plugin",
            )
        return await submit(self._engine, _job(job), self._environment, on_plan=on_plan, accept_exposure=accept_exposure)

    async def run(
        self,
        job: JobLike,
        *,
        on_plan: Callable[[Plan], None] | None = None,
        on_event: Callable[[Event], None] | None = None,
        on_output: Callable[[bytes], object] | None = None,
        on_progress: Callable[[str], None] | None = None,
        on_cancel: OnCancel = "leave",
    ) -> Run:
        """Run a job to its end and release the machine.

        If the call is cancelled, times out or fails while the run is open, it names the run: in a note on the exception, and as a
        warning of the logger ``lepton_sdk``. Then follow the run with `wait` or ``lepton follow``, or end it with `stop`.

        Args:
            on_plan: called with the plan before anything is written or rented.
            on_event: called with each journal entry of this run when it is written.
            on_output: called with each piece of the job's output when it arrives. If it returns an awaitable, the next piece
                waits for it.
            on_progress: called a few times a second with a line about slow work in this client, such as sending a workdir,
                and with ``""`` when it is over.
            on_cancel: what a cancellation does to the run. ``"leave"``: the run continues, and nobody follows it. ``"stop"``:
                the run is stopped and its machine released before the cancellation continues; after three minutes, or when the
                call is cancelled again, the run is left all the same.

        Raises:
            JobSpecError: the job cannot run as it is; nothing was started.
            NoOffers: nothing in the market fits.
        """
        from lepton_sdk._engine.jobs import run_to_end

        return await run_to_end(
            self._engine,
            _job(job),
            self._environment,
            on_plan=on_plan,
            on_event=on_event,
            on_output=on_output,
            on_progress=on_progress,
            on_cancel=on_cancel,
        )

    async def detach(self, run: str, *, accept_exposure: bool = False) -> None:
        """Start a follower process that drives an open run.

        Args:
            accept_exposure: go on also where nothing ends its machines' bill if that follower dies.

        Raises:
            ExposureNotAccepted: without a follower a machine could stay on the bill; the run continues as before.
        """
        from lepton_sdk._engine.jobs import detach

        await detach(self._engine, self._resolve(run), self._environment, accept_exposure=accept_exposure)

    async def unfollowed(self, run: str) -> list[str]:
        """The limits of an open run while nobody follows it, a line each."""
        from lepton_sdk._engine.followers.exposure import unfollowed

        return unfollowed(self._engine, self._resolve(run))

    async def logs(self, run: str, *, offset: int = 0, follow: bool = False, node: int | None = None) -> AsyncIterator[bytes]:
        """The output of a run from byte ``offset``; with ``follow``, live until it has ended.

        Args:
            node: the rank of one node, for its output only. Without it each line of a run of several nodes begins with its
            rank (``[1] ``).
        """
        from lepton_sdk._engine.logs import read_logs

        async for chunk in read_logs(self._engine, self._resolve(run), offset=offset, follow=follow, node=node):
            yield chunk

    async def pull(self, run: str, target: str | os.PathLike[str], patterns: Sequence[str] = ()) -> tuple[str, ...]:
        """Fetch a run's files into ``target``: from its machine while it exists, else from what was kept here.

        Args:
            patterns: which files, as in ``.gitignore``; without any, the job's ``outputs``.

        Returns:
            The written paths, relative to ``target``. `warnings` names each file that could not be fetched, and why.
        """
        from pathlib import Path

        from lepton_sdk._engine.output.pull import pull

        return await pull(self._engine, self._resolve(run), Path(target), patterns)

    async def reach(self, run: str, node: int = 0) -> Reach:
        """How a person connects to one node of a run: ``shell()``, ``forward()``, ``config()``, all for the user's own ssh.

        A node's id instead of a run means the machine itself, also if the run has a container on it.
        """
        from lepton_sdk._engine.output.shell import Reach, node_called

        if (named := node_called(self._engine, run)) is not None:
            return Reach(self._engine, *named, outside=True)
        return Reach(self._engine, self._resolve(run), node)

    async def wait(self, run: str, *, check: bool = False, on_cancel: OnCancel = "leave") -> Run:
        """Wait until a run has ended and its machine is released; drive the run if nobody else does.

        Args:
            check: raise when the run did not succeed.
            on_cancel: what a cancellation does to the run, as for `run`.

        Raises:
            JobFailed, JobTimedOut, JobCancelled, NodeLost, NoOffers: with ``check``, how it ended.
        """
        from lepton_sdk._engine.followers.follow import wait_for
        from lepton_sdk._engine.followers.leaving import or_leave

        run_id = self._resolve(run)
        ended = await or_leave(self._engine, run_id, wait_for(self._engine, run_id), on_cancel)
        if check:
            ended.raise_for_state()
        return ended

    async def stop(self, run: str, *, now: bool = False) -> Run:
        """Stop a run: end its processes and release its machine. Idempotent.

        Args:
            now: release the machine at once. Logs and outputs that are not here yet are lost.
        """
        from lepton_sdk._engine.followers.follow import request_stop, wait_for
        from lepton_sdk._engine.followers.leaving import or_leave

        run_id = self._resolve(run)
        request_stop(self._engine, run_id, now=now)
        return await or_leave(self._engine, run_id, wait_for(self._engine, run_id))

    async def follow(
        self, *, only: Sequence[str] = (), until_idle: bool = False, secrets: Mapping[str, str] | None = None
    ) -> int:
        """Drive every open run, and new ones, until cancelled; return how many it drove.

        Args:
            only: drive only these runs.
            until_idle: end when no open run is left.
            secrets: values for jobs that name secrets and have not started yet.
        """
        from lepton_sdk._engine.followers.follow import follow_all
        from lepton_sdk._engine.followers.journal_away import patient

        await patient(self._engine, self._engine.has_journal)
        runs = frozenset(map(self._resolve, only))
        return await follow_all(self._engine, only=runs, until_idle=until_idle, secrets=secrets)

    async def reconcile(self, *, release_strays: bool = False, all_owners: bool = False, give_up: str | None = None) -> Report:
        """Compare the journal with what every usable provider lists: take due steps, release duplicates, show the rest.

        Args:
            release_strays: also release things with our owner that no open node of the journal explains.
            all_owners: also show the machines of other owners.
            give_up: the id or token of a node whose account is lost for good: its record is closed, but not as released.
        """
        from lepton_sdk._engine.reconcile import reconcile

        return await reconcile(self._engine, release_strays=release_strays, all_owners=all_owners, give_up=give_up)

    async def state(self) -> dict[str, object]:
        """Where the journal is, whose it is, and whether it may act: ``path``, ``owner``, ``former_owners``, ``host``, …"""
        from lepton_sdk._engine.doctor import state_of

        return state_of(self._engine)

    async def adopt_state(self) -> dict[str, object]:
        """Adopt a journal that is a copy or an older backup, under a new owner: only if the original is gone for good.

        After a roll-back open runs are stopped; machines of the old owner stay listed by `reconcile`."""
        from lepton_sdk._engine.ownership import adopt

        return adopt(self._engine)

    async def new_state(self) -> dict[str, object]:
        """Begin a new journal where one was lost or is damaged; the remains of the old one are kept (``kept``)."""
        from lepton_sdk._engine.ownership import new_state

        return new_state(self._engine)

    # ---------------------------------------------------------------------------------------------------------------

    def _resolve(self, run: str) -> str:
        return self._engine.resolve(run)


def _keys(resources: Mapping[str, Any] | str | None) -> dict[str, Any]:
    return dict(resources) if isinstance(resources, Mapping) else {"gpu": resources}


def _job(job: JobLike) -> Job:
    if isinstance(job, Job):
        return job
    if isinstance(job, str | os.PathLike):
        from lepton_sdk._jobfile import load_job

        return load_job(job)
    return Job.from_dict(job)
