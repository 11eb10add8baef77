"""Windows that a profile keeps beside its own data, by name, counted into its bins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from otel_ml import semconv
from otel_ml._values import few_names, line
from otel_ml.quality._feature import Feature, ProfileError

_NAME_LENGTH: Final = 64


def check_name(name: str) -> None:
    """Raises a ProfileError for a name that does not say which reference is meant."""
    if name in {semconv.LAST_WEEK, semconv.PREVIOUS_VERSION}:
        raise ProfileError(f"{name!r} is the name of a reference that moves; choose another name")
    if type(name) is not str or not name.strip() or line(name, _NAME_LENGTH) != name:
        raise ProfileError(f"the name of a profile or window is one line of 1 to {_NAME_LENGTH} characters")


def add_window(
    name: str,
    counts: Mapping[str, tuple[int, ...]],
    features: tuple[Feature, ...],
    output: Feature | None,
    label: Feature | None,
) -> tuple[tuple[Feature, ...], Feature | None, Feature | None]:
    """Returns features, output and label with a window; one without a value in it loses its window of this name.

    Raises:
        ProfileError: None of them has a value.
    """
    if not any(map(any, counts.values())):
        names = [feature.name for feature in features]
        raise ProfileError(f"no row of the window {name!r} has a value of the profile's columns: {few_names(names)}")

    def added(feature: Feature) -> Feature:
        others = tuple(window for window in feature.windows if window[0] != name)
        new = counts.get(feature.name)
        return replace(feature, windows=(*others, (name, new)) if new and any(new) else others)

    return (
        tuple(map(added, features)),
        None if output is None else added(output),
        None if label is None else added(label),
    )
