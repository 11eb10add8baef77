"""The performance of a model from stored counts: so far, before labels, by segment and by version."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest
from console_feed import IDENTITY, logs, metrics, now, prediction
from performance_feed import (
    CANARY,
    EXPECTED,
    HOUR,
    OUTCOMES,
    estimates,
    outcomes,
    pair_counts,
    scores,
    segment,
    segments,
    total,
    training,
)

from otel_ml import semconv
from otel_ml._figures import versions
from otel_ml._figures.bins import ERROR_BOUNDS, ERROR_LABELS
from otel_ml._figures.confusion import ClassCounts
from otel_ml._figures.estimates import EstimateSums
from otel_ml._figures.intervals import mean, share
from otel_ml._figures.segments import Errors, Share, mean_z, share_z
from otel_ml.console._options import Options
from otel_ml.console.performance._performance import HOURS, PERIODS, performance
from otel_ml.console.receiving._metric_rows import metric_rows
from otel_ml.console.storage._metric_points import Span
from otel_ml.console.storage._store import Database

REGIONS = {
    "north": {"tp": 190, "tn": 190, "fp": 10, "fn": 10},
    "south": {"tp": 190, "tn": 190, "fp": 12, "fn": 8},
    "west": {"tp": 60, "tn": 60, "fp": 40, "fn": 40},
}


@pytest.fixture(scope="module")
def opened():
    store = Database.open(Options())
    yield store
    store.close()


@pytest.fixture
def read(opened):
    """Returns what the store says of a model at a fixed time, after it got the messages."""

    def found(*messages, now_ns=None, model="fraud"):
        with opened.cursor() as cursor:
            cursor.execute("delete from points")
        for message in messages:
            opened.insert(metric_rows(message, now()).rows)
        with opened.cursor() as cursor:
            return performance(cursor, Span(model, (now_ns or now()) - HOURS * HOUR))

    return found


def by_figure(rows):
    return {row["figure"]: row for row in rows}


def expected(factor=1):
    """The estimated accuracy with its interval."""
    sums = EstimateSums(2, is_binary=False)
    for place, name in enumerate(("predictions", "correct", "correct_variance")):
        setattr(sums, name, [factor * EXPECTED[label][place] for label in ("0", "1")])
    return sums.figures(20_000)["accuracy"]


def test_figures_stand_beside_those_of_training(read):
    """A binary model has the figures of its positive class, each with interval, labels and training reference."""
    (version,) = read(metrics(*outcomes(), *scores([1, 2, 3], [3, 2, 1]), *training()))["versions"]
    rows, positive = by_figure(version["figures"]), ClassCounts(400, 90, 110)
    assert {name: (rows[name]["value"], rows[name]["interval"]) for name in ("accuracy", "precision", "f1")} == {
        "accuracy": share(800, 1000),
        "precision": positive.precision(),
        "f1": positive.f1(),
    }
    assert (rows["accuracy"]["labels"], rows["accuracy"]["training"], rows["recall"]["training"]) == (1000, 0.9, None)
    assert rows["auc"]["value"] == pytest.approx((1 * 1.5 + 2 * 4 + 3 * 5.5) / 36)
    assert rows["auc"]["interval"][0] < rows["auc"]["value"] < rows["auc"]["interval"][1]


def test_replicas_and_restarts_add_up(read):
    """What a counter had gained before the window does not count."""
    early = now() - 80 * HOUR
    found = read(
        metrics(*outcomes(at=now() - 2 * HOUR, start=now() - 3 * HOUR), instance="one"),
        metrics(*outcomes(at=now() - HOUR, start=now() - 3 * HOUR), instance="one"),
        metrics(*outcomes(), instance="one"),
        metrics(*outcomes(), instance="two"),
        metrics(*outcomes(at=now() - HOUR, start=early), instance="calm"),
        metrics(*outcomes(start=early), instance="calm"),
        metrics(*outcomes(at=now() - 75 * HOUR, start=early), instance="gone"),
    )
    assert by_figure(found["versions"][0]["figures"])["accuracy"]["labels"] == 3000


def test_increments_add_up(read):
    """Delta counters, as some exporters send them, are sums."""
    found = []
    for minute in range(3):
        for metric in outcomes({("a", "a"): 5}, at=now() - minute * HOUR):
            metric.sum.aggregation_temporality = 1
            found.append(metric)
    assert by_figure(read(metrics(*found))["versions"][0]["figures"])["accuracy"]["labels"] == 15


def test_several_classes_have_the_mean_over_the_classes(read):
    """Without scores it is unknown which of two classes is positive, so two classes have the accuracy only."""
    three = {("a", "a"): 8, ("a", "b"): 2, ("b", "b"): 6, ("c", "b"): 4, ("c", "c"): 10}
    names = {
        len(counts): set(by_figure(read(metrics(*outcomes(counts)))["versions"][0]["figures"]))
        for counts in (three, OUTCOMES)
    }
    assert names == {5: {"accuracy", "precision", "recall", "f1"}, 4: {"accuracy"}}
    of_each = [each for name in "abc" for each in scores([1, 1], [2, 3 if name == "a" else 2], name)]
    rows = by_figure(read(metrics(*outcomes(three), *of_each))["versions"][0]["figures"])
    assert rows["precision"]["value"] == pytest.approx((8 / 10 + 6 / 6 + 10 / 14) / 3)
    assert (rows["auc"]["value"], rows["auc"]["interval"]) == (pytest.approx((0.45 + 0.5 + 0.5) / 3), None)


def test_classes_that_are_counted_together_have_no_accuracy(read):
    """Two classes beyond the limit could be the same, or not."""
    counts = {("a", "a"): 8, ("b", "b"): 6, ("c", "c"): 2, (semconv.OTHER, semconv.OTHER): 3}
    assert read(metrics(*outcomes(counts)))["versions"] == []


def test_a_regression_has_its_errors(read):
    """Mean errors have the interval of a mean; quantiles come from the bins."""
    errors = np.random.default_rng(1).normal(0.5, 2, 400)
    sizes = np.abs(errors)
    places = np.bincount(np.searchsorted(ERROR_BOUNDS, sizes), minlength=len(ERROR_LABELS))
    found = read(
        metrics(
            total(semconv.EVAL_PREDICTIONS, 400),
            total(semconv.EVAL_ABSOLUTE_ERROR, sizes[errors > 0].sum(), of={semconv.EVAL_DIRECTION: "over"}),
            total(semconv.EVAL_ABSOLUTE_ERROR, sizes[errors < 0].sum(), of={semconv.EVAL_DIRECTION: "under"}),
            total(semconv.EVAL_SQUARED_ERROR, (errors**2).sum()),
            total(semconv.EVAL_SQUARED_ERROR_SQUARES, (errors**4).sum()),
            *(
                total(semconv.EVAL_ERROR_BIN, int(times), of={semconv.EVAL_BIN: label})
                for label, times in zip(ERROR_LABELS, places.cumsum(), strict=True)
            ),
        )
    )
    rows = by_figure(found["versions"][0]["figures"])
    for name, wanted in (("mae", mean(sizes.tolist())), ("bias", mean(errors.tolist()))):
        assert rows[name]["value"] == pytest.approx(wanted.value)
        assert rows[name]["interval"] == pytest.approx(wanted.interval)
    square = mean((errors**2).tolist())
    assert rows["rmse"]["interval"] == pytest.approx(np.sqrt(square.interval))
    for name, level in (("error_p50", 0.5), ("error_p90", 0.9), ("error_p99", 0.99)):
        assert rows[name]["value"] == pytest.approx(np.quantile(sizes, level), rel=0.2)
    drawn = found["versions"][0]["errors"]
    assert [each["labels"] for each in drawn if each["labels"]] == [n for n in places.reshape(-1, 2).sum(1) if n]


def test_means_of_single_predictions_have_an_interval(read):
    """The Brier score is a mean; exact matches are a share."""
    values = np.random.default_rng(2).uniform(0, 1, 300)
    found = read(
        metrics(
            total(semconv.EVAL_PREDICTIONS, 300),
            total(semconv.EVAL_BRIER_SCORE, values.sum()),
            total(semconv.EVAL_BRIER_SCORE_SQUARES, (values**2).sum()),
            total(semconv.EVAL_EXACT_MATCHES, 30),
        )
    )
    rows = by_figure(found["versions"][0]["figures"])
    assert rows["brier_score"]["interval"] == pytest.approx(mean(values.tolist()).interval)
    assert (rows["exact_match"]["value"], rows["exact_match"]["interval"]) == share(30, 300)


def test_the_estimate_has_its_gap_to_the_labels(read):
    """Estimated minus realised figure of the same predictions, beyond noise or not; no gap if some labels have no estimate."""
    (version,) = read(metrics(*estimates(factor=2), *estimates(labelled=True), *outcomes(), *training()))["versions"]
    row = by_figure(version["estimate"])["accuracy"]
    assert (row["value"], row["interval"]) == expected(factor=2)
    assert (row["training"], row["predictions"], row["labelled"]) == (0.9, 2000, 1000)
    assert (row["gap"], row["is_beyond_noise"]) == (pytest.approx(0.09), True)
    few = (*estimates(labelled=True, factor=0.9), *outcomes())
    for labels in ((), outcomes(), few):
        row = by_figure(read(metrics(*estimates(), *labels, *training()))["versions"][0]["estimate"])["accuracy"]
        assert (row["gap"], row["is_beyond_noise"]) == (None, False)


def test_a_binary_model_has_an_estimated_auc(read):
    """Precision and recall are estimated of the positive class, which is the one that has scores."""
    bins = [
        total(metric, value, of={semconv.EVAL_CLASS: "1", semconv.EVAL_BIN: label})
        for label, values in (("05", (500, 60.0)), ("45", (500, 440.0)))
        for metric, value in zip((semconv.ESTIMATE_SCORE_BIN, semconv.ESTIMATE_SCORE_SUM), values, strict=True)
    ]
    missed = [
        total(metric, value, of={semconv.PREDICTION_CLASS: "1"})
        for metric, value in ((semconv.ESTIMATE_MISSED, 50.0), (semconv.ESTIMATE_MISSED_VARIANCE, 40.0))
    ]
    (version,) = read(metrics(*estimates(), *bins, *missed, *training()))["versions"]
    rows = by_figure(version["estimate"])
    assert rows["precision"]["value"] == pytest.approx(440 / 500)
    assert rows["recall"]["value"] == pytest.approx(440 / 490)
    assert rows["auc"]["value"] == pytest.approx((440 * (440 + 60 / 2) + 60 * 440 / 2) / 500**2)


def test_the_estimate_falls_before_the_labels_come(read):
    """Each period has the estimate of its predictions, and the accuracy of the labels that came in it."""
    start, minute = now() - 3 * HOUR, HOUR // 60
    found = read(
        metrics(*estimates(factor=0, at=start - HOUR, start=start - HOUR)),
        metrics(*(each for late in range(61) for each in estimates(at=start + late * minute, start=start))),
        metrics(
            *(
                total(
                    metric, (1 + more) * value, at=start + 90 * minute, start=start, of={semconv.PREDICTION_CLASS: name}
                )
                for name, values in EXPECTED.items()
                for metric, value, more in zip(
                    (semconv.ESTIMATE_PREDICTIONS, semconv.ESTIMATE_CORRECT, semconv.ESTIMATE_CORRECT_VARIANCE),
                    values,
                    (1, 0.5, 1),
                    strict=True,
                )
            )
        ),
        metrics(*outcomes(start=start)),
        metrics(*training()),
    )
    periods = found["versions"][0]["periods"]
    assert (len(periods), len(found["period_edges"])) == (PERIODS, PERIODS + 1)
    shown = {place: each for place, each in enumerate(periods) if each["predictions"] or each["labels"]}
    assert {place: (each["estimate"], each["accuracy"]) for place, each in shown.items()} == {
        0: (0.89, None),
        PERIODS // 2: (0.445, None),
        PERIODS - 1: (None, 0.8),
    }
    assert shown[0]["interval"] == pytest.approx(expected().interval)


@pytest.mark.parametrize("exports", [2, 5, 23])
def test_no_period_is_shorter_than_the_time_between_exports(read, exports):
    """A service that predicts all the time has no gap, however few exports have arrived."""
    (version,) = read(
        metrics(*(each for late in range(exports) for each in estimates(factor=1 + late, at=now() + late * HOUR))),
        metrics(*training()),
    )["versions"]
    assert len(version["periods"]) == exports // 2
    assert min(each["predictions"] for each in version["periods"]) > 0


def test_the_worst_segment_comes_first(read):
    """Each value has its figure, that of the rest, and whether the difference is beyond noise."""
    (version,) = read(metrics(*segments("region", REGIONS)))["versions"]
    first, *others = version["segments"]
    z = share_z(Share(80, 200), Share(40, 800))
    assert (first["value"], first["result"], first["rest"], first["z"]) == ("west", 0.6, 0.95, pytest.approx(z))
    assert (first["predictions"], first["labels"], first["interval"]) == (200, 200, share(120, 200).interval)
    assert (first["verdict"], [row["verdict"] for row in others]) == ("worse", ["better", "better"])
    assert version["fairness"] == []
    (version,) = read(metrics(*segments("region", {"a": {"tp": 95, "fp": 5}, "b": {"tp": 93, "fp": 7}})))["versions"]
    assert [row["verdict"] for row in version["segments"]] == ["within noise", "within noise"]


def test_a_segment_that_fails_more_is_found_without_labels(read):
    """Failed predictions have a verdict of their own."""
    found = read(
        metrics(
            *(segment("device", name, semconv.SEGMENT_PREDICTIONS, 500) for name in ("phone", "web")),
            segment("device", "phone", semconv.SEGMENT_ERRORS, 50),
        )
    )
    rows = found["versions"][0]["segments"]
    assert [(row["value"], row["failed"], row["failed_verdict"], row["figure"]) for row in rows] == [
        ("phone", 50, "worse", None),
        ("web", 0, "better", None),
    ]


def test_segments_of_a_regression_have_their_mean_error(read):
    """A segment is compared with the errors of the rest, as soon as both have ten."""
    sums = {"north": Errors(200, 210.0, 400.0), "south": Errors(100, 300.0, 1200.0), "west": Errors(9, 9.0, 12.0)}
    of = (semconv.EVAL_SEGMENT_PREDICTIONS, semconv.EVAL_SEGMENT_ABSOLUTE_ERROR, semconv.EVAL_SEGMENT_SQUARED_ERROR)
    found = read(
        metrics(
            *(
                segment("region", name, metric, value)
                for name, each in sums.items()
                for metric, value in zip(of, each, strict=True)
            )
        )
    )
    row, *others = found["versions"][0]["segments"]
    assert (row["value"], row["figure"], row["result"], row["rest"]) == ("south", "mae", 3.0, pytest.approx(219 / 209))
    assert (row["z"], row["verdict"]) == (pytest.approx(mean_z(sums["south"], Errors(209, 219.0, 412.0))), "worse")
    (few,) = [other for other in others if other["value"] == "west"]
    assert (few["result"], few["labels"], few["rest"], few["verdict"]) == (1.0, 9, None, None)


def test_groups_of_a_sensitive_column_have_fairness_figures(read):
    """Selection ratio of each class and the differences of both rates, with the groups that they are of."""
    groups = dict(zip(("group 1", "group 2", semconv.OTHER), REGIONS.values(), strict=True))
    rows = read(metrics(*segments("sex", groups), *segments("region", REGIONS)))["versions"][0]["fairness"]
    assert [(row["column"], row["figure"], row["class"]) for row in rows] == [
        ("sex", "selection_ratio", "0"),
        ("sex", "selection_ratio", "1"),
        ("sex", "true_positive_rate_difference", None),
        ("sex", "false_positive_rate_difference", None),
    ]
    rate = rows[2]
    assert (rate["result"], rate["lowest"], rate["highest"]) == (
        pytest.approx(190 / 198 - 0.6),
        semconv.OTHER,
        "group 2",
    )
    assert [row["is_beyond_noise"] for row in rows] == [False, False, True, True]


def test_versions_are_compared_under_the_same_ids(read):
    """Agreement, difference with interval, the p-value of McNemar's test, and the verdict."""
    four = (840, 425, 227, 260)
    (row,) = read(metrics(*pair_counts(four, agreeing=1100)))["comparisons"]
    wanted = versions.compare_pairs(four)
    assert (row["version"], row["role"], row["baseline_version"], row["baseline_role"]) == (
        CANARY[semconv.MODEL_VERSION], "canary", "1.0.0", "primary",
    )  # fmt: skip
    assert (row["pairs"], row["agreement"], row["outcomes"]["only_baseline"]) == (1752, 1100 / 1752, 425)
    assert (row["difference"], row["interval"], row["p_value"], row["verdict"]) == (
        wanted.value, wanted.interval, wanted.p_value, "worse",
    )  # fmt: skip


