"""Profiles of other data than that of training have a name, which is exported."""

from __future__ import annotations

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
