"""The page of features: ranked, one against its reference, over time, with the predictions of a bin; segments."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from console_feed import IDENTITY, counter, logs, metrics, now, prediction
from performance_feed import CANARY, gauge, segment

from otel_ml import semconv
from otel_ml._report import bin_text
from otel_ml.console._options import Options
from otel_ml.console.receiving._metric_rows import metric_rows
from otel_ml.console.storage._feature_verdicts import features, features_with_bins
from otel_ml.console.storage._metric_points import Span
from otel_ml.console.storage._segment_shares import segment_shares
from otel_ml.console.storage._store import Database
from otel_ml.console.web._view import PageView, TimeRange
from otel_ml.console.web.charts._bins import bin_link
from otel_ml.console.web.charts._data_charts import changed_bins

MINUTE = 60 * 10**9
RANGES = ("00 (-inf, 20)", "01 [20, 40)", "02 [40, inf)")
COLOURS = ("red", "blue", semconv.OTHER, semconv.UNSEEN)


def reference(name, shares):
    """The reference of a feature: the share of each bin."""
    of = {semconv.FEATURE_NAME: name, semconv.PROFILE_ID: "p"}
    yield gauge(semconv.FEATURE_REFERENCE_SIZE, 10_000, of)
    for label, share in shares.items():
        yield gauge(semconv.FEATURE_REFERENCE_SHARE, share, {**of, semconv.FEATURE_BIN: label})


def counts(name, values, *, at=None, identity=IDENTITY):
    """What was counted until a moment, in a process that began half an hour ago."""
    for label, times in values.items():
        of = {**identity, semconv.FEATURE_NAME: name, semconv.PROFILE_ID: "p", semconv.FEATURE_BIN: label}
        yield counter(times, name=semconv.FEATURE_VALUES.name, attributes=of, at=at or now(), start=now() - 30 * MINUTE)


@pytest.fixture(scope="module")
def opened():
    store = Database.open(Options())
    yield store
    store.close()


@pytest.fixture
def read(opened):
    """Returns what a query says of the model, after the store got the metrics."""

    def found(query, *some, **more):
        with opened.cursor() as cursor:
            cursor.execute("delete from points")
        for metric in some:
            opened.insert(metric_rows(metrics(metric), now()).rows)
        with opened.cursor() as cursor:
            return query(cursor, Span("fraud", now() - 60 * MINUTE), **more)

    return found


def test_each_bin_has_its_share_beside_that_of_the_reference(read):
    """Ranges stand in their order, and all of them together are the PSI of the feature."""
    shares = dict(zip(reversed(RANGES), (0.5, 0.3, 0.2), strict=True))
    some = [*reference("age", shares), *counts("age", dict(zip(RANGES, (100, 100, 800), strict=True)))]
    (row,) = read(features_with_bins, *some, edges=[now() - MINUTE], shown=1)
    assert [(each["bin"], each["share"], each["expected"]) for each in row["bins"]] == [
        (RANGES[0], 0.1, 0.2), (RANGES[1], 0.1, 0.3), (RANGES[2], 0.8, 0.5),
    ]  # fmt: skip
    assert sum(each["psi"] for each in row["bins"]) == pytest.approx(row["psi"])
    assert [each["values"] for each in row["periods"]] == [0, 1000]
    assert {key: row[key] for key in ("verdict", "psi", "values")} == {
        key: read(features, *some)[0][key] for key in ("verdict", "psi", "values")
    }


def test_categories_stand_by_their_share_and_others_last(read):
    """Categories that training does not have are counted with the other ones."""
    shares = dict(zip(COLOURS, (0.3, 0.4, 0.29, 0.01), strict=True))
    some = [*reference("colour", shares), *counts("colour", {"red": 5, semconv.UNSEEN: 15})]
    (row,) = read(features_with_bins, *some, edges=[], shown=1)
    assert [(each["bin"], each["values"]) for each in row["bins"]] == [("blue", 0), ("red", 5), (semconv.OTHER, 15)]


def test_only_features_that_are_shown_are_judged_in_each_period(read):
    """Of a model with many features, the ones beyond the list have no periods unless one of them is asked for."""
    some = [each for name in "abc" for each in (*reference(name, dict.fromkeys("xy", 0.5)), *counts(name, {"x": 9}))]
    rows = read(features_with_bins, *some, edges=[now() - MINUTE], shown=1, chosen="c")
    assert ["periods" in row for row in rows] == [True, *(row["feature"] == "c" for row in rows[1:])]


def test_labels_are_judged_in_each_period(read):
    """The distribution of the labels is counted by a metric without the name of a feature, and has periods too."""
    of = {**IDENTITY, semconv.PROFILE_ID: "p", semconv.FEATURE_BIN: "x"}
    labels = counter(9, name=semconv.EVAL_LABEL_BIN.name, attributes=of, at=now(), start=now() - 30 * MINUTE)
    some = [*reference(semconv.LABEL_FEATURE, {"x": 1.0}), *reference("a", {"x": 1.0}), *counts("a", {"x": 5}), labels]
    rows = read(features_with_bins, *some, edges=[now() - MINUTE], shown=2)
    assert {row["feature"]: [each["values"] for each in row["periods"]] for row in rows} == {
        "a": [0, 5], semconv.LABEL_FEATURE: [0, 9],
    }  # fmt: skip


def test_what_changed_is_what_makes_up_the_psi(read):
    """The largest part comes first; within noise nothing has changed."""
    shares = dict.fromkeys(RANGES, 1 / 3)
    for values, wanted in (((100, 100, 800), ["40 or more"]), ((330, 340, 330), [])):
        some = [*reference("age", shares), *counts("age", dict(zip(RANGES, values, strict=True)))]
        (row,) = read(features_with_bins, *some, edges=[], shown=1)
        assert [each["text"] for each in changed_bins(row)][:1] == wanted


@pytest.mark.parametrize(
    ("label", "bins", "text", "filters"),
    [
        ("00 (-inf, 20)", RANGES, "below 20", ["age<20"]),
        ("01 [20, 40)", RANGES, "20 to 40", ["age>=20", "age<40"]),
        ("02 [1e+06, inf)", RANGES, "1e+06 or more", ["age>=1e+06"]),
        ("01 [0, 0]", RANGES, "0", ["age>=0", "age<=0"]),
        ("02 (0, 54)", RANGES, "0 to 54", ["age>0", "age<54"]),
        ("02 (0, inf)", RANGES, "above 0", ["age>0"]),
        ("a&b=c", ("a&b=c",), "a&b=c", ["age=a&b=c"]),
        ("13", ("0", "13", "2"), "13", ["age=13"]),
        ("12", ("11", "12", "13"), "12", ["age=12"]),
        (semconv.OTHER, ("12", "a, b", semconv.OTHER), "other", ['age not in 12,"a, b"', "age is not missing"]),
        (semconv.OTHER, ("c00", "c01", semconv.OTHER), "other", None),
        (semconv.OTHER, ("x" * 512, semconv.OTHER), "other", None),
        ("01", ("00", "01"), "01", None),
    ],
)
def test_a_bin_leads_to_its_predictions(label, bins, text, filters):
    """The list is narrowed to values in the bin; a bin of a sensitive column, which says nothing of values, has no link."""
    row = {"feature": "age", "version": "1.0.0", "role": "primary", "bins": [{"bin": each} for each in bins]}
    view = PageView("fraud", "1h", TimeRange.of(now() - 60 * MINUTE, now(), MINUTE))
    link = bin_link(view, row, label)
    assert bin_text(label) == text
    assert (None if link is None else parse_qs(urlsplit(link).query)["feature"]) == filters


def test_unseen_and_missing_values_lead_to_their_predictions(console):
    """The share of a finding is a link to the predictions that it is about, and not to the others."""
    shares = {"DE": 0.6, "AT": 0.39, semconv.OTHER: 0.01}
    of = {**IDENTITY, semconv.FEATURE_NAME: "country"}
    console.feed(
        metrics(
            *reference("country", shares), *counts("country", {"DE": 100, semconv.UNSEEN: 100}),
            counter(100, name=semconv.FEATURE_MISSING.name, attributes=of, start=now() - 30 * MINUTE),
            *(gauge(semconv.FEATURE_EXPECTED_SHARE, 0.001, {**of, semconv.PROFILE_ID: "p", semconv.FEATURE_FINDING: each})
              for each in ("missing", "unseen")),
        ),
        logs(*(prediction(name, features={"country": name}, at=now()) for name in ("DE", "FR")),
             prediction("none", features={"country": None}, at=now())),
    )  # fmt: skip
    page = console.send("/data?model=fraud&feature=country&range=1h").body.decode()
    strip, changed = page.partition('class="columns"')[::2]
    for part, wanted in ((strip, ["none", "FR"]), (changed, ["FR"])):
        links = [html.unescape(link) for link in re.findall('<a href="(/predictions[^"]*feature=[^"]*)"', part)]
        lists = [console.send(link).body.decode() for link in links[: len(wanted)]]
        assert [re.findall(r'href="/predictions/(\w+)', each) for each in lists] == [[name] for name in wanted]
    assert "rare or unseen" in changed


def test_the_list_has_one_row_a_feature(console):
    """The version with the most severe verdict stands for the others; a click on it shows all versions."""
    shares = dict.fromkeys(RANGES, 1 / 3)
    some = [each for name in ("age", "<b>&=") for each in reference(name, shares)]
    for metric in reference("age", shares):
        for pair in metric.gauge.data_points[0].attributes:
            pair.value.string_value = CANARY.get(pair.key, pair.value.string_value)
        some.append(metric)
    some += counts("age", dict.fromkeys(RANGES, 400))
    some += counts("age", dict(zip(RANGES, (700, 110, 110), strict=True)), identity=CANARY)
    console.feed(metrics(*some), logs(prediction(features={"age": 7}, at=now())))
    page = console.send("/data?model=fraud&range=1h").body.decode()
    rows = re.findall(r"<tr>\s*<td class=.name.>.*?</tr>", page, re.DOTALL)
    assert len(rows) == 2
    assert ("drifted" in rows[0], "2.0.0" in rows[0], "and 1 more" in rows[0]) == (True, True, True)
    assert "below 20: " in rows[0]
    link = html.unescape(re.search('<a href="([^"]*)"', rows[0])[1])
    page = console.send(link).body.decode()
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", page) == [
        "Live against reference", "What changed", "PSI over time", "Keys",
    ]  # fmt: skip
    assert page.count('aria-current="true"') == 1
    predictions = html.unescape(re.search('<td><a href="(/predictions[^"]*)"', page)[1])
    assert parse_qs(urlsplit(predictions).query)["version"] == ["2.0.0"]
    other = html.unescape(re.findall('<a href="([^"]*)"', rows[1])[0])
    assert ("<b>&=" in other, "<b>" in console.send(other.replace("+", "%20")).body.decode()) == (False, False)


def test_the_list_states_once_what_all_features_have_in_common(console):
    """With one version its name stands above the list; a share of 0 has no expected share beside it."""
    shares = dict.fromkeys(RANGES, 1 / 3)
    some = [each for name in ("age", "pay") for each in reference(name, shares)]
    some += [each for name in ("age", "pay") for each in counts(name, dict.fromkeys(RANGES, 400))]
    for name, finding in (("age", "missing"), ("pay", "missing"), ("pay", "invalid")):
        of = {**IDENTITY, semconv.FEATURE_NAME: name, semconv.PROFILE_ID: "p", semconv.FEATURE_FINDING: finding}
        some.append(gauge(semconv.FEATURE_EXPECTED_SHARE, 0.003, of))
    of = {**IDENTITY, semconv.FEATURE_NAME: "pay", semconv.PROFILE_ID: "p"}
    some.append(counter(5, name=semconv.FEATURE_MISSING.name, attributes=of, start=now() - 30 * MINUTE))
    console.feed(metrics(*some), logs(prediction(features={"age": 7}, at=now())))
    page = console.send("/data?model=fraud&range=1h").body.decode()
    assert re.search(r"Last hour of version 1\.0\.0 against the training reference · 0 of 2 features", page)
    rows = re.findall(r"<tr>\s*<td class=.name.>.*?</tr>", page, re.DOTALL)
    assert [("tags" in row, row.count("(0.3 %)")) for row in rows] == [(False, 0), (False, 1)]


def test_two_versions_stand_in_the_rows(console):
    """The version of a row is named there as soon as another one counts the feature too, even if all rows are of one."""
    shares = dict.fromkeys(RANGES, 1 / 3)
    some = list(reference("age", shares))
    for metric in reference("age", shares):
        for pair in metric.gauge.data_points[0].attributes:
            pair.value.string_value = CANARY.get(pair.key, pair.value.string_value)
        some.append(metric)
    console.feed(metrics(*some), logs(prediction(features={"age": 7}, at=now())))
    page = console.send("/data?model=fraud&range=1h").body.decode()
    assert ("and 1 more" in page, "of version" in page) == (True, False)


def test_a_small_psi_looks_small(console):
    """The line of a feature within the limit stays low, however it moves; that of one beyond it fills its height."""
    shares = dict.fromkeys(RANGES, 1 / 3)
    some = [each for name in ("calm", "wild") for each in reference(name, shares)]
    some += counts("calm", dict(zip(RANGES, (410, 400, 390), strict=True)))
    some += counts("wild", dict(zip(RANGES, (900, 150, 150), strict=True)))
    console.feed(metrics(*some), logs(prediction(features={"calm": 7}, at=now())))
    page = console.send("/data?model=fraud&range=1h").body.decode()
    heights = {
        re.search(r"<strong>(\w+)", row)[1]: min(int(y) for y in re.findall(r"\d+,(\d+)", row.partition("points=")[2]))
        for row in re.findall(r"<tr>\s*<td class=.name.>.*?</tr>", page, re.DOTALL)
    }
    assert heights == {"wild": 2, "calm": 47}


def test_equal_features_stand_by_name(read):
    """Features of one verdict and PSI, as all are before the first values, do not change places from load to load."""
    names = [f"f{place:02d}" for place in range(20)]
    some = [each for name in reversed(names) for each in reference(name, dict.fromkeys(RANGES, 1 / 3))]
    assert [row["feature"] for row in read(features, *some)] == names


def test_a_feature_that_is_unknown_says_what_to_do(console):
    """A link from yesterday has an answer, and an unknown parameter a sentence."""
    console.feed(metrics(*reference("age", dict.fromkeys(RANGES, 1 / 3))))
    assert "No reference of this feature" in console.send("/data?model=fraud&feature=gone&range=1h").body.decode()
    assert "No values of age" in console.send("/data?model=fraud&feature=age&range=1h").body.decode()
    assert console.send("/data?model=fraud&colour=red").status == 400


def test_segments_have_their_share_over_time(read):
    """Of a column in each period, and how many features a prediction lacks on average."""
    some = [
        segment("region", value, semconv.SEGMENT_PREDICTIONS, times, PREDICTION_CLASS="1")
        for value, times in (("north", 75), ("south", 25))
    ]
    some.append(segment("region", "south", semconv.SEGMENT_MISSING, 50))
    rows = read(segment_shares, *some, edges=[now() - MINUTE])
    assert [(row["value"], row["share"], row["missing"], row["shares"]) for row in rows] == [
        ("north", 0.75, 0, [None, 0.75]), ("south", 0.25, 2, [None, 0.25]),
    ]  # fmt: skip
