"""The databases that can hold a journal, each with its schema: a SQLite file, a PostgreSQL server."""
