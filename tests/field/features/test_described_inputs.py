"""Texts, embeddings and images that a service is called with are described on the way in, and go no further.

Sources: evidentlyai/evidently#658 and deepchecks/deepchecks#2472 (texts), kuzudb/kuzu#3481 (embeddings in lists and arrays),
wkentaro/labelme#743 (images of 16 bits, grey ones, and those with an alpha channel), voyage-ai/voyageai-python#32 and
huggingface/transformers#45491 (vectors of NaN), huggingface/datasets#3856 and autogluon/autogluon#2647 (rows without an image).
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from otel_ml import Model, ReferenceProfile, instrument_logging
from otel_ml.quality import Column, Schema
from otel_ml.testing import InMemoryTelemetry

RANDOM = np.random.default_rng(743)
WORDS = ["alpha", "beta", "gamma", "delta", "Epsilon", "99", "Größe"]
TEXTS = [" ".join(RANDOM.choice(WORDS, 4 + place % 9)) for place in range(200)]
VECTORS = RANDOM.normal(size=(200, 16))
IMAGES = RANDOM.integers(0, 255, (200, 12, 10, 3), np.uint8)
COUNT = 70
"""More rows than are copied as a whole."""


def fit(**options: Any) -> ReferenceProfile:
    frame = {"review": TEXTS, "vector": list(VECTORS), "image": list(IMAGES), "price": [n / 7 for n in range(200)]}
    return ReferenceProfile.fit(frame, text="review", embeddings="vector", images="image", **options)


PROFILE = fit()


def record(profile: ReferenceProfile, *calls: Any, rows: int | None = None, **options: Any) -> dict[str, Any]:
    """The telemetry of some calls, each of one row or of so many."""
    with InMemoryTelemetry() as telemetry:
        model = Model("m", profile=profile, events="all", **options)
        for given in calls:
            model.record(given, prediction=1 if rows is None else [1] * rows, batch=rows is not None)
        return {name: getattr(telemetry, name)() for name in ("metrics", "spans", "logs")}


def counted(profile: ReferenceProfile, *calls: Any, rows: int | None = None, **options: Any) -> dict[Any, float]:
    """How many values of each feature are in each bin, missing and invalid."""
    metrics = record(profile, *calls, rows=rows, **options)["metrics"]
    found: dict[Any, float] = {}
    for metric in ("ml.feature.values", "ml.feature.missing", "ml.data.violations"):
        for point in metrics.get(metric, []):
            attributes = point["attributes"]
            if point["value"] and attributes["ml.feature.name"] not in ("__prediction__", "price"):
                what = attributes.get("ml.feature.bin") or attributes.get("ml.rule.name") or "missing"
                found[attributes["ml.feature.name"], what] = point["value"]
    return found


def row(place: int) -> dict[str, Any]:
    return {"review": TEXTS[place], "vector": VECTORS[place], "image": IMAGES[place], "price": 1.0}


@dataclass
class Request:
    """A request with fields."""

    review: str
    vector: list[float]
    image: Any
    price: float = 1.0


def calls() -> Iterator[tuple[str, list[Any], int | None]]:
    """The first rows in the forms in which a service gets them."""
    rows = [row(place) for place in range(COUNT)]
    yield "rows", rows, None
    yield "requests", [Request(TEXTS[n], VECTORS[n].tolist(), IMAGES[n].tolist()) for n in range(COUNT)], None
    yield (
        "nested",
        [{"data": {"body": {k: v for k, v in one.items() if k != "price"}}, "price": 1.0} for one in rows],
        None,
    )
    yield "records", [{"request": Request(TEXTS[n], VECTORS[n].tolist(), IMAGES[n])} for n in range(COUNT)], None
    yield "positions", [list(one.values()) for one in rows], None
    yield "list", [rows], COUNT
    yield "lists", [[list(one.values()) for one in rows]], COUNT
    columns = {"review": TEXTS[:COUNT], "vector": VECTORS[:COUNT], "image": IMAGES[:COUNT], "price": [1.0] * COUNT}
    yield "columns", [columns], COUNT
    lists = {**columns, "vector": list(VECTORS[:COUNT]), "image": list(IMAGES[:COUNT])}
    yield "pandas", [pd.DataFrame(lists)], COUNT
    yield "no names", [pd.DataFrame(lists).set_axis(range(4), axis=1)], COUNT
    nested = {name: [getattr(one, "tolist", lambda: None)() or one for one in values] for name, values in lists.items()}
    yield "polars", [pl.DataFrame(nested)], COUNT
    yield "arrow", [pa.table(nested)], COUNT
    yield "few", [rows[:40], rows[40:]], 40


@pytest.fixture(scope="module")
def expected() -> dict[Any, float]:
    return counted(PROFILE, *(row(place) for place in range(COUNT)))


@pytest.mark.parametrize(
    ("form", "given", "rows"), list(calls()), ids=lambda value: value if type(value) is str else ""
)
def test_rows_and_batches_of_any_form_count_alike(form: str, given: list[Any], rows: int | None, expected: Any) -> None:
    """One row after the other, and batches of few and of many rows; each descriptor has as many values as rows."""
    if form == "few":
        found: dict[Any, float] = {}
        for part in given:
            for key, count in counted(PROFILE, part, rows=len(part)).items():
                found[key] = found.get(key, 0) + count
    else:
        found = counted(PROFILE, *given, rows=rows)
    assert found == expected
    assert sum(count for (name, _), count in found.items() if name == "review.word") == COUNT


@pytest.mark.parametrize(
    ("column", "kind", "values"),
    [("review", "text", TEXTS), ("vector", "embeddings", list(VECTORS)), ("image", "images", list(IMAGES))],
)
def test_a_model_of_one_column_takes_bare_values(column: str, kind: str, values: list[Any]) -> None:
    """A text, a vector or an image, and a list or an array of them."""
    options: Any = {kind: column}
    profile = ReferenceProfile.fit({column: values}, **options)
    expected = counted(profile, *({column: value} for value in values[:COUNT]))
    assert sum(expected.values()) == COUNT * len(profile.features)
    assert counted(profile, *values[:COUNT]) == expected
    assert counted(profile, values[:COUNT], rows=COUNT) == expected
    assert counted(profile, [[value] for value in values[:COUNT]], rows=COUNT) == expected
    assert counted(profile, pd.Series(values[:COUNT]), rows=COUNT) == expected
    if kind != "text":
        assert counted(profile, np.stack(values[:COUNT]), rows=COUNT) == expected


@pytest.mark.parametrize("mode", ["own", "guest"])
def test_a_tracked_function_counts_alike(mode: Any, expected: Any) -> None:
    """The short way of a prediction of plain values leaves such rows to the long one."""
    with InMemoryTelemetry(mode) as telemetry:
        answer = {"prediction": 1, "probability": 0.4}
        plain = Model("plain", capture_features="all", events="all").track(lambda row: answer if row else None)
        plain({"review": "names that were seen before", "price": 1.0})
        predict = Model("m", profile=PROFILE).track(lambda row: answer if row else None)
        for place in range(COUNT):
            predict({"review": TEXTS[place], "price": 1.0})
        points = telemetry.metrics()["ml.feature.values"]
    found = {
        (point["attributes"]["ml.feature.name"], point["attributes"]["ml.feature.bin"]): point["value"]
        for point in points
        if point["value"] and point["attributes"]["ml.feature.name"] in ("review.length", "review.word")
    }
    assert found == {key: count for key, count in expected.items() if key in found}
    assert sum(found.values()) == 2 * COUNT


def test_the_outer_of_two_values_counts() -> None:
    """A request may hold a column twice."""
    both = {"review": TEXTS[1], "data": {"review": "another"}}
    assert counted(PROFILE, both) == counted(PROFILE, {"review": TEXTS[1]})


@pytest.mark.parametrize("capture", ["declared", "all"])
@pytest.mark.parametrize("sensitive", [False, True])
def test_no_value_leaves(capture: Any, sensitive: bool) -> None:
    """Events have the descriptors, of a sensitive column not even these; metrics have its opaque bins."""
    profile = fit(sensitive=["review", "vector"]) if sensitive else PROFILE
    secret = {**row(0), "review": "A secret Ω", "vector": [0.123456, *[0.2] * 15], "price": 1.0}
    mixed = {**secret, "vector": np.array([secret["vector"]] * 2), "image": IMAGES[:2]}
    telemetry = record(profile, secret, [secret], mixed, capture_features=capture)
    texts = json.dumps(telemetry, default=str)
    assert "secret" not in texts
    assert "0.123456" not in texts
    event = json.loads(telemetry["logs"][0]["body"])["features"]
    assert event["image.width"] == 10.0
    assert ("review.length" in event, "vector.norm" in event) == (not sensitive, not sensitive)
    if not sensitive:
        assert (event["review.length"], event["review.words"]) == (10.0, 3.0)


def test_a_schema_makes_descriptors_opaque_and_has_no_rules_for_the_column_itself() -> None:
    """A column that only the schema calls sensitive, and one that it declares as a text."""
    schema = Schema([Column("review", "text", nullable=False)], sensitive=["vector"])
    found = counted(PROFILE, row(1), schema=schema)
    assert {what for (name, what) in found if name == "review"} == set()
    assert all(what.isdigit() for (name, what) in found if name.startswith("vector."))


def test_log_lines_of_a_sensitive_text() -> None:
    """The text is replaced in them, however long it is, and the values of other columns are not."""
    profile = ReferenceProfile.fit({"review": TEXTS, "note": ["a", "b"] * 100}, text="review", sensitive="review")
    with InMemoryTelemetry() as telemetry:
        logger = logging.getLogger("app.described")
        undo = instrument_logging(logger)
        for text in ("a secret", "a long secret " * 1_000):
            with Model("m", profile=profile, events="off").prediction({"review": text, "note": "b", "page": "remark"}):
                logger.warning("got %s beside %s", text, "remark")
        undo()
        bodies = [line["body"] for line in telemetry.logs()]
    assert bodies[0] == "got *** beside remark"
    assert "secret" not in bodies[1]


class HalfTensor:
    """A tensor on the host, of a type that numpy does not have."""

    __module__ = "torch"
    device = type("Device", (), {"type": "cpu"})
    shape, ndim = (16,), 1

    def __init__(self, values: Any, is_single: bool = False) -> None:
        self.values, self.is_single = values, is_single

    def detach(self) -> HalfTensor:
        return self

    def float(self) -> HalfTensor:
        return HalfTensor(self.values, is_single=True)

    def numpy(self) -> Any:
        if not self.is_single:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self.values.astype("float32")


HalfTensor.__name__ = "Tensor"


def test_tensors_of_the_host_are_read() -> None:
    """Also those of a type that numpy does not have."""
    expected = counted(PROFILE, {"vector": VECTORS[0].astype("float32")})
    assert counted(PROFILE, {"vector": HalfTensor(VECTORS[0])}) == expected


class Tensor:
    """A tensor on a device: to read it is an error."""

    __module__ = "torch"
    device = type("Device", (), {"type": "cuda"})
    shape = (16,)
    ndim = 1

    def detach(self) -> Any:
        raise AssertionError("copied from the device")


def test_what_is_not_read_is_neither_counted_nor_missing() -> None:
    """Tensors on a device; values of another kind or of an unknown type are invalid, and None is missing."""
    unread = {"review": Tensor(), "vector": Tensor(), "image": Tensor(), "price": 1.0}
    assert counted(PROFILE, unread) == {}
    for rows in (2, COUNT):
        assert counted(PROFILE, [unread] * rows, rows=rows) == {}
    names = [feature.name for feature in PROFILE.features if "." in feature.name]
    for wrong in ({"review": 7, "vector": "0.5", "image": b"\x89PNG"}, dict.fromkeys(unread, object())):
        rules = counted(PROFILE, wrong | {"price": 1.0})
        assert sorted(name for name, _ in rules) == sorted(names)
        assert {what for _, what in rules} == {"type", "non_finite"}
    absent = counted(PROFILE, {"price": 1.0})
    assert {name for name, _ in absent} == set(names)
    assert {what for _, what in absent} == {"missing", "missing_column"}


class Picture:
    """An image of PIL, as far as it is read."""

    def __init__(self, pixels: Any, mode: str) -> None:
        self.pixels, self.mode, self.size = pixels, mode, pixels.shape[1::-1]

    def crop(self, box: tuple[int, int, int, int]) -> Picture:
        return Picture(self.pixels[box[1] : box[3], box[0] : box[2]], self.mode)

    def convert(self, mode: str) -> Picture:
        return Picture(self.pixels[..., :3], mode)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.pixels


Image = type("Image", (Picture,), {"__module__": "PIL.Image"})


def test_an_image_of_pil_is_the_array_that_it_holds() -> None:
    """In colour, grey with 16 bits, and with an alpha channel, which does not count."""
    for pixels, mode in ((IMAGES[3], "RGB"), (IMAGES[3][..., 0].astype("uint16") * 200, "I;16")):
        assert counted(PROFILE, {"image": Image(pixels, mode)}) == counted(PROFILE, {"image": pixels})
    alpha = np.dstack([IMAGES[3], np.full((12, 10), 255)])
    assert counted(PROFILE, {"image": Image(alpha, "RGBA")}) == counted(PROFILE, {"image": IMAGES[3]})


def test_large_values_are_read_in_part() -> None:
    """Of a text the first characters, of an image some tiles, which show the same as the whole would."""
    profile = ReferenceProfile.fit(
        {"review": ["Ab 1" * 5] * 30, "image": [np.full((5, 5), 7)] * 30}, text="review", images="image"
    )
    described = {one.column: one for one in profile.described}
    text = described["review"].describe(["Ab 1" * 100_000])
    assert {name: values[0] for name, values in text.items() if name != "review.word"} == {
        "review.length": 400_000,
        "review.words": 1024,
        "review.digit_share": 0.25,
        "review.upper_share": 0.25,
        "review.non_ascii_share": 0,
    }

    class Watched(np.ndarray[Any, Any]):
        read = 0

        def __getitem__(self, key: Any) -> Any:
            part = super().__getitem__(key)
            Watched.read += part.size
            return np.asarray(part)

    image = (np.indices((500, 300)).sum(axis=0) % 2 * 10.0).view(Watched)
    image = described["image"].describe([image])
    assert [values[0] for values in image.values()] == [300, 500, 5, 5, 10]
    assert Watched.read == 64 * 16 * 16
    wide = described["image"].describe([np.zeros((3, 20, 30))])
    assert (wide["image.width"], wide["image.height"]) == ([30], [20])


NO_VECTORS = {
    "nan": [math.nan] * 16,
    "none": [None] * 16,
    "texts": ["0.5"] * 16,
    "huge": [1e308] * 16,
    "long": [10**400],
}


@pytest.mark.parametrize("others", [{}, {"price": 1.0}])
@pytest.mark.parametrize("vector", NO_VECTORS.values(), ids=NO_VECTORS)
def test_a_vector_of_no_numbers_is_one_invalid_value(vector: list[Any], others: dict[str, float]) -> None:
    """It is the vector of one row, and no column of many; the other features are counted (NaN vectors are common)."""
    given = {"review": TEXTS[0], "vector": vector, "image": IMAGES[0], **others}
    found = counted(PROFILE, given)
    assert counted(PROFILE, [given] * 3, rows=3) == {key: 3 * count for key, count in found.items()}
    assert found["vector.norm", "non_finite"] == 1
    assert sum(count for (name, _), count in found.items() if name.startswith(("review.", "image."))) == 11


@pytest.mark.parametrize("row_alone", [{}, {"review": TEXTS[0], "price": 1.0}])
def test_a_row_without_an_image_is_one_row(row_alone: dict[str, Any]) -> None:
    """Its image is missing, and the other features are counted."""
    found = counted(PROFILE, {**row_alone, "image": None, "vector": VECTORS[0]})
    assert {name: found[name, "missing"] for name in ("image.width", "image.sharpness")} == {
        "image.width": 1,
        "image.sharpness": 1,
    }
    assert sum(count for (name, _), count in found.items() if name == "vector.norm") == 1


@pytest.mark.parametrize(
    ("column", "value", "place", "is_valid"),
    [
        ("vector", VECTORS[:1], 0, True),
        ("vector", [VECTORS[0].tolist()], 0, True),
        ("vector", VECTORS[:2], 0, False),
        ("review", [TEXTS[0], TEXTS[1]], 0, False),
        ("image", IMAGES[:2], 0, False),
        ("image", IMAGES[0, 0, :, 0], 0, False),
    ],
)
def test_columns_with_one_value_are_those_of_a_row(column: str, value: Any, place: int, is_valid: bool) -> None:
    """A price of one number makes it a row: a vector in a list of one is read, and any other list is no value."""
    found = counted(PROFILE, {**row(place), column: value})
    others = counted(PROFILE, row(place))
    expected = {key: count for key, count in others.items() if is_valid or not key[0].startswith(column)}
    assert {key: found.get(key) for key in expected} == expected
    assert is_valid == (found == others)
