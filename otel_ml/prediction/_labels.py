"""Attribute values that cannot grow without bound."""

from __future__ import annotations

from collections.abc import Iterable

from otel_ml import semconv


class BoundedLabels:
    """Admits declared values, or else the first few that come; every other one becomes `semconv.OTHER`.

    Two threads may each admit the last free value: the bound can be passed by the number of threads, never more.
    """

    def __init__(self, limit: int, declared: Iterable[str] | None = None) -> None:
        self._closed = declared is not None
        self._limit = limit
        self._admitted = set(declared or ())

    def of(self, value: str) -> str:
        """The value itself if it is admitted."""
        if value in self._admitted:
            return value
        if self._closed or len(self._admitted) >= self._limit:
            return semconv.OTHER
        self._admitted.add(value)
        return value
