"""How many series to expect in Prometheus: from the processes of a model, and from the recording rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

_FEATURE_SERIES: Final = 18
"""Series of one feature: 10 bins, one for unseen or other values, one for missing ones, one for the reference size, and
five for violations of its schema."""
_REFERENCE_SERIES: Final = 14
"""Series of the reference of one feature: a share for each bin, and three expected shares."""
_MODEL_SERIES: Final = 73
"""Series of one model without features: counters, the buckets of its histograms, and 30 about the telemetry itself."""
_PERFORMANCE_SERIES: Final = 62
"""Series of a profile with scores and labels: 9 figures and their size, and the bins of output and label."""
_CLASSES: Final = 5
"""Classes of the multiclass and the multilabel model in the report."""
_LABEL_SERIES: Final = {
    "binary": 174,
    "multiclass": 20 + _CLASSES**2 + 150 * _CLASSES,
    "multilabel": 21 + 154 * _CLASSES,
    "regression": 172,
    "ranking": 21,
}
"""What the labels of one model add, by its task, with a score or the probability of each class."""
_ESTIMATE_SERIES: Final = {"binary": 116, "multiclass": 10 * _CLASSES}
"""What the estimate of performance adds if the profile has scores and labels: 108 of a binary model in the service, of
which 100 are bins of the score, and 8 where labels are joined; five for each class of a multiclass model in both."""
_SEGMENT_SERIES: Final = 28
"""What one segment of a binary model adds: predictions of 2 classes, errors, missing values, 8 series of the duration,
12 of the score, and 4 of the outcomes once there are labels."""
_FURTHER_SEGMENTS: Final = 2
"""Those of the further and of the missing values of a segment column."""
_RECORDED: Final = {"model": 116, "feature": 122, "profile": 720, "labels": 848, "segment": 187, "reference": 78}
"""What rules record of a binary model: always, of each feature, of a profile with scores and labels, of labels, of each
segment with labels, and of each feature for each reference that moves (last week, the previous version)."""
_MOVING_REFERENCES: Final = 2


def expected_series(features: int, segments: Sequence[int]) -> dict[str, Any]:
    """The forecast, by what a model has."""
    recorded = _RECORDED
    return {
        "per_model_and_process": _MODEL_SERIES + _PERFORMANCE_SERIES + (_FEATURE_SERIES + _REFERENCE_SERIES) * features,
        "features": features,
        "more_with_labels": _LABEL_SERIES,
        "more_with_estimate": _ESTIMATE_SERIES,
        "classes": _CLASSES,
        "segments": list(segments),
        "more_with_segments": _SEGMENT_SERIES * sum(each + _FURTHER_SEGMENTS for each in segments),
        "recorded_per_model": recorded["model"] + recorded["profile"] + recorded["feature"] * features,
        "recorded_more_with_labels": recorded["labels"],
        "recorded_more_with_segments": recorded["segment"] * sum(segments),
        "recorded_more_after_a_week": recorded["reference"] * _MOVING_REFERENCES * features,
    }


def series_lines(series: dict[str, Any]) -> list[str]:
    """The forecast as lines of the report."""
    more = ", ".join(f"{count} {task}" for task, count in series["more_with_labels"].items())
    estimates = ", ".join(f"{count} {task}" for task, count in series["more_with_estimate"].items())
    first = f"about {series['per_model_and_process']} for each model and process with {series['features']} features"
    lines = [
        f"  expected series: {first}",
        f"    labels add: {more}; with {series['classes']} classes",
        f"    a profile with scores and labels adds: {estimates}",
    ]
    if series["segments"]:
        values = " and ".join(map(str, series["segments"]))
        lines.append(f"    segments add: about {series['more_with_segments']} with columns of {values} values")
    recorded = [f"{series['recorded_more_with_labels']} with labels"]
    if series["segments"]:
        recorded.append(f"{series['recorded_more_with_segments']} with segments")
    recorded.append(f"{series['recorded_more_after_a_week']} once the model is a week old or has another version")
    lines.append(
        f"    the recording rules add, for each model whatever its processes: about {series['recorded_per_model']}; "
        f"{', '.join(recorded)}"
    )
    return lines
