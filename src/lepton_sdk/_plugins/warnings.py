"""Warnings for the user where the config file and the installed plugins do not fit together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lepton_sdk._config import Config
from lepton_sdk._plugins.status import PluginStatus
from lepton_sdk.spi.spec import ProviderSpec

__all__ = ["missing_hint", "notices"]


def notices(config: Config, providers: Sequence[PluginStatus]) -> list[str]:
    """One line for every section without a plugin, and one when others can read a file with a secret."""
    return [*_sections(config, {status.name for status in providers}), *_exposure(config, providers)]


def missing_hint(name: str, known: Iterable[str]) -> str:
    """The nearest installed names, or how to install the one that is missing."""
    from difflib import get_close_matches

    close = get_close_matches(name, sorted(known), n=3, cutoff=0.6)
    return f"did you mean {', '.join(close)}?" if close else f"pip install lepton-{name}"


def _sections(config: Config, installed: set[str]) -> Iterator[str]:
    for name, section in sorted(config.providers.items()):
        if name not in installed and section.get("enabled", True):
            step = f"{missing_hint(name, installed)}, or take the section out"
            yield f"{config.path}: providers.{name}: no installed plugin has this name; next: {step}"


def _exposure(config: Config, providers: Sequence[PluginStatus]) -> Iterator[str]:
    specs = [status.spec for status in providers if isinstance(status.spec, ProviderSpec)]
    held = [
        f"providers.{spec.name}.{item.name}"
        for spec in specs
        for item in spec.config
        if item.secret and item.name in config.providers.get(spec.name, {})
    ]
    if config.exposed and held:
        yield f"{config.path} holds {held[0]} and other users can read it; next: chmod 600 {config.path}"
