"""The value boundary, case by case: what each kind of value becomes."""

from __future__ import annotations

import datetime as dt
import enum
import json
import math
import types
import uuid
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from otel_ml import _kinds, _values

NAN = float("nan")
INF = float("inf")


class Colour(enum.Enum):
    ONE = 1
    RED = "red"
    NESTED = (1, 2)


class Answer(enum.Enum):
    YES = True


class Level(enum.IntEnum):
    HIGH = 3


class Name(str):
    __slots__ = ()


class Whole(int):
    pass


class Real(float):
    pass


class Tensor:
    """A stand-in for a tensor: it says where it lies, and fails the test when one on a device is read."""

    def __init__(self, values, device="cpu"):
        self._array = np.asarray(values)
        self.device = types.SimpleNamespace(type=device)
        self.ndim = self._array.ndim
        self.shape = self._array.shape
        self.synced = False

    def _read(self):
        self.synced = self.synced or self.device.type != "cpu"
        return self._array

    def detach(self):
        return self

    def __getitem__(self, key):
        return Tensor(self._read()[key])

    def tolist(self):
        return self._read().tolist()

    def item(self):
        return self._read().item()

    def cpu(self):
        return Tensor(self._read())

    def __float__(self):
        return float(self._read())

    def __len__(self):
        return len(self._array)


Tensor.__module__ = "torch"


def same(left, right):
    """Equal in type and value, with NaN equal to itself."""
    both_nan = isinstance(left, float) and isinstance(right, float) and math.isnan(left) and math.isnan(right)
    return type(left) is type(right) and (both_nan or left == right)


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
    """A number is a finite builtin float, whatever type carried it; all else is None."""
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
    (b"\xff\xfe", "\ufffd\ufffd"),
    ("größe 気", "größe 気"),
    (NAN, None),
    (INF, None),
    (None, None),
    (pd.NA, None),
    (pd.NaT, None),
    (dt.date(2024, 1, 1), None),
    (dt.timedelta(1), None),
    (uuid.UUID(int=1), None),
    (object(), None),
    (["a"], None),
]


@pytest.mark.parametrize(("value", "expected"), CLASSES, ids=lambda value: type(value).__name__)
def test_class_text(value, expected):
    """The same class has the same text whatever type carried it."""
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
def test_text(value, expected):
    """A text has no controls, no line breaks, no lone surrogates and a limited length."""
    actual = _values.text(value)
    assert same(actual, expected), (actual, expected)


@pytest.mark.parametrize("limit", [-1, 0, 1, 5])
def test_text_keeps_to_its_limit(limit):
    """The limit holds for texts and bytes, and a senseless one leaves nothing."""
    assert (_values.text("abcdefgh", limit), _values.text(b"abcdefgh", limit)) == (
        "abcdefgh"[: max(limit, 0)],
        "abcdefgh"[: max(limit, 0)],
    )


MISSING = [None, NAN, Real("nan"), np.float16("nan"), np.float64("nan"), np.longdouble("nan"), Decimal("NaN")]
MISSING += [Decimal("sNaN"), pd.NA, pd.NaT, np.datetime64("NaT"), np.timedelta64("NaT", "s"), np.array(NAN)]
MISSING += [np.ma.masked, pa.scalar(None), Tensor(NAN)]
PRESENT = [
    0,
    0.0,
    "",
    False,
    "nan",
    INF,
    Decimal("Infinity"),
    Decimal(0),
    np.int64(0),
    np.bool_(False),
    np.complex64(1),
]
PRESENT += [pd.Timestamp(0), np.datetime64("2024-01-01"), [], {}, object(), b"", np.array([NAN]), pd.Series([NAN]), 1j]
PRESENT += [dt.date(2024, 1, 1), Fraction(0), pa.scalar(0), Tensor(0.0), Tensor(NAN, device="cuda")]


@pytest.mark.parametrize("value", MISSING, ids=lambda value: type(value).__name__)
def test_missing_values_are_known(value):
    """None, NaN of every numeric type, NA and NaT stand for no value."""
    assert _values.is_missing(value) is True


@pytest.mark.parametrize("value", PRESENT, ids=lambda value: type(value).__name__)
def test_other_values_are_not_missing(value):
    """Zero, the empty text, infinity and unknown objects are values."""
    assert _values.is_missing(value) is False


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
    (2**63, float(2**63)),
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
    (b"abc", "<3 bytes>"),
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
    """A feature value becomes one plain scalar that JSON can hold."""
    actual = _values.scalar(value)
    assert same(actual, expected), (actual, expected)


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_cell_keeps_what_is_not_finite(value):
    """A cell tells NaN and infinities from None, from builtin and numpy floats alike."""
    assert same(_values.cell(value), value)
    assert same(_values.cell(np.float32(value)), value)


@pytest.mark.parametrize("device", ["cuda", "mps", "meta"])
def test_device_tensors_are_never_read(device):
    """A tensor on a device is refused without a transfer."""
    tensor = Tensor(0.5, device=device)
    doors = (_values.number, _values.class_text, _values.text, _values.scalar, _values.plain, _values.is_missing)
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
    """A structure becomes dicts and lists of scalars; what was left out is marked."""
    assert _values.plain(value) == expected


