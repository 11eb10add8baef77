"""Links from the bins of a feature, and from segments, to the predictions in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from otel_ml import semconv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_ml.console.web._view import PageView

_RANGE: Final = re.compile(r"\d+ [\[(](?P<low>\S+), (?P<high>\S+)[)\]]")
_WITHHELD: Final = re.compile(r"c?\d\d")
"""The label of a bin of a sensitive feature."""
_RESERVED: Final = {semconv.OTHER, semconv.SEGMENT_MISSING_VALUE}


def bin_link(view: PageView, row: Mapping[str, Any], label: str) -> str | None:
    """Returns the address of the predictions of a version in a bin; None if no filter of the list can say it."""
    name, role = row["feature"], row["role"]
    if label in _RESERVED or _WITHHELD.fullmatch(label):
        return None
    found = _RANGE.fullmatch(label)
    changes: dict[str, str | None] = {"version": row["version"], "role": role}
    if name in {semconv.PREDICTION_FEATURE, semconv.LABEL_FEATURE}:
        of = "class" if name == semconv.PREDICTION_FEATURE else "label"
        return None if found else view.link("/predictions", **changes, **{of: label})
    if found is None:
        return segment_link(view, name, label, **changes)
    low, high = found.group("low", "high")
    limits = [f"{name}>={low}"] * (low != "-inf") + [f"{name}<{high}"] * (high != "inf")
    return f"{view.link('/predictions', **changes)}&{urlencode([('feature', each) for each in limits])}"


def segment_link(view: PageView, name: str, value: str, **changes: str | None) -> str | None:
    """Returns the address of the predictions with one value of a column; of a withheld value None."""
    if value in _RESERVED or re.fullmatch(semconv.SEGMENT_GROUP.format(number=r"\d+"), value):
        return None
    return view.link("/predictions", **changes, feature=f"{name}={value}")
