"""Texts, embeddings and images are counted by a few numbers each, alike in training, in a data set and in a service.

Sources: evidentlyai/evidently#658 (descriptors of texts break with the rows of a frame), evidentlyai/evidently#1256 (a
descriptor is no ordinary column), deepchecks/deepchecks#2472 (texts in another language, or without blanks),
Eventual-Inc/Daft#4732 and kuzudb/kuzu#3481 (embeddings in Parquet are lists of fixed or of any size),
neo4j/neo4j-graphrag-python#500 (embeddings of whole numbers), wkentaro/labelme#743 (images of 16 bits have another mode).
"""

from __future__ import annotations

import codecs
import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import parquet
from sklearn.datasets import load_digits

from otel_ml import DriftScan, ProfileScan, ReferenceProfile
from otel_ml.cli import main
from otel_ml.quality import DataFiles, ProfileError, scan_files
from otel_ml.quality.descriptors import describe_columns

RANDOM = np.random.default_rng(658)
PARAGRAPHS = [text.strip() for topic in topics.values() for text in re.split(r"\n\n+", topic) if len(text) > 20]
TEXTS = [PARAGRAPHS[place] for place in RANDOM.permutation(len(PARAGRAPHS))]
"""Paragraphs of the manual that comes with Python."""
DIGITS = list(RANDOM.permutation(load_digits().images))
VECTORS = [digit.ravel() for digit in DIGITS]
ROWS = 800
WORDS = [f"review.{part}" for part in ("length", "words", "digit_share", "upper_share", "non_ascii_share", "word")]
SHAPES = [f"image.{part}" for part in ("width", "height", "brightness", "contrast", "sharpness")]


def table(first: int = 0, last: int = ROWS) -> pd.DataFrame:
    """Rows with all three, and a number."""
    return pd.DataFrame(
        {
            "review": TEXTS[first:last],
            "vector": VECTORS[first:last],
            "image": DIGITS[first:last],
            "price": np.arange(first, last) % 97 / 7,
        }
    )


def fit(frame: Any, **options: Any) -> ReferenceProfile:
    """The profile with the described columns that the frame has."""
    return ReferenceProfile.fit(frame, text=["review"], embeddings=["vector"], images=["image"], **options)


@pytest.fixture(scope="module")
def profile() -> ReferenceProfile:
    return fit(table())


def found(profile: ReferenceProfile, **columns: Any) -> set[str]:
    """The features with a finding."""
    verdicts = profile.compare(columns).features
    return {one.name for one in verdicts if one.name.partition(".")[0] in columns and one.verdict != "ok"}


def test_descriptors_are_features_and_columns_stay_those_of_the_frame(
    profile: ReferenceProfile, tmp_path: Path
) -> None:
    """What is counted has a name of its own; the file says how, and an older one says nothing of it."""
    names = [feature.name for feature in profile.features]
    assert names[:6] == WORDS
    assert names[6:9] == ["vector.size", "vector.norm", "vector.projection_1"]
    assert names[16:] == ["vector.distance", *SHAPES, "price"]
    assert profile.columns == ("review", "vector", "image", "price")
    profile.save(tmp_path / "p.json")
    assert ReferenceProfile.load(tmp_path / "p.json") == profile
    text = (tmp_path / "p.json").read_text()
    assert not any(word in text for word in ("statement", "object is", TEXTS[0][:20]))


def test_data_of_the_same_law_is_calm(profile: ReferenceProfile) -> None:
    """Neither the rows of training nor others of the same source are a finding."""
    for frame in (table(), table(ROWS, 2 * ROWS)):
        assert profile.compare(frame).findings == {}


