"""Trace, span and prediction ids."""

from __future__ import annotations

from otel_ml._telemetry.ids import RANDOM
from otel_ml._telemetry.sdk.id_generator import SeedProofIdGenerator
from otel_ml.testing import CountingIds


def test_random_ids_have_their_widths():
    """A trace id has 128 bits, a span id 64, a prediction number 128; ids are never 0."""
    assert 0 < RANDOM.trace_id() < 2**128
    assert 0 < RANDOM.span_id() < 2**64
    assert 0 <= RANDOM.prediction_number() < 1 << 128


def test_the_sdks_generator_takes_our_ids():
    """SDK spans get ids from the same source."""
    generator = SeedProofIdGenerator(CountingIds())

    assert (generator.generate_trace_id(), generator.generate_span_id(), generator.is_trace_id_random()) == (1, 1, True)
