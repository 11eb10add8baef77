"""Hostile input for every function that takes user data: no exception, no user object, no unbounded value."""

from __future__ import annotations

import collections.abc
import dataclasses
import decimal
import enum
import json
import math
import sys
import types

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otel_ml import _guard, _values
from otel_ml._values import json_texts, missing
from otel_ml.prediction.boundary import _feature_batch, _features, _outputs, _result_names
from otel_ml.prediction.boundary._feature_rows import PartialRow

TASKS = ("binary", "multiclass", "multilabel", "regression", "ranking", "other")
MODEST = settings(max_examples=80, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


def refuse(*args, **kwargs):
    raise RuntimeError("hostile")


NAMES = (
    "str",
    "repr",
    "eq",
    "ne",
    "lt",
    "gt",
    "hash",
    "float",
    "int",
    "index",
    "bool",
    "len",
    "iter",
    "next",
    "getitem",
)
NAMES += (
    "contains",
    "call",
    "format",
    "bytes",
    "add",
    "sub",
    "abs",
    "round",
    "complex",
    "array",
    "reduce",
    "dir",
    "sizeof",
)
NAMES += ("copy", "deepcopy", "instancecheck", "subclasscheck")
RAISING = dict.fromkeys((f"__{name}__" for name in NAMES), refuse)
ATTRIBUTES = {"__getattr__": refuse, "__getattribute__": refuse}
METHODS = dict.fromkeys(
    ("items", "keys", "values", "get", "copy", "tolist", "item", "isoformat", "total_seconds", "encode", "strip"),
    refuse,
)
METHODS |= dict.fromkeys(
    ("is_nan", "as_py", "detach", "cpu", "bit_length", "is_integer", "isprintable", "join"), refuse
)


class RaisingMeta(type):
    """A class that cannot be hashed, compared, printed or named."""

    __hash__ = __eq__ = __repr__ = __str__ = __len__ = __iter__ = __bool__ = refuse
    __instancecheck__ = __subclasscheck__ = __call__ = refuse

    @property
    def __module__(cls):
        raise RuntimeError("hostile")

    @property
    def __name__(cls):
        raise RuntimeError("hostile")


def make(*bases, meta=type, module="service", name="Hostile", **more):
    return meta.__new__(meta, name, bases, {**RAISING, **METHODS, **ATTRIBUTES, "__module__": module, **more})


def blank(cls):
    return object.__new__(cls)


Hostile = make()
Nameless = make(meta=RaisingMeta)
Classless = make(__class__=property(refuse))
Moduleless = make(module=property(refuse))
HostileDict, HostileList, HostileTuple = make(dict), make(list), make(tuple)
HostileStr, HostileBytes, HostileInt, HostileFloat = make(str), make(bytes), make(int), make(float)
HostileSet, HostileDecimal = make(set), make(decimal.Decimal)
HostileStored = type("Stored", (), {"__dict__": property(refuse), "__slots__": ()})


class Colliding:
    """A key with the hash of a known name, which raises when compared."""

    def __init__(self, name):
        self.number = hash(name)

    def __hash__(self):
        return self.number

    __eq__ = refuse


class Endless(collections.abc.Mapping):
    """An endless mapping with a false length."""

    def __getitem__(self, key):
        return 1

    def __iter__(self):
        number = 0
        while True:
            yield number
            number += 1

    def __len__(self):
        return sys.maxsize


class RaisingMapping(collections.abc.Mapping):
    __getitem__ = __iter__ = __len__ = items = refuse


class Odd(enum.Enum):
    LIST = [1]
    HOSTILE = 2
    TEXT = "\ud800"


Odd.HOSTILE._value_ = blank(Hostile)


def pretender(module, name, **more):
    """A class that claims to come from a known library."""
    return blank(type(name, (), {"__module__": module, **more}))


def lying_array(result):
    return pretender(
        "numpy",
        "ndarray",
        ndim=1,
        shape=(-5,),
        dtype=types.SimpleNamespace(kind="f"),
        tolist=lambda self: result,
        __getitem__=lambda self, key: self,
        __len__=lambda self: 10**12,
    )


class DeviceTensor:
    """A stand-in for a CUDA tensor that records every transfer."""

    synced = 0
    device = types.SimpleNamespace(type="cuda", index=0)
    is_cuda = True
    ndim = 1
    shape = (3,)
    dtype = "torch.float32"

    def _transfer(self, *args):
        type(self).synced += 1
        raise RuntimeError("synchronised")

    item = tolist = numpy = cpu = to = detach = __float__ = __int__ = __bool__ = __iter__ = __getitem__ = __len__ = (
        _transfer
    )
    __array__ = __eq__ = __repr__ = __str__ = __format__ = _transfer
    __hash__ = object.__hash__


DeviceTensor.__module__ = "torch"
DeviceTensor.__name__ = "Tensor"


def deep(depth, wrap):
    value = 1
    for _ in range(depth):
        value = wrap(value)
    return value


def cyclic_list():
    value = [1]
    value.append(value)
    return value


def cyclic_dict():
    value = {"prediction": 1}
    value["features"] = value["scores"] = value
    return value


def cyclic_object():
    value = types.SimpleNamespace(prediction=1)
    value.score = value.features = value
    return value


def generator():
    yield refuse()


LEAVES = {
    "hostile": lambda: blank(Hostile),
    "nameless": lambda: object.__new__(Nameless),
    "nameless class": lambda: Nameless,
    "classless": lambda: blank(Classless),
    "moduleless": lambda: blank(Moduleless),
    "stored": lambda: HostileStored(),
    "dict": lambda: dict.__new__(HostileDict),
    "filled dict": lambda: _filled(HostileDict, dict, {"prediction": 1, "probability": 0.5}),
    "list": lambda: _filled(HostileList, list, [1.0, 2.0]),
    "tuple": lambda: tuple.__new__(HostileTuple, (1, 0.5)),
    "set": lambda: _filled(HostileSet, set, {1, 2}),
    "str": lambda: str.__new__(HostileStr, "x\ud800"),
    "bytes": lambda: bytes.__new__(HostileBytes, b"\xff"),
    "int": lambda: int.__new__(HostileInt, 2**200),
    "float": lambda: float.__new__(HostileFloat, 0.5),
    "decimal": lambda: decimal.Decimal.__new__(HostileDecimal, "0.5"),
    "mapping": RaisingMapping,
    "endless": Endless,
    "colliding": lambda: {Colliding("prediction"): 1, Colliding("score"): 0.5},
    "hostile key": lambda: {Colliding("x"): 1, 2: blank(Hostile)},
    "odd enum": lambda: Odd.LIST,
    "hostile enum": lambda: Odd.HOSTILE,
    "surrogate enum": lambda: Odd.TEXT,
    "array": lambda: pretender("numpy", "ndarray"),
    "raising array": lambda: blank(make(module="numpy", name="ndarray")),
    "lying array": lambda: lying_array([blank(Hostile)] * 3),
    "array of nothing": lambda: lying_array(None),
    "scalar": lambda: blank(make(module="numpy", name="generic")),
    "frame": lambda: blank(make(module="pandas.core", name="DataFrame")),
    "odd frame": lambda: pretender("pandas", "DataFrame", shape=(10**12, 10**12), columns=[blank(Hostile)]),
    "series": lambda: blank(make(module="pandas", name="Series")),
    "NA": lambda: blank(make(module="pandas", name="NAType")),
    "uuid": lambda: blank(make(module="uuid", name="UUID")),
    "uuid that is a hostile text": lambda: pretender("uuid", "UUID", __str__=lambda self: str.__new__(HostileStr, "x")),
    "arrow": lambda: pretender("pyarrow", "Scalar", as_py=lambda self: blank(Hostile)),
    "device tensor": DeviceTensor,
    "generator": generator,
    "iterator": lambda: iter([1, 2]),
    "cyclic list": cyclic_list,
    "cyclic dict": cyclic_dict,
    "cyclic object": cyclic_object,
    "deep list": lambda: deep(5000, lambda value: [value]),
    "deep dict": lambda: deep(5000, lambda value: {"a": value, "prediction": value}),
    "deep tuple": lambda: deep(5000, lambda value: (value,)),
    "deep rows": lambda: [deep(5000, lambda value: [value])] * 3,
    "long text": lambda: "\x1b\ud800é" * 3_400_000,
    "long bytes": lambda: b"\xff" * 10_000_000,
    "long int": lambda: 10**100_000,
    "many features": lambda: {f"f{i}": i for i in range(10_000)},
    "many hostile features": lambda: {f"f{i}": blank(Hostile) for i in range(10_000)},
    "many columns": lambda: {f"f{i}": [1.0, 2.0] for i in range(10_000)},
    "many rows": lambda: [{"prediction": 1}] * 3000,
    "wide rows": lambda: [dict.fromkeys(range(2000), 1)] * 50,
    "one of many": lambda: {"a": 1, "b": blank(Hostile), "c": 2.0},
    "shared": lambda: deep(6, lambda value: [value] * 200),
    "ragged": lambda: [[1], 2, None, [3, [4]], "x"],
    "controls": lambda: "".join(map(chr, range(0x2030))),
    "complex": lambda: 1j,
    "class": lambda: Hostile,
    "module": lambda: json,
    "function": lambda: refuse,
    "ellipsis": lambda: ...,
    "coroutine-like": lambda: pretender("asyncio", "Future", __await__=refuse),
}


def _filled(cls, base, content):
    value = base.__new__(cls)
    base.__init__(value, content)
    return value


def functions(value, tasks=TASKS):
    """Yields every public function of the boundary with its result."""
    yield "number", _values.number(value)
    yield "class_text", _values.class_text(value)
    yield "line", _values.line(value)
    yield "is_missing", missing.is_missing(value)
    yield "scalar", _values.scalar(value)
    yield "cell", _values.cell(value)
    yield "plain", _values.plain(value)
    yield "json_text", json_texts.json_text(value)
    yield (
        "json_text of a body",
        json_texts.json_text({"features": {"a": value}, "rows": [value], "b": value}, limit=500),
    )
    yield "snapshot", _features.snapshot(value)
    yield "snapshot of a row", _features.snapshot({"a": value, "b": 1})
    yield "snapshot of rows", _features.snapshot([value, value])
    yield "snapshot of columns", _features.snapshot({"a": [value, value]}, names=["x"])
    yield "row_count", _features.row_count(value)
    for task in tasks:
        yield from outputs(value, task)


def outputs(value, task):
    for batch, rows in ((False, None), (True, None), (False, 2)):
        how = {"task": task, "classes": ("1", "0"), "batch": batch, "rows": rows}
        for result in (
            value,
            [value, value],
            (1, value),
            {"prediction": value, "score": value},
            {"predictions": [value]},
        ):
            yield f"recognise for {task}", _outputs.recognise(result, **how)
        how.pop("rows")
        yield f"given for {task}", _outputs.given(value, value, **how)
        yield f"given for {task}", _outputs.given([value], 0.5, **how)


def check(where, given):
    """Asserts that a result has builtin types only, finite numbers where JSON needs them, clean texts and bounded sizes."""
    if where.startswith("json_text"):
        encoded = given.encode("utf-8")
        assert len(encoded) <= (500 if "body" in where else 65536), where
        json.loads(given, parse_constant=refuse)
        return
    if type(given) is _feature_batch.FeatureBatch:
        assert given.rows <= given.total_rows
        assert {len(column) for column in given.columns.values()} <= {given.rows}
        given = given.columns
    if type(given) is _outputs.Output:
        given = dataclasses.asdict(given)
        rows, classes, values, scores, *_ = given.values()
        assert len(classes) == len(values) == len(scores) <= _outputs.OUTPUT_LIMIT
        assert rows is not None or len(classes) == 1
        assert all(number is None or math.isfinite(number) for number in values + scores)
    assert_plain(where, given, finite=where in {"number", "scalar", "plain"})


def assert_plain(where, value, *, finite, depth=0):
    assert depth < 12, where
    cls = type(value)
    if cls is dict or cls is PartialRow:
        assert len(value) <= 1001, where
        for key, item in value.items():
            assert (type(key), len(key) <= 1024) == (str, True), where
            key.encode("utf-8")
            assert_plain(where, item, finite=finite, depth=depth + 1)
    elif cls is list:
        assert len(value) <= _outputs.OUTPUT_LIMIT, where
        for item in value:
            assert_plain(where, item, finite=finite, depth=depth + 1)
    elif cls is str:
        assert len(value) <= 1024, where
        value.encode("utf-8")
    elif cls is float:
        assert not finite or math.isfinite(value), where
    else:
        assert cls is int or cls is bool or value is None, (where, cls)


@pytest.fixture(autouse=True)
def _no_internal_errors():
    """Hostile input is not an internal error: nothing is counted, and no tensor is read."""
    _guard.reset()
    DeviceTensor.synced = 0
    yield
    assert (_guard.counts(), DeviceTensor.synced) == ({}, 0)
    _guard.reset()


@pytest.mark.parametrize("name", LEAVES)
def test_every_function_survives(name):
    """Each hostile value, alone and nested, gives bounded builtin values or None in every function."""
    for where, came_out in functions(LEAVES[name](), TASKS if name in SMALL else TASKS[:1]):
        check(where, came_out)


SMALL = [name for name in LEAVES if not name.startswith(("deep", "long", "many", "wide", "shared", "endless"))]
TEXTS = st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF), max_size=40)
CONTROLS = st.text(st.characters(categories=["Cs", "Cc", "Cf"]), max_size=10)
MIXED = st.lists(st.one_of(st.floats(), st.text(max_size=3), st.none()), max_size=4)
benign = st.one_of(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=2**63, max_value=2**80)
    | st.just(5000).map(lambda power: 10**power),
    st.floats(width=64) | st.floats(width=32).map(np.float32) | st.floats(width=16).map(np.float16),
    st.integers(-(2**63), 2**63 - 1).map(np.int64) | st.booleans().map(np.bool_) | TEXTS | CONTROLS,
    st.binary(max_size=20)
    | st.decimals()
    | st.fractions()
    | st.datetimes()
    | st.dates()
    | st.timedeltas()
    | st.uuids(),
    st.complex_numbers() | st.just(pd.NA) | st.just(pd.NaT) | st.just(np.datetime64("NaT", "s")),
    st.lists(st.floats(), max_size=4).map(np.array) | MIXED.map(lambda items: pd.Series(items, dtype=object)),
    st.integers(0, 3).map(lambda width: np.zeros((2, width))),
    st.lists(st.floats(0, 1), min_size=2, max_size=3).map(lambda v: pd.DataFrame({"prediction": v, "score": v})),
)
# Recipes, not values: Hypothesis itself would ask a hostile value for its class.
leaves = st.sampled_from(SMALL).map(LEAVES.__getitem__) | benign.map(lambda value: lambda: value)
keys = st.one_of(
    st.sampled_from([*_result_names.EXACT]),
    st.text(st.characters(min_codepoint=0, max_codepoint=0x10FFFF), max_size=8),
    st.integers(),
    st.floats(),
    st.none(),
    st.tuples(st.text(max_size=3), st.integers()),
    st.sampled_from(["prediction", "score", "x"]).map(Colliding),
)


