"""The value boundary, case by case: what each kind of value becomes."""

from __future__ import annotations

import datetime as dt
import json
import types
import uuid
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from value_samples import INF, NAN, Answer, Colour, Level, Name, Real, Tensor, Whole, same

from otel_ml import _values
from otel_ml._values import kinds, missing

NUMBERS = [
    (1, 1.0),
    (1.5, 1.5),
    (True, 1.0),
    (False, 0.0),
    (Whole(7), 7.0),
    (Real(0.5), 0.5),
    (NAN, None),
    (INF, None),
    (-INF, None),
    (2**70, float(2**70)),
    (10**5000, None),
    (-(10**309), None),
    (np.float16(0.5), 0.5),
    (np.float32(0.5), 0.5),
    (np.float64(0.5), 0.5),
    (np.longdouble(0.5), 0.5),
    (np.int8(-3), -3.0),
    (np.uint64(2**63), float(2**63)),
    (np.bool_(True), 1.0),
    (np.float32("nan"), None),
    (np.complex64(1), None),
    (np.array(3), 3.0),
    (np.array([3]), None),
    (np.ma.masked, None),
    (np.datetime64("2024-01-01", "ns"), None),
    (np.timedelta64(5, "ns"), None),
    (np.str_("1"), None),
    (Decimal("0.1"), 0.1),
    (Decimal("1e999"), None),
    (Decimal("NaN"), None),
    (Decimal("sNaN"), None),
    (Fraction(1, 4), 0.25),
    (Fraction(10**5000), None),
    (Colour.ONE, 1.0),
    (Level.HIGH, 3.0),
    (pd.NA, None),
    (pd.NaT, None),
    (pa.scalar(2), 2.0),
    (Tensor(0.25), 0.25),
    (Tensor([0.25]), None),
    ("1", None),
    (b"1", None),
    (1j, None),
    (None, None),
    (object(), None),
    ([1.0], None),
    ({}, None),
]


@pytest.mark.parametrize(("value", "expected"), NUMBERS, ids=lambda value: type(value).__name__)
def test_number(value, expected):
    """A number of any type becomes a finite builtin float; all other values become None."""
    actual = _values.number(value)
    assert same(actual, expected), (actual, expected)


CLASSES = [
    (1, "1"),
    (np.int64(1), "1"),
    (1.0, "1"),
    (np.float32(1), "1"),
    (Decimal(1), "1"),
    (Fraction(1), "1"),
    (np.array(1), "1"),
    (Whole(1), "1"),
    (Colour.ONE, "1"),
    (pa.scalar(1), "1"),
    (Tensor(1), "1"),
    ("1", "1"),
    (b"1", "1"),
    (0.5, "0.5"),
    (Decimal("0.5"), "0.5"),
    (-0.0, "0"),
    (-3, "-3"),
    (2**70, str(2**70)),
    (2.0**70, str(2**70)),
    (10**101, None),
    (1e101, None),
    (10**5000, None),
    (True, "True"),
    (False, "False"),
    (np.bool_(True), "True"),
    ("fraud", "fraud"),
    ("", ""),
    (Name("fraud"), "fraud"),
    (np.str_("fraud"), "fraud"),
    (Colour.RED, "red"),
    (Colour.NESTED, None),
    (Answer.YES, "True"),
    (Level.HIGH, "3"),
    ("a\r\nb\x1b[31m\ud800\x9b\u202e", "a  b\ufffd[31m\ufffd\ufffd\ufffd"),
    ("x" * 1000, "x" * 128),
    (b"\xff\xfe", "<2 bytes>"),
    ("größe 気", "größe 気"),
    (NAN, None),
    (INF, None),
    (None, None),
    (pd.NA, None),
    (pd.NaT, None),
    (dt.date(2024, 1, 1), None),
    (dt.timedelta(1), None),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (object(), None),
    (["a"], None),
]


@pytest.mark.parametrize(("value", "expected"), CLASSES, ids=lambda value: type(value).__name__)
def test_class_text(value, expected):
    """The same class has the same text in every type."""
    actual = _values.class_text(value)
    assert same(actual, expected), (actual, expected)


