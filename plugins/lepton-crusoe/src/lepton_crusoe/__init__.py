"""Crusoe Cloud for lepton_sdk."""
