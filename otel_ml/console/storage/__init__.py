"""The DuckDB file: its tables, its writes and the questions that are asked of it."""
