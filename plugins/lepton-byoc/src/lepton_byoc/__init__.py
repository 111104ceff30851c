"""Bring your own compute: the machine at hand as a provider of lepton_sdk."""
