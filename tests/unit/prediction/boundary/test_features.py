"""What a snapshot keeps of the features, shape by shape."""

from __future__ import annotations

import collections
import dataclasses
import types
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pydantic
import pytest
from starlette.requests import Request
from tensors import Tensor

from otel_ml.prediction.boundary import _feature_rows
from otel_ml.prediction.boundary._feature_batch import FeatureBatch
from otel_ml.prediction.boundary._features import row_count, snapshot

NAN = float("nan")


class Pair(NamedTuple):
    age: int
    job: str


@dataclasses.dataclass
class Record:
    age: int = 3
    job: str = "clerk"
    _private: int = 0


@dataclasses.dataclass(slots=True)
class Slotted:
    age: int = 3
    job: str = "clerk"


class Model(pydantic.BaseModel):
    age: int = 3
    job: str = "clerk"


class Plain:
    """Attributes in the instance, and a property that must not run."""

    __slots__ = ("__dict__", "age")

    def __init__(self):
        self.age = 3
        self.job = "clerk"

    @property
    def total(self):
        raise AssertionError("a property ran")


class PolarsSeries:
    """A stand-in with the methods of a polars Series that are used."""

    def __init__(self, name, values):
        self.name = name
        self._values = values

    def slice(self, offset, length):
        return PolarsSeries(self.name, self._values[offset : offset + length])

    def head(self, limit):
        return PolarsSeries(self.name, self._values[:limit])

    def to_list(self):
        return list(self._values)

    def __len__(self):
        return len(self._values)


class PolarsFrame:
    """A stand-in with the methods of a polars DataFrame that are used."""

    def __init__(self, columns):
        self._columns = columns
        self.shape = (len(columns[0]), len(columns))

    def head(self, limit):
        return PolarsFrame([column.head(limit) for column in self._columns])

    def get_columns(self):
        return self._columns

    def __len__(self):
        return self.shape[0]


PolarsSeries.__module__ = PolarsFrame.__module__ = "polars"
PolarsSeries.__name__, PolarsFrame.__name__ = "Series", "DataFrame"


ROWS = [
    ({"age": 3, "job": "clerk"}, {"age": 3, "job": "clerk"}),
    ({}, {}),
    ({"a": 1.5, "b": None, "c": True}, {"a": 1.5, "b": None, "c": True}),
    ({"a": "x" * 5000, "b": 2**70, "c": "\ud800"}, {"a": "x" * 1024, "b": float(2**70), "c": "\ufffd"}),
    ({"a": np.float32(0.5), "b": np.int64(2), "c": pd.NA}, {"a": 0.5, "b": 2, "c": None}),
    ({"a": 1, "tags": ["x", "y"], "user": {"id": 7}}, {"a": 1, "tags": ["x", "y"], "user": {"id": 7}}),
    ({"a": 1, "b": object()}, {"a": 1, "b": None}),
    ({1: "a", "1": "b", None: "c", ("x", 2): "d"}, {"1": "a", "1#1": "b", "f2": "c", "x.2": "d"}),
    ({"two\nlines": 1}, {"two lines": 1}),
    ({"n" * 300: 1}, {"n" * 256: 1}),
    (collections.OrderedDict(age=3), {"age": 3}),
    (types.MappingProxyType({"age": 3}), {"age": 3}),
    (Record(), {"age": 3, "job": "clerk"}),
    (Slotted(), {"age": 3, "job": "clerk"}),
    (Model(), {"age": 3, "job": "clerk"}),
    (Plain(), {"age": 3, "job": "clerk"}),
    (Pair(3, "clerk"), {"age": 3, "job": "clerk"}),
    (pd.Series({"age": 3, "job": "clerk"}), {"age": 3, "job": "clerk"}),
    ([1, "x", None], {"f0": 1, "f1": "x", "f2": None}),
    ((1.5, 2.5), {"f0": 1.5, "f1": 2.5}),
    (np.array([1.5, 2.5]), {"f0": 1.5, "f1": 2.5}),
    (Tensor([1.5, 2.5]), {"f0": 1.5, "f1": 2.5}),
    ([], {}),
    ("some text", {"value": "some text"}),
    (4, {"value": 4}),
    (np.float32(0.5), {"value": 0.5}),
    (np.array(4), {"value": 4}),
    (b"abc", {"value": "abc"}),
    ({"instances": [[1, 2], [3, 4]]}, {"instances": [[1, 2], [3, 4]]}),
]


@pytest.mark.parametrize(("features", "expected"), ROWS, ids=lambda value: type(value).__name__)
def test_a_row(features, expected):
    """One prediction's features become a flat dict of plain values under clean names; it has no row count."""
    assert (snapshot(features), row_count(features)) == (expected, None)