def dictionary(items):
    """A dict of these items, without keys that collide and cannot be compared."""
    made = {}
    for key, build in items:
        _guard.attempt(made.__setitem__, key, build())
    return made


def built(recipes):
    return [build() for build in recipes]


def containers(inner):
    few, items = st.lists(inner, max_size=4), st.lists(st.tuples(keys, inner), max_size=4)
    return st.one_of(
        few.map(lambda recipes: lambda: built(recipes)),
        few.map(lambda recipes: lambda: tuple(built(recipes))),
        few.map(lambda recipes: lambda: _filled(HostileList, list, built(recipes))),
        items.map(lambda recipes: lambda: dictionary(recipes)),
        items.map(lambda recipes: lambda: _filled(HostileDict, dict, dictionary(recipes))),
        items.map(lambda recipes: lambda: types.MappingProxyType(dictionary(recipes))),
        st.tuples(inner, inner).map(
            lambda pair: lambda: types.SimpleNamespace(prediction=pair[0](), score=pair[1](), features=pair[0]())
        ),
        few.map(lambda recipes: lambda: lying_array(built(recipes))),
        inner.map(lambda build: lambda: pretender("numpy", "generic", item=lambda self: build(), dtype=np.dtype("f8"))),
        inner.map(lambda build: lambda: pretender("decimal", "Decimal", __float__=lambda self: build())),
        inner.map(lambda build: lambda: pretender("uuid", "UUID", __str__=lambda self: build())),
    )


