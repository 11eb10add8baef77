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
BEGIN = (
    "otel-ml: process disk io of the process cannot be read (permission: Permission denied): its readings are absent"
)


def test_a_reading_that_is_back_is_said_after_a_while(caplog):
    """One line when it begins, one when it is over."""
    assert lines(caplog, REFUSED, Report((SOUND,)), ticks=5) == [
        BEGIN,
        "otel-ml: process disk io of the process is read again",
    ]


def test_nothing_is_read_again_of_a_process_that_has_ended(caplog):
    """The end of all readings of a source is not the end of what failed before."""
    gone = Report((), (Gap("process 7", "vanished"),))
    assert lines(caplog, REFUSED, gone, ticks=9) == [
        BEGIN,
        "otel-ml: process 7 of the process cannot be read (vanished): its readings are absent",
    ]


def test_what_turns_out_to_be_missing_for_good_is_not_read_again(caplog):
    """A refusal that becomes a property of the machine says nothing more."""
    absent = Report((SOUND,), (Gap("process disk io", "absent", "No such file or directory"),))
    assert lines(caplog, REFUSED, absent, ticks=9) == [BEGIN]


def test_what_fails_together_for_one_reason_is_one_line(caplog):
    """No descriptors left is one cause, however many files it keeps from being read."""
    parts = ("process stat", "process disk io", "process file descriptors")
    all_at_once = Report((), tuple(Gap(what, "io", "Too many open files") for what in parts))
    assert lines(caplog, all_at_once, Report((SOUND,)), ticks=5) == [
        (
            "otel-ml: process stat and 2 more of the process cannot be read (io: Too many open files): "
            "its readings are absent"
        ),
        "otel-ml: process stat and 2 more of the process is read again",
    ]


@pytest.mark.parametrize("pid", [lambda: None, 4194305])
def test_one_missing_process_is_one_line(caplog, pid):
    """Its process source says it; its container is a gap that is neither logged nor counted."""
    caplog.set_level("INFO", "otel_ml")
    sampler = ResourceSampler(sources=[ProcessSource(pid), ContainerSource(pid)], budget=64)
    points = [sampler.tick() for _ in range(3)][-1]
    assert len(caplog.messages) == 1
    assert [(value, attributes["error.type"]) for value, attributes in points["otelml.sampler.collector.errors"]] == [
        (3, "vanished")
    ]


def test_points_without_room_are_counted_and_said_once(caplog):
    """Nothing is left out in silence."""
    many = Report(tuple(Reading(semconv.HW_ENERGY, 1.0, {"hw.id": str(number)}) for number in range(MAX_POINTS + 9)))
    sampler = ResourceSampler(sources=[Scripted(many)], budget=64)
    points = [sampler.tick() for _ in range(2)][-1]
    assert points["otelml.sampler.collector.errors"] == [
        (18, {"otelml.sampler.collector": "sampler", "error.type": "capped"})
    ]
    assert caplog.messages == ["otel-ml: the sampler has more points of one metric than it may: 9 left out"]
