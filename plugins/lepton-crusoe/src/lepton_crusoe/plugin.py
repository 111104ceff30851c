"""What this plugin says of itself; importing it touches neither HTTP nor the network."""

from __future__ import annotations

from lepton_sdk.spi import CommandSpec, ConfigField, PowerOff, ProviderSpec, Timings

__all__ = ["COMMAND", "PROVIDER"]

# Machines with eight GPUs and a fabric are checked for long before they are handed over.
_SLOW_TO_BOOT = (
    "b200-180gb-sxm-ib.8x",
    "h200-141gb-sxm-ib.8x",
    "h100-80gb-sxm-ib.8x",
    "a100-80gb-sxm-ib.8x",
    "mi300x-192gb-ib.8x",
)

_MAKE_KEY = "make one with the Crusoe console (Security, API keys)"

PROVIDER = ProviderSpec(
    "crusoe",
    title="Crusoe Cloud",
    homepage="https://crusoe.ai/cloud/",
    factory="lepton_crusoe.provider:create",
    # There is no spot flag in the published API, so no "interruptible".
    capabilities={"diagnose", "live_stock", "multi_node"},
    # None is required here: what is empty is read from ~/.crusoe/config by the factory.
    config=(
        ConfigField("access_key_id", secret=True, env="CRUSOE_ACCESS_KEY_ID", help=f"{_MAKE_KEY}; it is the key's public half"),
        ConfigField("secret_key", secret=True, env="CRUSOE_SECRET_KEY", help=f"{_MAKE_KEY}; it is shown once"),
        ConfigField(
            "project_id", env="CRUSOE_PROJECT_ID", default="", help="write the project's id, as crusoe projects list shows"
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
    # The published API does not say what a stopped machine costs, and disks are billed until they are deleted.
    power_off=PowerOff.UNKNOWN,
    timings=Timings(
        listing_lag=60,
        create_horizon=900,
        boot=900,
        boot_by_type=dict.fromkeys(_SLOW_TO_BOOT, 1500.0),
        billing_increment=60,
        poll=5,
    ),
    name_pattern=r"[a-z][a-z0-9-]{0,62}",
    # No rate is published; this is our own restraint.
    rates={"": 0.2},
)

COMMAND = CommandSpec("crusoe", help="Try Crusoe Cloud without an account.", factory="lepton_crusoe.double.command:command")
