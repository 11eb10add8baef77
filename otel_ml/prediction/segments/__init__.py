"""Segments: the declared columns, the segments of each row, and what a finished prediction adds to them."""
