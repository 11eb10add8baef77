"""When metrics are exported."""

from __future__ import annotations

from collections.abc import Iterator

from otel_ml._telemetry.metrics._schedule import EARLY, Schedule

INTERVAL = 60.0
TICK = 0.5


def times(count_at, until: float) -> Iterator[float]:
    """The times of the collections, with a look at the predictions every tick."""
    schedule = Schedule(INTERVAL, 0.0)
    for tick in range(1, round(until / TICK) + 1):
        now = tick * TICK
        if schedule.is_due(now, count_at(now)):
            schedule.collected(now, count_at(now))
            yield now


def test_an_idle_process_exports_once_per_interval() -> None:
    """Without predictions nothing is early."""
    assert list(times(lambda _: 0, 240)) == [60, 120, 180, 240]


def test_a_burst_is_exported_when_it_rests() -> None:
    """The first prediction is exported at once, all half a second after the last, and then once per interval."""
    assert list(times(lambda now: max(0, min(round(now * 100) - 10_000, 50)), 200)) == [60, 100.5, 160.5]


def test_a_busy_process_exports_early_in_its_youth() -> None:
    """The gaps double up to the interval, so a young process that is killed loses half of its counts at most."""
    assert list(times(lambda now: round(now * 100), 250)) == [1, 3, 7, 15, 31, 63, 123, 183, 243]


def test_a_busy_process_exports_when_its_traffic_ends() -> None:
    """As before a rolling deployment ends it, also after hours."""
    assert list(times(lambda now: round(min(now, 3600.0) * 100), 3620))[-2:] == [3543.0, 3600.5]


def test_few_predictions_are_no_reason_for_many_exports() -> None:
    """In the long run there is one early export for each interval."""
    found = list(times(lambda now: round(now // 5), 3600))

    assert len(found) <= 2 * 3600 / INTERVAL + EARLY
    assert 0 < len([now for now in found if now <= 60]) <= EARLY


def test_an_export_that_was_asked_for_starts_a_new_interval() -> None:
    """A flush has exported all counts."""
    schedule = Schedule(INTERVAL, 0.0)
    schedule.collected(10.0, 5)

    assert [schedule.is_due(now, 5) for now in (11.0, 69.5, 70.0)] == [False, False, True]
