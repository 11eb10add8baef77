"""Case 18: two agents and two gateways, and what it costs to stop or kill one of them; `make tiers` runs it at full load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TIERS = Path(__file__).resolve().parents[1] / "benchmarks" / "tiers.py"
WAIT = 3
RATE = 400


def two_tiers(row, figure):
    command = [sys.executable, str(TIERS), "--json", "--rate", str(RATE), "--seconds", "10", "--wait", str(WAIT)]
    done = subprocess.run([*command, "--only", row], capture_output=True, text=True, check=False)
    figures = json.loads(done.stdout)
    twice = figures["spans_twice"] + figures["events_twice"]
    figure(18, mode=row, sent=figures["sent"], lost=figures["spans_lost"] + figures["events_lost"], duplicated=twice)
    assert figures["dropped_by_services"] == figures["events_lost"] == figures["split"] == 0
    assert figures["points_out_of_order"] == figures["series_moved"] == 0
    return figures


@pytest.mark.slow
@pytest.mark.parametrize("row", ["no fault", "SIGTERM agent", "SIGKILL agent", "SIGTERM gateway"])
def test_case_18_two_tiers_lose_nothing(row, figure):
    """Through two agents and two gateways everything arrives, each trace at one gateway, each series in order."""
    figures = two_tiers(row, figure)
    assert figures["spans_lost"] == figures["incomplete"] == 0


@pytest.mark.slow
def test_case_18_a_killed_gateway_loses_what_waits_for_a_decision(figure):
    """A gateway that is killed loses the spans of a decision wait, and its traces still never go elsewhere."""
    figures = two_tiers("SIGKILL gateway", figure)
    assert 0 < figures["spans_lost"] <= RATE * (WAIT + 3)