def test_plain_ends_at_its_depth():
    """Deep and cyclic structures end at the depth limit with a mark."""
    cyclic = []
    cyclic.append(cyclic)
    assert _values.plain(cyclic, depth=2) == [[[{"truncated": True}]]]
    assert _values.plain({"a": {"b": {"c": 1}}}, depth=2) == {"a": {"b": {"truncated": True}}}


def test_plain_is_bounded_in_all():
    """References to the same list a million times over do not multiply without end."""
    row = [1] * 200
    for _ in range(4):
        row = [row] * 200
    assert len(json.dumps(_values.plain(row))) < 1_000_000


def test_json_text_of_an_event():
    """A body is compact JSON, with null for NaN and infinities."""
    body = {"features": {"age": 31, "name": "größe\n"}, "prediction": "1", "score": NAN, "other": INF}
    assert _values.json_text(body) == (
        '{"features":{"age":31,"name":"größe\\n"},"prediction":"1","score":null,"other":null}'
    )


JSON = [
    (None, "null"),
    (1.5, "1.5"),
    ("\ud800\x7f", '"\ufffd\ufffd"'),
    ({"a": "\ud800\x7f"}, '{"a":"\ufffd\ufffd"}'),
    ({"\udfff": 1}, '{"\ufffd":1}'),
    ({"a": 10**5000}, '{"a":null}'),
    ({"a": 2**70}, '{"a":1180591620717411303424}'),
    ({1: 2, None: 3}, '{"1":2,"null":3}'),
    ({"a": np.float32(0.5)}, '{"a":0.5}'),
    ({"rows": [{"a": 1}, {"a": NAN}]}, '{"rows":[{"a":1},{"a":null}]}'),
    (object(), "null"),
]


@pytest.mark.parametrize(("value", "expected"), JSON, ids=lambda value: type(value).__name__)
def test_json_text(value, expected):
    """Whatever comes in, what goes out is valid JSON in valid UTF-8."""
    assert _values.json_text(value) == expected


def test_json_text_drops_the_largest_features_first():
    """Too long a body loses its largest features, keeps the outcome and says so."""
    features = {f"f{i}": "x" * (10 * i) for i in range(10)}
    actual = json.loads(_values.json_text({"features": features, "prediction": "1", "score": 0.5}, limit=200))
    assert actual == {
        "features": {f"f{i}": "x" * (10 * i) for i in range(4)},
        "prediction": "1",
        "score": 0.5,
        "truncated": True,
    }


def test_json_text_drops_the_last_rows_first():
    """The rows of a batch keep their positions: what goes, goes from the end."""
    rows = [{"a": i, "b": "é"} for i in range(100)]
    actual = json.loads(_values.json_text({"rows": rows, "rows_total": 100}, limit=150))
    assert actual == {"rows": rows[: len(actual["rows"])], "rows_total": 100, "truncated": True}
    assert 0 < len(actual["rows"]) < 10


@pytest.mark.parametrize("limit", [18, 19, 40, 100, 1000, 65536])
@pytest.mark.parametrize(
    "value",
    [
        "é" * 10_000_000,
        ["x" * 100] * 10_000,
        {"a": "x" * 10_000_000},
        {f"f{i}": i for i in range(10_000)},
        {"é" * 200: 1},
    ],
    ids=["text", "list", "one", "many", "key"],
)
def test_json_text_keeps_to_its_limit(value, limit):
    """At most so many bytes, and still JSON."""
    written = _values.json_text(value, limit=limit)
    json.loads(written)
    assert len(written.encode("utf-8")) <= limit


def test_json_without_the_c_encoder_is_the_same(monkeypatch):
    """Where the interpreter has no C encoder the text does not change."""
    monkeypatch.setattr(json.encoder, "c_make_encoder", None)
    value = {"a": [1.5, "é\n", None, True], "b": {}}
    assert _values._make_encoder()(value) == _values._encode(value)


def test_the_encoder_refuses_what_it_does_not_know():
    """An object that slipped through is an error for the caller to catch, never its text."""
    with pytest.raises(TypeError, match="object"):
        _values._encode(object())


def test_types_of_libraries_are_remembered_but_not_the_users():
    """Nothing of the user's is kept, not even a class."""

    class Array(np.ndarray):
        pass

    assert (_values.number(np.ones(()).view(Array)), _values.number(np.ones(()))) == (1.0, 1.0)
    assert (Array in _kinds._kinds, np.ndarray in _kinds._kinds) == (False, True)


def test_a_name_that_says_it_equals_a_clean_one_is_cleaned_without_orjson(monkeypatch):
    """A subclass of str was let in by its own comparison; orjson refuses it."""

    class Always(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, _):
            return True

    monkeypatch.setattr(_values, "_quick", None)
    written = _values.flat_json({"features": {Always("x" * 300 + "\x00"): 1.0}, "score": 0.5})
    ((name, value),) = json.loads(written)["features"].items()

    assert (name.isprintable(), len(name) <= _values.TEXT_LIMIT, value) == (True, True, 1.0)
