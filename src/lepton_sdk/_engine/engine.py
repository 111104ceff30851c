"""What every part of the engine needs: configuration, clock, plugins, journal, and the identity of this process."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lepton_sdk._clock import Clock, SteadyClock
from lepton_sdk._config import Config, shown_address
from lepton_sdk._engine import timing as times
from lepton_sdk._engine.calls.bounded import ask_provider
from lepton_sdk._engine.calls.gate import checked_account
from lepton_sdk._engine.calls.hurry import Hurry
from lepton_sdk._engine.claims.holder import this_process
from lepton_sdk._engine.polling import Cached, Throttle
from lepton_sdk._engine.timing import Timing
from lepton_sdk._gate.specs import check_spec
from lepton_sdk._journal import Journal, Place, exists, lost_at
from lepton_sdk._plugins.registry import Registry
from lepton_sdk.domain.access import Access
from lepton_sdk.domain.caps import Caps
from lepton_sdk.domain.events import AnyEvent, Event
from lepton_sdk.domain.ids import new_id
from lepton_sdk.domain.node import Node
from lepton_sdk.domain.offer import Offer
from lepton_sdk.domain.quantity import show_duration
from lepton_sdk.domain.run import Run
from lepton_sdk.errors import JournalError, LeptonError, PluginBroken, PluginError, UsageError
from lepton_sdk.router import Standing
from lepton_sdk.spi.capabilities import PROVIDER_CAPABILITIES, Accounting, lacking, misfit
from lepton_sdk.spi.executor import Executor, ExecutorContext
from lepton_sdk.spi.provider import Provider
from lepton_sdk.spi.secret import redacted
from lepton_sdk.spi.spec import ProviderSpec

__all__ = ["Engine"]

# Clocks that a time service keeps differ by less.
_MOVED_SECONDS = 60.0


class Engine:
    """One client's plugins, journal and caches. Each of them opens on first use.

    Args:
        providers: provider objects that the application brings itself, by spec; used beside the installed plugins.
        executors: executors by the kind of their access; used before the installed ones. For simulations,
            like the next two.
        open_journal: makes the journal.
        entropy: random bytes for ids.
        timing: the engine's waiting times; tests and simulations bring their own.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock | None = None,
        providers: Mapping[ProviderSpec, Provider] | None = None,
        executors: Mapping[str, Executor] | None = None,
        open_journal: Callable[..., Journal] = Journal,
        entropy: Callable[[int], bytes] = os.urandom,
        timing: Timing | None = None,
    ) -> None:
        self.config = config
        self.clock: Clock = clock or SteadyClock()
        self.timing = timing or times.USUAL.with_keeping(config.keeping)
        self.registry = Registry(config, self.clock)
        self._brought = {spec.name: (spec, _able(spec, provider)) for spec, provider in (providers or {}).items()}
        self._entropy = entropy
        self._journal: Journal | None = None
        self._executors: dict[str, Executor] = dict(executors or {})
        self._open_journal = open_journal
        self._accounts: dict[str, tuple[float | None, str | None]] = {}
        self.throttle = Throttle(self.clock)
        # By run: the time that is left for the work before its machines' release.
        self._hurries: dict[str, Hurry] = {}
        # By token: create calls without an answer yet, which go on if their caller is cancelled; and those that never answered.
        self.creating: dict[str, asyncio.Future[Run]] = {}
        self.called: set[str] = set()
        self.listings: Cached[Mapping[str, Node]] = Cached(self.clock)
        self.releases: Cached[Mapping[str, Node]] = Cached(self.clock)
        self.markets: Cached[tuple[list[Offer], LeptonError | None]] = Cached(self.clock)
        # Providers that could not be asked when the market was last asked, for a reason that may pass.
        self.passing: dict[str, LeptonError] = {}
        self.notices: list[str] = []
        self._moved, self._said, self._onlookers = False, set[str](), list[Callable[[str], None]]()
        # Claims that some work of this process has, whatever the clock says, and whom to tell when one is lost.
        self.claims: dict[str, tuple[int, Callable[[int], object]]] = {}
        # How many runs are driven here while a thread checks for a blocked event loop.
        self.watchers, self.watch_over = 0, threading.Event()
        self.renewal: asyncio.Future[None] | None = None
        self.holder = this_process(self.new_id())

    def new_id(self) -> str:
        """A fresh identifier that sorts by time."""
        return new_id(self.clock.now(), self._entropy(6))

    # --- providers and executors -----------------------------------------------------------------------------------

    def standing(self) -> dict[str, Standing]:
        """For every known provider: whether it can be used, and if not, why and what helps."""
        brought = {name: Standing(True, launch_gap=spec.launch_gap) for name, (spec, _) in self._brought.items()}
        return self.registry.standing() | brought

    def spec(self, name: str) -> ProviderSpec:
        """The provider's spec: what it says about itself."""
        return self._brought[name][0] if name in self._brought else self.registry.spec(name)

    def provider(self, name: str) -> Provider:
        """The provider itself; its factory is imported on first use."""
        return self._brought[name][1] if name in self._brought else self.registry.provider(name)

    async def account(self, name: str) -> str | None:
        """The account that a provider's credentials open; ``None`` if it cannot tell yet. Asked again after a few minutes."""
        if "account" not in self.spec(name).capabilities:
            return None
        now, (asked, account) = self.clock.monotonic(), self._accounts.get(name, (None, None))
        if asked is None or account is None or now - asked > self.timing.account:
            provider, seconds = self.provider(name), self.timing.provider
            assert isinstance(provider, Accounting)
            answer = await ask_provider(name, "asking which account this is", provider.account, seconds, self.clock)
            account = checked_account(answer, name)
            self._accounts[name] = (now, account)
        return account

    def hurry(self, run_id: str) -> Hurry:
        """The time that is left for the work before the release of a run's machines."""
        if run_id not in self._hurries:
            self._hurries[run_id] = Hurry(self.clock, self.timing.stopped)
        return self._hurries[run_id]

    def forget_hurry(self, run_id: str) -> None:
        """Nobody drives the run here any more."""
        self._hurries.pop(run_id, None)

    def executor_name(self, access: Access) -> str | None:
        """The plugin whose executor is in use for this kind of access; ``None`` if none was used yet."""
        executor = self._executors.get(access.kind)
        return None if executor is None else _module_of(executor)

    def reaches(self, access: Access) -> bool:
        """Return True if an executor here serves this kind of access."""
        return access.kind in self._executors or bool(self.registry.executor_plugins(access.kind))

    def is_here(self, access: Access) -> bool:
        """Return True if nodes with this access run on this host, so that their files are here already."""
        try:
            return "here" in self.registry.executor_spec(access.kind).capabilities
        except PluginError:
            return False

    def executor_plugin(self, node: Node | None) -> str:
        """The plugin whose executor reaches a node, with its distribution; ``""`` if nobody knows."""
        try:
            return self.registry.executor_plugin(node.access.kind) if node is not None and node.access is not None else ""
        except PluginError:
            return ""

    def plugin_modules(self) -> dict[str, str]:
        """The plugins in use: module (or package of modules) → the plugin's name."""
        used = [*self._executors.values(), *self.registry.providers()]
        names = {_module_of(one) for one in used}
        return {name: name for name in names}

    @property
    def brings_providers(self) -> bool:
        """Return True if the application brought providers, which no other process knows."""
        return bool(self._brought)

    def executor(self, access: Access) -> Executor:
        """The executor for nodes with this access."""
        if access.kind not in self._executors:
            context = ExecutorContext(clock=self.clock, runs_dir=self.runs_dir, progress=self._show, own=self.has_own_hosts)
            self._executors[access.kind] = self.registry.executor(access.kind, context)
        return self._executors[access.kind]

    def has_own_hosts(self, name: str) -> bool:
        """Return True if a provider's machines are the user's own hosts; asked for nodes that do not say so themselves."""
        try:
            return "local" in self.spec(name).capabilities
        except LeptonError:
            # Its plugin is not here any more.
            return False

    @property
    def is_busy(self) -> bool:
        """Return True if one listing shall replace single polls, because many runs are driven here."""
        return len(self.claims) > self.timing.few

    def poll_seconds(self) -> float:
        """The longest time between two polls of a node."""
        return max(self.timing.longest_poll, self.timing.poll_each * len(self.claims))

    @contextmanager
    def shown_to(self, on_event: Callable[[Event], None] | None, on_progress: Callable[[str], None] | None) -> Iterator[None]:
        """Show each new entry of the journal, and the progress of what takes long, to the given callbacks."""
        stop_listening = self.journal.listen(on_event) if on_event else None
        onlookers = [on_progress] if on_progress else []
        self._onlookers += onlookers
        try:
            yield
        finally:
            for onlooker in onlookers:
                self._onlookers.remove(onlooker)
            if stop_listening:
                stop_listening()

    def _show(self, text: str) -> None:
        for onlooker in self._onlookers:
            onlooker(text)

    # --- words -----------------------------------------------------------------------------------------------------

    def tell(self, line: str) -> None:
        """Keep a line that the user should see; the same line is kept only once."""
        line = self.redacted(line)
        if line not in self.notices:
            self.notices.append(line)

    def say(self, line: str) -> None:
        """Show a line at once, and only once, in this process's log; `tell` keeps a line for the end."""
        line = self.redacted(line)
        if line not in self._said:
            self._said.add(line)
            logging.getLogger("lepton_sdk").warning(line)

    def say_away(self, error: JournalError) -> None:
        """Tell the user that the journal does not answer and that we wait for it."""
        words = f"{error.message}; it is waited for, and until then nothing is created and nothing is given back"
        self.say(f"{words}; next: {error.hint}" if error.hint else words)

    def tell_of_clock(self) -> None:
        """Tell the user, once, that the wall clock was set while something is open."""
        moved = self._journal.moved() if self._journal is not None else 0.0
        if abs(moved) > _MOVED_SECONDS and not self._moved:
            self._moved = True
            ahead = "ahead of" if moved > 0 else "behind"
            self.say(
                f"this host's clock is {show_duration(round(abs(moved)))} {ahead} the time that its open runs began by: "
                "it was set. Their times, limits and costs go on by the time since boot, which nobody sets"
            )

    def redacted(self, text: str) -> str:
        """A text for people or for the journal: without secrets, and shortened as observers want it."""
        text = redacted(text)
        observers = self.registry.observers()
        for shorter in observers.hook.redact(text=text) if observers is not None else ():
            text = shorter if isinstance(shorter, str) else text
        return text

    # --- state -----------------------------------------------------------------------------------------------------

    @property
    def runs_dir(self) -> Path:
        """The folder for the files of runs."""
        return self.config.state_dir / "runs"

    @property
    def journal_place(self) -> Place:
        """The journal's file, or the address of its database."""
        return self.config.database or self.config.state_dir / "journal.db"

    @property
    def journal_name(self) -> str:
        """The journal's place, as people see it: without a password."""
        place = self.journal_place
        return str(place) if isinstance(place, Path) else shown_address(place)

    @property
    def marks(self) -> Path:
        """The folder where this host notes what it has seen of each journal."""
        return self.config.cache_dir / "journals"

    @property
    def journal(self) -> Journal:
        """The journal, made on first use.

        Raises:
            JournalLost: there was one, and something of it may be billed, so no new one is made.
            JournalError: it cannot be used.
        """
        if self._journal is None:
            self._journal = self._open_journal(self.journal_place, self.clock, marks=self.marks)
            self._journal.when_away = self.say_away
            self.tell_of_clock()
            if (observers := self.registry.observers()) is not None:
                self._journal.listen(lambda event: observers.hook.on_transition(event=event.to_dict()))
        return self._journal

    def has_journal(self) -> bool:
        """Return True if a journal exists. Only asking must not make one."""
        if self._journal is not None or exists(self.journal_place):
            return True
        if lost := lost_at(self.marks, self.journal_place):
            names = ", ".join(sorted({name for one in lost for name in one.rented}))
            self.say(f"the journal {self.journal_name} is gone and had machines at {names}: see lepton nodes")
        return False

    def resolve(self, run: str) -> str:
        """The id of the run that this text names.

        Raises:
            UsageError: no run or several runs match.
        """
        if not self.has_journal():
            raise UsageError(f"no run is called {run!r}: there is no journal yet", hint="start one with lepton run")
        return self.journal.resolve(run)

    async def write(self, run_id: str, *events: AnyEvent, caps: Caps | None = None) -> Run:
        """Write entries of one run durably, all or none; the run after them."""
        return await self.journal.write(*self._stamped(run_id, events), caps=caps)

    def append(self, run_id: str, *events: AnyEvent) -> Run:
        """`write` for callers that cannot await."""
        return self.journal.append(*self._stamped(run_id, events))

    def _stamped(self, run_id: str, events: tuple[AnyEvent, ...]) -> list[AnyEvent]:
        now = self.clock.now()
        return [event.stamped(run_id, now) for event in events]

    def open(self) -> Journal:
        """Open the journal: the same as `journal`, for callers that only want to know whether it opens."""
        return self.journal

    @property
    def opened(self) -> bool:
        """Return True if the journal is open here."""
        return self._journal is not None

    def close_journal(self) -> None:
        """Close the journal; the next use opens it again."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def open_heir(self, owners: tuple[str, ...]) -> Journal:
        """Begin a new journal in the place of lost ones. It lists what carries their owner names as its own."""
        self._journal = Journal(self.journal_place, self.clock, marks=self.marks, heir_of=owners)
        return self._journal

    async def aclose(self) -> None:
        """Close providers, executors and the journal. First wait until the answers of create calls under way are written."""
        if self.creating:
            await asyncio.wait(list(self.creating.values()))
        for executor in self._executors.values():
            await executor.aclose()
        self._executors.clear()
        for _, provider in self._brought.values():
            await provider.aclose()
        await self.registry.aclose()
        self.close_journal()


def _able(spec: ProviderSpec, provider: Provider) -> Provider:
    """Check that the provider can do what its spec says, and return it.

    Raises:
        PluginBroken: a method is missing or does not take what core gives it, or a field of the spec is wrong.
    """
    check_spec(spec)
    if why := lacking(provider, spec.capabilities, PROVIDER_CAPABILITIES) or misfit(provider, [Provider]):
        raise PluginBroken(f"{spec.name}: {why}")
    return provider


def _module_of(plugin: object) -> str:
    """The plugin's name, taken from where its code is: a third party's package, or our own single module."""
    module = type(plugin).__module__
    package = module.partition(".")[0]
    return module if package == "lepton_sdk" else package
