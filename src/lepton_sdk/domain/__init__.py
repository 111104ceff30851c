"""The words of the project as values: frozen, compared by content, without any input or output."""
