"""The project's values (job, run, node, offer, …): frozen, compared by content, without any input or output."""
