"""One record with all that belongs to it."""
