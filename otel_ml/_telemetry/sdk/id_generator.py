"""Ids for the SDK that neither read nor disturb the random state of the service."""

from __future__ import annotations

from opentelemetry.sdk.trace.id_generator import IdGenerator

from otel_ml._telemetry.ids import RANDOM, Ids


class SeedProofIdGenerator(IdGenerator):
    """Trace and span ids from a private generator; `random.seed` in the service has no effect on them.

    With `opentelemetry-instrument`, ``OTEL_PYTHON_ID_GENERATOR=otel_ml`` selects it.
    """

    def __init__(self, ids: Ids = RANDOM) -> None:
        self._ids = ids

    def generate_span_id(self) -> int:
        return self._ids.span_id()

    def generate_trace_id(self) -> int:
        return self._ids.trace_id()

    def is_trace_id_random(self) -> bool:
        return True
