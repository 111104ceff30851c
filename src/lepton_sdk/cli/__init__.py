"""The command ``lepton``: each command is a few lines over `Client`. Begin with the table in `main.py`."""
