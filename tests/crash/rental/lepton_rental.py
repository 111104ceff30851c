"""A provider and an executor as a stranger would ship them, with an access of their own; and an observer that kills."""

from lepton_sdk.spi import ConfigField, ExecutorSpec, ObserverSpec, ProviderSpec, Timings

PROVIDER = ProviderSpec(
    "rental",
    title="Machines for rent",
    factory="lepton_rental_provider:create",
    access={"rental"},
    config=(ConfigField("url"),),
    timings=Timings(listing_lag=0.3, create_horizon=0.7, boot=60, billing_increment=1, poll=0.05),
)
EXECUTOR = ExecutorSpec("rental", access="rental", factory="lepton_rental_executor:Executor")
KILLER = ObserverSpec("killer", factory="lepton_rental_provider:Killer")
