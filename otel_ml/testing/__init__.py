"""Test kit: fixed clock, counting ids, telemetry in memory, the pytest fixtures `telemetry` and `guest_telemetry`.

```python
def test_predicts(telemetry):
    predict({"age": 41})
    assert telemetry.spans()[0]["name"] == "predict employment"
    assert telemetry.metrics()["ml.predictions"][0]["value"] == 1
```

Loaded by pytest by itself; importing it costs little, since the SDK is imported on first use.
"""

from otel_ml.testing._kit import CountingIds, FixedClock, InMemoryTelemetry, MemoryTransport

__all__ = ["CountingIds", "FixedClock", "InMemoryTelemetry", "MemoryTransport"]

try:
    from otel_ml.testing._kit import guest_telemetry, telemetry
except ImportError:  # the kit works without pytest
    pass
else:
    __all__ += ["guest_telemetry", "telemetry"]
