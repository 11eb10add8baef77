"""Random drivers: codes, layouts, values and counts drawn from a fixed seed."""

from __future__ import annotations

import logging
import random
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "data" / "nvml"))
from fake_nvml import H100  # noqa: E402
from nvml_fixtures import driver, nvml_library  # noqa: E402, F401 - fixtures
from test_nvml_faults import ANY_GPU, ONE_GPU, ONE_PARENT

from otel_ml import _guard
from otel_ml.resource_sampler import GpuSource
from otel_ml.resource_sampler._points import Points

SECONDS = (30, 40, 50, 60, 70, 80, 90, 100, 120, 150, 200, 260, 400)
KEYS = [line.split()[4] for line in H100 if " value " in line]
NUMBERS = (-1, 0, 1, 101, 2**31, 2**32 - 1, 2**32, 2**62, 2**63, 1e19, -(2**31))
CODES = (1, 2, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16, 17, 18, 25, 28, 999, -1)
KEEP = {"nvmlShutdown", "nvmlEventSetFree", "nvmlGpmSampleFree"}
"""If these fail, resources cannot be released."""


def window(dice):
    start = dice.choice([0, 35, 45, 55, 90])
    return f"{start} {dice.choice(['-', start + 5, start + 20, start + 60])}"


def instances(dice, gpu):
    """Returns rules of a GPU that may have MIG instances, which may be rebuilt and may look alike."""
    rules = [f"{window(dice)} {gpu} value mig.mode 1", f"0 - {gpu} value mig.most {dice.choice([7, 2**31])}"]
    for place in range(dice.randint(0, 4)):
        at = f"{window(dice)} {gpu}:{place}"
        rules += [
            f"{at} value mig {dice.choice([place, 7, 7 + place])}",
            f"{at} text uuid MIG-{dice.choice('ab')}{dice.choice(['', place])}{gpu}",
            f"{at} value memory.total 1000",
            f"{at} value memory.free {dice.choice([0, 400, 2000])}",
            f"{at} value gpm:2 {dice.choice([5, 101, -1])}",
        ]
    return rules


def scenario(dice):
    rules = [rule for gpu in (0, 1) if dice.random() < 0.5 for rule in instances(dice, gpu)]
    for _ in range(dice.randint(0, 4)):
        target, function = dice.choice(["*", "0", "1", "0:0"]), dice.choice([*ANY_GPU, *ONE_GPU, *ONE_PARENT, "*"])
        if function not in KEEP and (function != "*" or target != "*"):
            rules.append(f"{window(dice)} {target} return {function} {dice.choice(CODES)}")
    for _ in range(dice.randint(0, 4)):
        more = dice.choice(["", " type 0", " type 1", " type 5", " type 99", " rate -1000", " bits 32 rate 1000000000"])
        rules.append(
            f"{window(dice)} {dice.choice(['*', 0, 1])} value {dice.choice(KEYS)} {dice.choice(NUMBERS):.0f}{more}"
        )
    rules.append(f"{window(dice)} * value gpus {dice.choice([1, 2, 2, 2, 3, 2**31])}")
    rules.append(f"0 - 0 process {dice.choice([0, 1, 2**22, 2**31])} {dice.choice([0, 1, -1])}")
    rules.append(f"0 - 0 busy {dice.choice([0, 1, 2**31])} {dice.choice([0, 50, 101])}")
    rules.append(f"{dice.choice([46, 70])} - 0 event {dice.choice([8, 256, 264])} {dice.choice([0, 79, 2**31])}")
    return rules


@pytest.mark.parametrize("seed", range(40))
def test_a_random_driver_is_survived(driver, tmp_path, seed):  # noqa: F811
    """No counter falls, no series appears twice, no share leaves its range, nothing leaks, and no code of ours fails."""
    logging.disable(logging.CRITICAL)
    _guard.reset()
    rules = scenario(random.Random(seed))
    driver.load(*rules)
    source = GpuSource(
        clock=driver.clock, jitter=lambda: 0.5, poll=0.01, proc=tmp_path / "proc", deadline=30.0, gpm=True
    )
    points, last, wrong = Points(), {}, []
    for second in SECONDS:
        driver.at(second)
        report = source.read()
        keys = [(reading.metric.name, frozenset(reading.attributes.items())) for reading in report.readings]
        wrong += [(second, "twice", key) for key in set(keys) if keys.count(key) > 1]
        for key, reading in zip(keys, report.readings, strict=True):
            if reading.metric.instrument == "counter" and reading.value < last.get(key, 0):
                wrong.append((second, "falls", key))
            last[key] = reading.value
        for name, rows in points.convert(report.readings)[0].items():
            if name.endswith(("utilization", "activity", "occupancy")):
                wrong += [(second, "no share", name) for value, _ in rows if not 0 <= value <= 1]
    source.close()
    logging.disable(logging.NOTSET)
    assert wrong == [], rules
    assert _guard.counts() == {}, rules
    assert (driver.overlaps, driver.after_shutdown, driver.held) == (0, 0, (0, 0, 0)), rules
