"""Files of labels as people export them: `otel-ml label` finds the prediction of each row.

Sources: apache/superset#8225, transferwise/pipelinewise-target-snowflake#404 (whole numbers beside a missing value become
floats), datasciencecampus/classifai#21 (ids lose their zeros).
"""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from otel_ml import GroundTruth, Model
from otel_ml.cli import main

LARGE = 1239162456494753671
"""Between two floats."""
IDS = ["0042", "42", "123.0", "123", str(LARGE)]
MOMENT = dt.datetime(2027, 6, 1, 12, tzinfo=dt.timezone.utc)


@pytest.fixture
def truth(tmp_path: Path) -> Iterator[GroundTruth]:
    """A store with predictions of a model of two classes, of one of several and of a ranking."""
    made = GroundTruth(f"sqlite:///{tmp_path}/predictions.db")
    fraud = Model("fraud", "1", task="binary", classes=[False, True], ground_truth=made)
    for name in IDS:
        fraud.record({"x": 1}, prediction=True, score=0.9, id=name)
    tags = Model("tags", "1", task="multilabel", classes=["a", "b", "c"], ground_truth=made)
    tags.record({"x": 1}, prediction=["a", "b"], id="t")
    Model("search", "1", task="ranking", ground_truth=made).record({"x": 1}, prediction=["p", "q"], id="r")
    Model("price", "1", task="regression", ground_truth=made).record({"x": 1}, prediction=1.0, id="e")
    made.flush()
    yield made
    made.close()


@pytest.fixture
def label(tmp_path: Path, truth: GroundTruth, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Runs the command and returns its summary without the states of no label."""

    def run(path: Path, *options: str) -> dict[str, Any]:
        main(["label", "--store", f"sqlite:///{tmp_path}/predictions.db", str(path), "--json", *options])
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return {name: count for name, count in found.items() if count and name != "labels"}

    return run


def labelled_at(truth: GroundTruth, second: float, model: str = "fraud") -> int:
    """The number of labels of one second."""
    labelled: int = truth.compute_metrics(second, second + 1, model=model)["labelled"]
    return labelled


def test_ids_and_classes_of_a_text_file_stay_as_they_are(tmp_path: Path, label: Callable[..., Any]) -> None:
    """`0042` and `42`, and `123.0` and `123`, are four ids; `1`, `1.0` and `True` are one class."""
    rows = "".join(f"{name},{cell}\n" for name, cell in zip(IDS, ["1", "True", "1.0", "TRUE", "true"], strict=True))
    (tmp_path / "l.csv").write_text(f"prediction_id,label\n{rows}")

    assert label(tmp_path / "l.csv") == {"matched": 5}


@pytest.mark.parametrize(
    ("name", "kind"), [("l.parquet", pa.int64()), ("l.parquet", pa.decimal128(38)), ("l.feather", pa.int64())]
)
def test_large_ids_beside_a_missing_one_keep_their_digits(
    tmp_path: Path, label: Callable[..., Any], name: str, kind: pa.DataType
) -> None:
    """As floats they would be the ids of other predictions."""
    ids = [decimal.Decimal(LARGE), None] if pa.types.is_decimal(kind) else [LARGE, None]
    table = pa.table({"order": pa.array(ids, kind), "label": [True, True]})
    write = feather.write_feather if name.endswith("feather") else parquet.write_table
    write(table, tmp_path / name)

    assert label(tmp_path / name, "--id", "order") == {"matched": 1, "failed": 1, "reasons": {"unreadable": 1}}


def test_a_moment_keeps_its_zone(
    tmp_path: Path, truth: GroundTruth, label: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A moment of UTC in a parquet file is not one of local time; a missing one is now."""
    moments = pa.array([MOMENT, None], pa.timestamp("us", "UTC"))
    parquet.write_table(pa.table({"id": IDS[:2], "label": [1, 1], "known": moments}), tmp_path / "l.parquet")

    assert label(tmp_path / "l.parquet", "--at", "known") == {"matched": 2}
    assert labelled_at(truth, MOMENT.timestamp()) == 1


def test_a_moment_in_a_text_file_is_seconds_or_iso(
    tmp_path: Path, truth: GroundTruth, label: Callable[..., Any]
) -> None:
    """Milliseconds are refused, not taken for another year."""
    seconds = MOMENT.timestamp()
    cells = [f"{seconds:.0f}", f"{seconds}", MOMENT.isoformat(" "), f"{seconds * 1000:.0f}"]
    rows = "".join(f"{name};1;{cell}\n" for name, cell in zip(IDS, cells, strict=False))
    (tmp_path / "l.csv").write_text(f"id;label;at\n{rows}")

    assert label(tmp_path / "l.csv") == {"matched": 3, "failed": 1, "reasons": {"moment": 1}}
    assert labelled_at(truth, seconds) == 3


def test_eight_digits_are_a_date(tmp_path: Path, truth: GroundTruth, label: Callable[..., Any]) -> None:
    """Where Python reads `20270601`; it is never a second of 1970."""
    (tmp_path / "l.csv").write_text("id,label,at\n42,1,20270601\n")
    label(tmp_path / "l.csv")

    assert labelled_at(truth, 20270601.0) == 0


def test_sets_and_gains_stand_in_a_cell(tmp_path: Path, truth: GroundTruth, label: Callable[..., Any]) -> None:
    """As JSON text in a CSV file, which names the model of each row."""
    (tmp_path / "l.csv").write_text('id,label,model\nt,"[""a"", ""b""]",tags\nr,"{""q"": 2}",search\n')

    assert label(tmp_path / "l.csv") == {"matched": 2}
    assert truth.compute_metrics(0, 1e10, model="tags")["exact_match"] == 1.0
    assert truth.compute_metrics(0, 1e10, model="search")["reciprocal_rank"] == 0.5


def test_sets_and_gains_are_values_of_json_lines(tmp_path: Path, label: Callable[..., Any]) -> None:
    """A key that a line lacks is a missing value."""
    lines = [{"id": "t", "label": ["a"], "at": MOMENT.isoformat()}, {"id": "r", "label": {"q": 2}}, {"id": "e"}]
    with gzip.open(tmp_path / "l.jsonl.gz", "wt") as file:
        file.writelines(f"{json.dumps(line)}\n" for line in lines)

    assert label(tmp_path / "l.jsonl.gz") == {"matched": 2, "failed": 1, "reasons": {"unreadable": 1}}


def test_a_decimal_comma_is_a_number(tmp_path: Path, truth: GroundTruth, label: Callable[..., Any]) -> None:
    """Between semicolons `1,25` is 1.25."""
    (tmp_path / "l.csv").write_text("id;label\ne;1,25\n")

    assert label(tmp_path / "l.csv") == {"matched": 1}
    assert truth.compute_metrics(0, 1e10, model="price")["mae"] == 0.25


def test_a_named_model_has_all_labels(tmp_path: Path, label: Callable[..., Any]) -> None:
    """A column `model` may be a feature, such as that of a car; it is read only without `--model`."""
    (tmp_path / "l.csv").write_text("id,label,model\ne,1,Golf\n")

    assert label(tmp_path / "l.csv") == {"waiting": 1}
    assert label(tmp_path / "l.csv", "--model", "price") == {"matched": 1}
