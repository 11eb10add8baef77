"""Where a request keeps the predictions that were made in it."""

from __future__ import annotations

from opentelemetry.context import create_key


class RequestPredictions:
    """A mutable holder in the OTel context of one request; the first prediction started below it leaves its id."""

    __slots__ = ("first_id",)

    def __init__(self) -> None:
        self.first_id: str | None = None


PREDICTIONS_KEY = create_key("otel-ml-predictions")
"""Key of the `RequestPredictions` in an OTel context; absent outside a request."""
