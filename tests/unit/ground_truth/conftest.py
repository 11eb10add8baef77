"""A prediction store in SQLite and in PostgreSQL, with everything that it emits kept in memory."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_ml import _guard
from otel_ml.ground_truth import GroundTruth

DATA = Path(__file__).parents[3] / "examples" / "fastapi_service" / "data"


class Emitted:
    """Meter and logger, and what went through them."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self._meters = MeterProvider(metric_readers=[self._reader], shutdown_on_exit=False)
        self._exporter = InMemoryLogRecordExporter()
        self._loggers = LoggerProvider(shutdown_on_exit=False)
        self._loggers.add_log_record_processor(SimpleLogRecordProcessor(self._exporter))
        self.meter = self._meters.get_meter("test")
        self.logger = self._loggers.get_logger("test")

    def metrics(self):
        """Values of all points by metric name and attributes; of histograms the count and sum."""
        data = self._reader.get_metrics_data()
        found = {}
        for metric in data.resource_metrics[0].scope_metrics[0].metrics if data is not None else ():
            for point in metric.data.data_points:
                key = (metric.name, *point.attributes.values())
                found[key] = point.value if hasattr(point, "value") else (point.count, point.sum)
        return found

    def events(self):
        """The log records."""
        return [item.log_record for item in self._exporter.get_finished_logs()]

    def shutdown(self) -> None:
        self._meters.shutdown()
        self._loggers.shutdown()


@pytest.fixture
def emitted():
    """What the truth emits."""
    _guard.reset()
    found = Emitted()
    yield found
    found.shutdown()


@pytest.fixture
def url(store_url) -> str:
    """An empty store."""
    return store_url


@pytest.fixture
def truth(url, emitted):
    """A store whose clock always returns 1,000."""
    made = GroundTruth(url, meter=emitted.meter, logger=emitted.logger, clock=lambda: 1000.0)
    yield made
    made.close()


@pytest.fixture(scope="session")
def replay() -> pd.DataFrame:
    """Real people with class, score and label."""
    return pd.read_parquet(DATA / "replay.parquet")
