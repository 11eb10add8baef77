"""A store keeps the segments of its predictions: exact figures and live counts by segment."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing

import pytest
from sklearn import metrics as sk
from truth_rows import log

from otel_ml.cli import main
from otel_ml.ground_truth import GroundTruth

NOW = time.time()
ROWS = [
    ("north", "1", "1"),
    ("north", "0", "0"),
    ("north", "1", "0"),
    ("south", "0", "1"),
    ("south", "1", "1"),
    ("__missing__", "0", "0"),
]
"""Region, predicted and actual class."""


@pytest.fixture
def segmented(truth):
    """Labelled predictions of three regions and one device, one without a label, and one without segments."""
    for number, (region, predicted, _) in enumerate(ROWS):
        log(
            truth,
            f"p{number}",
            predicted=predicted,
            segments={"region": region, "device": "phone"},
            predicted_at=NOW - 60,
        )
    log(truth, "open", segments={"region": "south", "device": "phone"}, predicted_at=NOW - 60)
    log(truth, "plain", predicted_at=NOW - 60)
    truth.flush()
    truth.record_labels((f"p{number}", label, NOW - 30) for number, (*_, label) in enumerate(ROWS))
    truth.record_label("plain", "1", NOW - 30)
    return truth


def measure(truth, column="region", **more):
    return truth.compute_metrics(NOW - 100, NOW, model="fraud", by_segment=column, **more)


def test_figures_are_of_each_segment(segmented):
    """They are scikit-learn's of its rows; a note counts the predictions without the column."""
    found = measure(segmented)
    for region in ("north", "south", "__missing__"):
        predicted, actual = zip(*(row[1:] for row in ROWS if row[0] == region), strict=True)
        assert found[region]["accuracy"] == pytest.approx(sk.accuracy_score(actual, predicted), abs=1e-12)
        assert found[region]["labelled"] == len(actual)
    assert list(found) == ["north", "south", "__missing__"]
    assert (found.worst["segment"], found.worst["is_beyond_noise"]) == ("south", False)
    assert found.notes == ["1 labelled predictions have no segment column 'region': no figure has them"]
    assert list(measure(segmented, "device")) == ["phone"]


def test_the_coverage_is_of_each_segment(segmented):
    """By the time of the predictions each segment says how many of its predictions have a label."""
    found = measure(segmented, by="predicted_at")
    assert {region: (each["predicted"], each["coverage"]) for region, each in found.items()} == {
        "north": (3, 1.0),
        "south": (3, 2 / 3),
        "__missing__": (1, 1.0),
    }


def test_an_unknown_column_and_an_empty_window_have_notes(segmented):
    """They name the columns that there are, and the models."""
    assert measure(segmented, "zone").notes == [
        "no labelled prediction has the segment column 'zone': they have device, region"
    ]
    (note,) = segmented.compute_metrics(1.0, 2.0, model="fraud", by_segment="region").notes
    assert note.startswith("no labelled prediction of 'fraud' in this window; the store has fraud 1 primary")


def test_first_labels_are_counted_by_segment(segmented, emitted):
    """Outcomes of each column by itself, from 0; later labels and predictions without segments add nothing."""
    segmented.record_label("p0", "0", NOW - 20)
    counts = {key[4:]: value for key, value in emitted.metrics().items() if key[0] == "ml.eval.segment.outcomes"}
    expected = {
        "north": {"tp": 1, "fp": 1, "fn": 0, "tn": 1},
        "south": {"tp": 1, "fp": 0, "fn": 1, "tn": 0},
        "__missing__": {"tp": 0, "fp": 0, "fn": 0, "tn": 1},
    }
    assert counts == {
        **{("region", region, name): times for region, each in expected.items() for name, times in each.items()},
        **{
            ("device", "phone", name): sum(each[name] for each in expected.values())
            for name in ("tp", "fp", "fn", "tn")
        },
    }


def test_counts_start_at_0_when_predictions_are_stored(truth, emitted):
    """Each segment of a column is there before its first label."""
    for region in ("north", "south"):
        log(truth, region, segments={"region": region})
    truth.flush()
    counts = {key[4:]: value for key, value in emitted.metrics().items() if key[0] == "ml.eval.segment.outcomes"}
    assert counts == {("region", region, name): 0 for region in ("north", "south") for name in ("tp", "fp", "fn", "tn")}


