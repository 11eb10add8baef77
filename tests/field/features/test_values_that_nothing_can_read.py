"""A value of a type that nothing can read is invalid, and the values beside it are counted.

Sources: Data-Centric-AI-Community/fg-data-profiling#353 (one such column ended the report), apache/druid#9421 (values of an
unknown complex type), evidentlyai/evidently#1480 (a column without usable values).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from otel_ml import Model, ReferenceProfile
from otel_ml.testing import InMemoryTelemetry

PROFILE = ReferenceProfile.fit(
    {
        "code": [1, 2] * 200,
        "number": np.linspace(-1, 1, 400),
        "text": ["north", "south"] * 200,
        "flag": [True, False] * 200,
        "secret": ["canary-a", "canary-b"] * 200,
    },
    sensitive=("secret",),
)
USUAL = {"code": 1, "number": 0.5, "text": "north", "flag": True, "secret": "canary-a"}
STRANGE_COLUMNS = [name for name in USUAL if name != "code"]


class Money:
    """A user's own type."""

    def __float__(self) -> float:
        raise AssertionError("converted")

    def __str__(self) -> str:
        raise AssertionError("printed")


STRANGE: dict[str, Any] = {
    "object": Money(),
    "class": Money,
    "function": len,
    "complex": 1 + 2j,
    "numpy complex": np.complex64(1j),
    "bytearray": bytearray(b"north"),
    "address": ipaddress.ip_address("10.0.0.1"),
    "huge": 10**400,
    "list": [1.5, 2.5],
    "mapping": {"a": {}},
    "set": {1},
}


def counts(record: Callable[[Model], Any], profile: ReferenceProfile = PROFILE) -> tuple[dict[str, float], Any]:
    """Returns the values in bins and the invalid ones, by column."""
    with InMemoryTelemetry() as kit:
        record(Model("m", profile=profile))
        metrics = kit.metrics()
    found: list[dict[str, float]] = []
    for name in ("ml.feature.values", "ml.data.violations"):
        sums: dict[str, float] = {}
        for point in metrics.get(name, []):
            feature = point["attributes"]["ml.feature.name"]
            if point["value"]:
                assert point["attributes"].get("ml.rule.name", "type") == "type"
                sums[feature] = sums.get(feature, 0) + point["value"]
        found.append(sums)
    assert not any(point["value"] for point in metrics["ml.feature.missing"])
    return found[0], found[1]


@pytest.mark.parametrize("name", STRANGE)
def test_it_is_invalid_in_every_column_and_by_every_way(name: str) -> None:
    """In a single row, a tracked call, a small batch, a large one and a frame; the values around it are in their bins."""
    strange = USUAL | dict.fromkeys(STRANGE_COLUMNS, STRANGE[name])
    invalid = dict.fromkeys(STRANGE_COLUMNS, 1)
    assert counts(lambda model: model.record(strange, prediction=1)) == ({"code": 1}, invalid)
    assert counts(lambda model: model.track(lambda row: 1)(strange)) == ({"code": 1}, invalid)
    for size in (10, 200):
        rows = [strange, *[USUAL] * (size - 1)]
        bins = {"code": size, **dict.fromkeys(STRANGE_COLUMNS, size - 1)}
        frame = pd.DataFrame({one: pd.Series([row[one] for row in rows], dtype=object) for one in USUAL})
        for batch in (rows, frame):
            found = counts(lambda model, batch=batch: model.record(batch, prediction=[1] * len(batch), batch=True))
            assert found == (bins, invalid)


def test_so_is_a_whole_column() -> None:
    """Of complex numbers, as an array or a frame."""
    for columns in ({"number": np.full(100, 1j)}, pd.DataFrame({"number": np.full(100, 1j)})):
        profile = ReferenceProfile.fit({"number": np.linspace(-1, 1, 400)})
        found = counts(lambda model, given=columns: model.record(given, prediction=[1] * 100, batch=True), profile)
        assert found == ({}, {"number": 100})


def test_what_the_reference_had_itself_is_expected() -> None:
    """Training data and a service count the same values as invalid, so own data has no finding."""
    strange = Money()
    values = [strange if index % 40 == 0 else index / 7 for index in range(400)]
    with pytest.warns(UserWarning, match="count as invalid: x: 10 of 400"):
        profile = ReferenceProfile.fit({"x": values})
    bins, invalid = counts(lambda model: model.record({"x": values}, prediction=[1] * 400, batch=True), profile)
    assert (bins, invalid) == ({"x": 390}, {"x": 10})
    assert profile.compare({"x": values}).features[0].findings == ()


@pytest.mark.parametrize("strange", [Money(), [{"a": 1}]], ids=["object", "rows"])
@pytest.mark.parametrize("place", ["number", "other"])
@pytest.mark.parametrize("rows", [None, 10, 200])
def test_a_column_that_is_gone_is_missing_beside_it(place: str, rows: int | None, strange: Any) -> None:
    """A declared column holds values, so an object there hides no other column; one of another name may hold columns."""
    row = {name: value for name, value in USUAL.items() if name != "text"} | {place: strange}
    with InMemoryTelemetry() as kit:
        model = Model("m", profile=PROFILE)
        if rows is None:
            model.record(row, prediction=1)
        else:
            model.record([row] * rows, prediction=[1] * rows, batch=True)
        points = kit.metrics()["ml.feature.missing"]
    missing = {point["attributes"]["ml.feature.name"]: point["value"] for point in points if point["value"]}
    assert missing == ({"text": rows or 1} if place == "number" else {})


@pytest.mark.parametrize("rows", [1, 10, 200])
def test_a_column_inside_a_record_is_counted_beside_it(rows: int) -> None:
    """What was found is counted, also if an object of another name may hold more columns."""
    row = USUAL | {"job": {"text": "north"}, "other": Money()}
    del row["text"]
    bins, invalid = counts(lambda model: model.record([row] * rows, prediction=[1] * rows, batch=True))
    assert (bins, invalid) == (dict.fromkeys(USUAL, rows), {})
