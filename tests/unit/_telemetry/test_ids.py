"""Trace, span and prediction ids."""

from __future__ import annotations

import os

from otel_ml._telemetry.ids import RANDOM, RandomIds
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


def test_children_forked_before_the_first_prediction_have_numbers_of_their_own():
    """The numbers of one process rise, and no other process has one of them."""
    ids = RandomIds()
    found = []
    for _ in range(3):
        receiving, sending = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(sending, f"{ids.prediction_number()} {ids.prediction_number()}".encode())
            os._exit(0)
        os.close(sending)
        os.waitpid(child, 0)
        found += [int(number) for number in os.read(receiving, 1000).split()]
        os.close(receiving)
    assert (len(set(found)), found[0] < found[1]) == (6, True)
