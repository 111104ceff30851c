"""Calls the factories of plugins, and checks what they return against the spec."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lepton_sdk._clock import Clock
from lepton_sdk._config import Config, read_section
from lepton_sdk._plugins.loading import load_object, said
from lepton_sdk._plugins.status import PluginStatus
from lepton_sdk.errors import LeptonError, PluginBroken
from lepton_sdk.spi.capabilities import EXECUTOR_CAPABILITIES, PROVIDER_CAPABILITIES, lacking, methods_of, misfit, undeclared
from lepton_sdk.spi.executor import Executor, ExecutorContext
from lepton_sdk.spi.provider import Pacer, Provider, ProviderContext, RemoteShell
from lepton_sdk.spi.secret import Secret, without_secrets
from lepton_sdk.spi.spec import ExecutorSpec, ProviderSpec

if TYPE_CHECKING:
    from lepton_sdk.spi.http import ApiClient

__all__ = ["make_context", "make_executor", "make_provider"]


def make_context(
    spec: ProviderSpec, config: Config, clock: Clock, http: Callable[..., ApiClient] | None, shell: RemoteShell
) -> ProviderContext:
    """The context for a provider's factory.

    Raises:
        ConfigError: its section does not hold.
    """
    section = read_section(config, spec)
    pacer = _pacer(spec, section.values, config, clock)
    return ProviderContext(
        name=spec.name,
        config=section.values,
        http=HttpMaker(spec, section.values, pacer, http),
        pacer=pacer,
        clock=clock,
        cache_dir=_own_folder(config.cache_dir / "providers" / spec.name),
        config_dir=config.path.parent,
        shell=shell,
    )


def make_provider(status: PluginStatus, context: ProviderContext) -> Provider:
    """Import the factory, call it with its own context and nothing else, and check what it returns.

    Raises:
        PluginBroken: the factory failed, or its object lacks a method or contradicts a capability flag.
        LeptonError: raised by the factory itself about its configuration or host.
    """
    spec = status.spec
    assert isinstance(spec, ProviderSpec)
    made = _build(spec.factory, context)
    hint = f"tell the author of {status.distribution}"
    _check(made, spec, Provider, PROVIDER_CAPABILITIES, hint)
    return cast("Provider", made)


def make_executor(spec: ExecutorSpec, context: ExecutorContext) -> Executor:
    """The same for an executor."""
    made = _build(spec.factory, context)
    hint = "lepton plugins shows which distribution it is from"
    _check(made, spec, Executor, EXECUTOR_CAPABILITIES, hint)
    return cast("Executor", made)


class HttpMaker:
    """The ``http`` of a provider's context: makes its clients, and knows whether it ever made one.

    Args:
        make: makes a client; ``None`` for the default.
    """

    def __init__(
        self, spec: ProviderSpec, values: Mapping[str, object], pacer: Pacer, make: Callable[..., ApiClient] | None = None
    ) -> None:
        self._name, self._pacer, self._make = spec.name, pacer, make
        self._secrets = [value.reveal() for value in values.values() if isinstance(value, Secret)]
        self.used = False

    def __call__(self, **options: Any) -> ApiClient:
        """A client whose errors carry the provider's name and none of its secrets."""
        self.used = True
        if self._make is not None:
            return self._make(**options)
        # 120 ms to import, so only for a provider that asks.
        from lepton_sdk import __version__
        from lepton_sdk.spi.http import make_client

        headers = {"user-agent": f"lepton-sdk/{__version__}", **dict(options.pop("headers", None) or {})}
        return make_client(self._name, secrets=self._secrets, pacer=self._pacer, headers=headers, **options)


def _build(target: str, context: ProviderContext | ExecutorContext) -> object:
    factory = load_object(target)
    if not callable(factory):
        raise PluginBroken(f"{target} is {type(factory).__name__}, which cannot be called")
    try:
        return factory(context)
    except LeptonError as error:
        without_secrets(error)
        raise
    except (Exception, SystemExit) as error:
        raise PluginBroken(f"{target} failed: {said(error)}") from error


def _check(made: object, spec: ProviderSpec | ExecutorSpec, contract: type, table: Mapping[str, type], hint: str) -> None:
    """Check a factory's object against the contract and the flags of its spec; reading an attribute may raise anything."""
    able = [protocol for flag, protocol in table.items() if flag in spec.capabilities]
    try:
        missing = [name for name in methods_of(contract) if not callable(getattr(made, name, None))]
        why = lacking(made, spec.capabilities, table) or undeclared(made, spec.capabilities, table)
        why = why or misfit(made, [contract, *able])
    except (Exception, SystemExit) as error:
        raise PluginBroken(f"{spec.factory} made {type(made).__name__}, which breaks: {said(error)}", hint=hint) from error
    if missing:
        raise PluginBroken(f"{spec.factory} made {type(made).__name__}, which lacks {', '.join(missing)}", hint=hint)
    if why:
        raise PluginBroken(f"{spec.name}: {why}", hint=hint)


def _own_folder(path: Path) -> Path:
    # A read-only question must work on a read-only home; the code that writes there reports the failure.
    with suppress(OSError):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def _pacer(spec: ProviderSpec, values: object, config: Config, clock: Clock) -> Pacer:
    from lepton_sdk._plugins.rate import FilePacer

    assert isinstance(values, dict)
    secrets = [value.reveal() for value in values.values() if isinstance(value, Secret)]
    return FilePacer(config.cache_dir / "pace", spec.name, "\0".join(secrets), spec.rates, clock)
