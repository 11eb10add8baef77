"""A figure day by day: noise is no decay, a day that has only begun does not count, and a decay is named with its end.

Sources: mozilla/bugbug#930 (a slope alone calls most metrics decreasing), PostHog/posthog#52846 (the present interval, which is
not over, looks like a drop), NannyML/nannyml#88 (chunks with few rows spoil the result).
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pytest
from postgresql_server import only_sqlite

import otel_ml
from otel_ml.cli import main

DAY = 86_400.0
PER_DAY = 120


def fill(truth: otel_ml.GroundTruth, rights: list[int], end: float, labelled: int = PER_DAY) -> None:
    """Predicts so many orders in the middle of each day before `end`, of which the given number is right."""
    model = otel_ml.Model("fraud", "1", task="binary", classes=["0", "1"], ground_truth=truth)
    for step, right in enumerate(reversed(rights)):
        moment = end - (step + 0.5) * DAY
        ids = [f"{labelled}-{step}-{number}" for number in range(labelled)]
        values = [int(number < right) for number in range(labelled)]
        model.record([{}] * labelled, prediction=values, id=f"{labelled}-{step}", at=moment, batch=True)
        truth.flush()
        truth.record_labels((f"{labelled}-{step}.{number}", 1) for number in range(len(ids)))


@pytest.fixture
def now() -> float:
    return time.time()


def decay(truth: otel_ml.GroundTruth, now: float, days: float = 16, **more: Any) -> dict[str, Any]:
    return truth.compute_decay(now - days * DAY, now, model="fraud", **more)


@only_sqlite
def test_a_decay_is_found_and_the_day_of_the_limit_named(
    truth: otel_ml.GroundTruth, now: float, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of 120 orders a day are lost: it says so, since when the model was trained, and when 0.6 is reached."""
    rights = [110 - 2 * day + day % 2 for day in range(14)]
    fill(truth, rights, now)
    found = decay(truth, now, trained_at=now - 20 * DAY, limit=0.6)
    assert [day["value"] for day in found["days"] if day["labels"]] == pytest.approx(
        [each / PER_DAY for each in rights]
    )
    assert [round(day["age"], 6) for day in found["days"]] == list(range(5, 21))
    trend = found["trend"]
    assert (found["figure"], trend["days"], trend["is_worse"]) == ("accuracy", 14, True)
    assert trend["slope"] == pytest.approx(np.polyfit(range(14), np.array(rights) / PER_DAY, 1)[0])
    assert trend["interval"][0] < trend["slope"] < trend["interval"][1] < 0
    assert trend["days_until_limit"] == pytest.approx((trend["level"] - 0.6) / -trend["slope"])

    arguments = ["evaluate", "--store", store_url, "--model", "fraud", "--decay", "--since", "15d"]
    assert main([*arguments, "--limit", "0.6", "--trained", "20d"]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(
        "trend of accuracy over 14 days: -0.0165 a day (-0.0172 to -0.0159): worse than chance explains"
    )
    assert last.endswith("limit 0.6000: reached in 7 days")
    assert main([*arguments, "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["trend"]["is_worse"]


@only_sqlite
def test_noise_is_no_decay(truth: otel_ml.GroundTruth, now: float, store_url: str) -> None:
    """Days that scatter about one accuracy have a slope, and its interval says that it is none."""
    rng = np.random.default_rng(5)
    fill(truth, rng.binomial(PER_DAY, 0.8, 12).tolist(), now)
    trend = decay(truth, now)["trend"]
    assert trend["slope"] != 0
    assert trend["interval"][0] < 0 < trend["interval"][1]
    assert not trend["is_worse"]
    assert main(["evaluate", "--store", store_url, "--model", "fraud", "--decay", "--since", "15d"]) == 0


@only_sqlite
def test_days_that_are_not_over_or_have_few_labels_do_not_count(truth: otel_ml.GroundTruth, now: float) -> None:
    """A day that the window has half of is left out; one with ten labels is shown and not part of the trend."""
    fill(truth, [100] * 12, now)
    fill(truth, [0] * 2, now - 12 * DAY, labelled=10)
    found = decay(truth, now, days=14.5)
    assert [day["labels"] for day in found["days"]] == [10, 10, *[PER_DAY] * 12]
    assert found["trend"]["days"] == 12
    assert found["trend"]["slope"] == pytest.approx(0, abs=1e-9)
    assert decay(truth, now, days=9)["trend"] is None


@only_sqlite
def test_what_cannot_be_followed_is_refused(truth: otel_ml.GroundTruth, now: float) -> None:
    """A figure that there is not, and a window without a whole day."""
    with pytest.raises(ValueError, match="'accurate' is not a figure: accuracy, "):
        decay(truth, now, figure="accurate")
    with pytest.raises(ValueError, match="a trend needs from 1 to 400 whole days"):
        decay(truth, now, days=0.5)


@only_sqlite
def test_the_command_names_what_it_cannot_show(
    truth: otel_ml.GroundTruth, now: float, store_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A misspelt model is told which ones there are; segments and a second table are refused, not left out."""
    fill(truth, [100] * 2, now)
    command = ["evaluate", "--store", store_url, "--model", "fruad", "--since", "15d"]
    for table, told in (("--decay", "no labelled prediction"), ("--estimate", "no prediction")):
        assert main([*command, table]) == 1
        assert f"{told} of 'fruad' in this window; the store has fraud 1 primary\n" in capsys.readouterr().err
        assert main([*command, table, "--by", "region"]) == 2
        assert capsys.readouterr().err.endswith(f"{table} is not by time or segment: leave --by out\n")
    assert main(["evaluate", "--store", store_url, "--model", "fraud", "--estimate", "--since", "15d"]) == 1
    assert "no calibration is stored for these predictions" in capsys.readouterr().err
    assert main([*command, "--decay", "--estimate"]) == 2
    assert capsys.readouterr().err.endswith("--decay and --estimate print different tables: give one of them\n")
