"""Outputs in columns are read as the same outputs in lists."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from otel_ml.prediction.boundary import _outputs
from otel_ml.prediction.boundary._outputs import Output

ROWS = 130
drawn = np.random.default_rng(5)
PREDICTIONS: dict[str, Any] = {
    "whole numbers": drawn.integers(0, 2, ROWS),
    "booleans": drawn.random(ROWS) < 0.5,
    "whole floats": drawn.integers(0, 2, ROWS).astype(float),
    "floats": drawn.random(ROWS) * 9,
    "shares": drawn.random(ROWS),
    "float32": (drawn.random(ROWS) * 3).astype(np.float32),
    "texts": np.array(drawn.choice(["a", "b"], ROWS), dtype=object),
    "fixed texts": drawn.choice(["a", "b"], ROWS),
    "unclean texts": np.array(["a\n", "a "] * (ROWS // 2), dtype=object),
    "with NaN": np.where(drawn.random(ROWS) < 0.1, np.nan, 1.0),
    "with None": np.array([None, "a"] * (ROWS // 2), dtype=object),
    "too large": np.full(ROWS, 1e200),
}
SCORES: dict[str, Any] = {
    "none": None,
    "shares": drawn.random(ROWS),
    "whole": drawn.integers(0, 2, ROWS),
    "outside": drawn.normal(size=ROWS) * 5,
    "with NaN": np.where(drawn.random(ROWS) < 0.1, np.nan, 0.5),
    "too few": drawn.random(ROWS - 1),
}


def as_list(column: Any) -> Any:
    convert = next(
        (getattr(column, name) for name in ("tolist", "to_pylist", "to_list") if hasattr(column, name)), None
    )
    return None if convert is None else convert()


def read(door: str, task: Any, prediction: Any, score: Any) -> Output | None:
    if door == "given":
        return _outputs.given(prediction, score, task=task, classes=None, batch=True)
    results: dict[str, Any] = {
        "pair": (prediction, score),
        "bare": prediction,
        "mapping": {"predictions": prediction} if score is None else {"predictions": prediction, "scores": score},
    }
    return _outputs.recognise(results[door], task=task, classes=None, batch=True, rows=ROWS)


def facts(output: Output | None) -> Any:
    """Returns everything that is known of an output, first what is counted, then the rows."""
    if output is None:
        return None
    counted = (
        dict(output.class_counts()),
        sorted(float(score) for score in output.measured_scores()),
        output.has_class(),
        output.has_score(),
        output.rows_read,
    )
    output.keep(ROWS)
    return counted, dataclasses.asdict(output), output.omissions


@pytest.mark.parametrize("door", ["given", "pair", "bare", "mapping"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "ranking", "other"])
def test_columns_are_read_as_lists(door: str, task: str) -> None:
    """Classes, values, scores, their counts and what was left out, for every type, task and library."""
    read_by_column = 0
    for wrap in (np.asarray, pd.Series, pl.Series, pa.array):
        for prediction in PREDICTIONS.values():
            for score in SCORES.values():
                columns = [None if each is None else wrap(each) for each in (prediction, score)]
                found = read(door, task, *columns)
                read_by_column += found is not None and found.columns is not None
                assert facts(found) == facts(read(door, task, *map(as_list, columns)))
    assert read_by_column


def test_slices_of_columns_are_whole() -> None:
    """Rows beyond the first 100,000 are read by column as well, and from there on by row if they are not alike."""
    for last in (1.0, np.nan):
        predictions = np.append(np.zeros(_outputs.OUTPUT_LIMIT + 99), last)
        output = _outputs.given(predictions, None, task="binary", classes=None, batch=True)
        assert output is not None
        parts = list(output.slices())
        assert (output.rows, output.rows_read) == (len(predictions), _outputs.OUTPUT_LIMIT)
        assert [(start, part.rows_read) for start, part in parts] == [(_outputs.OUTPUT_LIMIT, 100)]
        assert parts[0][1].class_counts() == ({"0": 99, "1": 1} if last == 1.0 else {"0": 99, None: 1})


def test_only_the_rows_that_are_needed_are_kept() -> None:
    """What waits for the worker does not grow with the batch."""
    for predictions in (np.arange(500) % 3, (np.arange(500) % 3).tolist()):
        output = _outputs.given(predictions, None, task="multiclass", classes=None, batch=True)
        assert output is not None
        output.keep(100)
        assert (output.rows, output.rows_read, output.classes[:4]) == (500, 100, ["0", "1", "2", "0"])