@pytest.mark.parametrize(
    ("column", "change", "expected"),
    [
        ("review", lambda text: codecs.encode(text, "rot13"), {"review.word"}),
        ("review", lambda text: text.translate({97 + n: 0x430 + n for n in range(26)}), {"review.non_ascii_share"}),
        (
            "review",
            lambda text: "".join(chr(33 + ord(char) * 7 % 90) for char in text),
            {"review.digit_share", "review.word"},
        ),
        ("review", lambda text: text.replace(" ", ""), {"review.words", "review.word"}),
        ("review", str.upper, {"review.upper_share"}),
        ("vector", lambda vector: vector + 2.5, {"vector.distance", "vector.norm"}),
        ("vector", lambda vector: vector[:32], {"vector.size", "vector.distance"}),
        ("vector", lambda vector: RANDOM.permutation(vector), {"vector.distance"}),
        ("image", lambda image: image / 16, {"image.brightness"}),
        ("image", lambda image: image + RANDOM.normal(0, 4, image.shape), {"image.sharpness"}),
        ("image", lambda image: image.repeat(2, axis=1), {"image.width"}),
    ],
)
def test_other_data_is_found(profile: ReferenceProfile, column: str, change: Any, expected: set[str]) -> None:
    """Another language of the same or of another script, noise, texts without blanks, shifted vectors, other images."""
    values = [change(value) for value in table(ROWS, 2 * ROWS)[column]]
    assert found(profile, **{column: values}) >= expected


def forms(rows: int) -> Iterator[tuple[str, Any]]:
    """The same rows in the forms in which data comes."""
    frame = table(0, rows)[["review", "vector"]]
    yield "pandas", frame.set_index(pd.Index(range(rows, 0, -1)))
    yield "polars", pl.DataFrame({"review": frame["review"], "vector": np.stack(list(frame["vector"]))})
    yield "matrix", {"review": frame["review"].to_numpy(object), "vector": np.stack(list(frame["vector"]))}
    yield "single", {"review": list(frame["review"]), "vector": np.stack(list(frame["vector"])).astype("float32")}
    yield (
        "whole",
        {"review": list(frame["review"]), "vector": [vector.astype(int).tolist() for vector in frame["vector"]]},
    )
    yield "rows", [{"review": text, "vector": vector.tolist()} for text, vector in frame.itertuples(index=False)]
    for size in (-1, 64):
        lists = pa.array(map(list, frame["vector"]), pa.list_(pa.float32(), size))
        yield f"arrow {size}", pa.table({"review": pa.array(frame["review"], pa.large_string()), "vector": lists})


def test_the_form_of_the_data_does_not_matter(tmp_path: Path) -> None:
    """Frames, arrays, lists and Parquet files have one profile."""
    options: dict[str, Any] = {"text": "review", "embeddings": "vector"}
    profiles = {name: ReferenceProfile.fit(data, **options) for name, data in forms(200)}
    for name, data in forms(200):
        if name.startswith("arrow"):
            parquet.write_table(data, tmp_path / f"{name}.parquet")
            saved = str(tmp_path / f"{name}.json")
            arguments = ["--data", str(tmp_path / f"{name}.parquet"), "--text", "review", "--embeddings", "vector"]
            assert main(["profile", *arguments, "--output", saved]) == 0
            assert main(["drift", "--profile", saved, *arguments[:2], "--fail"]) == 0
            profiles[f"file {name}"] = ReferenceProfile.load(saved)
    assert len({profile.id for profile in profiles.values()}) == 1, {name: one.id for name, one in profiles.items()}


def test_text_files_and_rows_without_the_column(tmp_path: Path) -> None:
    """Cells of a CSV file are texts, also where they look like numbers, and a row of JSON may lack the column."""
    texts = ["12 words", "7", " Blanks around ", *TEXTS[:97]]
    profile = ReferenceProfile.fit({"review": texts, "n": np.arange(100) / 7}, text="review")
    profile.save(tmp_path / "p.json")
    pd.DataFrame({"review": texts}).to_csv(tmp_path / "new.csv", index=False)
    rows = [json.dumps({"n": 1} if place < 40 else {"n": 1, "review": texts[place]}) for place in range(100)]
    (tmp_path / "new.jsonl").write_text("\n".join(rows))
    for name, values, missing in (("new.csv", 100, 0), ("new.jsonl", 60, 40)):
        drift = scan_files(profile, DataFiles([tmp_path / name])).compare().features
        assert {(one.count, one.missing) for one in drift if one.name in WORDS} == {(values, missing)}


