"""The details of the page of performance: confusion matrix, calibration, errors, lag of labels, versions."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from console_feed import IDENTITY, batch, label, logs, metrics, now, prediction
from performance_feed import CANARY, OUTCOMES, estimates, gauge, outcomes, scores, segments, total

from otel_ml import semconv
from otel_ml._figures.bins import ERROR_LABELS
from otel_ml._figures.intervals import share
from otel_ml.console.performance._counts import by_identity
from otel_ml.console.performance._distributions import calibration, confusion, errors
from otel_ml.console.performance._figures_so_far import ClassScores
from otel_ml.console.storage._metric_points import Point
from otel_ml.console.web.charts._model_charts import Table
from otel_ml.console.web.charts._performance_charts import accuracy_table, lag_text, matrix, scale_start

SECOND = 10**9
HOUR = 3600 * SECOND


def counted(*points):
    """The counts of one model."""
    (found,) = by_identity(Point(metric.name, {**IDENTITY, **of}, value) for metric, of, value in points).values()
    return found


def pairs_of(found):
    return [
        (semconv.EVAL_OUTCOMES, {semconv.EVAL_PREDICTED: predicted, semconv.EVAL_ACTUAL: actual}, times)
        for (predicted, actual), times in found.items()
    ]


def test_the_matrix_has_a_row_for_each_actual_class():
    """Each cell counts the labels of its row that were predicted as its column."""
    found = confusion(counted(*pairs_of(OUTCOMES)))
    assert found == {
        "classes": ["0", "1"],
        "rows": [{"actual": "0", "cells": [400, 90]}, {"actual": "1", "cells": [110, 400]}],
    }
    drawn = matrix({"confusion": found})["rows"]
    assert (drawn[0]["recall"], drawn[1]["recall"]) == (400 / 490, 400 / 510)
    assert (drawn[0]["precision"], drawn[1]["precision"]) == (400 / 510, 400 / 490)
    assert drawn[0]["cells"] == [("0", 400, 5, True), ("1", 90, 1, False)]


def test_rare_classes_of_a_matrix_are_one():
    """A model with many classes keeps the ten most frequent ones; no label is lost."""
    pairs = {(f"c{place:02d}", f"c{place:02d}"): 100 - place for place in range(14)} | {("c00", "c13"): 2}
    found = confusion(counted(*pairs_of(pairs)))
    assert found["classes"] == [*(f"c{place:02d}" for place in range(10)), semconv.OTHER]
    assert sum(sum(row["cells"]) for row in found["rows"]) == sum(pairs.values())
    assert (found["rows"][-1]["cells"][0], matrix({"confusion": found})["rows"][-1]["recall"]) == (2, None)
    assert confusion(counted((semconv.EVAL_PREDICTIONS, {}, 1.0))) is None


def test_calibration_has_what_scores_say_and_what_labels_say():
    """Five bins of the score are a tenth; one without labels says nothing."""
    positives, negatives, sums = ([0.0] * 50 for _ in range(3))
    positives[45], negatives[46], sums[45], sums[46] = 8.0, 2.0, 7.3, 1.84
    *empty, last = calibration({"1": ClassScores(positives, negatives, sums)})["1"]
    assert last == {
        "from": 0.9, "labels": 10, "score": pytest.approx(0.914), "share": 0.8, "interval": share(8, 10).interval,
    }  # fmt: skip
    assert {(each["labels"], each["score"], each["share"]) for each in empty} == {(0, None, None)}


def test_errors_are_counted_by_size():
    """From the smallest to the largest one that occurs; beyond the last bound there is none.

    Services count the errors up to each bound, as the buckets of a histogram in Prometheus do.
    """
    bins = {name: 3 if at == 60 else 7 if at < 65 else 8 for at, name in enumerate(ERROR_LABELS) if at >= 60}
    found = errors(counted(*((semconv.EVAL_ERROR_BIN, {semconv.EVAL_BIN: name}, n) for name, n in bins.items())))
    assert [(f"{each['up_to']:.6g}", each["labels"]) for each in found] == [
        (ERROR_LABELS[61], 7), (ERROR_LABELS[63], 0), (ERROR_LABELS[65], 1),
    ]  # fmt: skip
    assert errors(counted((semconv.EVAL_ERROR_BIN, {semconv.EVAL_BIN: "+Inf"}, 2))) == [{"up_to": None, "labels": 2}]


def test_the_scale_begins_below_the_smallest_share():
    """At a whole tenth, and at most at 0.9; an empty period is a gap."""
    period = {"estimate": 0.9, "accuracy": 0.72, "interval": (0.85, 0.95)}
    gap = {"estimate": None, "accuracy": None, "interval": None}
    version = {"estimate": [{"figure": "accuracy", "training": 0.86}], "periods": [period, gap]}
    drawn = accuracy_table(version, ["2026-01-01T00:00:00.5Z", "2026-01-01T00:01:00.5Z"])
    assert drawn.rows == [
        ("2026-01-01T00:00:00Z", [0.9, 0.72, 0.86, 0.85, 0.95]), ("2026-01-01T00:01:00Z", [None, None, 0.86, None, None]),
    ]  # fmt: skip
    assert scale_start(drawn) == 0.7
    assert [scale_start(Table([], [("", [value])])) for value in (0.0, 1.0)] == [0.0, 0.9]


@pytest.mark.parametrize(
    ("bound", "text"),
    [(60, "up to 1 min"), (21600, "up to 6 h"), (259200, "up to 3 d"), (None, "more than 30 d")],
)
def test_a_lag_reads_like_one(bound, text):
    """Minutes, hours and days."""
    assert lag_text(bound) == text


def text_of(page, heading):
    """The cells of a section's table."""
    section = page[page.index(heading) :]
    return [
        re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", section[: section.index("</table>")])
    ]