values = st.recursive(leaves, containers, max_leaves=12)


@MODEST
@given(values)
def test_scalars(build):
    """Any value gives a builtin scalar or None."""
    for function in (
        _values.number,
        _values.class_text,
        _values.line,
        _values.scalar,
        _values.cell,
        missing.is_missing,
    ):
        check(function.__name__, function(build()))


@MODEST
@given(values, st.integers(-1, 40), st.integers(-1, 300))
def test_structures(build, depth, items):
    """Any structure gives a bounded copy of builtin values."""
    check("plain", _values.plain(build(), depth=depth, items=items))


@MODEST
@given(values, st.integers(18, 300))
def test_json(build, limit):
    """Any value gives JSON in UTF-8 within the limit."""
    value = build()
    for document in (value, {"features": value, "prediction": 1, "rows": [value, value]}):
        written = json_texts.json_text(document, limit=limit)
        json.loads(written, parse_constant=refuse)
        assert len(written.encode("utf-8")) <= limit


@MODEST
@given(values, st.just(lambda: None) | values)
def test_features(build, names):
    """Any features give a row, a batch or None."""
    value = build()
    check("snapshot", _features.snapshot(value, names=names()))
    rows = _features.row_count(value)
    assert rows is None or (type(rows) is int and rows >= 0)


