"""Which segment columns a model may have, and what is exported of their values."""

from __future__ import annotations

import math
import pickle
from typing import Any

import pandas as pd
import pytest

import otel_ml
from otel_ml.prediction.segments._columns import SegmentColumn
from otel_ml.quality import Column

FRAME = pd.DataFrame({"region": ["south"] * 60 + ["north"] * 40 + ["west"] * 25, "sex": ["f"] * 70 + ["m"] * 55})


def columns(**keywords: Any) -> tuple[SegmentColumn, ...]:
    return otel_ml.Model("m", **keywords)._spec.segment_columns


def test_names_are_learned_and_sets_are_closed() -> None:
    """A name alone is a column whose segments are the first values that come; a mapping gives closed sets."""
    assert columns(segments=("region", "device")) == (SegmentColumn("region", None), SegmentColumn("device", None))
    assert columns(segments={"region": ("north", 2.0), "device": None}) == (
        SegmentColumn("region", ("north", "2")),
        SegmentColumn("device", None),
    )
    assert columns() == ()


def test_a_profile_gives_its_categories() -> None:
    """The segments of a column of the profile are its categories, the most frequent one first."""
    profile = otel_ml.ReferenceProfile.fit(FRAME)

    assert columns(segments=("region",), profile=profile)[0].exported() == ["south", "north", "west"]
    assert columns(segments=("Region",), profile=profile)[0].exported() == ["south", "north", "west"]


@pytest.mark.parametrize(
    ("value", "segment"),
    [
        ("north", "north"),
        (" north ", "north"),
        ("west", "__other__"),
        (1, "1"),
        (1.0, "1"),
        (True, "1"),
        ("true", "1"),
        (None, "__missing__"),
        (math.nan, "__missing__"),
        (pd.NA, "__missing__"),
        ("", "__missing__"),
        (object(), "__other__"),
        (["north"], "__other__"),
    ],
)
def test_a_value_belongs_to_one_segment(value: object, segment: str) -> None:
    """A value is compared as class texts are; without a text it is missing, beyond the closed set it is another one."""
    column = columns(segments={"region": ("north", 1)})[0]

    assert column.segment(value, str) == segment


def test_a_sensitive_column_is_refused() -> None:
    """A column that is sensitive in the schema or in the profile, or derived from one, is no segment by itself."""
    schema = otel_ml.Schema([Column("sex", "text", sensitive=True)])
    profile = otel_ml.ReferenceProfile.fit(FRAME, sensitive=("sex",))

    for name, more in (("sex", {"schema": schema}), ("Sex", {"profile": profile}), ("sex_code", {"schema": schema})):
        with pytest.raises(otel_ml.ConfigError, match=f"'{name}' is a sensitive column.*fairness"):
            columns(segments=(name,), **more)


def test_a_sensitive_column_for_fairness_leaves_as_codes() -> None:
    """Its values are numbered by the order of the closed set or of the profile's categories, and never exported."""
    schema = otel_ml.Schema([Column("sex", "text", sensitive=True)])
    profile = otel_ml.ReferenceProfile.fit(FRAME, sensitive=("sex",))
    closed = columns(segments={"sex": ("m", "f")}, fairness=("sex",), schema=schema)[0]
    known = columns(fairness=("sex",), profile=profile)[0]

    assert closed.exported() == known.exported() == ["group 1", "group 2"]
    assert [closed.segment(value, str) for value in ("m", "f", "x", None)] == [
        "group 1",
        "group 2",
        "__other__",
        "__missing__",
    ]
    assert [known.segment(value, str) for value in ("m", "f", "x")] == ["group 2", "group 1", "__other__"]


def test_a_column_for_fairness_that_is_not_sensitive_keeps_its_values() -> None:
    """Only sensitive values are replaced by codes."""
    assert columns(segments={"region": ("north",)}, fairness=("region",))[0].exported() == ["north"]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"segments": "region"}, r"write segments=\('region',\)"),
        ({"segments": ("a", "b", "c", "d")}, "at most 3"),
        ({"segments": ("a", "b"), "fairness": ("c", "d")}, "at most 3"),
        ({"segments": ("a", "A")}, "same name"),
        ({"segments": ("",)}, "not empty"),
        ({"segments": {"a": range(13)}}, "13 values.*__other__"),
        ({"segments": {"a": ()}}, "at least one"),
        ({"segments": {"a": ("x", None)}}, "none empty"),
        ({"segments": {"a": "north"}}, "are a sequence"),
        ({"segments": {"a": (1, True)}}, "same number or boolean"),
        ({"fairness": ("a",)}, "groups of 'a' are not known"),
    ],
)
def test_a_wrong_declaration_says_what_to_write(keywords: dict[str, Any], message: str) -> None:
    """A declaration that cannot be counted raises a `ConfigError` that names the remedy."""
    with pytest.raises(otel_ml.ConfigError, match=message):
        columns(**keywords)


def test_the_decorator_takes_the_same_keywords() -> None:
    """`track_prediction` hands its keywords to `Model`."""
    with pytest.raises(otel_ml.ConfigError, match="at most 3"):
        otel_ml.track_prediction("m", segments=("a", "b", "c", "d"))


def test_a_pickled_model_keeps_its_segments() -> None:
    """A model in another process has the same segment columns."""
    model = otel_ml.Model("m", segments={"region": ("north", "south")}, fairness=("region",))

    assert pickle.loads(pickle.dumps(model))._spec.segment_columns == model._spec.segment_columns
