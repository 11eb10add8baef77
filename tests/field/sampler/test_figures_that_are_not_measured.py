"""A driver that answers 0, with success, for what it does not measure has no figure.

iopsystems/rezolus#1105 (NVIDIA Thor: the memory controller is never busy, however busy the GPU is).
"""

from __future__ import annotations

import pytest
from nvml_fixtures import rows_of


def activity(driver, source, seconds):
    """What is reported of the memory controller of the only GPU at each moment: a share, or nothing."""
    found = []
    for second in seconds:
        driver.at(second)
        rows = rows_of(source.read(), "otelml.gpu.memory.activity")
        found.append(rows[0][1] if rows else None)
    return found


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param(["0 - * value utilization 5"], [None, None, None], id="busy, and never measured"),
        pytest.param(["0 - * value utilization 4"], [0.0, 0.0, 0.0], id="idle"),
        pytest.param(
            ["0 - * value utilization 90", "35 45 * value memory_activity 7"], [None, 0.07, 0.0], id="measured once"
        ),
        pytest.param(["0 25 * value utilization 0", "25 - * value utilization 90"], [0.0, None, None], id="busy later"),
    ],
)
def test_a_share_of_0_beside_a_busy_gpu_is_none(driver, gpus, rules, expected):
    """Once the driver has measured one, a 0 is believed: some work needs no memory for a while."""
    driver.load("0 - * value memory_activity 0", *rules, gpus=1)
    assert activity(driver, gpus(), (0, 40, 80)) == expected


def test_where_a_busy_share_of_0_is_not_believed_the_other_one_is_not_either(driver, gpus):
    """Its processes say that the GPU works."""
    nothing = [f"0 - * value {name} 0" for name in ("samples", "utilization", "memory_activity")]
    driver.load(*nothing, "0 - 0 busy 77 50", gpus=1)
    assert activity(driver, gpus(), (30, 70)) == [0.0, None]
