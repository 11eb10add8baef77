"""`otel-ml evaluate`."""

from __future__ import annotations

import json
import time

import pandas as pd
import pytest
from truth_rows import log

from otel_ml.cli import main
from otel_ml.quality import ReferenceProfile


def run(*arguments):
    return main(["evaluate", *arguments])


@pytest.fixture
def store(truth, url):
    """Four labelled predictions of today."""
    now = time.time()
    for name, predicted in (("a", "1"), ("b", "1"), ("c", "0"), ("d", "0")):
        log(truth, name, predicted=predicted, predicted_at=now - 60)
    truth.flush()
    truth.record_labels((name, label, now - 30) for name, label in (("a", 1), ("b", 0), ("c", 0), ("d", 0)))
    return url


def test_figures_are_printed(store, capsys):
    """Each has its interval and the number of predictions, each class a line; an undefined value is a dash."""
    assert run("--store", store, "--model", "fraud") == 0
    assert capsys.readouterr().out == (
        "labelled    4\n"
        "positive    1\n"
        "\n"
        "figure              value     95 % interval  predictions\n"
        "accuracy           0.7500  0.3006 to 0.9544            4\n"
        "precision          0.5000  0.0945 to 0.9055            4\n"
        "recall             1.0000  0.2065 to 1.0000            4\n"
        "f1                 0.6667  0.1727 to 0.9504            4\n"
        "auc                0.5000                 -            4\n"
        "average_precision  0.2500  0.0036 to 0.9686            4\n"
        "brier_score        0.6499  0.2285 to 1.0713            4\n"
        "log_loss           2.0126  0.7451 to 3.2800            4\n"
        "ece                0.6800                 -            4\n"
        "\n"
        "class  precision  recall      f1  labelled\n"
        "0         1.0000  0.6667  0.8000         3\n"
        "1         0.5000  1.0000  0.6667         1\n"
        "\n"
        "probability    mean  share of 1  predictions\n"
        "0.9 to 1.0   0.9300      0.2500            4\n"
    )


def test_the_figures_of_the_training_data_stand_beside(store, tmp_path, capsys):
    """They come from the reference profile; one without them is refused."""
    frame = pd.DataFrame({"x": [1.5, 2.5] * 100, "guess": [0, 1] * 100, "truth": [0, 1, 1, 1] * 50})
    fitted = ReferenceProfile.fit(frame, prediction="guess", label="truth", task="binary")
    fitted.save(tmp_path / "profile.json")
    ReferenceProfile.fit(frame[["x"]]).save(tmp_path / "plain.json")
    about = ("--store", store, "--model", "fraud")
    assert run(*about, "--profile", str(tmp_path / "profile.json")) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split() == ["figure", "value", "95", "%", "interval", "predictions", "training"]
    assert lines[4].split() == ["accuracy", "0.7500", "0.3006", "to", "0.9544", "4", "0.7500"]
    assert lines[8].split() == ["auc", "0.5000", "-", "4", "-"]
    assert run(*about, "--profile", str(tmp_path / "profile.json"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["training"] == dict(fitted.performance.figures)
    ReferenceProfile.fit(frame, prediction="x", label="x", task="regression").save(tmp_path / "other.json")
    assert run(*about, "--profile", str(tmp_path / "other.json")) == 0
    assert "other.json has the training figures of another task: mae, rmse, bias" in capsys.readouterr().err
    assert run(*about, "--profile", str(tmp_path / "plain.json")) == 2
    assert "has no training figures: fit it with --label" in capsys.readouterr().err


def test_json_has_all_figures(store, truth, capsys):
    """The JSON has what `compute_metrics` returns for the same window."""
    assert run("--store", store, "--model", "fraud", "--by", "predicted_at", "--since", "2000-01-01", "--json") == 0
    assert json.loads(capsys.readouterr().out) == truth.compute_metrics(9e8, 9e9, model="fraud", by="predicted_at")


def test_an_empty_window_is_exit_1(store, capsys):
    """The line names the model."""
    assert (run("--store", store, "--model", "froud"), run("--store", store, "--model", "fraud", "--until", "1h")) == (
        1,
        1,
    )
    assert capsys.readouterr().err.splitlines() == [
        "otel-ml evaluate: no labelled prediction of 'froud' in this window; the store has fraud 1 primary",
        "otel-ml evaluate: no labelled prediction of 'fraud' in this window; the store has fraud 1 primary",
    ]


def test_scores_without_a_class_give_their_auc(truth, url, capsys):
    """The line names what is missing; the AUC needs only the scores."""
    now = time.time()
    for name, score in (("a", 0.9), ("b", 0.4), ("c", 0.6)):
        log(truth, name, predicted=None, score=score, predicted_at=now - 60)
    truth.flush()
    truth.record_labels((name, label, now - 30) for name, label in (("a", 1), ("b", 1), ("c", 0)))
    assert run("--store", url, "--model", "fraud") == 0
    shown = capsys.readouterr()
    assert shown.err == (
        "otel-ml evaluate: 3 labelled predictions of 'fraud' in this window, none with a predicted class "
        "(declare classes=... of the model)\n"
    )
    figures = [line.split()[:4] for line in shown.out.splitlines()[4:9]]
    assert figures == [
        *([name, "-", "-", "0"] for name in ("accuracy", "precision", "recall", "f1")),
        ["auc", "0.5000", "-", "3"],
    ]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"predicted": None, "score": None}, "a predicted class (declare classes=... of the model)"),
        ({"task": "regression", "predicted": None, "value": None}, "a number on both sides"),
    ],
)
def test_labelled_predictions_without_figures_are_exit_1(truth, url, capsys, changes, what):
    """The line counts the labels and names what is missing."""
    now = time.time()
    log(truth, "a", predicted_at=now - 60, **changes)
    truth.flush()
    truth.record_label("a", 1, now - 30)
    assert run("--store", url, "--model", "fraud") == 1
    assert capsys.readouterr().err.splitlines()[0] == (
        f"otel-ml evaluate: 1 labelled predictions of 'fraud' in this window, none with {what}"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--store", "sqlite:///none.db"], "no file none.db"),
        (["--store", "none.db"], "not a database URL: 'none.db'"),
        (["--since", "yesterday"], "'yesterday' is neither an age such as 24h or 7d nor a date such as 2026-06-01"),
        (["--since", "1h", "--until", "2h"], "the window ends at"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(store, arguments, message, capsys):
    """The line says what is wrong, and no store is created."""
    assert run("--store", store, "--model", "fraud", *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"otel-ml evaluate: {message}")


def test_help_shows_an_example(capsys):
    """`--help` ends with a line to copy."""
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])
    assert "  otel-ml evaluate --store sqlite:///predictions.db" in capsys.readouterr().out


def test_classes_cannot_control_the_terminal(truth, url, capsys):
    """Control characters of a class or a path come out as marks."""
    now = time.time()
    for name, predicted in (("a", "\x1b[31mx"), ("b", "y"), ("c", "z")):
        log(truth, name, predicted=predicted, predicted_at=now - 60)
    truth.flush()
    truth.record_labels((name, "\x1b[31mx", now - 30) for name in "abc")
    assert run("--store", url, "--model", "fraud") == 0
    assert run("--store", "sqlite:///\x1b[31mno.db", "--model", "fraud") == 2
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
