"""Whoever finds no figures is told why: which models there are, how many labels wait or failed, under which ids, and why.

Sources: evidentlyai/evidently#281 (a task without figures), pandas-dev/pandas#8596 (ids as floats in a merged frame),
mlflow/mlflow#12790 (evaluation without a word on what is missing).
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import otel_ml
from otel_ml.cli import main
from otel_ml.testing import InMemoryTelemetry


@pytest.fixture
def url(store_url: str) -> str:
    return store_url


@pytest.fixture
def truth(telemetry: InMemoryTelemetry, url: str) -> Iterator[otel_ml.GroundTruth]:
    """Two models; labels that match, that wait for each reason, and that fail."""
    made = otel_ml.GroundTruth(url)
    for name in ("churn", "fraud"):
        model = otel_ml.Model(name, "1", task="binary", classes=[0, 1], ground_truth=made)
        model.record([{}, {}], prediction=[1, 0], id=f"{name}-batch", batch=True)
        model.record({}, prediction=1, id="shared")
    otel_ml.Model("churn", "1", task="binary", classes=[0, 1], ground_truth=made).record({}, prediction=1, id="c1")
    made.flush()
    labels = [("123.0", 1), ("early", 0, None, "fraud"), ("c1", 1, None, "fraud"), ("fraud-batch", 1)]
    assert made.record_labels(labels) == {"waiting": 4}
    assert made.record_labels([("shared", 1), ("c1", "maybe"), ("a", 1, "yesterday"), ("b", None)]) == {"failed": 4}
    yield made
    made.close()


def test_waiting_and_failed_labels_are_counted_by_reason(truth: otel_ml.GroundTruth) -> None:
    """The account has the failed ones of this process, and those that wait in the store."""
    account = truth.account()
    assert account.failed == {"several_models": 1, "undeclared_class": 1, "moment": 1, "unreadable": 1}
    assert (account.waiting, account.waiting_by_reason) == (4, {"batch_id": 1, "other_model": 1, "unknown_id": 2})


def test_labels_that_wait_are_listed(truth: otel_ml.GroundTruth) -> None:
    """The oldest first, with the reason, of all models or for one of them."""
    listed = [(one.id, one.label, one.model, one.reason) for one in truth.waiting()]
    assert sorted(listed) == [
        ("123.0", "1", "", "unknown_id"),
        ("c1", "1", "fraud", "other_model"),
        ("early", "0", "fraud", "unknown_id"),
        ("fraud-batch", "1", "", "batch_id"),
    ]
    assert sorted(one.id for one in truth.waiting(model="churn")) == ["123.0", "fraud-batch"]
    assert len(truth.waiting(limit=2)) == 2


def test_figures_say_what_is_missing(truth: otel_ml.GroundTruth, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt model gets the names of those that are there; the command says the same."""
    notes = truth.compute_metrics(0, 4e9, model="froud")["notes"]
    assert notes == [
        "no labelled prediction of 'froud' in this window; the store has churn 1 primary, fraud 1 primary",
        "2 labels wait for a prediction (1 batch_id, 1 unknown_id, such as '123.0')",
        "4 labels of this process failed (1 several_models, 1 undeclared_class, 1 moment, 1 unreadable)",
    ]
    assert main(["evaluate", "--store", url, "--model", "froud"]) == 1
    assert capsys.readouterr().err.splitlines() == [f"otel-ml evaluate: {note}" for note in notes[:2]]


def test_the_command_lists_labels_that_wait(
    truth: otel_ml.GroundTruth, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a table, or as JSON; a store in which none waits says so."""
    assert main(["evaluate", "--store", url, "--model", "fraud", "--waiting"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["id", "label", "since", "reason", "model"]
    assert sorted((line[0], line[-2], line[-1]) for line in lines[1:]) == [
        ("123.0", "unknown_id", "-"),
        ("c1", "other_model", "fraud"),
        ("early", "unknown_id", "fraud"),
        ("fraud-batch", "batch_id", "-"),
    ]
    assert main(["evaluate", "--store", url, "--model", "churn", "--waiting", "--json"]) == 0
    assert {one["id"]: one["reason"] for one in json.loads(capsys.readouterr().out)} == {
        "123.0": "unknown_id",
        "fraud-batch": "batch_id",
    }


def test_nothing_is_said_where_nothing_is_missing(telemetry: InMemoryTelemetry, url: str) -> None:
    """Figures of a store in which no label waits have no notes."""
    truth = otel_ml.GroundTruth(url)
    model = otel_ml.Model("m", task="binary", classes=[0, 1], ground_truth=truth)
    model.record([{}, {}], prediction=[1, 0], score=[0.75, 0.25], id=["a", "b"], batch=True)
    truth.flush()
    truth.record_labels({"a": 1, "b": 0})
    assert "notes" not in truth.compute_metrics(0, 4e9, model="m")
    assert truth.waiting() == []
    truth.close()