def test_parts_in_any_order_are_the_whole() -> None:
    """Scans of parts add up to the same bytes, and to the profile of all rows if the centroid is given."""
    frame = table(0, 300)
    options: dict[str, Any] = {"text": ["review"], "embeddings": {"vector": VECTORS[0]}, "images": ["image"]}
    whole = ReferenceProfile.fit(frame, **options)
    packed = [ProfileScan(**options).add(part).to_bytes() for part in (frame[:1], frame[1:130], frame[130:])]
    for order in ((0, 1, 2), (2, 0, 1)):
        parts = [ProfileScan.from_bytes(packed[place]) for place in order]
        merged = functools.reduce(ProfileScan.merge, parts)
        assert merged.profile() == whole
        assert merged.to_bytes() == ProfileScan(**options).add(frame).to_bytes()
        drift = functools.reduce(DriftScan.merge, [DriftScan(whole).add(frame[place::3]) for place in order])
        assert drift.to_bytes() == DriftScan(whole).add(frame).to_bytes()
    plain = ProfileScan(text="review", embeddings="vector").add(frame.drop(columns="image")).profile()
    assert [one.centroid for one in plain.described] == [(), ()]
    with pytest.raises(ProfileError, match="different options"):
        ProfileScan().merge(ProfileScan(text="review"))
    assert whole.merge(whole).rows == 600
    with pytest.raises(ProfileError, match="from other centroids"):
        whole.merge(fit(frame))


def test_a_saved_window_takes_data_and_events(profile: ReferenceProfile) -> None:
    """Events of a service have the descriptors in place of the values, and give the same window."""
    frame = table(ROWS, ROWS + 300)
    columns = describe_columns(profile.described, frame)
    events = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    assert profile.with_window("may", events) == profile.with_window("may", frame)
    assert profile.compare(events).findings == {}


def test_values_of_another_kind_are_invalid_and_missing_ones_missing() -> None:
    """Bytes, paths and numbers are no images, and an embedding has finite numbers; in training too they are counted."""
    frame = {
        "review": [*TEXTS[:97], None, 7, b"text"],
        "vector": [*VECTORS[:96], None, np.nan, "1, 2", [1.0, float("nan")]],
        "image": [*DIGITS[:96], None, b"\x89PNG", "cat.png", [[[1] * 7] * 7] * 7],
    }
    with pytest.warns(UserWarning, match=r"without a bin count as invalid: review\.length: 2 of 100"):
        profile = fit(frame)
    counts = {one.name: (one.size, one.missing, one.invalid) for one in profile.features}
    assert counts["review.length"] == counts["review.word"] == (97, 1, 2)
    assert counts["vector.norm"] == counts["vector.distance"] == (96, 2, 2)
    assert counts["image.width"] == (96, 1, 3)
    assert found(fit(table(0, 500)), review=[1, 2] * 200, vector=["a"] * 400, image=[b"x"] * 400) >= {
        *WORDS,
        *SHAPES,
        "vector.size",
    }
    with pytest.warns(UserWarning, match="images: give arrays or PIL images, not files or bytes"):
        ReferenceProfile.fit({"image": [b"1", b"2"], "n": [1.5, 2.5]}, images=["image"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text": ["review"], "images": ["review"]}, "a column is one of text, embeddings, images and outcomes"),
        (
            {"text": ["review"], "label": "review", "score": "price"},
            "a column is one of text, embeddings, images and outcomes",
        ),
        ({"text": ["review"], "keep": ["review"]}, "takes no `keep`"),
        ({"text": ["review"], "bins": {"review": [1, 2]}}, "takes no `numeric` and no `bins`"),
        ({"text": ["words"]}, "no column 'words'"),
        ({"embeddings": {"vector": "mean"}}, "the centroid of 'vector' is not a vector"),
    ],
)
def test_options_that_contradict_are_refused(options: dict[str, Any], message: str) -> None:
    """The message says what does not fit."""
    with pytest.raises(ProfileError, match=re.escape(message)):
        ReferenceProfile.fit(table(0, 50), **options)


def test_a_feature_of_the_same_name_is_refused() -> None:
    """A column must not be mistaken for a descriptor."""
    with pytest.raises(ProfileError, match=r"a column is called review\.length"):
        ReferenceProfile.fit({"review": TEXTS[:50], "review.length": range(50)}, text=["review"])


def test_a_sensitive_column_shows_nothing() -> None:
    """Its descriptors have opaque bins, and the profile has no centroid."""
    sensitive = fit(table(0, 300), sensitive=["review", "vector"])
    described = [one for one in sensitive.features if one.name.startswith(("review", "vector"))]
    assert len(described) == 16  # no distance
    assert all(re.fullmatch(r"c?\d\d|__\w+__", label) for one in described for label in one.labels)
    assert [one.low for one in described] == [None] * 16
