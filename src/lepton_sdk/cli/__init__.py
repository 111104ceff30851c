"""The command ``lepton``: each command is a few lines over `Client`."""
