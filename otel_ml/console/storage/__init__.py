"""The DuckDB file: its tables, its writes and the queries that read it."""
