"""Kinds of access and the executors that claim them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lepton_sdk._clock import SystemClock
from lepton_sdk._config import load_config
from lepton_sdk._plugins.entry_points import EntryPoint
from lepton_sdk._plugins.registry import Registry
from lepton_sdk.errors import PluginConflict, PluginMissing
from lepton_sdk.spi import ExecutorSpec, ProviderSpec

_MODULE = "lepton_of_a_stranger"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A registry that sees these specs, each from a distribution of its own."""

    def make(*specs: ExecutorSpec | ProviderSpec) -> Registry:
        module = ModuleType(_MODULE)
        entries = []
        for number, spec in enumerate(specs):
            setattr(module, f"SPEC_{number}", spec)
            group = "executors" if isinstance(spec, ExecutorSpec) else "providers"
            value = f"{_MODULE}:SPEC_{number}"
            entries.append(EntryPoint(f"lepton_sdk.{group}.v1", spec.name, value, f"lepton-{number}", "1.0"))
        monkeypatch.setitem(sys.modules, _MODULE, module)
        config = load_config(state=tmp_path / "state", cache=tmp_path / "cache", environ={"HOME": str(tmp_path)})
        return Registry(config, SystemClock(), entries=tuple(entries))

    return make


def _executor(name: str, access: str) -> ExecutorSpec:
    return ExecutorSpec(name, access=access, factory=f"{_MODULE}:Executor")


def _provider(access: str) -> ProviderSpec:
    return ProviderSpec("acme", title="Acme", factory=f"{_MODULE}:create", capabilities={"local"}, access={access})


def test_cores_own_kinds_cannot_be_claimed(registry: Any) -> None:
    (status,) = registry(_executor("mine", "ssh")).statuses("executor")
    assert (status.state, "'ssh', which is core's own" in status.reason) == ("broken", True)
    assert "CustomAccess" in status.hint


def test_a_provider_whose_nodes_nobody_reaches_is_not_used(registry: Any) -> None:
    """That is known before a machine is paid for."""
    standing = registry(_provider("slurm")).standing()["acme"]
    assert not standing.usable
    assert standing.reason == "no installed executor reaches nodes by 'slurm'"
    assert registry(_provider("slurm"), _executor("slurm", "slurm")).standing()["acme"].usable


def test_two_executors_of_one_kind_conflict_for_new_work(registry: Any) -> None:
    both = registry(_provider("slurm"), _executor("one", "slurm"), _executor("two", "slurm"))
    assert both.standing()["acme"].reason == "one (lepton-1), two (lepton-2) all reach nodes by 'slurm'"
    with pytest.raises(PluginConflict, match="all reach nodes by 'slurm'"):
        both.executor_spec("slurm")
    with pytest.raises(PluginMissing):
        both.executor_spec("burrow")
