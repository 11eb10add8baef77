"""Counts rows against a reference: cells, columns, monitor, estimates, and the series that are exported from them."""
