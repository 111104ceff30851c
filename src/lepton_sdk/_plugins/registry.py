"""Registry: all access to plugins. Listing imports specs; a factory is imported when its plugin is first used."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from attrs import evolve

from lepton_sdk._clock import Clock
from lepton_sdk._config import Config, read_section
from lepton_sdk._plugins.discovery import discover, names
from lepton_sdk._plugins.entry_points import EntryPoint, entry_points
from lepton_sdk._plugins.loading import load_object, said
from lepton_sdk._plugins.status import KINDS, PluginState, PluginStatus
from lepton_sdk._plugins.warnings import missing_hint, notices
from lepton_sdk.errors import ConfigError, LeptonError, PluginBroken, PluginConflict, PluginError, PluginMissing
from lepton_sdk.spi.spec import CommandSpec, ExecutorSpec, ObserverSpec, ProviderSpec, WatchdogWay

if TYPE_CHECKING:
    import pluggy

    from lepton_sdk.router import Standing
    from lepton_sdk.spi.executor import Executor, ExecutorContext
    from lepton_sdk.spi.http import ApiClient
    from lepton_sdk.spi.provider import Provider, ProviderContext, RemoteShell

__all__ = ["Registry"]


class Registry:
    """The plugins of one client.

    Args:
        config: what the user set.
        clock: passed to providers.
        http: makes the HTTP clients of providers; ``None`` for the default.
        entries: entry points to use instead of the installed ones.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        *,
        http: Callable[..., ApiClient] | None = None,
        entries: tuple[EntryPoint, ...] | None = None,
    ) -> None:
        self._config, self._clock, self._http = config, clock, http
        self._found = entries
        self._statuses: dict[str, tuple[PluginStatus, ...]] = {}
        self._specs: dict[str, ProviderSpec] = {}
        self._providers: dict[str, Provider] = {}
        self._http_of: dict[str, Callable[..., ApiClient]] = {}
        self._observers: pluggy.PluginManager | None = None
        self._observers_made = False
        self._events: list[str] = []
        self._shells: list[RemoteShell] = []

    # --- what is installed ------------------------------------------------------------------------------------------

    @property
    def _entries(self) -> tuple[EntryPoint, ...]:
        if self._found is None:
            self._found = entry_points()
        return self._found

    def statuses(self, kind: str | None = None) -> tuple[PluginStatus, ...]:
        """Every installed plugin with its state, by kind and name; no factory is imported.

        Args:
            kind: ``"provider"``, ``"executor"``, ``"observer"`` or ``"command"``; ``None`` for all.

        Raises:
            PluginError: a plugin is faulty and ``LEPTON_SDK_PLUGINS_STRICT`` is on.
        """
        if kind is None:
            return tuple(status for one in KINDS for status in self.statuses(one))
        if kind not in self._statuses:
            found = tuple(discover(kind, self._entries, self._config))
            if fault := next((s for s in found if s.is_fault), None) if self._config.strict else None:
                raise fault.error()
            self._statuses[kind] = found
        return self._statuses[kind]

    def standing(self) -> dict[str, Standing]:
        """For every installed provider: whether it can be used, and if not, why and what to do."""
        from lepton_sdk.router import Standing

        standing: dict[str, Standing] = {}
        for status in self.statuses("provider"):
            usable = status.state is PluginState.READY
            if usable or status.name not in standing:
                spec = status.spec if isinstance(status.spec, ProviderSpec) else None
                reason, hint = self._out_of_reach(spec) if usable and spec is not None else (status.reason, status.hint)
                gap = spec.launch_gap if spec is not None else 0.0
                standing[status.name] = Standing(usable and not reason, reason, hint, gap)
        return standing

    def _out_of_reach(self, spec: ProviderSpec) -> tuple[str, str]:
        """Why no job could start on a provider's nodes, and the next step: known before anything is paid for."""
        for kind in sorted(spec.access):
            try:
                self._executor(kind)
            except PluginError as error:
                return error.message, error.hint or ""
        return "", ""

    def specs(self) -> dict[str, ProviderSpec]:
        """The specs of providers in any state, where the spec could be read."""
        return {s.name: s.spec for s in self.statuses("provider") if isinstance(s.spec, ProviderSpec)}

    def spec(self, name: str) -> ProviderSpec:
        """The spec of a provider, whether it can be used or not; without its watchdog where the user wants none.

        Raises:
            PluginError: no provider has this name, or its spec could not be read.
        """
        if name not in self._specs:
            status = self._status("provider", name)
            if not isinstance(status.spec, ProviderSpec):
                raise status.error()
            self._specs[name] = _as_wanted(self._config, status.spec)
        return self._specs[name]

    def warnings(self) -> tuple[str, ...]:
        """Warnings for the user, each with the fault and the next step; they cover the plugins that were listed so far."""
        lines = [s.line() for found in self._statuses.values() for s in found if s.is_fault]
        if "provider" in self._statuses:
            lines += notices(self._config, self.statuses("provider"))
        return tuple(lines + self._events)

    def _status(self, kind: str, name: str) -> PluginStatus:
        """The status for a name: the ready one where several plugins have it."""
        claims = [status for status in self.statuses(kind) if status.name == name]
        if not claims:
            known = {status.name for status in self.statuses(kind)}
            raise PluginMissing(f"no installed plugin gives the {kind} {name!r}", hint=missing_hint(name, known))
        return next((s for s in claims if s.state is PluginState.READY), claims[0])

    def _ready(self, kind: str, name: str) -> PluginStatus:
        status = self._status(kind, name)
        if status.state is not PluginState.READY:
            raise status.error()
        return status

    # --- what they make ---------------------------------------------------------------------------------------------

    def providers(self) -> tuple[Provider, ...]:
        """The providers that were made."""
        return tuple(self._providers.values())

    def provider(self, name: str) -> Provider:
        """The provider of this name; made on first use, then always the same.

        Raises:
            PluginError: missing, disabled, broken, in conflict, or for another contract.
            ConfigError: a value that it needs is missing or wrong.
        """
        if name not in self._providers:
            from lepton_sdk._plugins.factories import make_provider

            status = self._ready("provider", name)
            context = self._context(status)
            self._providers[name] = make_provider(status, context)
            self._http_of[name] = context.http
        return self._providers[name]

    def speaks_http(self, name: str) -> bool:
        """Whether a provider has made a client through its context, which marks requests that leave."""
        return bool(getattr(self._http_of.get(name), "used", False))

    def _context(self, status: PluginStatus) -> ProviderContext:
        from lepton_sdk._plugins.factories import make_context
        from lepton_sdk._plugins.remote_shell import ExecutorShell
        from lepton_sdk.domain.access import SSHAccess
        from lepton_sdk.spi.executor import ExecutorContext

        def reach() -> Executor:
            # The same folder as the engine's, so that one file of pinned host keys serves both.
            return self.executor(SSHAccess.kind, ExecutorContext(clock=self._clock, runs_dir=self._config.state_dir / "runs"))

        assert isinstance(status.spec, ProviderSpec)
        shell = ExecutorShell(reach)
        self._shells.append(shell)
        return make_context(status.spec, self._config, self._clock, self._http, shell)

    def executor(self, kind: str, context: ExecutorContext) -> Executor:
        """A new executor for nodes with this kind of access; the caller closes it.

        Raises:
            PluginError: none is installed for it, several are, or it is broken.
        """
        from lepton_sdk._plugins.factories import make_executor

        return make_executor(self.executor_spec(kind), context)

    def executor_spec(self, kind: str) -> ExecutorSpec:
        """The spec of the executor for a kind of access.

        Raises:
            PluginError: none is installed for it, or several are.
        """
        return self._executor(kind)[1]

    def executor_plugins(self, kind: str) -> tuple[str, ...]:
        """The names of all usable executors for a kind of access."""
        specs = ((status.name, status.spec) for status in self.statuses("executor") if status.state is PluginState.READY)
        return tuple(name for name, spec in specs if isinstance(spec, ExecutorSpec) and spec.access == kind)

    def executor_plugin(self, kind: str) -> str:
        """The executor for a kind of access, with its distribution, for people.

        Raises:
            PluginError: none is installed for it, or several are.
        """
        status, _ = self._executor(kind)
        return f"{status.name} ({status.distribution})"

    def _executor(self, kind: str) -> tuple[PluginStatus, ExecutorSpec]:
        fitting = [
            (status, status.spec)
            for status in self.statuses("executor")
            if isinstance(status.spec, ExecutorSpec) and status.spec.access == kind and status.state is PluginState.READY
        ]
        if not fitting:
            raise PluginMissing(
                f"no installed executor reaches nodes by {kind!r}",
                hint="install the plugin that brings it; see lepton plugins",
            )
        if len(fitting) > 1:
            claims = ", ".join(f"{status.name} ({status.distribution})" for status, _ in fitting)
            raise PluginConflict(f"{claims} all reach nodes by {kind!r}", hint="put all but one of them under plugins.disabled")
        return fitting[0]

    def observers(self) -> pluggy.PluginManager | None:
        """The hooks of all observers, whose errors do not spread; ``None`` without observers, and pluggy stays unimported."""
        if not self._observers_made:
            self._observers_made = True
            ready = [s for s in self.statuses("observer") if s.state is PluginState.READY]
            self._observers = self._hooked(ready) if ready else None
        return self._observers

    def _hooked(self, ready: list[PluginStatus]) -> pluggy.PluginManager:
        from lepton_sdk._plugins.observers import new_manager, register

        manager = new_manager()
        for status in ready:
            assert isinstance(status.spec, ObserverSpec)

            def shut_out(reason: str, status: PluginStatus = status) -> None:
                self._break(status, reason)

            try:
                register(manager, status.name, _called(status.spec.factory), shut_out)
            except (Exception, SystemExit) as error:
                if self._config.strict:
                    raise
                shut_out(error.message if isinstance(error, LeptonError) else said(error))
        return manager

    def _break(self, status: PluginStatus, reason: str) -> None:
        hint = f"it is shut out until the next start; add {status.name} to plugins.disabled to keep it out"
        broken = evolve(status, state=PluginState.BROKEN, reason=reason, hint=hint)
        self._statuses[status.kind] = tuple(broken if s is status else s for s in self._statuses[status.kind])

    def command_names(self) -> tuple[str, ...]:
        """The names of the commands that plugins add; imports none of them."""
        return names("command", self._entries, self._config)

    def command(self, name: str) -> Any:
        """Call a command's factory, without arguments or with its provider's context, and return the command.

        Raises:
            PluginError: missing or not usable, or its provider is.
        """
        spec = self._ready("command", name).spec
        assert isinstance(spec, CommandSpec)
        if not spec.provider:
            return _called(spec.factory)
        return _called(spec.factory, self._context(self._ready("provider", spec.provider)))

    async def aclose(self) -> None:
        """Close every provider that was made, also when one of them fails to close."""
        made, self._providers = self._providers, {}
        shells, self._shells = self._shells, []
        for name, provider in made.items():
            try:
                await provider.aclose()
            except (Exception, SystemExit) as error:
                self._events.append(f"provider {name} did not close: {said(error)}")
        for shell in shells:
            await shell.aclose()


def _as_wanted(config: Config, spec: ProviderSpec) -> ProviderSpec:
    with suppress(ConfigError):
        if read_section(config, spec).values.get("watchdog") is False:
            return evolve(spec, watchdog=WatchdogWay.NONE)
    return spec


def _called(target: str, *arguments: object) -> object:
    factory = load_object(target)
    if not callable(factory):
        raise PluginBroken(f"{target} is {type(factory).__name__}, which cannot be called")
    try:
        return factory(*arguments)
    except LeptonError:
        raise
    except (Exception, SystemExit) as error:
        raise PluginBroken(f"{target}() failed: {said(error)}") from error
