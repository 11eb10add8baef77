"""The probability of each declared class is read from every form in which a model returns it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from tensors import Tensor

from otel_ml import _guard
from otel_ml.prediction.boundary import _outputs
from otel_ml.prediction.boundary._outputs import Output

ABC = ["a", "b", "c"]
SHARES = [0.25, 0.125, 0.625]
ROWS = np.random.default_rng(7).dirichlet(np.ones(3), 200)


class HostTensor(Tensor):
    """A tensor that becomes an array, as one of torch does."""

    def double(self) -> HostTensor:
        return HostTensor(self._array.astype("float64"))

    def detach(self) -> HostTensor:
        return self

    def is_floating_point(self) -> bool:
        return self._array.dtype.kind == "f"

    def __getitem__(self, key: Any) -> HostTensor:
        return HostTensor(self._array[key])

    def numpy(self) -> np.ndarray[Any, Any]:
        return self._array


HostTensor.__module__ = "torch"


def read(result: Any, **keywords: Any) -> Output:
    keywords = {"task": "multiclass", "classes": ABC, "batch": False, "rows": None, "wants_shares": True, **keywords}
    found = _outputs.recognise(result, **keywords)
    assert found is not None
    return found


def as_lists(shares: Any) -> Any:
    return None if shares is None else [None if row is None else [float(share) for share in row] for row in shares]


NAMED = {"c": 0.625, "a": 0.25, "b": 0.125}
SINGLE = {
    "list": SHARES,
    "array": np.array(SHARES),
    "float32": np.array(SHARES, "float32"),
    "one row": np.array([SHARES]),
    "tensor": Tensor(SHARES),
    "series": pd.Series(SHARES),
    "mapping": NAMED,
    "pair": ("c", SHARES),
    "pair with a mapping": ("c", NAMED),
    "label and vector": {"prediction": "c", "probability": SHARES},
    "label and mapping": {"label": "c", "scores": NAMED},
    "beside a score": {"prediction": "c", "probability": 0.625, "probabilities": SHARES},
    "mapping beside a score": {"prediction": "c", "score": 0.625, "probabilities": NAMED},
    "array beside a score": {"prediction": "c", "confidence": 0.625, "probs": np.array(SHARES)},
    "labels and scores": {"labels": list(NAMED), "scores": list(NAMED.values())},
    "pipeline": [{"label": name, "score": share} for name, share in NAMED.items()],
    "pipeline of one": [[{"label": name, "score": share} for name, share in NAMED.items()]],
    "frame of a row": pd.DataFrame([NAMED]),
}


@pytest.mark.parametrize("form", SINGLE)
def test_one_prediction(form: str) -> None:
    """Its class and score stay what they are without the probabilities."""
    result = SINGLE[form]
    rows = 1 if form == "frame of a row" else None
    plain = read(result, rows=rows, wants_shares=False)
    found = read(result, rows=rows)
    assert as_lists(found.shares) == [SHARES]
    assert (found, found.classes, found.scores, plain.shares) == (plain, ["c"], [0.625], None)


def test_one_prediction_that_the_caller_passes() -> None:
    """With and without the class, as `record` and `set_output` take it."""
    for prediction, score in (("c", SHARES), (None, SHARES), ("c", NAMED), (SHARES, None), (NAMED, None)):
        found = _outputs.given(prediction, score, task="multiclass", classes=ABC, batch=False, wants_shares=True)
        assert found is not None
        assert (as_lists(found.shares), found.classes, found.scores) == ([SHARES], ["c"], [0.625])


LABELS = [ABC[place] for place in ROWS.argmax(axis=1)]
SWAPPED = ROWS[:, [2, 0, 1]]
BATCHES = {
    "array": ROWS,
    "lists": ROWS.tolist(),
    "tensor": HostTensor(ROWS),
    "stub of a tensor": Tensor(ROWS),
    "frame": pd.DataFrame(SWAPPED, columns=["c", "a", "b"]),
    "numbered frame": pd.DataFrame(ROWS),
    "polars": pl.DataFrame({"c": ROWS[:, 2], "a": ROWS[:, 0], "b": ROWS[:, 1]}),
    "arrow": pa.table({"c": ROWS[:, 2], "a": ROWS[:, 0], "b": ROWS[:, 1]}),
    "mappings": [dict(zip(ABC, row, strict=True)) for row in ROWS.tolist()],
    "pair": (np.array(LABELS), ROWS),
    "pair of lists": (LABELS, ROWS.tolist()),
    "pair with a frame": (LABELS, pd.DataFrame(SWAPPED, columns=["c", "a", "b"])),
    "columns": {"predictions": LABELS, "probabilities": ROWS},
    "records": [{"label": name, "probabilities": row} for name, row in zip(LABELS, ROWS.tolist(), strict=True)],
    "series and array": {"prediction": pd.Series(LABELS), "scores": ROWS},
}


@pytest.mark.parametrize("count", [1, 3, 200])
@pytest.mark.parametrize("form", BATCHES)
def test_a_batch(form: str, count: int) -> None:
    """A few rows and many, by column or one by one, give the same classes, scores and probabilities."""
    result = _first(BATCHES[form], count)
    found = read(result, rows=count)
    plain = read(result, rows=count, wants_shares=False)
    for output in (found, plain):
        output.keep(count)
    assert as_lists(found.shares) == ROWS[:count].tolist()
    assert (found, plain.shares) == (plain, None)
    assert (found.rows, found.classes, found.scores) == (count, LABELS[:count], ROWS[:count].max(axis=1).tolist())


def _first(form: Any, count: int) -> Any:
    if isinstance(form, tuple):
        return tuple(_first(part, count) for part in form)
    if isinstance(form, dict):
        return {name: _first(part, count) for name, part in form.items()}
    return form.slice(0, count) if isinstance(form, pa.Table) else form[:count]


def test_many_rows_stay_an_array() -> None:
    """No object is made for a row, and the caller may change the result afterwards."""
    result = ROWS.copy()
    found = read(result, rows=200)
    assert found.columns is not None
    result[:] = 0
    found.keep(150)
    assert isinstance(found.shares, np.ndarray)
    assert (found.shares == ROWS[:150]).all()


def test_the_slices_of_a_large_batch_have_them_too() -> None:
    """Rows beyond the first ones are read like these."""
    result = np.resize(ROWS, (100_080, 3))
    found = read(result, batch=True)
    ((start, part),) = found.slices()
    assert (start, part.rows_read) == (100_000, 80)
    part.keep(80)
    assert (part.shares == result[100_000:]).all()


@pytest.mark.parametrize("count", [1, 200])
@pytest.mark.parametrize("classes", [None, ["a", "b"], ["a", "b", "c", "d"]])
@pytest.mark.parametrize("form", ["array", "pair", "mappings"])
def test_probabilities_of_other_classes(
    form: str, classes: list[str] | None, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    """They are left out, and one line says what to do."""
    _guard.reset()
    found = read(_first(BATCHES[form], count), rows=count, classes=classes)
    found.keep(count)
    assert found.shares is None
    (line,) = caplog.messages
    assert "declare classes=..." in line or "no class is known without classes=..." in line


def test_binary_vectors_are_a_score() -> None:
    """The probability of the positive class is all that there is to know of two."""
    two = np.stack([1 - ROWS[:, 0], ROWS[:, 0]], axis=1)
    for rows in (two, two[:3]):
        found = read(rows, task="binary", classes=["no", "yes"], rows=len(rows), wants_shares=False)
        found.keep(len(rows))
        assert (found.scores, found.shares) == (rows[:, 1].tolist(), None)
        assert found.classes == [["no", "yes"][int(second > first)] for first, second in rows]


@pytest.mark.parametrize("spoiled", [np.nan, -0.1, 1.5])
def test_one_row_without_probabilities(spoiled: float) -> None:
    """The other rows keep theirs."""
    rows = ROWS.copy()
    rows[5] = spoiled
    found = read(rows, rows=200)
    found.keep(200)
    assert found.shares[5] is None
    assert as_lists(found.shares[:5]) == ROWS[:5].tolist()
    assert found.classes[4:7] == [LABELS[4], None, LABELS[6]]


CERTAIN = [-1e-6, 0.0, 1.0000098]
ROUNDED = {
    "list": CERTAIN,
    "array": np.array(CERTAIN),
    "mapping": dict(zip(ABC, CERTAIN, strict=True)),
    "labels and scores": {"labels": ABC, "scores": CERTAIN},
    "pipeline": [{"label": name, "score": share} for name, share in zip(ABC, CERTAIN, strict=True)],
    "array of rows": np.array([CERTAIN] * 70),
    "list of rows": [CERTAIN] * 70,
    "frame of rows": pd.DataFrame([CERTAIN] * 70, columns=ABC),
}


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
@pytest.mark.parametrize("form", ROUNDED)
def test_probabilities_beyond_one_by_rounding_are_probabilities(form: str, task: str) -> None:
    """Those of the most certain predictions are kept in every form, as a score beside a class is."""
    found = read(ROUNDED[form], task=task, rows=70 if form.endswith("rows") else None)
    shares = found.shares if found.columns is None else found.columns.shares
    assert as_lists(shares)[0] == pytest.approx(CERTAIN)


def test_a_bare_score_beyond_one_by_rounding_is_a_score() -> None:
    """As the result of a binary model without anything beside it."""
    assert read(1.0000098, task="binary", wants_shares=False).scores == [1.0000098]
