"""The keys of the OTel context under which a prediction is found."""

from __future__ import annotations

from opentelemetry.context import Context, create_key
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

(SPAN_KEY,) = set_span_in_context(INVALID_SPAN, Context())
"""Where the API keeps the current span; found through its public functions."""
PREDICTION_KEY = create_key("otel-ml-prediction")
"""The `Prediction` in this context."""

PREDICTIONS_KEY = create_key("otel-ml-predictions")
"""The `RequestPredictions` of the request that is being served in this context."""


class RequestPredictions:
    """Keeps the id of the first prediction made while one request is served; the first primary one wins."""

    __slots__ = ("first_id", "is_primary")

    is_primary: bool
    """Whether the model of that prediction has the role primary; set together with the id."""

    def __init__(self) -> None:
        self.first_id: str | None = None

    def wants(self, *, is_primary: bool) -> bool:
        """Whether the id of a prediction that begins now is to be kept."""
        return self.first_id is None or (is_primary and not self.is_primary)
