"""Every name that otel-ml emits or reads: metrics, spans, events, attributes and environment variables.

There is one file per subject. A metric is a row of data: OTel name, instrument, unit (UCUM), one sentence and, for a
histogram, its buckets. Names follow the OpenTelemetry semantic conventions 1.45. ``ml.*`` names predictive models, for
which there are no conventions, and ``otelml.*`` names this software itself. `prometheus_name` returns the name that
dashboards and rules use. ``python -m otel_ml.semconv`` prints all of them as the page ``REFERENCE.md``.
"""

from __future__ import annotations

from otel_ml.semconv import (
    container,
    data,
    environment,
    estimates,
    evaluation,
    general,
    gpu,
    host,
    http,
    predictions,
    process,
    segments,
    self_metrics,
    versions,
)
from otel_ml.semconv._metric import SCHEMA_URL as SCHEMA_URL
from otel_ml.semconv._metric import SCOPE as SCOPE
from otel_ml.semconv._metric import Metric as Metric
from otel_ml.semconv._metric import prometheus_name as prometheus_name
from otel_ml.semconv.container import *
from otel_ml.semconv.data import *
from otel_ml.semconv.environment import *
from otel_ml.semconv.estimates import *
from otel_ml.semconv.evaluation import *
from otel_ml.semconv.general import *
from otel_ml.semconv.gpu import *
from otel_ml.semconv.host import *
from otel_ml.semconv.http import *
from otel_ml.semconv.predictions import *
from otel_ml.semconv.process import *
from otel_ml.semconv.prometheus_names import Instrument as Instrument
from otel_ml.semconv.segments import *
from otel_ml.semconv.self_metrics import *
from otel_ml.semconv.versions import *

_SUBJECTS = (
    predictions,
    segments,
    data,
    evaluation,
    estimates,
    versions,
    host,
    process,
    container,
    gpu,
    http,
    self_metrics,
)


def metrics() -> tuple[Metric, ...]:
    """Returns all metrics, subject by subject, in the order of the source."""
    return tuple(value for subject in _SUBJECTS for value in vars(subject).values() if isinstance(value, Metric))
