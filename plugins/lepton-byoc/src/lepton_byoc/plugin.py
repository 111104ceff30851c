"""The plugin's spec; importing it touches neither NVML nor the network."""

from __future__ import annotations

from lepton_sdk.spi import CommandSpec, ConfigField, PowerOff, ProviderSpec, Timings

__all__ = ["COMMAND", "PROVIDER"]

PROVIDER = ProviderSpec(
    "byoc",
    title="Your own machines",
    factory="lepton_byoc.provider:create",
    capabilities={"local", "diagnose", "health", "server_side_idempotency"},
    config=(
        ConfigField(
            "price_per_hour",
            type="float",
            default=0.0,
            help="what an hour of this machine costs you, in US dollars; 0 or more",
        ),
        ConfigField(
            "hosts",
            type="tables",
            help="hosts of the fleet: name, address, user, port, identity, proxy_jump, private_address, host_keys, group, "
            "labels, price_per_hour, gpus, quiet_hours",
        ),
    ),
    # These hosts have no bill to end, and release powers nothing off.
    power_off=PowerOff.KEEPS,
    timings=Timings(listing_lag=0, create_horizon=0, boot=30, billing_increment=1, poll=0.2),
)

COMMAND = CommandSpec("byoc", help="Manage a fleet of your own hosts.", factory="lepton_byoc.commands:command", provider="byoc")
