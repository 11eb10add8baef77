from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nvml_fixtures import rows_of

from otel_ml.resource_sampler._counters import DeviceCounters

KEY = ("GPU-a", "PCIe transmit")


def series(*raw, bits=64, generations=None):
    """What is reported for a sequence of raw values."""
    counters = DeviceCounters()
    generations = generations or [0] * len(raw)
    return [counters.advance(KEY, value, bits=bits, generation=at) for value, at in zip(raw, generations, strict=True)]


@pytest.mark.parametrize(
    ("raw", "bits", "generations", "reported"),
    [
        ((10, 20, 30), 64, None, [10, 20, 30]),
        ((2**32 - 10, 5), 32, None, [2**32 - 10, 2**32 + 5]),
        ((2**32 - 10, 5, 2**31, 2**32 - 1, 3), 32, None, [2**32 - 10, 2**32 + 5, 3 * 2**31, 2**33 - 1, 2**33 + 3]),
        ((1000, 5), 32, None, [1000, 1005]),
        ((1000, 5), 64, None, [1000, 1005]),
        ((2**63, 5), 64, None, [2**63, 2**63 + 5]),
        ((1000, 999, 1001), 64, None, [1000, 1000, 1001]),
        ((1000, 1500), 64, [0, 1], [1000, 2500]),
        ((1000, 1500, 1600, 100), 64, [0, 1, 1, 2], [1000, 2500, 2600, 2700]),
        ((0, 0, 0), 64, None, [0, 0, 0]),
    ],
)
def test_counters_continue_over_wraps_and_resets(raw, bits, generations, reported):
    """A wrap adds its width, a reset the earlier count, a small step back nothing."""
    assert series(*raw, bits=bits, generations=generations) == reported


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 1)), max_size=40), st.sampled_from([16, 32, 64]))
def test_no_sequence_makes_a_counter_fall(steps, bits):
    """No answer of the driver in any generation makes it fall."""
    generations = [sum(step for _, step in steps[: place + 1]) for place in range(len(steps))]
    reported = series(*[value % 2**bits for value, _ in steps], bits=bits, generations=generations)
    assert reported == sorted(reported)


@given(st.lists(st.tuples(st.integers(0, 2**63 - 1), st.sampled_from([16, 32, 64])), max_size=40))
def test_a_counter_whose_width_changes_does_not_fall(steps):
    """A value above the new width did not wrap in that width."""
    counters = DeviceCounters()
    reported = [counters.advance(KEY, raw % 2**bits, bits=bits, generation=0) for raw, bits in steps]
    assert reported == sorted(reported)


def test_a_fall_of_the_energy_counter_is_a_reset_of_all():
    """It cannot wrap, so all counters have restarted, also those that are higher by now."""
    counters = DeviceCounters()
    energy, moved = ("GPU-a", "energy"), ("GPU-a", "PCIe transmit")
    for raw in (5000, 100):
        counters.detect_reset(energy, raw)
        counters.advance(energy, raw, bits=64, generation=0)
        last = counters.advance(moved, 1000 + raw % 7, bits=32, generation=0)
    assert last == 1000 + 5000 % 7 + 1000 + 100 % 7


def energies(driver, source, *seconds):
    """Joules of one GPU after each reading."""
    found = []
    for second in seconds:
        driver.at(second)
        found.extend(row[1] for row in rows_of(source.read(), "hw.energy") if row[2]["hw.id"] == "GPU-a")
    return found


def test_a_wrapped_counter_of_the_driver_continues(driver, gpus):
    """A counter of 32 bits, which wraps every 21 seconds at 200 MB/s, continues."""
    driver.load("0 - * value field:197 0 rate 200000000 bits 32 type 1", gpus=1)
    source = gpus()
    moved = []
    for second in range(10, 200, 10):
        driver.at(second)
        moved.extend(
            row[1] for row in rows_of(source.read(), "hw.gpu.io") if row[2]["network.io.direction"] == "transmit"
        )
    assert moved == [second * 200_000_000 for second in range(10, 200, 10)]


def test_energy_continues_over_a_reload_of_the_driver(driver, gpus):
    """The energy before the reload is kept, the energy after it is added."""
    driver.load(
        "45 75 * return nvmlInitWithFlags 9",
        "45 75 * return nvmlDeviceGetFieldValues 9",
        "75 - * value field:83 0 rate 100000",
    )
    seen = energies(driver, gpus(), 30, 40, 50, 60, 80, 100)
    assert seen == [9322.5, 12427.5, 12427.5 + 500.0, 12427.5 + 2500.0]


def test_energy_is_not_counted_twice_when_only_the_library_was_away(driver, gpus):
    """With the same driver version the counters continue."""
    driver.load("45 75 * return nvmlDeviceGetFieldValues 1", "45 75 * return nvmlInitWithFlags 1", gpus=1)
    assert energies(driver, gpus(), 30, 50, 80, 100, 120)[-1] == (7500 + 310500 * 120) / 1000


def test_another_driver_version_restarts_all_counters(driver, gpus):
    """A counter that is higher than before has restarted as well."""
    driver.load(
        "35 75 * return nvmlInitWithFlags 9",
        "35 75 * return nvmlDeviceGetFieldValues 9",
        "35 - * text driver 590.00",
        "75 - * value field:83 50000000",
        gpus=1,
    )
    assert energies(driver, gpus(), 30, 40, 80, 100, 120)[-1] == 9322.5 + 50000.0
