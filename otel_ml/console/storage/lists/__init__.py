"""Lists: services, and without end predictions, requests and log records, newest first, page by page."""
