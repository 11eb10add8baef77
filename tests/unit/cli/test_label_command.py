"""`otel-ml label`: states, exit codes, errors and what it exports."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import otlp_receiver
import pytest
from otlp_receiver import Receiver

import otel_ml
from otel_ml import _guard
from otel_ml.cli import main

receiver = otlp_receiver.receiver


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with three predictions."""
    _guard.reset()
    found = f"sqlite:///{tmp_path}/predictions.db"
    truth = otel_ml.GroundTruth(found)
    model = otel_ml.Model("fraud", "1", task="binary", classes=[0, 1], ground_truth=truth)
    for name in "abc":
        model.record({"x": 1}, prediction=1, score=0.9, id=name)
    truth.close()
    return found


@pytest.fixture
def csv(tmp_path: Path) -> Callable[..., str]:
    """Writes a file of labels and returns its path."""

    def write(*rows: str, header: str = "prediction_id,label", name: str = "labels.csv") -> str:
        (tmp_path / name).write_text("\n".join([header, *rows, ""]))
        return str(tmp_path / name)

    return write


def run(*arguments: str) -> int:
    return main(["label", "--store", *arguments])


def test_the_summary_has_every_state(url: str, csv: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    """A label that waits is no failure; with failed ones the exit code is 1, and the reasons stand beside."""
    path = csv("a,1", "a,1", "a,0", "b,1", "new,1", "c,maybe", "c,")
    assert run(url, path) == 1
    shown = capsys.readouterr()
    assert shown.out == (
        "labels               7\n"
        "matched              2\n"
        "waiting              1\n"
        "duplicate            1\n"
        "revised              1\n"
        "outdated             0\n"
        "failed               2  (1 undeclared_class, 1 unreadable)\n"
    )
    assert shown.err.splitlines()[-2:] == [
        "otel-ml label: `otel-ml evaluate --waiting` lists the labels that wait for a prediction, and why",
        "otel-ml label: nothing is exported, so live figures lack these labels: set OTEL_EXPORTER_OTLP_ENDPOINT",
    ]


def test_a_file_can_be_given_again(url: str, csv: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    """Its labels are duplicates then, and nothing is said."""
    path = csv("a,1", "b,1")
    assert (run(url, path), run(url, path, "--json")) == (0, 0)
    shown = capsys.readouterr()
    assert '"duplicate": 2' in shown.out.splitlines()[-1]
    assert shown.err.count("nothing is exported") == 1


def test_a_missing_column_is_named_before_any_label_is_recorded(
    url: str, csv: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the file, of several, that lacks it, and the columns that are there."""
    good, bad = csv("a,1"), csv("b,1", header="order,fraud", name="other.csv")
    assert run(url, good, bad) == 2
    assert run(url, bad, "--id", "order", "--label", "truth") == 2
    assert run(url, good) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines()[1] == "matched              1"
    assert shown.err.splitlines()[:2] == [
        f"otel-ml label: {bad} has no column 'prediction_id', 'label'; there are order, fraud",
        f"otel-ml label: {bad} has no column 'truth'; there are order, fraud",
    ]


def test_a_damaged_row_says_what_was_recorded_before(
    url: str, csv: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names file and line; the labels of the files before are in the store."""
    good, bad = csv("a,1", "b,0"), csv("c,1,7", name="other.csv")
    assert run(url, good, bad) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"otel-ml label: {bad}, line 2: 3 values, the header has 2 columns; 2 labels are recorded, and can be given again"
    )


def test_it_stops_when_the_store_cannot_be_used(
    url: str, csv: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The store would fail for every further label."""
    path = csv("a,1")
    store = otel_ml.GroundTruth(url, read_only=True)
    monkeypatch.setattr("otel_ml.cli._store_arguments.GroundTruth", lambda *_, **__: store)
    assert run(url, path) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("otel-ml label: the store cannot be used; 0 labels")


def test_counts_and_events_are_exported_once(url: str, csv: Callable[..., str], receiver: Receiver) -> None:
    """With an endpoint in the environment: counts from 0, and an event for each label, before the process ends."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-m", "otel_ml", "label", "--store", url, csv("a,1", "b,0")],
        env={**kept, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "failed" not in done.stderr  # a slow machine shows progress
    values = [
        point.as_int
        for request in receiver.metric_requests()
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "ml.eval.outcomes"
        for point in metric.sum.data_points
    ]
    assert sorted(values) == [0, 0, 0, 0, 0, 0, 1, 1]  # two outcomes that did not come, and two that rose from 0
    assert [record.event_name for record in receiver.logs()] == ["ml.label", "ml.label"]
