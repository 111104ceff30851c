"""A provider plugin as a stranger would ship it, and an observer that ends its process at a row of the journal."""

from lepton_sdk.spi import ConfigField, ObserverSpec, ProviderSpec, Timings

PROVIDER = ProviderSpec(
    "rental",
    title="Machines for rent",
    factory="lepton_rental_provider:create",
    config=(ConfigField("url"),),
    timings=Timings(listing_lag=0.3, create_horizon=0.7, boot=60, billing_increment=1, poll=0.05),
)
KILLER = ObserverSpec("killer", factory="lepton_rental_provider:Killer")
