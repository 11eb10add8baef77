"""From an OTLP request to rows in a queue: endpoints, decoding, values, rows, and the queue before the file."""
