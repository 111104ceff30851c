"""Lambda Cloud as a provider of lepton_sdk; conforms to the published API 1.10.0."""
