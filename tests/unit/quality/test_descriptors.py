"""What describes one text, vector or image."""

from __future__ import annotations

import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from otel_ml import ReferenceProfile
from otel_ml.quality import DataFiles
from otel_ml.quality.descriptors import DescribedColumn, find_centroid

TEXT = DescribedColumn("t", "text")


def described(column: DescribedColumn, value: Any) -> dict[str, Any]:
    """The descriptors of one value by their short names."""
    return {name.partition(".")[2]: values[0] for name, values in column.describe([value]).items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", (0, 0, 0, 0, 0)),
        ("  Zwölf 12 Äpfel\n", (14, 2, 2 / 14, 2 / 14, 2 / 14)),
        ("東京へ行く", (5, 5, 0, 0, 1)),
        ("٣ \ud800 ok", (6, 1, 1 / 6, 0, 2 / 6)),
        ("e\u0301te\u0301", (5, 1, 0, 0, 2 / 3)),
    ],
)
def test_a_text(text: str, expected: tuple[float, ...]) -> None:
    """Blanks around it do not count, an accent is a part of its letter, and Han has a word in each character."""
    found = described(TEXT, text)
    word = found.pop("word")
    assert tuple(found.values()) == expected
    assert (word == "none") == (expected[1] == 0)


def test_a_word_is_the_same_in_any_case_and_normal_form() -> None:
    """The code of a word does not show it."""
    forms = ["Élan", "élan", "ÉLAN", unicodedata.normalize("NFD", "élan"), " élan "]
    codes = {described(TEXT, form)["word"] for form in forms}
    assert len(codes) == 1
    assert codes != {described(TEXT, "elan")["word"]}


def test_every_word_of_many_texts_is_chosen_as_often_as_it_occurs() -> None:
    """Which word stands for a text depends on the whole text, so that no place is preferred."""
    words = [described(TEXT, f"one two three {number}")["word"] for number in range(600)]
    counts = [words.count(word) for word in set(words)]
    assert len(counts) == 3
    assert min(counts) > 150


def test_a_vector_in_a_row_of_its_own_is_the_vector() -> None:
    """An encoder returns a matrix also for one text."""
    column = DescribedColumn("v", "embedding", (0.0, 1.0))
    vector = np.array([3.0, 5.0])
    found = described(column, vector)
    assert (found["size"], found["norm"], found["distance"]) == (2, np.sqrt(34), 5)
    assert described(column, vector[None]) == described(column, [3, 5]) == found
    assert described(column, np.stack([vector, vector]))["norm"] == np.inf
    assert described(column, [3.0, 5.0, 1.0])["distance"] == np.inf


def test_the_centroid_is_of_the_most_frequent_size() -> None:
    """A few vectors of another model do not decide."""
    assert find_centroid([[1, 2, 3], [1.0, 5.0], [2.0, 6.0], None, "a"]) == (1.5, 5.5)
    assert find_centroid([None]) == ()


def test_a_profile_has_no_centroid_of_a_sensitive_column() -> None:
    """Neither one that was found nor one that was given; the weight of a column is that of its descriptors."""
    frame = {"n": np.arange(50) / 7, "v": list(np.random.default_rng(0).normal(size=(50, 3)))}
    for embeddings in (["v"], {"v": [1, 2, 3]}):
        profile = ReferenceProfile.fit(frame, embeddings=embeddings, sensitive=["v"], importance={"v": 1})
        assert [one.centroid for one in profile.described] == [()]
        assert [feature.name for feature in profile.features][:2] == ["v.size", "v.norm"]


def test_vectors_of_a_file_are_arrays(tmp_path: Path) -> None:
    """A list of Python floats would take eight times the room."""
    table = pa.table({"v": pa.array([[1.0, 2.0], None, [3.0]], pa.list_(pa.float32()))})
    parquet.write_table(table, tmp_path / "v.parquet")
    (batch,) = DataFiles([tmp_path / "v.parquet"]).batches(["v"])
    assert [None if one is None else (one.dtype.name, one.tolist()) for one in batch.columns["v"]] == [
        ("float32", [1.0, 2.0]),
        None,
        ("float32", [3.0]),
    ]
