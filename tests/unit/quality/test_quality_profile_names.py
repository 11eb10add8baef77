"""Profiles of other data than that of training have a name, and profiles keep windows of other data by name.

Sources: evidentlyai/evidently#65, Azure/azureml-assets#1272 (a window without data).
"""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from otel_ml import ReferenceProfile, semconv
from otel_ml.quality import FeatureInstruments, FeatureMonitor, ProfileError

IDENTITY = {semconv.MODEL_NAME: "m", semconv.MODEL_VERSION: "1", semconv.MODEL_ROLE: "primary"}
FRAME = {"channel": ["app", "web"] * 50}


def exported(profile):
    """The attributes of every series that has the name of a reference."""
    instruments = FeatureInstruments(models=8, series=1900)
    monitor = FeatureMonitor(IDENTITY, profile=profile)
    instruments.add(monitor)
    found = [(metric.name, series.attributes) for metric, values in instruments.read() for series, _ in list(values)]
    return [(name, attributes[semconv.REFERENCE]) for name, attributes in found if semconv.REFERENCE in attributes]


def test_a_named_profile_is_saved_and_exported_with_its_name(tmp_path):
    """The name is in the file, in the id, in the text, and on the size of each feature."""
    profile = ReferenceProfile.fit(FRAME, name="may")
    profile.save(tmp_path / "may.json")
    assert ReferenceProfile.load(tmp_path / "may.json") == profile
    assert profile.id != ReferenceProfile.fit(FRAME).id
    assert str(profile).startswith(f"ReferenceProfile 'may' {profile.id} of 100 rows")
    assert exported(profile) == [("ml.feature.reference.size", "may")]


def test_a_profile_that_nobody_named_is_that_of_training(tmp_path):
    """Its id, file and series are those of a profile without a name."""
    profile = ReferenceProfile.fit(FRAME)
    profile.save(tmp_path / "profile.json")
    assert profile.name == "training"
    assert '"name": "training"' not in (tmp_path / "profile.json").read_text()
    assert exported(profile) == []


@pytest.mark.parametrize("name", ["last_week", "previous_version", "", "two\nlines", "x" * 65, 5])
def test_a_name_that_would_not_say_which_reference_it_is_is_refused(name):
    """Names of references that move, empty and long names raise a ProfileError."""
    with pytest.raises(ProfileError, match="name"):
        ReferenceProfile.fit(FRAME, name=name)


def test_the_sum_of_two_profiles_keeps_the_name_of_the_first():
    """`merge` adds up counts; the name is that of the profile that is asked."""
    profile = ReferenceProfile.fit(FRAME, name="may")
    assert profile.merge(replace(profile, name="june")).name == "may"


MAY = {"channel": ["app"] * 30 + ["phone"] * 5 + [None], "score": [0.1] * 36}


def trained():
    """A profile with one feature and scores."""
    return ReferenceProfile.fit({**FRAME, "score": [0.1, 0.9] * 50}, score="score")


def test_a_window_is_counted_into_the_bins_of_the_profile(tmp_path):
    """Bins, id and verdicts stay; the file has the counts of the window, without missing values."""
    before = trained()
    profile = before.with_window("may", MAY, score="score")
    assert (profile.id, profile.features[0].shares) == (before.id, before.features[0].shares)
    assert profile.features[0].windows == (("may", (30, 0, 0, 5)),)
    assert profile.output.windows[0][1][2] == 36
    assert str(profile.compare(FRAME)) == str(before.compare(FRAME))
    profile.save(tmp_path / "profile.json")
    assert ReferenceProfile.load(tmp_path / "profile.json") == profile


def test_windows_are_exported_by_name_and_bin():
    """A second window stands beside the first; one of the same name replaces it, and has no output if none was given."""
    profile = trained().with_window("may", MAY, score="score").with_window("june", FRAME).with_window("may", FRAME)
    instruments = FeatureInstruments(models=8, series=1900)
    monitor = FeatureMonitor(IDENTITY, profile=profile)
    instruments.add(monitor)
    found = {
        tuple(series.attributes[key] for key in (semconv.FEATURE_NAME, semconv.REFERENCE, semconv.FEATURE_BIN)): value
        for metric, values in instruments.read()
        for series, value in list(values)
        if metric.name == "ml.feature.window.values"
    }
    bins = {"app": 50, "web": 50, "__other__": 0, "__unseen__": 0}
    assert found == {("channel", name, label): count for name in ("may", "june") for label, count in bins.items()}


def test_a_feature_without_values_in_a_window_has_none():
    """A window of outputs only adds nothing to the features; one without any value of the profile is refused."""
    profile = trained().with_window("may", {"p": [0.1, 0.3]}, score="p")
    assert (profile.features[0].windows, sum(profile.output.windows[0][1])) == ((), 2)
    for rows in ({"kanal": ["app"]}, {"channel": []}, {"channel": [None] * 3}):
        with pytest.raises(ProfileError, match=r"no row of the window 'may' has a value .* columns: channel$"):
            trained().with_window("may", rows)


@pytest.mark.parametrize("name", ["training", "last_week", "", " "])
def test_a_window_cannot_have_the_name_of_another_reference(name):
    """Neither that of the profile's own data nor that of one that moves."""
    with pytest.raises(ProfileError, match="name"):
        trained().with_window(name, MAY)
    with pytest.raises(ProfileError, match="name"):
        ReferenceProfile.fit(FRAME, name="may").with_window("may", FRAME)


def test_a_file_whose_window_has_other_bins_is_refused(tmp_path):
    """Counts of a window are checked as those of the profile are."""
    path = tmp_path / "profile.json"
    trained().with_window("may", MAY).save(path)
    content = json.loads(path.read_text())
    content["features"][0]["windows"][0][1].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(ProfileError, match="bins"):
        ReferenceProfile.load(path)


def test_a_window_counts_against_the_limit_of_series(caplog):
    """A feature with 4 bins, a window and 3 expected shares needs 11 series; with 10 it is left out, and a line says so."""
    profile = ReferenceProfile.fit(FRAME).with_window("may", FRAME)
    notes = []
    for limit in (11, 10):
        instruments = FeatureInstruments(models=8, series=limit)
        monitor = FeatureMonitor(IDENTITY, profile=profile)
        instruments.add(monitor)
        list(instruments.read())
        notes.append(instruments.notes())
    assert notes == [[], ["metrics: not exported: channel of m 1 primary"]]
