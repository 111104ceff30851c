"""Nodes: what is written reads back, whatever their access."""

from __future__ import annotations

import json

from hypothesis import given
from values import nodes

from lepton_sdk.domain.node import Node


@given(nodes)
def test_a_node(node: Node) -> None:
    assert Node.from_dict(json.loads(json.dumps(node.to_dict()))) == node
