"""Names of predictions and models: metrics, attributes, spans, events and bucket boundaries."""

from __future__ import annotations

from typing import Final

from otel_ml.semconv._metric import Metric

DURATION_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds of predictions."""
SCORE_BUCKETS: Final = tuple(round(step * 0.05, 2) for step in range(1, 20))
"""19 inner edges: 20 uniform bins in 0..1."""
BATCH_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
"""Rows of batches."""
PREDICTIONS: Final = Metric("ml.predictions", "counter", "{prediction}", "Rows predicted.")
PREDICTION_DURATION: Final = Metric(
    "ml.prediction.duration",
    "histogram",
    "s",
    "Duration of finished prediction calls, including failed ones.",
    DURATION_BUCKETS,
)
PREDICTION_ERRORS: Final = Metric("ml.prediction.errors", "counter", "{error}", "Prediction calls that failed.")
PREDICTION_SCORE: Final = Metric(
    "ml.prediction.score", "histogram", "1", "Scores of the predicted rows.", SCORE_BUCKETS
)
PREDICTION_UNTIMED: Final = Metric(
    "ml.prediction.untimed",
    "counter",
    "{prediction}",
    "Finished prediction calls of unknown duration, including failed ones; `ml.prediction.duration` lacks them.",
)
PREDICTION_ACTIVE: Final = Metric(
    "ml.prediction.active", "updowncounter", "{prediction}", "Prediction calls in flight."
)
MODEL_PROCESSES: Final = Metric(
    "ml.model.processes",
    "updowncounter",
    "{process}",
    "Processes that hold the model: 1, and 0 in the last export of a process that shuts down cleanly.",
)
PREDICTION_BATCH_SIZE: Final = Metric(
    "ml.prediction.batch.size", "histogram", "{prediction}", "Rows of one batch prediction call.", BATCH_BUCKETS
)
PREDICTION_STAGE_DURATION: Final = Metric(
    "ml.prediction.stage.duration", "histogram", "s", "Duration of the named stages of a prediction.", DURATION_BUCKETS
)
PREDICTION_FIRST_ITEM_DURATION: Final = Metric(
    "ml.prediction.first_item.duration",
    "histogram",
    "s",
    "Time until a streamed prediction yields its first item.",
    DURATION_BUCKETS,
)
MODEL_LOAD_DURATION: Final = Metric(
    "ml.model.load.duration", "histogram", "s", "Duration of loading the model.", DURATION_BUCKETS
)
MODEL_LOAD_TIMESTAMP: Final = Metric(
    "ml.model.load.timestamp", "gauge", "s", "When the model was loaded, seconds since the epoch."
)
MODEL_TRAIN_TIMESTAMP: Final = Metric(
    "ml.model.train.timestamp", "gauge", "s", "When the model was trained, seconds since the epoch."
)
MODEL_NAME: Final = "ml.model.name"
"""Name of the model."""
MODEL_VERSION: Final = "ml.model.version"
"""Version of the model."""
MODEL_ROLE: Final = "ml.model.role"
"""``primary``, ``canary`` or ``shadow``."""
MODEL_TASK: Final = "ml.model.task"
"""The declared task: ``binary``, ``multiclass``, ``multilabel``, ``regression`` or ``ranking``; on events."""
MODEL_POSITIVE_CLASS: Final = "ml.model.positive_class"
"""Class text of the second of two declared classes; on events."""
PREDICTION_ID: Final = "ml.prediction.id"
"""Id of the prediction, for labels and logs."""
PREDICTION_CLASS: Final = "ml.prediction.class"
"""Canonical text of the predicted class."""
PREDICTION_VALUE: Final = "ml.prediction.value"
"""The predicted number of a regression, a double."""
PREDICTION_SCORE_ATTRIBUTE: Final = "ml.prediction.score"
"""The score of one prediction, a double."""
PREDICTION_BATCH_SIZE_ATTRIBUTE: Final = "ml.prediction.batch.size"
"""Rows of a batch call, an integer."""
PREDICTION_DURATION_ATTRIBUTE: Final = "ml.prediction.duration"
"""Duration of the call in seconds, a double, on the event; absent if unknown."""
STAGE_NAME: Final = "ml.stage.name"
"""Name of a stage of the prediction."""
EXEMPLAR: Final = "otelml.exemplar"
"""True on a span that the exemplar of a metric refers to, so that tail sampling keeps it."""
PREDICT_SPAN: Final = "predict {model}"
"""Name of the span of one prediction, kind INTERNAL."""
PREDICTION_EVENT: Final = "ml.prediction"
"""Name of the event of one prediction; its body is JSON with features, prediction and score."""
PREDICTION_EXCEPTION_EVENT: Final = "ml.prediction.exception"
"""Name of the event of an exception that ended a prediction, if `OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN` asks for it."""
PREDICTION_ID_HEADER: Final = "x-prediction-id"
"""Response header with the id of the request's first prediction by a primary model, or else of its first one."""
OTHER: Final = "__other__"
"""Replaces all further values of a label beyond their limit."""
CANCELLED: Final = "cancelled"
"""``error.type`` of a call that its caller gave up; counted separately from errors, so that no alert fires."""
