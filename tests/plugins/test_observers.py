"""Observers that pluggy or we refuse."""

from __future__ import annotations

import pytest

from lepton_sdk._plugins.observers import new_manager, register
from lepton_sdk.errors import PluginBroken
from lepton_sdk.spi.hookspecs import hookimpl


class _Empty:
    def on_transition(self, event: object) -> None:
        """Not marked as a hook."""


class _Stranger:
    @hookimpl
    def on_fire(self) -> None: ...


class _Wrapper:
    @hookimpl(wrapper=True)
    def redact(self, text: str) -> object:
        return (yield)


class _Greedy:
    @hookimpl
    def redact(self, text: str, secrets: object) -> None: ...


@pytest.mark.parametrize(
    ("observer", "words"),
    [(_Empty(), "no hook"), (_Stranger(), "on_fire is no hook"), (_Wrapper(), "wraps"), (_Greedy(), "pluggy refuses")],
)
def test_what_is_not_an_observer_of_ours_is_refused(observer: object, words: str) -> None:
    manager = new_manager()
    with pytest.raises(PluginBroken, match=words):
        register(manager, "x", observer, lambda reason: None)
    assert not manager.get_plugins()