def test_versions_of_a_regression_are_compared_by_their_errors(read):
    """The mean absolute error of the challenger minus that of the baseline."""
    of = {semconv.PAIR_VERSION: "1.0.0", semconv.PAIR_ROLE: "primary"}
    sides = [
        total(semconv.PAIR_ERROR_DIFFERENCE, value, of={**of, semconv.EVAL_DIRECTION: side}, identity=CANARY)
        for side, value in (("over", 20.0), ("under", 320.0))
    ]
    sums = [
        total(metric, value, of=of, identity=CANARY)
        for metric, value in (
            (semconv.PAIR_PREDICTIONS, 500),
            (semconv.PAIR_ABSOLUTE_ERROR, 1000.0),
            (semconv.PAIR_ERROR_DIFFERENCE_SQUARES, 600.0),
        )
    ]
    (row,) = read(metrics(*sides, *sums))["comparisons"]
    assert (row["figure"], row["pairs"], row["difference"], row["verdict"]) == ("mae", 500, -0.6, "better")
    assert (row["agreement"], row["outcomes"]) == (None, None)
    assert row["interval"] == versions.compare_errors(500, -300.0, 600.0, 1000.0).interval


def test_the_page_shows_each_part_that_has_data(console):
    """All parts with the worst in red; a model without any says where they come from."""
    hostile = {**IDENTITY, semconv.MODEL_NAME: "<b>a/b"}
    console.feed(
        metrics(*estimates(at=now() - HOUR // 2), *training()),
        metrics(*estimates(factor=2), *estimates(labelled=True), *outcomes(), *segments("region", REGIONS)),
        metrics(*segments("sex", {"group 1": REGIONS["north"], "group 2": REGIONS["west"]})),
        metrics(*pair_counts((840, 425, 227, 260), agreeing=1100)),
        metrics(*outcomes(identity=hostile)),
        logs(prediction(), prediction("o-1", attributes={semconv.MODEL_NAME: "other"})),
    )
    page = console.send("/performance?model=fraud&range=3d").body.decode()
    assert re.findall(r"<h2>([^<]*\w)", page) == [
        "Accuracy over time", "All figures", "Estimate before labels", "Segments", "Fairness", "Versions",
    ]  # fmt: skip
    so_far = page[page.index("<h2>All figures") :]
    cells = [re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", so_far)]
    assert cells[:5] == ["Accuracy", "0.800", "0.774 to 0.824", "0.900", "1,000"]
    assert re.search(r"class=failed><td>region</td><td><a href=.[^>]*segment=region%3Dwest.>west</a></td>.*worse", page)
    assert re.search(r"class=failed><td>2.0.0 <span class=\"tag\">canary</span>.*worse", page)
    assert '">&lt; 0.001</span>' in page  # the p-value of versions that differ this much
    assert "<b>a" not in console.send("/performance?model=%3Cb%3Ea%2Fb&range=3d").body.decode()
    assert "Labels come from <code>GroundTruth</code>" in console.send("/performance?model=other").body.decode()
    for path in ("/", "/model", "/data", "/predictions"):
        shown = console.send(f"{path}?model=fraud&range=3d").body.decode()
        assert 'href="/performance?model=fraud&amp;range=3d"' in shown


@pytest.mark.parametrize("name", ["m%6fdel-1", "%asd", "my-model ", "group/model", "a?b#c&d=e"])
def test_a_model_of_any_name_has_a_page(console, name):
    """The links lead to the model whose name has characters of addresses: mlflow/mlflow#11474, #3738, #9165."""
    identity = {**IDENTITY, semconv.MODEL_NAME: name}
    console.feed(metrics(*outcomes(identity=identity)), logs(prediction(attributes=identity)))
    page = console.send("/?range=3d").body.decode()
    for pattern in ("/model", "/performance"):
        link = re.search(rf'href="({pattern}\?model=[^"]*)"', page)[1]
        page = console.send(html.unescape(link)).body.decode()
    assert "<h2>All figures" in page
    assert html.unescape(re.search("<h1>(.*)</h1>", page)[1]) == f"Performance of {name}"


def test_the_api_wants_a_model(console):
    """Without the name of a model the answer is 400; an unknown model has no versions."""
    assert console.send("/api/performance").status == 400
    assert console.get("/api/performance?model=x")["versions"] == []
    console.feed(metrics(*outcomes()))
    assert console.get("/api/performance?model=fraud")["versions"] != []