def test_segments_are_known_to_a_process_that_only_labels(segmented, url, emitted):
    """They come from the store, not from the process that predicted."""
    other = GroundTruth(url, meter=emitted.meter, logger=emitted.logger)
    other.record_label("open", "1")
    other.close()
    assert emitted.metrics()["ml.eval.segment.outcomes", "fraud", "1", "primary", "region", "south", "tp"] == 2


def test_a_store_of_an_earlier_version_gets_the_column(tmp_path):
    """Read-only it has no segments, which a note says; a process that writes adds the column, and keeps the rows."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    truth = GroundTruth(url)
    log(truth, "before", predicted_at=NOW - 60)
    truth.record_label("before", "1", NOW - 30)
    truth.close()
    with closing(sqlite3.connect(tmp_path / "old.db")) as connection, connection:
        connection.execute("ALTER TABLE otel_ml_predictions DROP COLUMN segments")

    with closing(GroundTruth(url, read_only=True)) as reader:
        for by in ("labeled_at", "predicted_at"):
            found = measure(reader, by=by)
            assert (found, found.notes) == (
                {},
                ["no labelled prediction has the segment column 'region': they have none"],
            )
    with closing(GroundTruth(url)) as writer:
        log(writer, "after", segments={"region": "north"}, predicted_at=NOW - 60)
        writer.record_label("after", "1", NOW - 30)
        found = measure(writer)
    assert found["north"]["labelled"] == 1
    assert found.notes == ["1 labelled predictions have no segment column 'region': no figure has them"]


def test_evaluate_prints_a_table_by_segment(segmented, url, capsys):
    """The worst segment and the fairness stand below; JSON has all of it."""
    about = ["evaluate", "--store", url, "--model", "fraud", "--by", "region"]
    assert main(about) == 0
    shown = capsys.readouterr()
    assert shown.out == (
        "\n"
        "region       labelled  accuracy     95 % interval  precision  recall      f1     auc     ece\n"
        "north               3    0.6667  0.2077 to 0.9385     0.5000  1.0000  0.6667  0.5000  0.5967\n"
        "south               2    0.5000  0.0945 to 0.9055     1.0000  0.5000  0.6667       -  0.0700\n"
        "__missing__         1    1.0000  0.2065 to 1.0000          -       -       -       -  0.9300\n"
        "\n"
        "worst segment: south, accuracy 0.5000, the rest 0.7500: within noise (z 0.61, by chance up to 3.40)\n"
        "\n"
        "fairness                         value  difference of a segment     left out\n"
        "selection_ratio                 0.0000             within noise            -\n"
        "true_positive_rate_difference   0.5000             within noise  __missing__\n"
        "false_positive_rate_difference  0.5000             within noise        south\n"
    )
    prefix = "otel-ml evaluate:"
    assert shown.err.splitlines() == [
        f"{prefix} 1 labelled predictions have no segment column 'region': no figure has them",
        f"{prefix} south, __missing__: auc is None: it needs labels of both classes, and all or none are 1",
    ]
    assert main([*about, "--by", "predicted_at", "--json", "--since", "2000-01-01", "--until", "2050-01-01"]) == 0
    found = segmented.compute_metrics(9e8, 25e8, model="fraud", by_segment="region", by="predicted_at")
    assert json.loads(capsys.readouterr().out) == {
        "segments": found,
        "worst": found.worst,
        "fairness": found.fairness,
        "notes": found.notes,
    }


@pytest.mark.parametrize("names", [("region", "device"), ("labeled_at", "predicted_at")])
def test_evaluate_takes_one_column_and_one_time(segmented, url, capsys, names):
    """Two of them are refused with one line."""
    by = [part for name in names for part in ("--by", name)]
    assert main(["evaluate", "--store", url, "--model", "fraud", *by]) == 2
    assert "--by takes one time and one segment column at most" in capsys.readouterr().err


def test_evaluate_without_the_column_is_exit_1(segmented, url, capsys):
    """The line names the columns that the store has."""
    assert main(["evaluate", "--store", url, "--model", "fraud", "--by", "zone"]) == 1
    assert "they have device, region" in capsys.readouterr().err
