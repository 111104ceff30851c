"""Settings: of a file in a home of the test's own, and of one provider."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lepton_sdk._config import Config, load_config
from lepton_sdk.spi import ConfigField, ProviderSpec

ACME = ProviderSpec(
    "acme-east",
    title="Acme",
    factory="acme:create",
    config=(
        ConfigField("api_key", required=True, secret=True, env="ACME_KEY"),
        ConfigField("region", env="ACME_REGION", default="north"),
        ConfigField("pages", type="int", default=1),
        ConfigField("rate", type="float", help="write a rate"),
        ConfigField("beta", type="bool", env="ACME_BETA"),
        ConfigField("zones", type="list", env="ACME_ZONES", default=()),
    ),
)


def load(home: Path, text: str | None = None, **more: Any) -> Config:
    environ = {"HOME": str(home), **more.pop("environ", {})}
    if text is not None:
        path = home / ".config" / "lepton" / "config.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load_config(environ=environ, **more)


def config_of(section: dict[str, Any] | None = None, **environ: str) -> Config:
    providers = {} if section is None else {"acme-east": section}
    return Config(Path("/c.toml"), Path("/s"), Path("/k"), providers=providers, environ=environ)
