"""A double of Lambda Cloud, after its published API 1.10.0."""
