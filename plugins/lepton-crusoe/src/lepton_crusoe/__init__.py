"""Crusoe Cloud for lepton_sdk.

Four files are what every cloud has: `plugin` (the spec), `provider` (the six methods), ``_api`` (wire calls and refusals) and
``_models`` (wire shapes, names). One more stands for each thing that Crusoe has and others do not: ``_credentials`` (signed
requests), ``_listing`` (prices that the API does not tell), ``_parts`` (disks and partitions that are billed by themselves)
and ``_diagnosis`` (what can be said of a key without spending anything).
"""
