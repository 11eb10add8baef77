"""A transport that sends nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_ml._export.answers import Answer
    from otel_ml.config import Signal


class MemoryTransport:
    """Keeps the requests in memory; gives the next one of `answers`, or success if there is none."""

    def __init__(self, signal: Signal) -> None:
        self.endpoint = f"memory://test/v1/{signal}"
        self.requests: list[bytes] = []
        self.answers: list[Answer] = []

    def post(self, body: bytes, timeout: float) -> Answer:  # noqa: ARG002
        """Takes one request."""
        from otel_ml._export.answers import Answer

        answer = self.answers.pop(0) if self.answers else Answer("accepted")
        if answer.kind == "accepted":
            self.requests.append(body)
        return answer

    def close(self) -> None:
        """Nothing is open."""

    def abandon(self) -> None:
        """Nothing is open."""