def batch(columns, rows, total_rows=None):
    return FeatureBatch(columns, rows, total_rows or rows, len(columns))


def in_lists(copy):
    """Replaces the arrays of a batch by lists."""
    for name, column in copy.columns.items():
        copy.columns[name] = column if type(column) is list else column.tolist()
    return copy


FRAME = pd.DataFrame({"age": [3, 4], "job": ["clerk", None], "at": pd.to_datetime(["2024-01-01", None])})
BATCHES = [
    ({"age": [3, 4], "job": ("clerk", "smith")}, batch({"age": [3, 4], "job": ["clerk", "smith"]}, 2)),
    ({"age": np.array([3, 4]), "b": pd.Series([1.5, 2.5])}, batch({"age": [3, 4], "b": [1.5, 2.5]}, 2)),
    ({"a": np.array(["2024-01-01"], "M8[ns]")}, batch({"a": ["2024-01-01T00:00:00"]}, 1)),
    ({"a": pd.array([1, None], dtype="Int64")}, batch({"a": [1, None]}, 2)),
    ({"a": np.array([b"x", b"yz"])}, batch({"a": ["x", "yz"]}, 2)),
    (FRAME.iloc[:1], batch({"age": [3], "job": ["clerk"], "at": ["2024-01-01T00:00:00"]}, 1)),
    (
        pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
        batch({"a.1": [1], "b.2": [2]}, 1),
    ),
    (pd.DataFrame([[1, 2.5]], columns=["a", "a"]), batch({"a": [1], "a#1": [2.5]}, 1)),
    (
        PolarsFrame([PolarsSeries("age", [3, 4]), PolarsSeries("job", ["x", None])]),
        batch({"age": [3, 4], "job": ["x", None]}, 2),
    ),
    ({"age": PolarsSeries("age", [3, 4])}, batch({"age": [3, 4]}, 2)),
    (pa.table({"age": [3, 4]}), batch({"age": [3, 4]}, 2)),
    (np.array([[1, 2], [3, 4], [5, 6]]), batch({"f0": [1, 3, 5], "f1": [2, 4, 6]}, 3)),
    (Tensor([[1, 2], [3, 4]]), batch({"f0": [1, 3], "f1": [2, 4]}, 2)),
    ([[1, 2], [3, 4]], batch({"f0": [1, 3], "f1": [2, 4]}, 2)),
    ([[1, 2], [3]], batch({"f0": [1, 3], "f1": [2, None]}, 2)),
    ([np.array([1, 2]), np.array([3, 4])], batch({"f0": [1, 3], "f1": [2, 4]}, 2)),
    ([{"a": 1}, {"b": 2}], batch({"a": [1, None], "b": [None, 2]}, 2)),
    ([{1: "a", "1#2": "b", "1": "c"}], batch({"1": ["a"], "1#2": ["b"], "1#2#": ["c"]}, 1)),
    ([{1: "a", "1": "b"}], batch({"1": ["a"], "1#1": ["b"]}, 1)),
    ([{"a": 1}, 7], batch({"a": [1, None]}, 2)),
    ([Model(), Model(age=4)], batch({"age": [3, 4], "job": ["clerk", "clerk"]}, 2)),
    ([Pair(3, "x"), Pair(4, "y")], batch({"age": [3, 4], "job": ["x", "y"]}, 2)),
    ({"a": [], "b": []}, batch({"a": [], "b": []}, 0)),
]


@pytest.mark.parametrize(("features", "expected"), BATCHES, ids=lambda value: type(value).__name__)
def test_a_batch(features, expected):
    """Frames, two-dimensional arrays, lists of rows and columns of one length become columns of plain scalars."""
    assert (in_lists(snapshot(features)), row_count(features)) == (expected, expected.total_rows)


def test_a_long_frame_is_read_by_column():
    """Beyond a few rows a frame is read column by column, with the same result."""
    long = pd.DataFrame({"age": range(100), "job": ["clerk"] * 100})
    assert in_lists(snapshot(long)) == batch({"age": list(range(100)), "job": ["clerk"] * 100}, 100)


def test_many_numbers_are_an_array_of_our_own():
    """A copy of a column of numbers, not a view: the caller may change the frame. A row has builtin numbers."""
    frame = pd.DataFrame({"age": np.arange(100.0), "n": range(100)})
    array = np.arange(200.0).reshape(100, 2)
    taken = [snapshot(frame), snapshot(frame[["age"]]), snapshot(array)]
    frame["age"] = -1.0
    array[:] = -1.0

    assert [copy.row(7) for copy in taken] == [{"age": 7.0, "n": 7}, {"age": 7.0}, {"f0": 14.0, "f1": 15.0}]
    assert [type(value) for value in taken[0].row(7).values()] == [float, int]
    assert taken[0].size() == 1600


