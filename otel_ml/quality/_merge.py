"""Adds the counts of two references with the same bins."""

from __future__ import annotations

from dataclasses import replace

from otel_ml.quality._feature import Feature, ProfileError
from otel_ml.quality._profile_content import ProfileContent

_HINT = "add up the data instead: `ProfileScan` gives the profile of all parts"


def merge_features(left: ProfileContent, right: ProfileContent) -> list[Feature]:
    """Returns the features, output and label of both, in the order of the first one.

    Raises:
        ProfileError: A feature is in one of them only, or its bins differ, or there are figures that do not add up.
    """
    if left.performance is not None or right.performance is not None:
        raise ProfileError(f"the performance figures of two profiles do not add up: {_HINT}")
    theirs = {feature.name: feature for feature in right.all_features()}
    mine = left.all_features()
    if left.described != right.described:
        raise ProfileError(f"the profiles describe different columns, or from other centroids: {_HINT}")
    if left.columns != right.columns or theirs.keys() != {feature.name for feature in mine}:
        raise ProfileError(f"the profiles have different columns or features: {_HINT}")
    return [_add(feature, theirs[feature.name]) for feature in mine]


def _add(left: Feature, right: Feature) -> Feature:
    keys = left.categories or left.labels
    places = {key: place for place, key in enumerate(right.categories or right.labels)}
    is_same = (
        (left.kind, left.edges, left.sensitive, left.salt) == (right.kind, right.edges, right.sensitive, right.salt)
        and (left.text_numbers, left.periodic) == (right.text_numbers, right.periodic)
        and places.keys() == set(keys)
        and not left.rare_filter
        and not right.rare_filter
    )
    if not is_same:
        raise ProfileError(f"the bins of {left.name} differ: {_HINT}")
    order = [places[key] for key in keys]
    order += range(len(order), len(left.labels))  # other and unseen
    bounds = [(one.low, one.high) for one in (left, right) if one.low is not None and one.high is not None]
    return replace(
        left,
        counts=tuple(count + right.counts[place] for count, place in zip(left.counts, order, strict=True)),
        missing=left.missing + right.missing,
        rare=tuple(dict.fromkeys((*left.rare, *right.rare))),
        singletons=left.singletons + right.singletons,
        low=min(low for low, _ in bounds) if bounds else None,
        high=max(high for _, high in bounds) if bounds else None,
        infinite=left.infinite or right.infinite,
        invalid=left.invalid + right.invalid,
    )
