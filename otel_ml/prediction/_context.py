"""The keys of the OTel context under which a prediction is found."""

from __future__ import annotations

import weakref
from typing import Protocol

from opentelemetry.context import Context, create_key
from opentelemetry.trace import INVALID_SPAN, set_span_in_context

(SPAN_KEY,) = set_span_in_context(INVALID_SPAN, Context())
"""Where the API keeps the current span; found through its public functions."""
PREDICTION_KEY = create_key("otel-ml-prediction")
"""The `Prediction` in this context."""

PREDICTIONS_KEY = create_key("otel-ml-predictions")
"""The `RequestPredictions` of the request that is being served in this context."""


class Identified(Protocol):
    """An object with a prediction id."""

    @property
    def id(self) -> str: ...


class RequestPredictions:
    """Chooses the prediction that the answer to one request names: the first of a primary model, or else the first."""

    is_primary: bool
    """Whether the model of that prediction has the role primary; set together with the id."""
    announced: tuple[weakref.ref[Identified], bool] | None = None
    """The prediction of a stream that begins later, and whether its model is primary."""
    is_over = False
    """Whether the whole answer was sent. What begins later in the context of this request can be another request."""
    outside = Context()
    """The context in which the request began."""

    def __init__(self) -> None:
        self.first_id: str | None = None

    def wants(self, *, is_primary: bool) -> bool:
        """Whether to keep the id of a prediction that begins now."""
        return self.first_id is None or (is_primary and not self.is_primary)

    def announce(self, prediction: Identified, *, is_primary: bool) -> None:
        """Keeps a prediction that begins later, as long as its stream exists."""
        known = self.announced
        if known is None or known[0]() is None or (is_primary and not known[1]):
            self.announced = weakref.ref(prediction), is_primary

    def choose_id(self) -> str | None:
        """Returns the id that the answer names. Of two models of one rank the one whose prediction has begun wins."""
        if self.announced is None:
            return self.first_id
        reference, is_primary = self.announced
        prediction = reference()
        return self.first_id if prediction is None or not self.wants(is_primary=is_primary) else prediction.id