REFUSED = [
    (None, None),
    (object(), None),
    (iter([1]), None),
    ((i for i in [1]), None),
    (print, None),
    (Record, None),
    (types, None),
    (ValueError("x"), None),
    ({1, 2}, None),
    (np.zeros((2, 3, 4)), 2),
    ([[[1, 2]], [[3, 4]]], 2),
    (Tensor([1.5], device="cuda"), None),
    (Tensor([[1.5], [2.5]], device="cuda"), 2),
    (Request({"type": "http", "headers": [(b"authorization", b"secret")]}), None),
]


@pytest.mark.parametrize(("features", "rows"), REFUSED, ids=lambda value: type(value).__name__)
def test_unreadable_features_are_refused(features, rows):
    """Iterators, functions, classes, images, device tensors and web requests give no snapshot."""
    assert (snapshot(features), row_count(features)) == (None, rows)


def test_a_generator_is_not_consumed():
    """An iterator among the features still yields everything to the caller."""
    steps = (i for i in range(3))
    assert (snapshot(steps), snapshot({"steps": steps}), list(steps)) == (None, {"steps": None}, [0, 1, 2])


def test_names_for_arrays():
    """Names are taken in order; further columns are named by their position."""
    assert snapshot([1, 2, 3], names=["age", "job"]) == {"age": 1, "job": 2, "f2": 3}
    assert snapshot(np.array([[1, 2]]), names=("age", "job")) == batch({"age": [1], "job": [2]}, 1)


def test_nothing_is_shared_with_the_caller():
    """The caller may change its features after the call."""
    features = {"a": 1.5, "tags": ["x"]}
    columns = {"a": [1.5, 2.5]}
    row, rows = snapshot(features), snapshot(columns)
    features["a"], features["tags"][0] = 0.0, "changed"
    columns["a"][0] = 0.0
    assert (row, rows) == ({"a": 1.5, "tags": ["x"]}, batch({"a": [1.5, 2.5]}, 2))


def test_known_names_are_the_librarys_own():
    """A text of a subclass is not kept as a name even if an equal text was seen before."""

    class Name(str):
        __slots__ = ()

    snapshot({"age": 1.5})
    assert [type(name) for name in snapshot({Name("age"): 1.5})] == [str]


def test_same_length_other_names():
    """Two models with equally many features do not see each other's names."""
    rows = [snapshot({"a": 1.5, "b": 2.5}), snapshot({"a": 1.5, "c": 2.5}), snapshot({"a": 1.5, "b": 2.5})]
    assert rows == [{"a": 1.5, "b": 2.5}, {"a": 1.5, "c": 2.5}, {"a": 1.5, "b": 2.5}]


def test_too_many_features_are_cut_and_marked():
    """Of 10,000 features the first 1,000 are kept, with the number of all."""
    row = snapshot({f"f{i}": i for i in range(10_000)})
    assert row == {**{f"f{i}": i for i in range(1000)}, _feature_rows.CUT: 10_000}
    assert snapshot([0.5] * 5000)[_feature_rows.CUT] == 5000


def test_large_batches_are_bounded():
    """Rows, columns and cells of a batch have limits, and the batch counts all rows."""
    wide = snapshot(np.zeros((3, 2000)))
    long = snapshot(np.zeros((20_000, 2)))
    both = snapshot(np.zeros((2000, 1000), dtype=np.int8))
    sizes = [(len(b.columns), b.rows, b.total_rows) for b in (wide, long, both)]
    assert sizes == [(1000, 3, 3), (2, 10_000, 20_000), (1000, 1000, 2000)]
    assert all(len(column) == b.rows for b in (wide, long, both) for column in b.columns.values())


def test_records_that_share_no_names_are_bounded():
    """Together they have at most the columns that a batch may have."""
    rows = snapshot([{f"f{i}_{j}": j for j in range(30)} for i in range(50)])
    assert (len(rows.columns), rows.rows) == (1000, 50)


def test_rows_of_more_names_than_are_remembered():
    """A very wide row is copied without its names being kept."""
    wide = {f"f{i}": 0.5 for i in range(500)}
    assert (snapshot(wide), 500 in _feature_rows._seen) == (wide, False)


def test_a_row_of_a_batch():
    """A batch returns its rows one by one."""
    assert snapshot([{"a": 1, "b": 2}, {"a": 3}]).row(1) == {"a": 3, "b": None}


def test_nested_values_are_bounded():
    """The values below one feature are cut in depth and in width."""
    deep = []
    deep.append(deep)
    row = snapshot({"deep": deep, "wide": list(range(10_000))})
    assert row == {"deep": [[[[{"truncated": True}]]]], "wide": [*range(100), {"truncated": True}]}
