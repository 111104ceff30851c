"""Crusoe Cloud for lepton_sdk.

Every cloud plugin has four files: `plugin` (the spec), `provider` (the six methods), ``_api`` (wire calls and refusals) and
``_models`` (wire shapes, names). Each special feature of Crusoe has one more: ``_credentials`` (signed requests),
``_listing`` (prices that the API does not state), ``_parts`` (disks and partitions that are billed separately) and
``_diagnosis`` (checks of a key that cost nothing).
"""
