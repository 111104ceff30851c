"""The configuration for people: each value with its source, secrets as dots, addresses without passwords."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote

from lepton_sdk._config.load import Config
from lepton_sdk._config.section import read_section
from lepton_sdk.domain.quantity import show_duration
from lepton_sdk.errors import ConfigError
from lepton_sdk.spi.secret import Secret
from lepton_sdk.spi.spec import ProviderSpec

__all__ = ["bare_address", "config_to_dict", "passwords_in", "shown_address"]

_WHERE = frozenset({"host", "hostaddr", "port", "dbname", "service"})


def config_to_dict(config: Config, specs: Mapping[str, ProviderSpec]) -> dict[str, object]:
    """All settings as JSON keys: ``file`` and ``settings`` (name → ``value`` and ``origin``).

    Args:
        config: what to show.
        specs: the specs of installed providers, which declare the secrets. In a section without an installed plugin every
            value is shown as dots.
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
            # `lepton config` must work on a wrong file, too; `lepton plugins` names the fault.
            pass
    if "enabled" in raw:
        values = {"enabled": raw["enabled"], **values}
        origins = {"enabled": f"file {config.path}", **origins}
    return {
        f"providers.{name}.{key}": {"value": str(value) if isinstance(value, Secret) else value, "origin": origins[key]}
        for key, value in values.items()
    }


def shown_address(url: Secret) -> str:
    """The address without its password and parameters, in whatever form it was written."""
    user, _, place, _ = _parts(url)
    return f"postgresql://{f'{user}@' if user else ''}{place}"


def bare_address(url: Secret) -> str:
    """The database's identity, without the user: two servers on two sockets differ."""
    _, _, place, query = _parts(url)
    where = [f"{name}={value}" for name, value in sorted(parse_qsl(query)) if name in _WHERE]
    return f"postgresql://{place}{'?' if where else ''}{'&'.join(where)}"


def passwords_in(url: Secret) -> frozenset[str]:
    """Every form in which an error message could contain its password."""
    _, password, _, query = _parts(url)
    words = [password, unquote(password), *(value for name, value in parse_qsl(query) if "pass" in name)]
    return frozenset(filter(None, words))


def _parts(url: Secret) -> tuple[str, str, str, str]:
    """User, password, host and database, parameters. Parts that cannot be separated count as password."""
    rest = url.reveal().partition("://")[2]
    # An unquoted password may contain any character, so it ends at the last possible "@".
    who, at, where = rest.rpartition("@")
    if "?" in who:
        return "", rest, "…", rest.partition("?")[2]
    place, _, query = where.partition("?")
    user, _, password = who.partition(":")
    return (user if at else ""), password, place, query
