"""Whether a thing that carries a token of ours can be what was asked for: tags are copied in consoles, and lost there."""

from __future__ import annotations

from datetime import timedelta

from lepton_sdk.domain.node import Node
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.spi.spec import Timings

__all__ = ["contradiction"]

# Our clock and the vendor's differ; one that is further off makes us show a machine where we would have released it.
_CLOCK_SECONDS = 600.0


def contradiction(node: Node, record: NodeRecord, timings: Timings) -> str | None:
    """Why the node cannot come from the record's create call; ``None`` when type, region and time fit."""
    offer = record.offer
    if node.kind == "machine" and node.instance_type and node.instance_type != offer.instance_type:
        return f"its type is {node.instance_type}, and {offer.instance_type} was asked for"
    if node.region and node.region != offer.region:
        return f"it is in {node.region}, and {offer.region} was asked for"
    if node.since is None:
        return None
    slack = timedelta(seconds=_CLOCK_SECONDS)
    horizon = timedelta(seconds=timings.create_horizon + timings.listing_lag)
    if not record.intended_at - slack <= node.since <= record.called_at + horizon + slack:
        return f"it began at {node.since:%Y-%m-%d %H:%M} UTC, and was asked for at {record.intended_at:%Y-%m-%d %H:%M}"
    return None
