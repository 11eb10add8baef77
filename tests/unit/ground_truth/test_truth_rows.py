"""A prediction as a row of the store, and back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import sqlalchemy as sa
from truth_rows import LOGGED, join

from otel_ml.ground_truth.storage._rows import COLUMNS, INSERTED, from_row, read_rows, stored_rows
from otel_ml.ground_truth.storage._tables import Tables

CLASSES = ("0", "1")


@pytest.mark.parametrize("classes", [None, CLASSES])
def test_a_row_is_read_back_as_the_prediction_that_was_stored(classes):
    """All fields that the store keeps are the same after a round trip."""
    prediction = LOGGED._replace(id="p", classes=classes)

    (row,) = stored_rows(read_rows(prediction)).rows

    assert (len(row), from_row(row, classes)) == (len(INSERTED), prediction)


def test_probabilities_are_read_back_exactly():
    """Each is the same double, for a row by itself and for an array of rows."""
    shares = [(0.1, 1 / 3, 0.5666666666666667), (5e-324, 1.0, 0.0)]
    classes = ("a", "b", "c")
    one = LOGGED._replace(id="p", task="multiclass", positive=None, predicted="b", classes=classes)
    rows = join(read_rows(one._replace(id=name)) for name in "xy")

    stored = [stored_rows(replace(rows, probabilities=given)) for given in (shares, np.array(shares))]

    assert [each.columns for each in stored] == [(*INSERTED, "probabilities")] * 2
    assert [[from_row(row, classes, row[-1]).probabilities for row in each.rows] for each in stored] == [shares] * 2


def test_segments_are_read_back():
    """They are a JSON text of the store, which is not there for a model without segments."""
    one = LOGGED._replace(id="p", classes=CLASSES, segments={"region": "Süd", "age": "group 2"})

    stored = stored_rows(read_rows(one))

    assert stored.columns == (*INSERTED, "segments")
    (row,) = stored.rows
    assert json.loads(row[-1]) == one.segments
    assert from_row(row, CLASSES, segments=row[-1]) == one


def test_segments_given_by_a_caller_are_plain_texts():
    """A value without a text is counted with the others, and a column without a name is left out."""
    given = {"region": object(), "age": 7, "": "x", "city": "a" * 5000}

    rows = read_rows(LOGGED._replace(id="p", segments=given))

    assert rows.model.segments == ("region", "age", "city")
    assert (rows.segments[0][:2], len(rows.segments[0][2])) == (("__other__", "7"), 128)


@pytest.mark.parametrize("given", [(0.5, 0.5), (0.5, 0.5, None), (0.5, 0.5, "x")])
def test_probabilities_that_are_not_one_for_each_class_are_left_out(given):
    """The prediction itself is stored."""
    one = LOGGED._replace(id="p", task="multiclass", predicted="b", classes=("a", "b", "c"), probabilities=given)

    (row,) = stored_rows(read_rows(one)).rows

    assert (row[0], row[-1]) == ("p", None)


@pytest.mark.parametrize(
    ("task", "given", "stored"),
    [
        ("multilabel", '["1.0", "b"]', '["1", "b"]'),
        ("multilabel", "b", '["b"]'),
        ("multilabel", "[]", "[]"),
        ("multilabel", '["b", "other"]', '["b", "other"]'),
        ("ranking", '["b", "a"]', '["b", "a"]'),
        ("ranking", 7, '["7"]'),
        ("multilabel", json.dumps(["x" * 100, "y" * 100]), json.dumps(["x" * 100, "y" * 100])),
    ],
)
def test_sets_and_rankings_are_stored_whole(task, given, stored):
    """Classes of a set are spelled as declared, a bare value is a set of one, and the order of a ranking stays."""
    one = LOGGED._replace(id="p", task=task, positive=None, predicted=given, classes=("1", "b"))

    (row,) = stored_rows(read_rows(one)).rows

    assert from_row(row).predicted == stored


def test_the_table_has_the_columns_of_a_row():
    """The table has a column for each kept field, and one for repetitions; the label has a table of its own."""
    columns = set(Tables(sa).predictions.columns.keys())

    assert columns == {*COLUMNS, "classes", "probabilities", "segments", "repeated"}


def test_a_row_is_plain_and_bounded():
    """Texts of a caller are cleaned, an equal class becomes the declared one, and the id of the batch an alias."""
    given = LOGGED._replace(id="x" * 300, predicted="1.0", classes=CLASSES, batch_id="b", batch_rows=1)
    stored = stored_rows(read_rows(given))

    cleaned = given._replace(id="x" * 256, predicted="1", batch_id=None, batch_rows=None)
    assert [from_row(row, CLASSES) for row in stored.rows] == [cleaned]
    assert (stored.class_names, stored.aliases) == ('["0", "1"]', (("b", "x" * 256), ("b.0", "x" * 256)))


def test_a_prediction_without_an_id_has_no_row():
    """A prediction without an id is not stored: no label could find it."""
    assert read_rows(LOGGED) is None


def test_rows_and_their_parts_are_predictions():
    """Rows by column are the same predictions as one by one, whole or in part."""
    predictions = [
        LOGGED._replace(id=name, predicted=name, score=0.5, classes=CLASSES, batch_id="b", batch_rows=3)
        for name in "xyz"
    ]
    rows = join(read_rows(each) for each in predictions)

    assert (len(rows), list(rows.predictions())) == (3, predictions)
    assert list(rows.part(1).predictions()) == predictions[1:]
    assert list(rows.part(0, 1).predictions()) == predictions[:1]


def test_the_columns_are_the_first_fields():
    """A row pairs them with the values by position."""
    assert LOGGED._fields[: len(COLUMNS)] == COLUMNS
