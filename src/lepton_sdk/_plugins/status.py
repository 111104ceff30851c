"""The state of an installed plugin, and what to do about it."""

from __future__ import annotations

from enum import StrEnum

from attrs import frozen

from lepton_sdk.errors import (
    ConfigError,
    LeptonError,
    PluginBroken,
    PluginConflict,
    PluginDisabled,
    PluginIncompatible,
)
from lepton_sdk.spi.spec import CommandSpec, ExecutorSpec, ObserverSpec, PluginSpec, ProviderSpec

__all__ = ["CONTRACT", "KINDS", "PluginState", "PluginStatus"]

# The number at a group's end is the contract's major version.
CONTRACT = "v1"
KINDS: dict[str, tuple[str, type[PluginSpec]]] = {
    "provider": ("lepton_sdk.providers", ProviderSpec),
    "executor": ("lepton_sdk.executors", ExecutorSpec),
    "observer": ("lepton_sdk.observers", ObserverSpec),
    "command": ("lepton_sdk.commands", CommandSpec),
}


class PluginState(StrEnum):
    """The state of a plugin. Only a ready one is used."""

    READY = "ready"
    DISABLED = "disabled"
    UNCONFIGURED = "unconfigured"
    INCOMPATIBLE = "incompatible"
    CONFLICT = "conflict"
    BROKEN = "broken"


_ERRORS: dict[PluginState, type[LeptonError]] = {
    PluginState.DISABLED: PluginDisabled,
    PluginState.UNCONFIGURED: ConfigError,
    PluginState.INCOMPATIBLE: PluginIncompatible,
    PluginState.CONFLICT: PluginConflict,
    PluginState.BROKEN: PluginBroken,
}
_FAULTS = frozenset({PluginState.INCOMPATIBLE, PluginState.CONFLICT, PluginState.BROKEN})


@frozen
class PluginStatus:
    """One row of ``lepton plugins``.

    Attributes:
        kind: ``"provider"``, ``"executor"``, ``"observer"`` or ``"command"``.
        distribution: where the name comes from, in normal form.
        contract: the major version of the contract that it is written for, ``"v1"``.
        reason: why it is in this state; empty when ready.
        hint: the next step.
        spec: its spec; ``None`` when nothing of it was imported.
        named: the user asked for it by name, so a fault is reported.
    """

    name: str
    kind: str
    distribution: str
    version: str
    contract: str
    state: PluginState
    reason: str = ""
    hint: str = ""
    spec: PluginSpec | None = None
    named: bool = False

    @property
    def is_fault(self) -> bool:
        """Whether it deserves a warning: it is broken, or the user asked for it and it is not usable."""
        return self.state in _FAULTS or (self.named and self.state is PluginState.UNCONFIGURED)

    def error(self) -> LeptonError:
        """The error for a caller who named this plugin."""
        message = f"{self.kind} {self.name} ({self.distribution} {self.version}) is {self.state}: {self.reason}"
        return _ERRORS[self.state](message, hint=self.hint or None)

    def line(self) -> str:
        """One line for people: what happened and the next step."""
        step = f"; next: {self.hint}" if self.hint else ""
        return f"{self.kind} {self.name} ({self.distribution} {self.version}) is {self.state}: {self.reason}{step}"

    def to_dict(self) -> dict[str, object]:
        """The row as JSON keys."""
        return {
            "name": self.name,
            "kind": self.kind,
            "distribution": self.distribution,
            "version": self.version,
            "contract": self.contract,
            "state": str(self.state),
            "reason": self.reason,
            "next": self.hint,
            "title": getattr(self.spec, "title", ""),
        }
