"""A double of Crusoe Cloud, after its published API v1."""
