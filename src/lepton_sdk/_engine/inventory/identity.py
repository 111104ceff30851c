"""Could this machine come from that create call? Compares type, region and time: people copy and remove tags in consoles."""

from __future__ import annotations

from datetime import timedelta

from lepton_sdk.domain.node import Node
from lepton_sdk.domain.record import NodeRecord
from lepton_sdk.spi.spec import Timings

__all__ = ["contradiction"]

# Our clock and the vendor's may differ by this. If they differ more, we show a machine that we would have released.
_CLOCK_SECONDS = 600.0


def contradiction(node: Node, record: NodeRecord, timings: Timings) -> str | None:
    """Why the node cannot come from the record's create call; ``None`` if type, region and time fit."""
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
