"""The console's figures of every task, of what replicas really send: those of scikit-learn.

Source: TheRacetrack/racetrack#187 (a figure that differs with the replica that answers).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from labelled_data import ROWS, multiclass, regression
from pipeline_servers import deploy_replicas
from test_performance_of_every_task import ERROR_BIN, EXACT, EXPECTED, TASK_OF, estimated

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "console"))

from console_server import Console, running  # noqa: E402

from otel_ml.console._options import Options  # noqa: E402


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A console to which three replicas have sent predictions and labels of every task."""
    with running(Options()) as started:
        deploy_replicas("labelled_data.py", 3, f"{started.address}/v1/metrics", tmp_path_factory.mktemp("tasks"))
        assert started.ingest.flush(30)
        yield started


def version(console: Console, task: str) -> dict[str, Any]:
    [found] = console.get(f"/api/performance?model={task}")["versions"]
    return dict(found)


@pytest.mark.parametrize("task", EXPECTED)
def test_the_console_has_the_figures_of_scikit_learn(console: Console, task: str) -> None:
    """Every figure of every task is exact; ranks and calibration are those of binned scores."""
    rows = version(console, task)["figures"]
    found = {row["figure"]: row["value"] for row in rows if not row["figure"].startswith("error_")}
    assert found == pytest.approx(EXPECTED[task](), rel=EXACT)
    assert {row["labels"] for row in rows} == {ROWS}
    ends = {row["figure"]: row["interval"] for row in rows}
    assert all(low <= found[name] <= high for name in found if ends[name] for low, high in [ends[name]])
    if task == "multilabel":
        assert all(ends[name] for name in ("exact_match", "hamming_loss", "precision", "recall", "f1"))


def test_the_console_counts_each_error_once(console: Console) -> None:
    """Quantiles of a regression's errors are right up to a bin, and the bars together are the labels."""
    found = version(console, "regression")
    y, z = (regression().arrays[name] for name in "yz")
    figures = {row["figure"]: row["value"] for row in found["figures"]}
    for percent in (50, 90, 99):
        exact = float(np.quantile(abs(z - y), percent / 100, method="inverted_cdf"))
        assert exact / ERROR_BIN <= figures[f"error_p{percent}"] <= exact * ERROR_BIN
    assert sum(each["labels"] for each in found["errors"]) == ROWS


def test_the_console_has_the_matrix_of_all_classes(console: Console) -> None:
    """Each cell is the number of labelled predictions of this actual and predicted class."""
    y, z = (multiclass().arrays[name] for name in "yz")
    matrix = version(console, "multiclass")["confusion"]
    wanted = [[int(((y == actual) & (z == predicted)).sum()) for predicted in range(3)] for actual in range(3)]
    assert [row["cells"] for row in matrix["rows"]] == wanted


@pytest.mark.parametrize("task", TASK_OF)
def test_the_console_estimates_as_scikit_learn_would(console: Console, task: str) -> None:
    """The estimate is that of rows that are there once for each class, weighted by its chance; so is the gap to labels."""
    rows = version(console, task)["estimate"]
    wanted, realised = estimated(task), EXPECTED[task]()
    assert {row["figure"]: row["value"] for row in rows} == pytest.approx(wanted, rel=EXACT)
    gaps = {row["figure"]: row["gap"] for row in rows if row["gap"] is not None}
    assert gaps == pytest.approx({name: wanted[name] - realised[name] for name in gaps}, abs=EXACT)
    assert {*gaps} == {*wanted} - {"auc"}
