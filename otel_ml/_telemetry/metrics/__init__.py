"""Metrics on their way out: reader, scrape page, meters, observable callbacks and self metrics."""
