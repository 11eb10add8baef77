"""A value that holds a bin's worth of the reference has a bin of its own, wherever it lies.

Sources: microsoft/responsible-ai-toolbox#883, ShifuML/shifu#689, ing-bank/probatus#112, apache/flink-ml#222 (quantile edges that
coincide); JuliaStats/StatsBase.jl#1009, numpy/numpy#10319 (single precision beside an edge).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from otel_ml import ReferenceProfile
from otel_ml.quality import FeatureDrift, FeatureMonitor
from otel_ml.quality._drift import DriftCounts

RNG = np.random.default_rng(0)
ROWS = 20_000
REST = RNG.lognormal(3, 1, ROWS)
WHERE = RNG.random(ROWS)


def compare(profile: ReferenceProfile, values: object) -> FeatureDrift:
    scan = DriftCounts(profile)
    scan.count({"x": values}, len(values))
    (found,) = scan.features()
    return found


HEAVY = {
    "lowest": (np.where(WHERE < 0.85, 0.0, REST), 0.0),
    "just a bin's worth": (np.where(WHERE < 0.11, 0.0, REST), 0.0),
    "middle": (np.where(WHERE < 0.4, 20.125, REST), 20.125),
    "highest": (np.where(WHERE < 0.5, 999.0, np.minimum(REST, 500)), 999.0),
    "negative": (np.where(WHERE < 0.5, -1.0, REST), -1.0),
    "several": (np.where(WHERE < 0.2, 0.0, np.where(WHERE < 0.4, 50.7, np.where(WHERE < 0.6, 50.8, REST))), 50.7),
    "among whole numbers": (np.where(WHERE < 0.5, 40, REST.astype(int)), 40),
    "constant": (np.full(ROWS, 0.3), 0.3),
    "near 0": (np.where(WHERE < 0.5, 0.0, REST * 1e-12), 0.0),
    "large": (np.where(WHERE < 0.5, 1e15, REST * 1e14), 1e15),
    "tiny": (np.where(WHERE < 0.5, 5e-324, REST), 5e-324),
}


@pytest.mark.parametrize("name", HEAVY)
def test_a_heavy_value_has_its_own_bin(name):
    """The bin contains this value in single precision too, and none of its neighbours."""
    values, heavy = HEAVY[name]
    profile = ReferenceProfile.fit({"x": values}, sensitive=())
    (feature,) = profile.features
    own = feature.find_bin(heavy)
    assert (feature.counts[own], feature.labels[own]) == (
        (values == heavy).sum(),
        f"{own:02d} [{heavy:.15g}, {heavy:.15g}]",
    )
    assert feature.find_bin(np.float32(heavy)) == own or name == "tiny"  # single precision has no such number
    found = compare(profile, values)
    assert (found.verdict, found.psi < 1e-3, sum(feature.counts)) == ("ok", True, ROWS)
    assert sorted(set(feature.edges)) == list(feature.edges)


@pytest.mark.parametrize("name", [name for name in HEAVY if name not in ("near 0", "tiny")])
@pytest.mark.parametrize("step", [0.01, -0.01])
def test_a_heavy_value_that_moves_alarms(name, step):
    """Another default, such as 0.01 instead of 0, is drift, also if it moves down or has a near neighbour."""
    values, heavy = HEAVY[name]
    moved = compare(ReferenceProfile.fit({"x": values}), np.where(values == heavy, heavy * (1 + step) or step, values))
    assert "drifted" in moved.findings or ("out_of_range" in moved.findings and moved.psi > 0.2)


def test_the_rest_keeps_its_resolution():
    """Beside a value that holds most of the data, the other values have bins of their own, and their change is found."""
    values, heavy = HEAVY["lowest"]
    profile = ReferenceProfile.fit({"x": values})
    (feature,) = profile.features
    assert len(feature.labels) == 9
    assert min(count for count in feature.counts if count) >= ROWS / 50
    assert compare(profile, values * 5).verdict in ("drifted", "out_of_range")
    assert compare(profile, np.where(values == heavy, heavy, values / 10)).verdict == "drifted"


def test_rows_are_told_apart_as_batches_are():
    """The fast path of single rows has the same edges."""
    values, _ = HEAVY["lowest"]
    profile = ReferenceProfile.fit({"x": values})
    monitor = FeatureMonitor({}, profile=profile)
    for value in (0.0, 0, np.float32(0), 0.01, 1e-3):
        monitor.observe_row({"x": value}, None, None)
    labels = dict(zip(profile.features[0].labels, monitor.cells.bins, strict=True))
    assert (labels["00 (-inf, 0)"], labels["01 [0, 0]"], sum(labels.values())) == (0, 3, 5)


@pytest.mark.parametrize("step", [0.01, 0.1, 0.25, 0.3])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("sensitive", [(), ("x",)])
def test_no_value_of_coarse_fractions_moves_to_another_bin(step, dtype, sensitive):
    """Edges lie between the values, so that single precision does not move any."""
    values = np.round(RNG.normal(10, 3, ROWS) / step) * step
    if dtype == "float16":
        values = np.round(values)
    profile = ReferenceProfile.fit({"x": values}, sensitive=sensitive)
    same, single = compare(profile, values), compare(profile, values.astype(dtype))
    assert (single.verdict, same.verdict) == ("ok", "ok")
    # the coarse edges of a sensitive column may lie on a value of less than one row in a thousand
    assert single.psi == pytest.approx(same.psi, abs=1e-4 if sensitive else 0, rel=0)


def test_a_value_of_a_few_rows_has_no_bin_of_its_own():
    """Fewer than 20 rows could identify a person, also where they are a tenth of a small reference."""
    few, many = (
        ReferenceProfile.fit({"x": [0.1] * count + [*np.linspace(1, 2, 85)]}).features[0] for count in (15, 20)
    )
    assert ("[0.1, 0.1]" in str(few.labels), "[0.1, 0.1]" in str(many.labels)) == (False, True)


def test_whole_numbers_keep_whole_edges():
    """The bins of ages read as people write them."""
    ages = pd.Series(np.clip(RNG.normal(40, 15, ROWS), 18, 90).astype(int))
    (feature,) = ReferenceProfile.fit({"x": ages}).features
    assert all(edge == int(edge) for edge in feature.edges)
    assert feature.labels[3].startswith("03 [")


def test_a_sensitive_column_tells_its_heavy_value_too(tmp_path):
    """The bins of a sensitive column separate the heavy value, and the file does not contain it."""
    values = np.where(WHERE < 0.85, 1234.56, REST + 2000)
    profile = ReferenceProfile.fit({"x": values}, sensitive=("x",))
    profile.save(tmp_path / "p.json")
    assert "1234" not in (tmp_path / "p.json").read_text()
    assert compare(profile, np.where(values == 1234.56, 2500, values)).verdict == "drifted"
    assert compare(profile, values).verdict == "ok"
