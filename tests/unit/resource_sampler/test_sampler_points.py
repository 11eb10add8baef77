from __future__ import annotations

import math

import pytest

from otel_ml import semconv
from otel_ml.resource_sampler import Reading
from otel_ml.resource_sampler._points import MAX_POINTS, MAX_SERIES, Points, Series
from otel_ml.resource_sampler._source import Gap, gather


def test_a_counter_that_restarts_continues_from_its_last_value():
    """A fall is a restart at zero: the earlier count is added, so that the series never falls."""
    series = Series()
    assert [series.advance(raw) for raw in (100, 150, 20, 30, 5)] == [100, 150, 170, 180, 185]


def test_a_small_step_back_holds_the_last_value():
    """The kernel's iowait time may step back a little; that is no restart."""
    series = Series()
    assert [series.advance(raw) for raw in (100.0, 99.5, 100.2)] == [100.0, 100.0, 100.2]


def test_the_memory_of_series_is_bounded_and_keeps_those_that_are_read():
    """Devices that come and go do not fill the memory, and those that stay keep their offset."""
    points = Points()
    points.convert([Reading(semconv.SYSTEM_DISK_IO, 100, {"system.device.name": "vda"})])
    for number in range(3 * MAX_SERIES):
        raw = 100 if number == 0 else 10
        readings = [Reading(semconv.SYSTEM_DISK_IO, raw, {"system.device.name": name}) for name in ("vda", str(number))]
        found, _ = points.convert(readings)
    assert len(points) <= MAX_SERIES
    assert found["system.disk.io"][0] == (110, {"system.device.name": "vda"})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, -0.5, 2**63])
def test_an_unsound_value_is_no_point_but_counted(value):
    """NaN, infinities, negative counts and numbers that OTLP cannot hold are not exported."""
    points, unsound = Points().convert([Reading(semconv.SYSTEM_DISK_IO, value, {})])
    assert (points, unsound) == ({}, 1)


@pytest.mark.parametrize("metric", [semconv.HW_TEMPERATURE, semconv.HW_TEMPERATURE_LIMIT])
def test_a_temperature_below_zero_is_sound(metric):
    """It is the only quantity that has negative values."""
    points, unsound = Points().convert([Reading(metric, -3.0, {})])
    assert (points, unsound) == ({metric.name: [(-3.0, {})]}, 0)


@pytest.mark.parametrize(
    "metric",
    [metric for metric in semconv.metrics() if metric.unit != "Cel" and metric.instrument != "counter"],
    ids=lambda metric: metric.name,
)
def test_nothing_else_is_below_zero(metric):
    """A usage, share or count below zero is an error of the machine and becomes no point."""
    readings = [Reading(metric, -1, {}), Reading(metric, -0.001, {"a": 1}), Reading(metric, 0, {"a": 2})]
    assert Points().convert(readings) == ({metric.name: [(0, {"a": 2})]}, 2)


def test_one_point_a_series_and_a_bounded_number_of_series():
    """Repeated attributes are dropped, because the SDK would add them up."""
    double = [Reading(semconv.HW_POWER, 1.0, {"hw.id": "a"}), Reading(semconv.HW_POWER, 2.0, {"hw.id": "a"})]
    many = [Reading(semconv.HW_ENERGY, 1.0, {"hw.id": str(number)}) for number in range(MAX_POINTS + 9)]
    found = Points()
    points, _ = found.convert([*double, *many])
    assert points["hw.power"] == [(1.0, {"hw.id": "a"})]
    assert (len(points["hw.energy"]), found.left_out) == (MAX_POINTS, 9)


def test_each_cpu_of_the_largest_machine_has_its_points():
    """256 CPUs in seven modes are not cut."""
    readings = [
        Reading(semconv.SYSTEM_CPU_TIME, 1.0, {"cpu": cpu, "mode": mode}) for cpu in range(256) for mode in "1234567"
    ]
    points = Points()
    found, _ = points.convert(readings)
    assert (len(found["system.cpu.time"]), points.left_out) == (1792, 0)


def test_a_counter_that_outgrows_otlp_by_its_restarts_is_no_point():
    """A value beyond OTLP's integers is left out; the encoder would fail on the whole request."""
    points = Points()
    rows = [points.convert([Reading(semconv.SYSTEM_DISK_IO, value, {})]) for value in (2**63 - 1, 5)]
    assert rows == [({"system.disk.io": [(2**63 - 1, {})]}, 0), ({"system.disk.io": []}, 1)]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError(2, "No such file"), "absent"),
        (ProcessLookupError(3, "No such process"), "vanished"),
        (PermissionError(13, "Permission denied"), "permission"),
        (OSError(95, "Not supported"), "absent"),
        (OSError(5, "Input/output error"), "io"),
        (ValueError("x"), "malformed"),
        (KeyError("x"), "malformed"),
        (IndexError("x"), "malformed"),
    ],
)
def test_a_failing_step_keeps_what_it_had_read_and_spoils_no_other(error, kind):
    """The result has one gap, the readings before it, and the steps after it."""
    reading = Reading(semconv.HW_POWER, 1.0, {})

    def broken():
        yield reading
        raise error

    report = gather([("broken", broken), ("whole", lambda: [reading])])
    assert report.readings == (reading, reading)
    assert [(gap.what, gap.kind) for gap in report.gaps] == [("broken", kind)]
    assert isinstance(report.gaps[0], Gap)
