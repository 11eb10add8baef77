"""Rows and batches as counts."""

from __future__ import annotations

import os
import threading
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml import _guard, semconv
from otel_ml.quality import Column, FeatureMonitor, ReferenceProfile, Schema

IDENTITY = {semconv.MODEL_NAME: "employment", semconv.MODEL_VERSION: "1", semconv.MODEL_ROLE: "primary"}


def counts(monitor):
    """Returns all counts: bins by feature and label, the rest if it is not 0."""
    layout, cells = monitor.layout, monitor.cells
    names = [*(slot.name for slot in layout.all_slots()), *[semconv.OTHER] * 2]
    bins = {}
    for slot in layout.all_slots():
        if slot.feature is not None:
            found = cells.bins[slot.base : slot.base + len(slot.feature.labels)]
            bins[slot.name] = {label: count for label, count in zip(slot.feature.labels, found, strict=True) if count}
    rules = len(semconv.RULES)
    violations = {
        (names[place // rules], semconv.RULES[place % rules]): count
        for place, count in enumerate(cells.violations)
        if count
    }
    missing = {slot.name: cells.missing[slot.index] for slot in layout.all_slots() if cells.missing[slot.index]}
    return {"bins": bins, "missing": missing, "violations": violations, "invalid": cells.invalid}


@pytest.fixture
def small() -> ReferenceProfile:
    """A number without missing values, a text, a code and a score."""
    return ReferenceProfile.fit(
        {
            "age": [position + 0.5 for position in range(100)],
            "job": ["teacher", "judge"] * 50,
            "code": [0, 1, 1, 1] * 25,
            "score": [position / 99 for position in range(100)],
        },
        score="score",
    )


def test_a_row_is_counted(small):
    """Each value is counted in its bin, and the score in that of the output."""
    monitor = FeatureMonitor(IDENTITY, profile=small)
    monitor.observe_row({"age": 25, "job": "judge", "code": 1, "unknown": "ignored"}, "1", 0.93)
    assert counts(monitor) == {
        "bins": {
            "age": {"02 [20.3, 30.2)": 1},
            "job": {"judge": 1},
            "code": {"1": 1},
            "__prediction__": {"18 [0.9, 0.95)": 1},
        },
        "missing": {},
        "violations": {},
        "invalid": 0,
    }


def test_broken_rules_are_counted_once_a_row(small):
    """Two bad values in a row are two violations and one invalid prediction."""
    monitor = FeatureMonitor(IDENTITY, profile=small)
    monitor.observe_row({"age": -5, "job": "pilot", "code": 1}, "1", None)
    monitor.observe_row({"age": "5", "job": None}, "1", 0.2)
    monitor.observe_row({"age": float("inf"), "job": "judge", "code": 0}, "1", 0.2)
    assert counts(monitor) == {
        "bins": {
            "age": {"00 (-inf, 10.4)": 1},
            "job": {"__unseen__": 1, "judge": 1},
            "code": {"1": 1, "0": 1},
            "__prediction__": {"04 [0.2, 0.25)": 2},
        },
        "missing": {"job": 1, "code": 1, "__prediction__": 1},
        "violations": {
            ("age", "range_low"): 1,
            ("age", "type"): 1,
            ("age", "non_finite"): 1,
            ("job", "domain"): 1,
            ("job", "null"): 1,
            ("code", "missing_column"): 1,
        },
        "invalid": 3,
    }


def test_unknown_features_are_no_violation(small):
    """An empty row means that the features are unknown; the output is counted."""
    monitor = FeatureMonitor(IDENTITY, profile=small)
    monitor.observe_row({}, "1", 0.5)
    monitor.observe_batch({}, None, [0.5], 1)
    assert counts(monitor) == {
        "bins": {"age": {}, "job": {}, "code": {}, "__prediction__": {"10 [0.5, 0.55)": 2}},
        "missing": {},
        "violations": {},
        "invalid": 0,
    }


def test_a_closed_schema_counts_undeclared_columns():
    """Their names are not exported: they may be anything."""
    monitor = FeatureMonitor(IDENTITY, profile=None, schema=Schema([Column("x")], closed=True))
    monitor.observe_row({"x": 1, "secret": 2, "other": 3}, None, None)
    monitor.observe_batch({"x": [1, 2], "secret": [2, 2]}, None, None, 2)
    assert counts(monitor) == {
        "bins": {},
        "missing": {},
        "violations": {(semconv.OTHER, "extra_column"): 4},
        "invalid": 3,
    }


def test_the_mark_of_a_cut_row_is_not_a_column():
    """`__truncated__` says that features were left out; it breaks no rule."""
    monitor = FeatureMonitor(IDENTITY, profile=None, schema=Schema([Column("x")], closed=True))
    monitor.observe_row({"x": 1, "__truncated__": 5000}, None, None)
    monitor.observe_batch({"x": [1, 2], "__truncated__": [9, 9]}, None, None, 2)
    assert (counts(monitor)["violations"], monitor.cells.invalid) == ({}, 0)
    monitor.observe_row({"x": 1, "__truncated__": 5000, "other": 1}, None, None)
    assert (counts(monitor)["violations"], monitor.cells.invalid) == ({(semconv.OTHER, "extra_column"): 1}, 1)


def test_declared_and_sensitive_columns_are_named(small):
    """The monitor names the columns that may leave the process and those that may not."""
    profile = ReferenceProfile.fit({"a": [0, 1] * 50, "b": [0, 1] * 50}, sensitive=["b"])
    schema = Schema([Column("a"), Column("c", sensitive=True)])
    monitor = FeatureMonitor(IDENTITY, profile=profile, schema=schema)
    assert (monitor.declared, monitor.sensitive) == (frozenset("abc"), frozenset("bc"))


def test_sensitive_columns_that_are_not_monitored_stay_sensitive():
    """A sensitive column that cannot be binned stays sensitive, also in the schema of its profile."""
    with pytest.warns(UserWarning, match="ssn"):
        profile = ReferenceProfile.fit({"ssn": list(range(200)), "a": [0, 1] * 100}, sensitive=["ssn"])
    by_profile = FeatureMonitor(IDENTITY, profile=profile)
    by_schema = FeatureMonitor(IDENTITY, profile=None, schema=Schema.from_profile(profile))
    both = FeatureMonitor(IDENTITY, profile=profile, schema=Schema([Column("a", sensitive=True)]))
    assert [monitor.sensitive for monitor in (by_profile, by_schema, both)] == [{"ssn"}, {"ssn"}, {"ssn", "a"}]


@pytest.mark.parametrize(
    "columns",
    [
        lambda frame: {name: frame[name] for name in frame},
        lambda frame: {name: frame[name].to_numpy() for name in frame},
        lambda frame: {name: frame[name].tolist() for name in frame},
        lambda frame: {name: pa.array(frame[name]) for name in frame},
        lambda frame: {name: tuple(map(float, frame[name])) for name in frame},
    ],
    ids=["pandas", "numpy", "lists", "arrow", "floats"],
)
def test_a_batch_counts_as_its_rows(census, replay, columns):
    """Real census rows give the same counts one by one and as a batch, in every container."""
    single, batch = (FeatureMonitor(IDENTITY, profile=census) for _ in range(2))
    frame = replay.head(1500)
    for row in frame.to_dict("records"):
        single.observe_row(row, None, row["predicted_probability"])
    batch.observe_batch(columns(frame), None, frame["predicted_probability"], len(frame))
    assert counts(batch) == counts(single)


ODD: list[dict[str, object]] = [
    {"age": 25.5, "job": "judge", "code": 1},
    {"age": float("nan"), "job": None, "code": 2},
    {"age": -5, "job": "pilot", "code": True},
    {"age": float("inf"), "job": 3, "code": 0},
]


@pytest.mark.parametrize("more", [{}, {"age": 1.0}, {**ODD[0], "other": 1}, {"age": 1.0, "job": "judge", "other": 1}])
@pytest.mark.parametrize("closed", [False, True])
def test_many_rows_count_as_one_by_one(small, more, closed):
    """Rows of the same names are counted as columns, and others are not."""
    schema = Schema([Column("age", "number", low=0), Column("job", "category")], closed=closed)
    alike = [ODD[position % len(ODD)] for position in range(150)]
    for rows in (alike[:16], alike, [*alike, more], [{}] * 150):
        single, many = (FeatureMonitor(IDENTITY, profile=small, schema=schema) for _ in range(2))
        labels, scores = ["1"] * len(rows), [position / 150 for position in range(len(rows))]
        for row in zip(rows, labels, scores, strict=True):
            single.observe_row(*row)
        many.observe_rows(rows, labels, scores)
        assert counts(many) == counts(single)


def test_bad_batches_count_as_their_rows(small):
    """Missing, infinite, out of range, unseen and mistyped values in arrays, lists and mixtures."""
    rows = {
        "age": np.array([1.5, np.nan, np.inf, -7.0, 1e9, 50.0]),
        "job": ["judge", None, "pilot", 3, True, object()],
        "code": np.array([0, 1, 2, 70_000, -1, 1]),
    }
    single, batch = (FeatureMonitor(IDENTITY, profile=small) for _ in range(2))
    for position in range(6):
        single.observe_row({name: values[position] for name, values in rows.items()}, None, 0.5)
    batch.observe_batch(rows, None, np.full(6, 0.5), 6)
    assert counts(batch) == counts(single)
    assert counts(batch)["invalid"] == 5


@pytest.mark.parametrize("rows", [7, 499, 500, 2000])
def test_numbers_on_edges_count_as_their_rows(small, rows):
    """Few and many values, on edges and beside them, missing, infinite and out of range, lie in the bins of single rows."""
    edges = next(slot.edges for slot in FeatureMonitor(IDENTITY, profile=small).layout.slots if slot.name == "age")
    values = [*edges, *np.nextafter(edges, -np.inf), *np.nextafter(edges, np.inf), np.nan, np.inf, -np.inf, -7.0, 1e9]
    drawn = np.random.default_rng(rows).choice(values, rows)
    single, batch = (FeatureMonitor(IDENTITY, profile=small) for _ in range(2))
    for value in drawn.tolist():
        single.observe_row({"age": value, "job": "judge", "code": 1}, None, 0.5)
    batch.observe_batch({"age": drawn, "job": ["judge"] * rows, "code": [1] * rows}, None, np.full(rows, 0.5), rows)
    assert counts(batch) == counts(single)


def test_float_and_boolean_categories_count_as_their_rows():
    """Codes may come as floats with NaN, and flags as booleans."""
    profile = ReferenceProfile.fit({"code": [1.0, 2.0, None] * 40, "flag": [True, False, True] * 40})
    rows = {"code": np.array([1.0, np.nan, 9.5]), "flag": np.array([True, False, True])}
    single, batch = (FeatureMonitor(IDENTITY, profile=profile) for _ in range(2))
    for position in range(3):
        single.observe_row({name: values[position] for name, values in rows.items()}, None, None)
    batch.observe_batch(rows, None, None, 3)
    assert counts(batch) == counts(single)
    assert counts(batch)["violations"] == {("code", "domain"): 1}


def test_a_column_of_the_wrong_length_breaks_the_shape_rule(small):
    """Its values are not counted; those of the other columns are."""
    monitor = FeatureMonitor(IDENTITY, profile=small)
    monitor.observe_batch({"age": [1.5], "job": ["judge", "judge"], "code": np.zeros((2, 2))}, None, [0.1, 0.1], 2)
    assert counts(monitor) == {
        "bins": {"age": {}, "job": {"judge": 2}, "code": {}, "__prediction__": {"02 [0.1, 0.15)": 2}},
        "missing": {},
        "violations": {("age", "shape"): 2, ("code", "shape"): 2},
        "invalid": 2,
    }


def test_classes_are_the_output_when_the_reference_has_classes():
    """A reference without score compares the predicted class."""
    profile = ReferenceProfile.fit({"class": ["no", "yes"] * 50}, score="class")
    monitor = FeatureMonitor(IDENTITY, profile=profile)
    monitor.observe_row({}, "yes", 0.9)
    monitor.observe_batch({}, ["no", "maybe"], [0.1, 0.2], 2)
    assert counts(monitor)["bins"] == {"__prediction__": {"yes": 1, "no": 1, "__unseen__": 1}}


def test_a_predicted_number_is_the_output_of_a_regression():
    """Without score the predicted number is binned; a class is not a number."""
    profile = ReferenceProfile.fit({"price": [float(value) + 0.5 for value in range(100)]}, score="price")
    monitor = FeatureMonitor(IDENTITY, profile=profile)
    monitor.observe_row({}, 3.0, None)
    monitor.observe_batch({}, [3.0, 99.0], None, 2)
    monitor.observe_row({}, "high", None)
    found = counts(monitor)
    assert (list(found["bins"]["__prediction__"].values()), found["missing"]) == ([2, 1], {"__prediction__": 1})


class Hostile:
    """Raises in every method."""

    def _raise(self, *_):
        raise RuntimeError("no")

    __str__ = __repr__ = __hash__ = __eq__ = __float__ = __int__ = __bool__ = __len__ = __iter__ = __getattr__ = _raise


class HostileRow(dict):
    def get(self, *_):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value",
    [
        Hostile(),
        10**5000,
        "x" * 10_000_000,
        "\ud800",
        b"\xff",
        Decimal("sNaN"),
        [[]],
        {1: 2},
        float("nan"),
        pd.NaT,
        Hostile,
    ],
    ids=["object", "huge", "long", "surrogate", "bytes", "signal", "nested", "mapping", "nan", "nat", "class"],
)
def test_a_hostile_value_affects_no_other_column(small, value):
    """Nothing is raised and the other columns are counted, in rows and in batches."""
    monitor = FeatureMonitor(IDENTITY, profile=small)
    monitor.observe_row({"age": value, "job": "judge", "code": value}, "1", 0.5)
    monitor.observe_batch({"age": [value], "job": ["judge"], "code": [value]}, None, [0.5], 1)
    found = counts(monitor)
    assert (found["bins"]["job"], found["bins"]["__prediction__"]) == ({"judge": 2}, {"10 [0.5, 0.55)": 2})
    assert found["invalid"] == 2


def test_a_hostile_row_is_counted_as_internal_error(small):
    """A mapping that raises, or an object that is not a mapping, does not reach the service."""
    _guard.reset()
    monitor = FeatureMonitor(IDENTITY, profile=small)
    monitor.observe_row(HostileRow(age=1), "1", 0.5)
    monitor.observe_row(7, "1", 0.5)
    monitor.observe_batch(7, None, None, 1)
    monitor.observe_batch({"age": 7, "job": ["judge"]}, None, None, 1)
    assert _guard.counts() == {
        "quality.observe_row": 2,
        "quality.observe_batch": 1,
        "quality.observe_column": 1,
    }
    assert counts(monitor)["bins"]["job"] == {"judge": 1}
    _guard.reset()


def test_threads_lose_no_count(small):
    """Four threads of 500 rows and 50 batches each add up."""
    monitor = FeatureMonitor(IDENTITY, profile=small)

    def work():
        for _ in range(500):
            monitor.observe_row({"age": 1.5, "job": "pilot", "code": 1}, "1", 0.5)
        for _ in range(50):
            monitor.observe_batch({"age": [1.5], "job": ["judge"], "code": [1]}, None, [0.5], 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = counts(monitor)
    assert found["bins"]["job"] == {"__unseen__": 2000, "judge": 200}
    assert (found["bins"]["age"], found["invalid"]) == ({"00 (-inf, 10.4)": 2200}, 2000)


def test_a_forked_child_starts_at_zero(small):
    """The child counts its own rows only, even if the parent held the lock."""
    monitor = FeatureMonitor(IDENTITY, profile=small)
    monitor.observe_row({"age": 1.5, "job": "judge", "code": 1}, "1", 0.5)
    locked, done = threading.Event(), threading.Event()

    def hold():
        with monitor.cells.lock:
            locked.set()
            done.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    locked.wait(10)
    child = os.fork()
    if child == 0:
        monitor.observe_row({"age": 1.5, "job": "judge", "code": 1}, "1", 0.5)
        os._exit(0 if counts(monitor)["bins"]["job"] == {"judge": 1} else 1)
    done.set()
    holder.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert counts(monitor)["bins"]["job"] == {"judge": 1}


def test_sensitive_categories_are_counted_without_their_name():
    """Known, rare and unseen categories of a sensitive column are distinguished by digest, each time."""
    profile = ReferenceProfile.fit({"faith": ["a"] * 30 + ["b"] * 25 + ["c"] * 5}, sensitive=["faith"])
    monitor = FeatureMonitor(IDENTITY, profile=profile)
    for value in ("a", "a", "b", "c", "z", "a"):
        monitor.observe_row({"faith": value}, None, None)
    assert counts(monitor)["bins"] == {"faith": {"c00": 3, "c01": 1, "__other__": 1, "__unseen__": 1}}


@pytest.mark.parametrize("category", ["--5", "007", "-0", "1.5", "٣", "9" * 100])
def test_texts_that_only_look_like_numbers_are_categories(category):
    """They are recognised as text."""
    profile = ReferenceProfile.fit({"x": [category] * 30 + ["other"] * 30})
    monitor = FeatureMonitor(IDENTITY, profile=profile)
    for _ in range(2):
        monitor.observe_row({"x": category}, None, None)
    assert counts(monitor)["bins"] == {"x": {category if len(category) < 64 else profile.features[0].labels[0]: 2}}


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 110),
    st.floats(),
    st.sampled_from(["teacher", "judge", "pilot", "1", "", "teacher "]),
    st.integers(-3, 110).map(np.int16),
    st.floats(width=32).map(np.float32),
    st.integers(0, 1).map(Decimal),
)


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=12))
def test_any_batch_counts_as_its_rows(rows):
    """Any values count the same, also if numpy or pandas convert the column to one type."""
    profile = ReferenceProfile.fit(
        {"age": [age + 0.5 for age in range(100)], "job": ["teacher", "judge"] * 50, "code": [0, 1, 1, 1] * 25}
    )
    columns = {name: list(values) for name, values in zip(("age", "job", "code"), zip(*rows, strict=True), strict=True)}
    single, batch = (FeatureMonitor(IDENTITY, profile=profile) for _ in range(2))
    for row in rows:
        single.observe_row(dict(zip(columns, row, strict=True)), None, None)
    batch.observe_batch(columns, None, None, len(rows))
    assert counts(batch) == counts(single)
