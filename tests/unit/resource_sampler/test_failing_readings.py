from __future__ import annotations

import pytest

from otel_ml import semconv
from otel_ml.resource_sampler import ContainerSource, Gap, ProcessSource, Reading, Report, ResourceSampler
from otel_ml.resource_sampler._points import MAX_POINTS

SOUND = Reading(semconv.SYSTEM_CPU_LOGICAL_COUNT, 2, {})


class Scripted:
    """A source that gives a list of reports, one a tick, and then the last one for ever."""

    name = "process"
    metrics = (semconv.SYSTEM_CPU_LOGICAL_COUNT,)

    def __init__(self, *reports):
        self._reports = list(reports)

    def read(self):
        return self._reports.pop(0) if len(self._reports) > 1 else self._reports[0]

    def close(self):
        """Holds nothing."""


def lines(caplog, *reports, ticks):
    """What the log says over so many ticks."""
    caplog.set_level("INFO", "otel_ml")
    sampler = ResourceSampler(sources=[Scripted(*reports)], budget=64)
    for _ in range(ticks):
        sampler.tick()
    return caplog.messages


REFUSED = Report((SOUND,), (Gap("process disk io", "permission", "Permission denied"),))
BEGIN = "otel-ml: process disk io cannot be read (permission: Permission denied): its readings are absent"


def test_a_recovered_reading_is_logged_after_three_good_ticks(caplog):
    """One line reports the start of a failure, one its end."""
    assert lines(caplog, REFUSED, Report((SOUND,)), ticks=5) == [
        BEGIN,
        "otel-ml: process disk io is read again",
    ]


def test_the_end_of_a_process_is_no_recovery(caplog):
    """A source without any readings does not report its failures as recovered."""
    gone = Report((), (Gap("process 7", "vanished"),))
    assert lines(caplog, REFUSED, gone, ticks=9) == [
        BEGIN,
        "otel-ml: process 7 cannot be read (vanished): its readings are absent",
    ]


def test_a_failure_that_becomes_permanent_is_not_logged_as_recovered(caplog):
    """A refusal that becomes a property of the machine is not logged again."""
    absent = Report((SOUND,), (Gap("process disk io", "absent", "No such file or directory"),))
    assert lines(caplog, REFUSED, absent, ticks=9) == [BEGIN]


def test_failures_with_one_cause_are_one_line(caplog):
    """Without free descriptors one line is logged, however many files cannot be read."""
    parts = ("process stat", "process disk io", "process file descriptors")
    all_at_once = Report((), tuple(Gap(what, "io", "Too many open files") for what in parts))
    assert lines(caplog, all_at_once, Report((SOUND,)), ticks=5) == [
        ("otel-ml: process stat and 2 more cannot be read (io: Too many open files): its readings are absent"),
        "otel-ml: process stat and 2 more is read again",
    ]


@pytest.mark.parametrize("pid", [lambda: None, 4194305])
def test_one_missing_process_is_one_line(caplog, pid):
    """The process source logs it; the container is a gap that is neither logged nor counted."""
    caplog.set_level("INFO", "otel_ml")
    sampler = ResourceSampler(sources=[ProcessSource(pid), ContainerSource(pid)], budget=64)
    points = [sampler.tick() for _ in range(3)][-1]
    assert len(caplog.messages) == 1
    assert [(value, attributes["error.type"]) for value, attributes in points["otelml.sampler.collector.errors"]] == [
        (3, "vanished")
    ]


def test_points_without_room_are_counted_and_logged_once(caplog):
    """Points beyond the limit are not left out silently."""
    many = Report(tuple(Reading(semconv.HW_ENERGY, 1.0, {"hw.id": str(number)}) for number in range(MAX_POINTS + 9)))
    sampler = ResourceSampler(sources=[Scripted(many)], budget=64)
    points = [sampler.tick() for _ in range(2)][-1]
    assert points["otelml.sampler.collector.errors"] == [
        (18, {"otelml.sampler.collector": "sampler", "error.type": "capped"})
    ]
    assert caplog.messages == ["otel-ml: the sampler has more points of one metric than it may: 9 left out"]