TEXTS = [
    ("order-7", "order-7"),
    (Name("order-7"), "order-7"),
    (7, "7"),
    (1.0, "1.0"),
    (True, "True"),
    (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (b"ab", "ab"),
    (Colour.RED, "red"),
    (dt.datetime(2024, 1, 2, 3, 4, tzinfo=dt.timezone(dt.timedelta(hours=1))), "2024-01-02T03:04:00+01:00"),
    (np.datetime64("2024-01-02", "ns"), "2024-01-02T00:00:00"),
    ("one\r\ntwo\tthree\u2028four", "one  two three four"),
    ("\x00\x1b]0;title\x07\x7f\x85\ud800\udfff\u2066", "\ufffd\ufffd]0;title" + "\ufffd" * 6),
    ("\U0001f600 naïve", "\U0001f600 naïve"),
    ("x" * 2000, "x" * 1024),
    (10**5000, None),
    (dt.timedelta(1), None),
    (None, None),
    (pd.NaT, None),
    (object(), None),
    ([], None),
]


@pytest.mark.parametrize(("value", "expected"), TEXTS, ids=lambda value: type(value).__name__)
def test_line(value, expected):
    """A line has no control characters, line breaks or lone surrogates, and a limited length."""
    actual = _values.line(value)
    assert same(actual, expected), (actual, expected)


SCALARS = [
    (1, 1),
    (1.5, 1.5),
    (True, True),
    ("a\nb", "a\nb"),
    ("a\x9b\x7f\ud800", "a\ufffd\ufffd\ufffd"),
    ("x" * 10_000_000, "x" * 1024),
    (Name("a"), "a"),
    (Whole(2), 2),
    (Real(2.5), 2.5),
    (2**63 - 1, 2**63 - 1),
    (2**64 - 1, 2**64 - 1),
    (-(2**63), -(2**63)),
    (2**64, float(2**64)),
    (-(2**63) - 1, float(-(2**63))),
    (10**5000, None),
    (NAN, None),
    (INF, None),
    (np.float32(0.5), 0.5),
    (np.int16(4), 4),
    (np.bool_(False), False),
    (np.array(4), 4),
    (np.array([4]), None),
    (Decimal("0.25"), 0.25),
    (Fraction(1, 4), 0.25),
    (Colour.RED, "red"),
    (b"abc", "abc"),
    (b"\xff", "<1 bytes>"),
    (b"a" * 129, "<129 bytes>"),
    (dt.datetime(2024, 1, 2, tzinfo=dt.timezone.utc), "2024-01-02T00:00:00+00:00"),
    (dt.date(2024, 1, 2), "2024-01-02"),
    (dt.time(3, 4), "03:04:00"),
    (dt.timedelta(minutes=1), 60.0),
    (pd.Timestamp("2024-01-02", tz="UTC"), "2024-01-02T00:00:00+00:00"),
    (pd.Timedelta("1min"), 60.0),
    (np.datetime64("2024-01-02", "ns"), "2024-01-02T00:00:00"),
    (np.timedelta64(60, "s"), 60.0),
    (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
    (pd.NA, None),
    (pa.scalar("x"), "x"),
    (Tensor(0.5), 0.5),
    (Tensor(0.5, device="cuda"), None),
    (1j, None),
    (object(), None),
    (None, None),
    ([1], None),
]


@pytest.mark.parametrize(("value", "expected"), SCALARS, ids=lambda value: type(value).__name__)
def test_scalar(value, expected):
    """A feature value becomes one builtin scalar that JSON can hold."""
    actual = _values.scalar(value)
    assert same(actual, expected), (actual, expected)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_cell_keeps_what_is_not_finite(value):
    """A cell keeps NaN and infinities of builtin and numpy floats."""
    assert same(_values.cell(value), value)
    assert same(_values.cell(np.float32(value)), value)


@pytest.mark.parametrize("device", ["cuda", "mps", "meta"])
def test_device_tensors_are_never_read(device):
    """A tensor on a device is refused without a transfer."""
    tensor = Tensor(0.5, device=device)
    doors = (_values.number, _values.class_text, _values.line, _values.scalar, _values.plain, missing.is_missing)
    assert [door(tensor) for door in doors] == [None, None, None, None, None, False]
    assert tensor.synced is False


PLAIN = [
    ({"a": [1, np.float32(0.5), None], 2: {"b": NAN}}, {"a": [1, 0.5, None], "2": {"b": None}}),
    ((1, "x"), [1, "x"]),
    ({1}, [1]),
    (np.arange(3), [0, 1, 2]),
    (np.eye(2), [[1.0, 0.0], [0.0, 1.0]]),
    (pd.Series([1.0, NAN]), [1.0, None]),
    (types.MappingProxyType({"a": 1}), {"a": 1}),
    (range(10**9), [*range(200), {"truncated": True}]),
    ({"a": object()}, {"a": None}),
    ({object(): 1}, {"truncated": True}),
    ({1: "a", "1": "b"}, {"1": "a", "truncated": True}),
    ("text", "text"),
    (object(), None),
]


@pytest.mark.parametrize(("value", "expected"), PLAIN, ids=lambda value: type(value).__name__)
def test_plain(value, expected):
    """A structure becomes dicts and lists of scalars, with a mark where something was left out."""
    assert _values.plain(value) == expected


def test_plain_ends_at_its_depth():
    """Deep and cyclic structures end at the depth limit with a mark."""
    cyclic = []
    cyclic.append(cyclic)
    assert _values.plain(cyclic, depth=2) == [[[{"truncated": True}]]]
    assert _values.plain({"a": {"b": {"c": 1}}}, depth=2) == {"a": {"b": {"truncated": True}}}


def test_plain_is_bounded_in_all():
    """A million references to the same list do not multiply without limit."""
    row = [1] * 200
    for _ in range(4):
        row = [row] * 200
    assert len(json.dumps(_values.plain(row))) < 1_000_000


def test_types_of_libraries_are_cached_but_not_the_users(monkeypatch):
    """No class of the user is kept."""
    monkeypatch.setattr(kinds, "_kinds", {})  # other tests may have filled it

    class Array(np.ndarray):
        pass

    assert (_values.number(np.ones(()).view(Array)), _values.number(np.ones(()))) == (1.0, 1.0)
    assert (Array in kinds._kinds, np.ndarray in kinds._kinds) == (False, True)
