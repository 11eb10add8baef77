"""A prediction as a row of the store, and back."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from truth_rows import LOGGED, join

from otel_ml.ground_truth._rows import COLUMNS, INSERTED, from_row, read_rows, stored_rows
from otel_ml.ground_truth._tables import Tables

CLASSES = ("0", "1")


@pytest.mark.parametrize("classes", [None, CLASSES])
def test_a_row_is_read_back_as_the_prediction_that_was_stored(classes):
    """All fields that the store keeps are the same after a round trip."""
    prediction = LOGGED._replace(id="p", classes=classes)

    (row,) = stored_rows(read_rows(prediction)).rows

    assert (len(row), from_row(row, classes)) == (len(INSERTED), prediction)


def test_the_table_has_the_columns_of_a_row():
    """The table has a column for each kept field, and three for the label, and one for repetitions."""
    columns = set(Tables(sa).predictions.columns.keys())

    assert columns == {*COLUMNS, "classes", "label", "number", "labeled_at", "repeated"}


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
