"""Rules that a value breaks."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pytest

from otel_ml.quality import Column, ProfileError, ReferenceProfile, Schema


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (5, None),
        (0, None),
        (10.0, None),
        (np.float32(3), None),
        (Decimal("9.5"), None),
        (-1, "range_low"),
        (10.001, "range_high"),
        (10**400, "range_high"),
        (float("inf"), "non_finite"),
        (None, "null"),
        (float("nan"), "null"),
        ("5", "type"),
        (True, "type"),
        ([5], "type"),
        (object(), "type"),
    ],
)
def test_a_number_is_checked(value, rule):
    """Type, null, non-finite and range are checked in this order."""
    assert Column("x", "number", nullable=False, low=0, high=10).broken_rule(value) == rule


@pytest.mark.parametrize(
    ("column", "good", "bad", "rule"),
    [
        (Column("x", "text"), "a", 1, "type"),
        (Column("x", "boolean"), np.bool_(True), 1, "type"),
        (Column("x", "category", domain=frozenset({"1"})), 1.0, 2, "domain"),
        (Column("x", "category"), "a", object(), "type"),
        (Column("x", domain=frozenset({"True"})), True, object(), "domain"),
        (Column("x", "any"), object(), None, None),
    ],
)
def test_other_types_are_checked(column, good, bad, rule):
    """Texts, booleans and categories are checked."""
    assert (column.broken_rule(good), column.broken_rule(bad)) == (None, rule)


def test_a_profile_makes_a_schema():
    """Types, ranges, categories and nullability are those of the reference."""
    profile = ReferenceProfile.fit(
        {
            "age": [float(age) + 0.5 for age in range(100)],
            "job": ["teacher"] * 50 + ["judge"] * 10 + [None] * 40,
            "home": ["north", "south"] * 50,
        },
        sensitive=["home"],
    )
    age, job, home = Schema.from_profile(profile).columns
    assert (age.type, age.nullable, age.low, age.high) == (
        "number",
        False,
        pytest.approx(0.5, rel=1e-5),
        pytest.approx(99.5, rel=1e-5),
    )
    assert [job.broken_rule(value) for value in ("teacher", "judge", "pilot", None)] == [None, None, "domain", None]
    assert (home.sensitive, home.domain, home.broken_rule("north"), home.broken_rule("east")) == (
        True,
        frozenset(),
        None,
        "domain",
    )


def test_names_are_in_declared_order():
    """A row without names is read by this order; sensitive columns have their own set."""
    schema = Schema([Column("z"), Column("a", sensitive=True), Column("m")], sensitive=["ssn"])
    assert (schema.names, schema.sensitive) == (("z", "a", "m"), frozenset({"a", "ssn"}))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Column("x", "float"), "type must be"),
        (lambda: Column("x", "text", low=0), "only a number has a range"),
        (lambda: Column("x", "number", low=1, high=0), "is empty"),
        (lambda: Schema([Column("x"), Column("x")]), "declared twice: x"),
    ],
)
def test_a_wrong_declaration_raises(make, message):
    """A wrong declaration fails when it is made."""
    with pytest.raises(ProfileError, match=message):
        make()


def test_dates_are_not_numbers():
    """A date in a numeric column breaks its type."""
    assert Column("x", "number").broken_rule(dt.date(2026, 1, 1)) == "type"
