"""Test kit: fixed clock, counting ids, telemetry in memory, the pytest fixtures `telemetry` and `guest_telemetry`.

```python
def test_predicts(telemetry):
    predict({"age": 41})
    assert telemetry.spans()[0]["name"] == "predict employment"
    assert telemetry.metrics()["ml.predictions"][0]["value"] == 1
```

pytest loads it as a plugin. Importing it costs little: the SDK is imported on first use.
"""

from otel_ml.testing._clock_and_ids import CountingIds, FixedClock
from otel_ml.testing._in_memory import InMemoryTelemetry
from otel_ml.testing._memory_transport import MemoryTransport

__all__ = ["CountingIds", "FixedClock", "InMemoryTelemetry", "MemoryTransport"]

try:
    from otel_ml.testing._fixtures import guest_telemetry, telemetry
except ImportError:  # the kit works without pytest
    pass
else:
    __all__ += ["guest_telemetry", "telemetry"]
