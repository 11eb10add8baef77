"""A feature that goes away or changes its type has the same verdict in Prometheus and in Python.

Sources: yakew7/Fair-Code#461, evidentlyai/evidently#187 and #1480 (a column that is gone looks calm); deepchecks/deepchecks#2251 (the
share of nulls doubles); whylabs/whylogs#232 and #1218 (None is no null, a column of nulls divides by 0); mlrun/mlrun#5109 (a renamed
column hides the others); NannyML/nannyml#327 (a chunk of nulls spoils the limits); prometheus/prometheus#597 and
grafana/grafana#40392 (0 / 0 in a window without data fires an alert).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import promtool
import pytest

import otel_ml
from otel_ml.quality import FeatureDrift, ReferenceProfile
from otel_ml.quality._drift import DriftCounts
from otel_ml.testing import InMemoryTelemetry

ROWS = 2000
COLUMNS = ("income", "age", "country", "hour")
IDENTITY = {"ml_model_version": "1", "ml_model_role": "primary"}


def draw(seed: int, rows: int = ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = pd.Series(rng.normal(40, 12, rows)).mask(rng.random(rows) < 0.05)
    country = pd.Series(rng.choice(["at", "be", "ch", "de"], rows), dtype=object)
    return pd.DataFrame(
        {"income": rng.normal(size=rows), "age": age, "country": country, "hour": rng.integers(24, size=rows)}
    )


@pytest.fixture(scope="module")
def profile() -> ReferenceProfile:
    return ReferenceProfile.fit(draw(1, 10_000), periodic=("hour",))


def odd_cell(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(income=[*frame["income"].astype(object)[1:], "?"])


Change = Callable[[pd.DataFrame], pd.DataFrame]
CHANGES: dict[str, tuple[Change, dict[str, str]]] = {
    "as in training": (lambda frame: frame, {}),
    "dropped": (lambda frame: frame.drop(columns="income"), {"income": "absent"}),
    "renamed": (lambda frame: frame.rename(columns={"income": "salary"}), {"income": "absent"}),
    "no column of ours": (lambda frame: pd.DataFrame({"zzz": range(len(frame))}), dict.fromkeys(COLUMNS, "absent")),
    "NaN": (lambda frame: frame.assign(income=np.nan), {"income": "missing"}),
    "None": (lambda frame: frame.assign(income=[None] * len(frame)), {"income": "missing"}),
    "NA": (lambda frame: frame.assign(country=pd.array([pd.NA] * len(frame))), {"country": "missing"}),
    "half": (lambda frame: frame.assign(country=frame["country"].where(frame.index % 2 == 0)), {"country": "missing"}),
    "nulls doubled": (lambda frame: frame.assign(age=frame["age"].mask(frame.index % 20 == 0)), {"age": "missing"}),
    "nulls filled": (lambda frame: frame.assign(age=frame["age"].fillna(40.0)), {"age": "missing"}),
    "infinite": (lambda frame: frame.assign(income=np.inf), {"income": "invalid"}),
    "text": (lambda frame: frame.assign(income=[f"EUR {value:,.2f}" for value in frame["income"]]), {"income": "invalid"}),
    "objects": (lambda frame: frame.assign(income=[object()] * len(frame)), {"income": "invalid"}),
    "complex numbers": (lambda frame: frame.assign(income=frame["income"] * 1j), {"income": "invalid"}),
    "one odd cell": (odd_cell, {}),
    "another spelling": (lambda frame: frame.assign(country=frame["country"].str.upper()), {"country": "unseen"}),
    "another unit": (lambda frame: frame.assign(income=frame["income"] * 100), {"income": "out_of_range"}),
    "shifted": (lambda frame: frame.assign(income=frame["income"] * 0.4), {"income": "drifted"}),
    "one hour of the day": (lambda frame: frame.assign(hour=3), {}),
    "few rows without it": (lambda frame: frame.head(40).drop(columns="income"), {"income": "absent"}),
}  # fmt: skip


def scan(profile: ReferenceProfile, frame: pd.DataFrame) -> Mapping[str, FeatureDrift]:
    drift = DriftCounts(profile)
    drift.count({name: frame[name] for name in frame}, len(frame))
    return {feature.name: feature for feature in drift.features()}


def findings(profile: ReferenceProfile, frame: pd.DataFrame) -> dict[str, str]:
    return {name: found.findings[0] for name, found in scan(profile, frame).items() if found.findings}


@pytest.mark.parametrize("name", CHANGES)
def test_python_says_what_a_feature_has_become(profile: ReferenceProfile, name: str) -> None:
    """The changed column has the finding, the other columns of the same rows have none."""
    change, wanted = CHANGES[name]
    assert findings(profile, change(draw(2))) == wanted


def live(profile: ReferenceProfile, frames: Mapping[str, pd.DataFrame]) -> Iterator[promtool.Sample]:
    """Yields the series of a service with a model for each frame."""
    with InMemoryTelemetry() as telemetry:
        for name, frame in frames.items():
            model = otel_ml.Model(name, "1", profile=profile)
            model.record(frame, prediction=np.ones(len(frame)), batch=True)
        yield from promtool.exported(telemetry.metrics(), job="api")


def wanted(profile: ReferenceProfile, frames: Mapping[str, pd.DataFrame]) -> Iterator[promtool.Sample]:
    for name, frame in frames.items():
        for feature, found in scan(profile, frame).items():
            labels = {"ml_model_name": name, **IDENTITY, "ml_profile_id": profile.id, "ml_feature_name": feature}
            yield from promtool.expected(labels, found, found.count + found.missing + found.invalid)


def test_prometheus_says_the_same(profile: ReferenceProfile, tmp_path: Path) -> None:
    """From the rows through the exported series and the recording rules: every figure and every finding is that of Python."""
    frames = {name: change(draw(2)) for name, (change, _) in CHANGES.items() if name != "no column of ours"}
    assert promtool.check(tmp_path, list(live(profile, frames)), list(wanted(profile, frames))) == ""


def test_a_service_without_any_of_its_columns_counts_none(profile: ReferenceProfile, tmp_path: Path) -> None:
    """Such rows may be another argument: no feature is judged, but the alert sees predictions and no rows."""
    frames = {"m": pd.DataFrame({"zzz": range(ROWS)})}
    cases = [
        {"eval_time": "60m", "expr": "sum(feature:ml_feature_rows:increase1h)", "exp_samples": [{"value": 0}]},
        {"eval_time": "60m", "expr": "feature:ml_feature_verdict:1h", "exp_samples": []},
    ]
    test = {"interval": "1m", "input_series": [each.as_input() for each in live(profile, frames)]}
    assert promtool.run(tmp_path, [{**test, "promql_expr_test": cases}]) == ""


def test_a_window_without_data_says_nothing(profile: ReferenceProfile, tmp_path: Path) -> None:
    """A model without traffic has no PSI, no share, no verdict, and no figure that is infinite or not a number."""
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("idle", "1", profile=profile)
        model.record(draw(2, 1), prediction=[1.0], batch=True)
        series = promtool.exported(telemetry.metrics(), job="api")
    idle = [sample._replace(value=0) if sample.is_counter else sample for sample in series]
    names = ("psi", "psi_noise", "jsd", "share", "share_noise", "verdict")
    recorded = [f"feature:ml_feature_{name}:{window}" for name in names for window in promtool.WINDOWS]
    cases: list[dict[str, Any]] = [{"eval_time": "60m", "expr": each, "exp_samples": []} for each in recorded]
    is_finite = '0 * sum({__name__=~"(feature|bin):.*"})'  # NaN if one of them is infinite or not a number
    cases.append({"eval_time": "60m", "expr": is_finite, "exp_samples": [{"value": 0}]})
    test = {"interval": "1m", "input_series": [each.as_input() for each in idle], "promql_expr_test": cases}
    assert promtool.run(tmp_path, [test]) == ""


CENSUS = Path(__file__).parents[3] / "examples" / "fastapi_service" / "data"
RAIN = Path(__file__).parents[2] / "data" / "rainfall.parquet"


def census() -> tuple[ReferenceProfile, dict[str, pd.DataFrame]]:
    train = pd.read_parquet(CENSUS / "train.parquet").drop(columns=["id", "year", "prediction", "employed"])
    replay = pd.read_parquet(CENSUS / "replay.parquet")
    fitted = ReferenceProfile.fit(train, sensitive=["RAC1P"])
    return fitted, {str(year): rows for year, rows in replay.groupby("year")}


def rainfall() -> tuple[ReferenceProfile, dict[str, pd.DataFrame]]:
    days = pd.read_parquet(RAIN)
    windows = {str(first): days.loc[first : first + 999] for first in range(2000, 14_000, 1000)}
    return ReferenceProfile.fit(days.loc[:1999]), windows


def test_clean_years_are_silent() -> None:
    """Three years of a census without a change give no finding on any feature."""
    fitted, years = census()
    assert len(years) == 3
    assert [findings(fitted, year) for year in years.values()] == [{}] * 3


def test_a_change_of_the_weather_is_seen_at_once() -> None:
    """Ten windows of a thousand days have no finding; in the first one after the change, pressure and dew point have one."""
    fitted, windows = rainfall()
    found = [findings(fitted, window) for window in windows.values()]
    assert found[:10] == [{}] * 10
    assert found[10:] == [{"sea-level pressure": "out_of_range", "dew point": "drifted"}] * 2


@pytest.mark.parametrize("load", [census, rainfall])
def test_prometheus_judges_real_data_alike(load: Any, tmp_path: Path) -> None:
    """The rules give the figures and findings of Python for each year and for the windows around the change."""
    fitted, windows = load()
    last = dict(list(windows.items())[-4:])
    assert promtool.check(tmp_path, list(live(fitted, last)), list(wanted(fitted, last))) == ""
