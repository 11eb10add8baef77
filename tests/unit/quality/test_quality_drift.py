"""Drift of real data, in batches."""

from __future__ import annotations

from otel_ml.quality import FeatureMonitor, psi, psi_noise
from otel_ml.quality._drift import DriftCounts


def test_census_years_hardly_drift(census, replay):
    """The control: 2016 to 2018 look like 2015."""
    scan = DriftCounts(census)
    scan.count({name: replay[name] for name in replay}, len(replay), output=replay["predicted_probability"])
    features = scan.features()
    assert ([feature.name for feature in features if feature.drifted], len(features)) == ([], 17)
    assert max(feature.psi for feature in features) < 0.02


def test_batches_add_up_to_the_whole(census, replay):
    """Three years in three batches give the figures of one batch."""
    whole, parts = DriftCounts(census), DriftCounts(census)
    whole.count({name: replay[name] for name in replay}, len(replay))
    for _, year in replay.groupby("year"):
        parts.count({name: year[name] for name in year}, len(year))
    assert (parts.features(), parts.rows) == (whole.features(), 6000)


def test_a_shifted_feature_is_found(census, replay):
    """People twenty years older drift in age and in nothing else."""
    scan = DriftCounts(census)
    scan.count({**{name: replay[name] for name in replay}, "AGEP": replay["AGEP"] + 20}, len(replay))
    first, *others = scan.features()
    assert (first.name, first.drifted, [feature.name for feature in others if feature.drifted]) == ("AGEP", True, [])


def test_few_values_give_no_verdict(census, replay):
    """With fewer than 300 values nothing has drifted, and an absent column has no figure."""
    scan = DriftCounts(census)
    scan.count({"AGEP": replay["AGEP"].head(200) + 60}, 200)
    age = next(feature for feature in scan.features() if feature.name == "AGEP")
    sex = next(feature for feature in scan.features() if feature.name == "SEX")
    assert (age.psi > 1, age.drifted) == (True, False)
    assert (sex.psi, sex.psi_noise, sex.count, sex.missing, sex.verdict) == (None, None, 0, 200, "absent")


def test_the_figures_are_those_of_the_live_counts(census, replay):
    """The monitor of a service gives the same PSI for the same rows."""
    monitor, scan = FeatureMonitor({}, profile=census), DriftCounts(census)
    for row in replay.head(1000).to_dict("records"):
        monitor.observe_row(row, None, row["predicted_probability"])
    scan.count({name: replay[name].head(1000) for name in replay}, 1000)
    age = census.features[0]
    live = monitor.cells.bins[: len(age.labels)]
    found = next(feature for feature in scan.features() if feature.name == "AGEP")
    assert (psi(live, age.shares), psi_noise(age.shares, 1000, 6000)) == (found.psi, found.psi_noise)
