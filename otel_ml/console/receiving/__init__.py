"""OTLP requests on their way in: endpoints, wire format, values, rows and the queue before the file."""
