"""The plugin's spec; importing it touches neither HTTP nor the network."""

from __future__ import annotations

from lepton_sdk.spi import CommandSpec, ConfigError, ConfigField, PowerOff, ProviderSpec, Timings

__all__ = ["COMMAND", "PROVIDER", "double_command"]

# The vendor checks machines with eight of the newest GPUs for a long time before it hands them over.
_SLOW_TO_BOOT = ("gpu_8x_b200_sxm6", "gpu_8x_h100_sxm5", "gpu_8x_a100_80gb_sxm4", "gpu_8x_a100", "gpu_8x_v100")

PROVIDER = ProviderSpec(
    "lambda",
    title="Lambda Cloud",
    homepage="https://lambda.ai",
    factory="lepton_lambda.provider:create",
    # Several nodes are several launches, which core makes and undoes, so no "multi_node". There is no spot.
    access={"ssh"},
    capabilities={"account", "diagnose", "live_stock"},
    config=(
        ConfigField(
            "api_key",
            required=True,
            secret=True,
            env="LAMBDA_API_KEY",
            help="make one at https://cloud.lambda.ai/api-keys and put it into LAMBDA_API_KEY",
        ),
        ConfigField("base_url", default="https://cloud.lambda.ai/api/v1", help="where the API is; the double has its own"),
        ConfigField("image", default="", help="id or family of the machine image; nothing for the latest Lambda Stack"),
        ConfigField("file_systems", type="list", default=(), help="names of file systems to mount, all of one region"),
        ConfigField("firewall_rulesets", type="list", default=(), help="ids of firewall rulesets of the machine's region"),
        ConfigField("ssh_user", default="ubuntu", help="the user that the image logs in"),
        ConfigField("ssh_port", type="int", default=22, help="where the image's sshd listens; the double uses another port"),
    ),
    # docs.lambda.ai/public-cloud/billing, read 2026-11: the bill ends when the instance is terminated; there is no stopped state.
    power_off=PowerOff.KEEPS,
    # Passed as user_data if core gives a script; it gives none today, because power-off does not end the bill here.
    watchdog="startup",
    timings=Timings(
        listing_lag=60,
        create_horizon=600,
        boot=900,
        boot_by_type=dict.fromkeys(_SLOW_TO_BOOT, 1500.0),
        billing_increment=60,
        poll=5,
    ),
    name_pattern=r"[a-z0-9][0-9a-z-]{0,62}",
    rates={"": 1.0, "launch": 12.0},
)

COMMAND = CommandSpec("lambda", help="Try Lambda Cloud without an account.", factory="lepton_lambda.plugin:double_command")


def double_command() -> object:
    """The click command ``lepton lambda``. The double is a separate distribution, not installed with this one.

    Raises:
        ConfigError: that distribution is not installed.
    """
    from importlib import import_module

    try:
        return import_module("lepton_doubles.lambda_cloud.command").command()
    except ModuleNotFoundError as error:
        if error.name != "lepton_doubles":
            raise
        raise ConfigError("the double of Lambda Cloud is not installed", hint="pip install lepton-doubles") from None
