"""One thin adapter per framework; a framework is imported only in its own file, on first use."""
