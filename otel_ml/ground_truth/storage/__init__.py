"""The store: its tables in SQLite or PostgreSQL, and the transactions that write, join, expire and read."""
