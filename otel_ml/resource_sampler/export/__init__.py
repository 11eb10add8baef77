"""The sampler's own way to OTLP, for a process without an SDK."""