def test_accuracy_stands_by_the_lag_of_the_label(console):
    """Of single predictions and of the rows of a batch, each with its time from the prediction to the label."""
    early = now() - 5 * HOUR
    console.feed(
        metrics(*outcomes()),
        logs(*(prediction(f"p-{place}", at=early, trace=f"{place + 1:032x}") for place in range(4))),
        logs(batch("b", at=early, trace="cc" * 16)),
        logs(
            *(label(f"p-{at}", correct=at > 0, at=early + 30 * SECOND, trace=f"{at + 1:032x}") for at in range(3)),
            label("p-3", correct=False, at=early + 2 * HOUR, trace=f"{4:032x}"),
            *(label(f"b.{row}", correct=True, at=early + 2 * HOUR, trace="cc" * 16) for row in range(3)),
        ),
    )
    cells = text_of(console.send("/performance?model=fraud&range=6h").body.decode(), "By lag of the label")
    assert [(cells[at], cells[at + 1], cells[at + 2]) for at in (0, 4)] == [
        ("up to 1 min", "3", "0.667"), ("up to 6 h", "4", "0.750"),
    ]  # fmt: skip


def test_errors_of_a_regression_stand_by_the_lag(console):
    """Without classes it is the mean absolute error."""
    console.feed(
        metrics(total(semconv.EVAL_PREDICTIONS, 2), total(semconv.EVAL_ERROR_BIN, 2, of={semconv.EVAL_BIN: "1"})),
        logs(prediction("p", attributes={semconv.PREDICTION_VALUE: 10.0}, at=now() - HOUR)),
        logs(label("p", "13", correct=None, at=now() - HOUR + SECOND)),
    )
    page = console.send("/performance?model=fraud&range=6h").body.decode()
    assert text_of(page, "By lag of the label")[:3] == ["up to 1 min", "1", "3.000"]
    assert "<h2>Absolute errors</h2>" in page


def test_one_version_is_shown_at_a_time(console):
    """The one with the most labels comes first, a link away are the others, and the address keeps the choice."""
    few = {key: times // 10 for key, times in OUTCOMES.items()}
    console.feed(metrics(*outcomes(), *outcomes(few, identity=CANARY)))
    page = console.send("/performance?model=fraud&range=6h").body.decode()
    assert text_of(page, "All figures")[4] == "1,000"
    link = next(each for each in re.findall('<a href="([^"]*)"', page) if "role=canary" in each)
    assert text_of(console.send(html.unescape(link)).body.decode(), "All figures")[4] == "100"
    assert text_of(console.send("/performance?model=fraud&version=gone&range=6h").body.decode(), "All figures")


def test_a_cell_of_the_matrix_leads_to_its_predictions(console):
    """Names of classes are text of senders; a class that stands for others has no link."""
    hostile = "<i>&=?"
    counts = {("a", hostile): 3, (hostile, hostile): 9, (semconv.OTHER, "a"): 2}
    found = prediction("p-1", outcome="a", at=now())
    console.feed(metrics(*outcomes(counts)), logs(found, label("p-1", hostile, correct=False, at=now())))
    page = console.send("/performance?model=fraud&range=6h").body.decode()
    links = [html.unescape(each) for each in re.findall('<td class="right [^"]*"><a href="([^"]*)"', page)]
    assert [(parse_qs(urlsplit(each).query)[name][0]) for each in links for name in ("label", "class")] == [
        hostile, hostile, hostile, "a",
    ]  # fmt: skip
    assert "/predictions/p-1" in console.send(links[1]).body.decode()
    assert "/predictions/p-1" not in console.send(links[0]).body.decode()
    assert "<i>&" not in page


def test_calibration_of_each_class_is_a_link(console):
    """A model with several classes shows one of them."""
    of_each = [each for name in "abc" for each in scores([1, 1], [2, 2], name)]
    sums = [gauge(semconv.EVAL_REFERENCE_SIZE, 20_000), *estimates(), *segments("region", {})]
    console.feed(metrics(*outcomes({("a", "a"): 3, ("b", "c"): 2}), *of_each, *sums))
    page = console.send("/performance?model=fraud&range=6h&score_of=c").body.decode()
    assert "of class c:" in page
    assert page.count("score_of=") == 3
