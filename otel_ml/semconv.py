"""Every name that otel-ml emits or reads: metrics, spans, events, attributes and environment variables.

A metric is a row of data: OTel name, instrument, unit (UCUM) and one sentence. Names follow the OpenTelemetry semantic
conventions 1.44 where one exists; ``ml.*`` is the domain of predictive models, for which there is none, and
``otelml.*`` is what belongs to this software. `prometheus_name` gives the form that dashboards and rules use.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Instrument = Literal["counter", "updowncounter", "histogram", "gauge"]


class Metric(NamedTuple):
    """One metric: its OTel name, instrument, unit and what it counts or measures."""

    name: str
    instrument: Instrument
    unit: str
    description: str


SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.44.0"
SCOPE: Final = "otel_ml"
"""Instrumentation scope of everything that is emitted through the OTel API."""

# --- predictions -----------------------------------------------------------------------------------------------------

PREDICTIONS: Final = Metric("ml.predictions", "counter", "{prediction}", "Rows predicted.")
PREDICTION_DURATION: Final = Metric(
    "ml.prediction.duration", "histogram", "s", "Duration of finished prediction calls, failed ones too."
)
PREDICTION_ERRORS: Final = Metric("ml.prediction.errors", "counter", "{error}", "Prediction calls that failed.")
PREDICTION_SCORE: Final = Metric("ml.prediction.score", "histogram", "1", "Scores of the predicted rows.")
PREDICTION_ACTIVE: Final = Metric(
    "ml.prediction.active", "updowncounter", "{prediction}", "Prediction calls in flight."
)
PREDICTION_BATCH_SIZE: Final = Metric(
    "ml.prediction.batch.size", "histogram", "{prediction}", "Rows of one batch prediction call."
)
PREDICTION_STAGE_DURATION: Final = Metric(
    "ml.prediction.stage.duration", "histogram", "s", "Duration of the named stages of a prediction."
)
PREDICTION_FIRST_ITEM_DURATION: Final = Metric(
    "ml.prediction.first_item.duration", "histogram", "s", "Time until a streamed prediction yields its first item."
)
MODEL_LOAD_DURATION: Final = Metric("ml.model.load.duration", "histogram", "s", "Duration of loading the model.")
MODEL_LOAD_TIMESTAMP: Final = Metric(
    "ml.model.load.timestamp", "gauge", "s", "When the model was loaded, seconds since the epoch."
)
MODEL_TRAIN_TIMESTAMP: Final = Metric(
    "ml.model.train.timestamp", "gauge", "s", "When the model was trained, seconds since the epoch."
)

# --- inputs ----------------------------------------------------------------------------------------------------------

FEATURE_VALUES: Final = Metric("ml.feature.values", "counter", "{value}", "Values that fell into one bin of a feature.")
FEATURE_MISSING: Final = Metric("ml.feature.missing", "counter", "{value}", "Missing values of a feature.")
FEATURE_REFERENCE_SHARE: Final = Metric(
    "ml.feature.reference.share", "gauge", "1", "Smoothed share of one bin in the training reference."
)
FEATURE_REFERENCE_SIZE: Final = Metric(
    "ml.feature.reference.size", "gauge", "{value}", "Values of the feature in the training reference."
)
DATA_VIOLATIONS: Final = Metric("ml.data.violations", "counter", "{violation}", "Broken rules of the input schema.")
DATA_INVALID_PREDICTIONS: Final = Metric(
    "ml.data.invalid_predictions", "counter", "{prediction}", "Predicted rows with at least one violation."
)

# --- labelled performance (mergeable counts; facts of the joined label) and its estimate ----------------------------

EVAL_OUTCOMES: Final = Metric(
    "ml.eval.outcomes", "counter", "{prediction}", "Labelled predictions by predicted and actual class."
)
EVAL_LABELS: Final = Metric("ml.eval.labels", "counter", "{label}", "Labels by what became of them.")
EVAL_LABEL_LAG: Final = Metric("ml.eval.label.lag", "histogram", "s", "Time from a prediction to its label.")
EVAL_SCORE_BIN_COUNT: Final = Metric(
    "ml.eval.score_bin", "counter", "{prediction}", "Labelled predictions by actual class and score bin."
)
EVAL_ABSOLUTE_ERROR: Final = Metric("ml.eval.absolute_error", "counter", "1", "Sum of absolute errors (regression).")
EVAL_SQUARED_ERROR: Final = Metric("ml.eval.squared_error", "counter", "1", "Sum of squared errors (regression).")
EVAL_PREDICTIONS: Final = Metric("ml.eval.predictions", "counter", "{prediction}", "Labelled predictions (regression).")
ESTIMATE_PREDICTIONS: Final = Metric(
    "ml.estimate.predictions", "counter", "{prediction}", "Predictions that carry a calibrated probability."
)
ESTIMATE_PROBABILITY: Final = Metric(
    "ml.estimate.probability", "counter", "1", "Sum of the calibrated probability of the positive class."
)

# --- HTTP server (stable conventions) --------------------------------------------------------------------------------

HTTP_SERVER_REQUEST_DURATION: Final = Metric(
    "http.server.request.duration", "histogram", "s", "Duration of HTTP server requests."
)
HTTP_SERVER_ACTIVE_REQUESTS: Final = Metric(
    "http.server.active_requests", "updowncounter", "{request}", "HTTP server requests in flight."
)

# --- this software's own health -------------------------------------------------------------------------------------

EXPORT_PRODUCED: Final = Metric("otelml.export.produced", "counter", "{record}", "Records handed to the exporter.")
EXPORT_DELIVERED: Final = Metric("otelml.export.delivered", "counter", "{record}", "Records the first hop accepted.")
EXPORT_REJECTED: Final = Metric("otelml.export.rejected", "counter", "{record}", "Records the first hop refused.")
EXPORT_DROPPED: Final = Metric("otelml.export.dropped", "counter", "{record}", "Records dropped, by reason.")
EXPORT_IN_FLIGHT: Final = Metric("otelml.export.in_flight", "updowncounter", "{record}", "Records not yet decided.")
INTERNAL_ERRORS: Final = Metric(
    "otelml.internal.errors", "counter", "{error}", "Exceptions of otel-ml itself, kept away from the service."
)
UNRECOGNISED_OUTPUTS: Final = Metric(
    "otelml.unrecognised.outputs", "counter", "{prediction}", "Results in which no prediction was recognised."
)

# --- attributes ------------------------------------------------------------------------------------------------------

MODEL_NAME: Final = "ml.model.name"
MODEL_VERSION: Final = "ml.model.version"
MODEL_ROLE: Final = "ml.model.role"
"""``primary``, ``canary`` or ``shadow``."""
PREDICTION_ID: Final = "ml.prediction.id"
PREDICTION_CLASS: Final = "ml.prediction.class"
"""Canonical text of the predicted class."""
PREDICTION_VALUE: Final = "ml.prediction.value"
"""The predicted number of a regression, a double."""
PREDICTION_SCORE_ATTRIBUTE: Final = "ml.prediction.score"
"""The score of one prediction, a double."""
PREDICTION_BATCH_SIZE_ATTRIBUTE: Final = "ml.prediction.batch.size"
PREDICTION_DURATION_ATTRIBUTE: Final = "ml.prediction.duration"
"""Duration of the call in seconds, a double, on the event."""
STAGE_NAME: Final = "ml.stage.name"
PROFILE_ID: Final = "ml.profile.id"
FEATURE_NAME: Final = "ml.feature.name"
FEATURE_BIN: Final = "ml.feature.bin"
RULE_NAME: Final = "ml.rule.name"
"""One of `RULES`."""
EVAL_PREDICTED: Final = "ml.eval.predicted"
EVAL_ACTUAL: Final = "ml.eval.actual"
EVAL_LABEL_STATE: Final = "ml.eval.label.state"
"""``matched``, ``waiting`` (no such prediction yet), ``duplicate`` or ``revised``."""
EVAL_BIN: Final = "ml.eval.bin"
LABEL_VALUE: Final = "ml.label.value"
"""Canonical text of the true class, or the true number as text."""
LABEL_CORRECT: Final = "ml.label.correct"
"""Whether prediction and label agree, a bool; absent for regression."""
EXEMPLAR: Final = "otelml.exemplar"
"""True on a span that an exemplar of a metric points to, so that tail sampling keeps it."""
SIGNAL: Final = "otelml.signal"
"""``traces``, ``metrics`` or ``logs``."""
DROP_REASON: Final = "otelml.drop.reason"
"""One of `DROP_REASONS`."""
ERROR_TYPE: Final = "error.type"
EXCEPTION_TYPE: Final = "exception.type"
EXCEPTION_MESSAGE: Final = "exception.message"
EXCEPTION_STACKTRACE: Final = "exception.stacktrace"
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_REQUEST_METHOD_ORIGINAL: Final = "http.request.method_original"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
HTTP_ROUTE: Final = "http.route"
URL_PATH: Final = "url.path"
URL_SCHEME: Final = "url.scheme"
CLIENT_ADDRESS: Final = "client.address"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
USER_AGENT_ORIGINAL: Final = "user_agent.original"
NETWORK_PROTOCOL_VERSION: Final = "network.protocol.version"
SERVICE_NAME: Final = "service.name"
SERVICE_NAMESPACE: Final = "service.namespace"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
DEPLOYMENT_ENVIRONMENT_NAME: Final = "deployment.environment.name"
CODE_FILE_PATH: Final = "code.file.path"
CODE_FUNCTION_NAME: Final = "code.function.name"
CODE_LINE_NUMBER: Final = "code.line.number"

# --- spans, events, headers, closed value sets ----------------------------------------------------------------------

PREDICT_SPAN: Final = "predict {model}"
"""Name of the span of one prediction, kind INTERNAL."""
LOAD_SPAN: Final = "load {model}"
EXCEPTION_EVENT: Final = "exception"
PREDICTION_EVENT: Final = "ml.prediction"
LABEL_EVENT: Final = "ml.label"
PREDICTION_ID_HEADER: Final = "x-prediction-id"

PREDICTION_FEATURE: Final = "__prediction__"
"""Name under which the output itself is binned and compared with the reference."""
OTHER: Final = "__other__"
UNSEEN: Final = "__unseen__"
CANCELLED: Final = "cancelled"
"""``error.type`` of a call that its caller gave up: counted apart, no alert."""
RULES: Final = (
    "missing_column",
    "extra_column",
    "type",
    "null",
    "non_finite",
    "range_low",
    "range_high",
    "domain",
    "pattern",
    "length",
    "shape",
)
DROP_REASONS: Final = ("queue_full", "retry_exhausted", "too_large", "invalid", "shutdown")

# --- bucket boundaries ----------------------------------------------------------------------------------------------

DURATION_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SCORE_BUCKETS: Final = tuple(round(step * 0.05, 2) for step in range(1, 20))
"""19 inner edges: 20 uniform bins in 0..1."""
BATCH_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
LAG_BUCKETS: Final = (60, 600, 3600, 21600, 86400, 259200, 604800, 1209600, 2592000)
HTTP_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
"""The boundaries that the HTTP conventions recommend."""

# --- environment variables of ours; OTEL_* are the specification's --------------------------------------------------

ENV_CAPTURE_FEATURES: Final = "OTEL_ML_CAPTURE_FEATURES"
"""``none``, ``declared`` (default) or ``all``: which raw feature values may leave the process."""
ENV_EVENTS: Final = "OTEL_ML_EVENTS"
"""``sampled`` (default), ``all``, ``errors`` or ``off``: which predictions emit an event."""
ENV_QUEUE_SIZE: Final = "OTEL_ML_QUEUE_SIZE"
"""Predictions that may wait for the worker; more are dropped and counted."""
ENV_INSTANCE_DIR: Final = "OTEL_ML_INSTANCE_DIR"
"""Folder of the slot locks from which `service.instance.id` is derived."""
ENV_PROMETHEUS_PORT: Final = "OTEL_ML_PROMETHEUS_PORT"
"""Port of the optional scrape page on loopback; unset means none."""
ENV_LOW_SCORE: Final = "OTEL_ML_LOW_SCORE"
"""Predictions with a lower score always keep their event."""


def prometheus_name(metric: Metric) -> str:
    """The metric's name in Prometheus under the default OTLP translation strategy.

    Source: prometheus/otlptranslator 1.0.0, ``metric_namer.go`` and ``unit_namer.go``. Histograms get ``_bucket``,
    ``_sum`` and ``_count`` behind this name.
    """
    units = {"s": "seconds", "By": "bytes", "W": "watts", "J": "joules", "Cel": "celsius", "Hz": "hertz"}
    tokens = [token for token in metric.name.replace(".", "_").split("_") if token]
    unit = units.get(metric.unit)
    if unit is not None and unit not in tokens:
        tokens.append(unit)
    if metric.instrument == "gauge" and metric.unit == "1" and "ratio" not in tokens:
        tokens.append("ratio")
    if metric.instrument == "counter":
        tokens = [token for token in tokens if token != "total"] + ["total"]
    return "_".join(tokens)


def metrics() -> tuple[Metric, ...]:
    """All metrics of this catalogue, in the order in which they are written down."""
    return tuple(value for value in globals().values() if isinstance(value, Metric))
