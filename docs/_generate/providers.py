"""What a spec says of its provider: a page for each installed one, or a part of the page that somebody wrote for it."""

from __future__ import annotations

from functools import cache

from attrs import fields

from lepton_sdk._clock import SystemClock
from lepton_sdk._config import load_config
from lepton_sdk._plugins.registry import Registry
from lepton_sdk.spi import ConfigField, ProviderSpec, Timings

__all__ = ["provider_pages", "provider_part"]


@cache
def provider_pages() -> dict[str, str]:
    """Page name → Markdown; what is installed is what is shown."""
    registry = Registry(load_config(environ={"HOME": "/nonexistent"}), SystemClock())
    rows = ["| provider | distribution | capabilities |", "|---|---|---|"]
    pages: dict[str, str] = {}
    for status in registry.statuses():
        spec = status.spec
        if isinstance(spec, ProviderSpec):
            pages[spec.name] = _page(spec, status.distribution, status.version)
            rows.append(f"| [{spec.title}]({spec.name}.md) | `{status.distribution}` | {_words(spec)} |")
    # Pages that were written by hand lie beside the generated ones and take their part of them by a mark.
    head = "# Providers\n\nThe providers that were installed when this site was built. Their pages are made from their specs."
    return {"index": "\n\n".join([head, "\n".join(rows)])} | pages


@cache
def provider_part(name: str) -> str:
    """Configuration, capabilities and facts of one provider."""
    registry = Registry(load_config(environ={"HOME": "/nonexistent"}), SystemClock())
    return _part(registry.spec(name))


def _words(spec: ProviderSpec) -> str:
    return ", ".join(f"`{word}`" for word in sorted(spec.capabilities)) or "none"


def _page(spec: ProviderSpec, distribution: str, version: str) -> str:
    parts = [
        f"# {spec.title} (`{spec.name}`)",
        f"Distribution `{distribution}` {version}" + (f", <{spec.homepage}>." if spec.homepage else "."),
        _part(spec),
    ]
    return "\n\n".join(parts)


def _part(spec: ProviderSpec) -> str:
    parts = [
        f"## Configuration\n\nKeys of `[providers.{spec.name}]`, beside {_shared(spec)}.",
        _config(spec),
        f"## Capabilities\n\n{_words(spec)}",
        "## Facts that safety needs",
        _facts(spec),
    ]
    return "\n\n".join(parts)


def _shared(spec: ProviderSpec) -> str:
    if not spec.watched:
        return "`enabled`, which every provider has"
    return "`enabled`, which every provider has, and `watchdog = false`, for an image on which the watchdog cannot be installed"


def _config(spec: ProviderSpec) -> str:
    rows = ["| key | type | needed | default | variables | meaning |", "|---|---|---|---|---|---|"]
    return "\n".join([*rows, *(_key(spec, item) for item in spec.config)]) if spec.config else "It has no keys of its own."


def _key(spec: ProviderSpec, item: ConfigField) -> str:
    own = f"LEPTON_SDK_PROVIDERS_{spec.name}_{item.name}".upper().replace("-", "_")
    variables = ", ".join(f"`{name}`" for name in (own, item.env) if name)
    kind = f"{item.type}, secret" if item.secret else item.type
    default = "" if item.default is None else f"`{item.default}`"
    return f"| `{item.name}` | {kind} | {'yes' if item.required else 'no'} | {default} | {variables} | {item.help} |"


def _facts(spec: ProviderSpec) -> str:
    rows = ["| fact | value |", "|---|---|", f"| power-off and the bill | {spec.power_off} |", f"| watchdog | {spec.watchdog} |"]
    for item in fields(Timings):
        value = getattr(spec.timings, item.name)
        shown = ", ".join(f"`{k}` {v:g} s" for k, v in value.items()) if isinstance(value, dict) else f"{value:g} s"
        rows.append(f"| {item.name} | {shown or 'none'} |")
    return "\n".join(rows)
