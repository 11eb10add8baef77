"""OTLP bytes: framing of requests, encoding of records, repair of records that no encoder takes."""
