"""The export of metrics: store, reader, scrape page, meters, observable callbacks and self metrics."""
