from __future__ import annotations

import pytest

from otel_ml.resource_sampler import Report, ResourceSampler
from otel_ml.resource_sampler._interval import MAX_INTERVAL, Interval


def test_within_the_budget_the_interval_is_the_requested_one():
    """The first tick, which opens everything, is ignored."""
    interval = Interval(10.0, 0.01)
    for cost in (5.0, 0.001, 0.002, 0.09):
        interval.add_cost(cost)
    assert (interval.seconds, interval.is_stretched) == (10.0, False)


def test_above_the_budget_the_interval_grows_and_one_line_is_logged(caplog):
    """One line when the interval is stretched, one when it is no longer, however often the cost varies in between."""
    caplog.set_level("INFO", "otel_ml")
    interval = Interval(1.0, 0.01)
    seen = []
    for cost in (0.0, *[0.05] * 30, *[0.06] * 30, *[0.001] * 60):
        interval.add_cost(cost)
        seen.append(interval.seconds)
    assert seen[30] == pytest.approx(5.0)
    assert seen[60] == pytest.approx(6.0, rel=0.01)
    assert seen[-1] == 1.0
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "OTEL_ML_SAMPLER_BUDGET" in caplog.records[0].getMessage()


def test_the_interval_has_an_upper_limit():
    """A source that costs minutes is still read from time to time."""
    interval = Interval(1.0, 0.01)
    for _ in range(50):
        interval.add_cost(600.0)
    assert interval.seconds == MAX_INTERVAL


def test_the_budget_comes_from_the_argument_then_the_environment_then_the_default(monkeypatch):
    """The argument wins over the variable, and the variable over the default."""
    assert Interval(1.0).budget == 0.01
    monkeypatch.setenv("OTEL_ML_SAMPLER_BUDGET", "0.5")
    assert (Interval(1.0).budget, Interval(1.0, 0.2).budget) == (0.5, 0.2)


@pytest.mark.parametrize("text", ["0", "-1", "much", "nan", "1000"])
def test_a_budget_that_makes_no_sense_is_one_clear_line(monkeypatch, text):
    """The line names the variable and the remedy."""
    monkeypatch.setenv("OTEL_ML_SAMPLER_BUDGET", text)
    with pytest.raises(ValueError, match=rf"^budget \(OTEL_ML_SAMPLER_BUDGET\) is '{text}': use a share of one core"):
        ResourceSampler()


def test_the_cost_of_the_sampler_and_its_interval_are_published():
    """Its CPU seconds grow with every tick; the current interval is a gauge."""
    spent = [0.0]

    class Costly:
        name, metrics = "host", ()

        def read(self):
            spent[0] += 0.5
            return Report(())

        def close(self):
            pass

    sampler = ResourceSampler(1.0, sources=[Costly()], budget=0.1, cpu_clock=lambda: spent[0])
    first, second, third = sampler.tick(), sampler.tick(), sampler.tick()
    name = "otelml.sampler.cpu.time"
    assert [tick[name] for tick in (first, second, third)] == [[(0.5, {})], [(1.0, {})], [(1.5, {})]]
    assert (first["otelml.sampler.interval"], third["otelml.sampler.interval"]) == ([(1.0, {})], [(5.0, {})])
    assert sampler.interval == 5.0
