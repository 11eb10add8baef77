"""How long is waited before another attempt; what a receiver may ask for is in `test_http_answers`."""

from __future__ import annotations

import pytest

from otel_ml._export import retry


@pytest.mark.parametrize(("attempt", "seconds"), [(0, 1.0), (1, 2.0), (2, 4.0), (3, 5.0), (10_000, 5.0)])
def test_pauses_double_up_to_a_limit(attempt, seconds):
    """Pauses have a fifth of jitter to either side, so that clients do not return together."""
    pauses = [retry.pause(attempt) for _ in range(50)]

    assert all(0.8 * seconds <= pause <= 1.2 * seconds for pause in pauses)
    assert len(set(pauses)) > 1


def test_what_a_receiver_asks_for_replaces_our_own_pause():
    """The receiver's wait is used, but a zero does not become a tight loop."""
    assert retry.pause(0, 7.0) == 7.0
    assert 0.08 <= retry.pause(0, 0.0) <= 0.12


@pytest.mark.parametrize(("seconds", "expected"), [(-5.0, 0.0), (12.5, 12.5), (1e9, 300.0)])
def test_a_wait_is_limited(seconds, expected):
    """One wrong answer does not silence a signal for good."""
    assert retry.bounded(seconds) == expected
