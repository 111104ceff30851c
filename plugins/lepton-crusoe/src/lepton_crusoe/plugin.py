"""The plugin's spec; importing it touches neither HTTP nor the network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from lepton_sdk.spi import CommandSpec, ConfigError, ConfigField, PowerOff, ProviderSpec, Timings

__all__ = ["COMMAND", "PROVIDER", "double_command", "stored"]

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

# The vendor checks machines with eight GPUs and a fabric for a long time before it hands them over.
_SLOW_TO_BOOT = (
    "b200-180gb-sxm-ib.8x",
    "h200-141gb-sxm-ib.8x",
    "h100-80gb-sxm-ib.8x",
    "a100-80gb-sxm-ib.8x",
    "mi300x-192gb-ib.8x",
)

_MAKE_KEY = "make a key with the Crusoe console (Security, API keys) and put"


def stored(home: Path) -> tuple[Path, Mapping[str, str]]:
    """The settings that Crusoe's own command has stored.

    Raises:
        ConfigError: its file cannot be read.
    """
    import tomllib

    path = home / ".crusoe" / "config"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return path, {}
    except (OSError, ValueError) as error:
        # Not the parser's text: it could quote the line with the secret.
        text = f"{path} cannot be read ({type(error).__name__})"
        raise ConfigError(text, provider="crusoe", hint="mend it, or set CRUSOE_SECRET_KEY") from None
    profile = data.get(str(data.get("profile", "default")), {})
    texts = {key: value for key, value in profile.items() if isinstance(value, str)} if isinstance(profile, dict) else {}
    keys = {"access_key_id": "access_key_id", "secret_key": "secret_key", "project_id": "default_project"}
    found = {ours: texts.get(theirs, "") for ours, theirs in keys.items()}
    # Crusoe's command also accepts a project's name there; the API does not.
    return path, found if _ID.fullmatch(found["project_id"]) else found | {"project_id": ""}


PROVIDER = ProviderSpec(
    "crusoe",
    title="Crusoe Cloud",
    homepage="https://crusoe.ai/cloud/",
    factory="lepton_crusoe.provider:create",
    # There is no spot flag in the published API, so no "interruptible".
    access={"ssh"},
    capabilities={"account", "diagnose", "live_stock", "multi_node"},
    config=(
        ConfigField(
            "access_key_id",
            required=True,
            secret=True,
            env="CRUSOE_ACCESS_KEY_ID",
            help=f"{_MAKE_KEY}, its public half into CRUSOE_ACCESS_KEY_ID",
        ),
        ConfigField(
            "secret_key",
            required=True,
            secret=True,
            env="CRUSOE_SECRET_KEY",
            help=f"{_MAKE_KEY}, its other half, which is shown once, into CRUSOE_SECRET_KEY",
        ),
        ConfigField(
            "project_id",
            required=True,
            env="CRUSOE_PROJECT_ID",
            default="",
            help="put the project's id into CRUSOE_PROJECT_ID; crusoe projects list shows it",
        ),
        ConfigField(
            "base_url", default="https://api.cloud.crusoe.ai/v1", help="where the API is; the double's address to try it"
        ),
        ConfigField(
            "prices",
            type="list",
            default=(),
            help='US dollars per hour: ["h100-80gb-sxm-ib=3.90"] for one GPU of a family, ["a100-80gb.2x=4.60"] for one machine',
        ),
        ConfigField("image", default="", help="name of the machine image with its tag; nothing for the vendor's own choice"),
        ConfigField("data_disk_gib", type="int", default=0, help="size of a persistent disk for each machine; 0 for none"),
        ConfigField("ib_partition", default="", help="id of an InfiniBand partition to join; nothing to make one for each run"),
        ConfigField("ssh_user", default="ubuntu", help="the user that the image logs in"),
        ConfigField("ssh_port", type="int", default=22, help="where the image's sshd listens; the double uses another port"),
    ),
    stored="lepton_crusoe.plugin:stored",
    # Crusoe's help pages (billing of VM states, read 2026-11) bill a machine while its state is "running", and commitments
    # always; nobody says what its state becomes when it powers itself off. Disks are billed until they are deleted.
    power_off=PowerOff.UNKNOWN,
    # Passed as startup_script. It is worth it: power-off can lose only the output of a finished job.
    watchdog="startup",
    timings=Timings(
        listing_lag=60,
        create_horizon=900,
        boot=900,
        boot_by_type=dict.fromkeys(_SLOW_TO_BOOT, 1500.0),
        billing_increment=60,
        poll=5,
    ),
    name_pattern=r"[a-z][a-z0-9-]{0,62}",
    # The vendor publishes no rate limit; this one is our own.
    rates={"": 0.2},
)

COMMAND = CommandSpec("crusoe", help="Try Crusoe Cloud without an account.", factory="lepton_crusoe.plugin:double_command")


def double_command() -> object:
    """The click command ``lepton crusoe``. The double is a separate distribution, not installed with this one.

    Raises:
        ConfigError: that distribution is not installed.
    """
    from importlib import import_module

    try:
        return import_module("lepton_doubles.crusoe_cloud.command").command()
    except ModuleNotFoundError as error:
        if error.name != "lepton_doubles":
            raise
        raise ConfigError("the double of Crusoe Cloud is not installed", hint="pip install lepton-doubles") from None
