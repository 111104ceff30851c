"""The peer's half of "which 8x H100 are sold, at what price": SkyPilot's own catalog function, all clouds."""

from __future__ import annotations

import json

import sky.catalog as catalog

found = catalog.list_accelerators(name_filter="^H100$", quantity_filter=8)
print(json.dumps([[item.cloud, item.instance_type, item.price, item.region] for items in found.values() for item in items]))