@MODEST
@given(values, st.sampled_from(TASKS), st.booleans(), st.none() | st.integers(0, 4), st.none() | st.just(("a", "b")))
def test_results(build, task, batch, rows, classes):
    """Any result gives an output of builtin values, or None."""
    check("recognise", _outputs.recognise(build(), task=task, classes=classes, batch=batch, rows=rows))


@MODEST
@given(values, values, st.sampled_from(TASKS), st.booleans())
def test_outputs_handed_over(prediction, score, task, batch):
    """Any prediction and score give an output of builtin values, or None."""
    check("given", _outputs.given(prediction(), score(), task=task, classes=None, batch=batch))


@MODEST
@given(
    st.dictionaries(st.text(max_size=6), st.floats() | st.integers() | st.text(max_size=20) | st.booleans(), max_size=6)
)
def test_plain_rows_come_back_equal(features):
    """A row of clean builtin values is copied as it is."""
    clean = {key: value for key, value in features.items() if key and key.isprintable()}
    clean = {key: value for key, value in clean.items() if type(value) is not str or value.isprintable()}
    clean = {key: value for key, value in clean.items() if type(value) is not int or abs(value) < 2**63}
    row = _features.snapshot(clean)
    assert (repr(sorted(row.items(), key=lambda item: item[0])), row is clean) == (
        repr(sorted(clean.items(), key=lambda item: item[0])),
        False,
    )
