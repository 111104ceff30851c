"""The configuration as people may see it: each value with where it came from, secrets as dots."""

from __future__ import annotations

from collections.abc import Mapping

from lepton_sdk._config.address import shown_address
from lepton_sdk._config.model import Config
from lepton_sdk._config.section import read_section
from lepton_sdk.domain.quantity import show_duration
from lepton_sdk.errors import ConfigError
from lepton_sdk.spi.secret import Secret
from lepton_sdk.spi.spec import ProviderSpec

__all__ = ["config_to_dict"]


def config_to_dict(config: Config, specs: Mapping[str, ProviderSpec]) -> dict[str, object]:
    """All settings as JSON keys: ``file`` and ``settings`` (name → ``value`` and ``origin``).

    Args:
        config: what to show.
        specs: of the installed providers, which say what is secret. Sections that no installed plugin vouches for are
            shown as dots as a whole.
    """
    allowed = None if config.allowed is None else sorted(config.allowed)
    core = {
        "state": str(config.state_dir) if config.database is None else shown_address(config.database),
        "cache": str(config.cache_dir),
        "plugins.allowed": allowed,
        "plugins.disabled": sorted(config.disabled),
        "plugins.prefer": dict(config.prefer),
        "plugins.strict": config.strict,
        "limits.hourly": None if config.caps.hourly is None else str(config.caps.hourly),
        "limits.total": None if config.caps.total is None else str(config.caps.total),
        "limits.period": show_duration(config.caps.period),
        "outputs.time": show_duration(config.keeping.time),
        "outputs.size": f"{config.keeping.size / (1 << 30):g} GiB",
        "outputs.after_stop": show_duration(config.keeping.after_stop),
    }
    settings: dict[str, dict[str, object]] = {
        name: {"value": value, "origin": config.origins.get(name, "default")} for name, value in core.items()
    }
    for name in sorted({*specs, *config.providers}):
        settings.update(_provider(config, name, specs.get(name)))
    return {"file": str(config.path), "settings": settings}


def _provider(config: Config, name: str, spec: ProviderSpec | None) -> dict[str, dict[str, object]]:
    raw = config.providers.get(name, {})
    hidden = {key: str(Secret("")) for key in raw if key != "enabled"}
    values: Mapping[str, object] = hidden
    origins: Mapping[str, str] = dict.fromkeys(raw, f"file {config.path}")
    if spec:
        try:
            section = read_section(config, spec)
            values, origins = section.values, section.origins
        except ConfigError:
            # `lepton config` must work on the very file that is wrong; `lepton plugins` names the fault.
            pass
    if "enabled" in raw:
        values = {"enabled": raw["enabled"], **values}
        origins = {"enabled": f"file {config.path}", **origins}
    return {
        f"providers.{name}.{key}": {"value": str(value) if isinstance(value, Secret) else value, "origin": origins[key]}
        for key, value in values.items()
    }
