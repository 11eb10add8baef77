"""GPUs of a driver that may be missing or come later: nothing is loaded until it is there."""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Callable
from typing import Final

from opentelemetry.metrics import Meter

from otel_ml.resource_sampler._source import Gap, Report
from otel_ml.resource_sampler.gpu._source import GpuSource

LIBRARY: Final = "libnvidia-ml.so.1"
RETRY_SECONDS: Final = 60.0

_MISSING: Final = Report((), (Gap("nvml", "driver", f"no NVIDIA driver: {LIBRARY} is not found"),))
_LOG: Final = logging.getLogger("otel_ml")


def _is_there() -> bool:
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return False
    return True


class LateGpuSource:
    """Makes the GPU source once the driver's library can be loaded; looks for it every `RETRY_SECONDS`.

    nvidia-ml-py takes 16 MiB once imported, and a thread reads the driver: machines without a driver need neither.

    Args:
        make: Makes the GPU source.
        is_there: Whether the library can be loaded.
        clock: Monotonic seconds.
    """

    name = "gpu"
    metrics = GpuSource.metrics

    def __init__(
        self,
        make: Callable[[], GpuSource] = GpuSource,
        *,
        is_there: Callable[[], bool] = _is_there,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make = make
        self._is_there = is_there
        self._clock = clock
        self._source: GpuSource | None = None
        self._meter: Meter | None = None
        self._due_at = float("-inf")
        self._is_logged = False

    def read(self) -> Report:
        """Reads the GPUs; a gap without a driver."""
        if self._source is None and self._clock() >= self._due_at:
            self._due_at = self._clock() + RETRY_SECONDS
            if self._is_there():
                self._source = self._make()
                if self._meter is not None:
                    self._source.instrument(self._meter)
            elif not self._is_logged:
                self._is_logged = True
                _LOG.info("otel-ml: no NVIDIA driver here: GPU readings are absent")
        return _MISSING if self._source is None else self._source.read()

    def close(self) -> None:
        """Closes the GPU source, if it was made."""
        if self._source is not None:
            self._source.close()
        self._due_at = float("-inf")

    def instrument(self, meter: Meter) -> None:
        """Creates the GPU source's histogram, now or when it is made."""
        self._meter = meter
        if self._source is not None:
            self._source.instrument(meter)
