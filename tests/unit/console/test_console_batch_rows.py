"""Rows of batches in the list of predictions and in its files: each with its own output and label.

Sources: langfuse/langfuse#4823 (an export has what nobody asked for), langwatch/langwatch#3019 (a filter finds other records than the number beside it
counts).
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest
from console_feed import IDENTITY, counter, label, logs, metrics, now, prediction, record
from console_server import running

from otel_ml import semconv
from otel_ml.console._options import Options

SPANS = {"b": "b1" * 8, "large": "b2" * 8, "typed": "b3" * 8}


def batch(name, rows, *, size=None, at=None, **content):
    """A batch with these rows."""
    attributes = {semconv.PREDICTION_ID: name, semconv.PREDICTION_BATCH_SIZE_ATTRIBUTE: size or len(rows)}
    body = json.dumps({"rows": rows} | content)
    return record(body, IDENTITY | attributes, event=semconv.PREDICTION_EVENT, at=at, own=SPANS[name])


@pytest.fixture(scope="module")
def filled():
    """A prediction, a batch whose rows have ids of their own or not, one larger than its event, one with typed outputs."""
    with running(Options()) as started:
        started.feed(
            logs(
                prediction("p", outcome="1", score=0.7, at=now()),
                batch("b", [
                    {"features": {"age": 20}, "prediction": "1", "score": 0.9},
                    {"features": {"age": 30}, "prediction": "1", "score": 0.8, "id": "own"},
                    {"features": {"age": 40}, "prediction": "0", "score": 0.1},
                ], at=now() + 1),
                batch("large", [{"id": "r0", "prediction": "1"}], size=200, at=now() + 2, rows_omitted=199),
                batch("typed", [{"prediction": True}, {"prediction": 1.0}, {"prediction": 7}], at=now() + 3),
            ),
            logs(
                label("p", "0", correct=False),
                label("b.0", "1", correct=True, own=SPANS["b"]),
                label("own", "0", correct=False, own=SPANS["b"]),
                label("large.150", "0", correct=False, own=SPANS["large"]),
                label("elsewhere", "0", correct=False, own=SPANS["large"]),
            ),
        )  # fmt: skip
        yield started


@pytest.fixture(scope="module")
def segmented():
    """Predictions and the counters of their segments."""
    values = {
        "s-west": {"region": "west", "flag": True}, "s-west-text": {"region": " west "}, "s-east": {"region": "east"},
        "s-none": {"region": None, "flag": False}, "s-blank": {"region": ""}, "s-rare": {"region": "north", "a=b": 2.0},
    }  # fmt: skip
    counted = [("region", value) for value in ("west", "east", semconv.OTHER, semconv.SEGMENT_MISSING_VALUE)]
    with running(Options()) as started:
        started.feed(
            logs(*(prediction(name, features=each, at=now() + at) for at, (name, each) in enumerate(values.items()))),
            metrics(*(
                counter(5, name=semconv.SEGMENT_PREDICTIONS.name, attributes={
                    **IDENTITY, semconv.SEGMENT_NAME: column, semconv.SEGMENT_VALUE: value,
                })
                for column, value in [*counted, ("sex", "group 1"), ("sex", semconv.OTHER)]
            )),
        )  # fmt: skip
        yield started


def rows(console, query):
    """The ids that fit, batches by their rows."""
    found = console.get(f"/api/predictions?{query}")["predictions"]
    return [
        row["id"]
        for each in found
        for row in (each["fitting_rows"]["rows"] if each["fitting_rows"] else [each])
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["typed", "large", "b", "p"]),
        ("truth=wrong", ["elsewhere", "large.150", "own", "p"]),
        ("truth=right", ["b.0"]),
        ("truth=unlabelled", ["typed.0", "typed.1", "typed.2", "r0", "b.2"]),
        ("label=0&class=1", ["own", "p"]),
        ("class=1&min_score=0.75", ["b.0", "own"]),
        ("feature=age>=30", ["own", "b.2", "p"]),
        ("feature=age!=30&label=0", ["p"]),
        ("class=True", ["typed.0"]),
        ("class=1", ["typed.1", "r0", "b.0", "own", "p"]),
    ],
)
def test_a_filter_finds_rows(filled, query, expected):
    """Everything that is asked for has to fit one and the same row; a row beyond the event is found by its label."""
    found = rows(filled, query)
    assert sorted(found) == sorted(expected)
    assert [each for each in found if each in {"p", "own"}] == [each for each in expected if each in {"p", "own"}]


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        ("region=west", ["s-west", "s-west-text"]),
        ("region=__missing__", ["s-none", "s-blank"]),
        ("region=__other__", ["s-rare"]),
        ('"a=b"=2', ["s-rare"]),
        ("flag=True", ["s-west"]),
    ],
)
def test_a_segment_selects_the_predictions_that_its_counter_counts(segmented, segment, expected):
    """A segment is that of the metrics: blanks do not count, other is what is not named, missing is null or blank."""
    found = rows(segmented, f"model=fraud&segment={quote(segment)}")
    assert sorted(found) == sorted(expected)


def test_the_page_offers_the_segments_that_metrics_name(segmented):
    """Segments are chosen by column and value; those of a column whose values are withheld are not offered."""
    page = segmented.send("/predictions?model=fraud").body.decode()
    options = re.findall(r'<option value="(region=[^"]+)"[^>]*>([^<]*)<', page)
    assert options == [
        ("region=__missing__", "missing"),
        ("region=__other__", "other"),
        ("region=east", "east"),
        ("region=west", "west"),
    ]
    assert "group 1" not in page


@pytest.mark.parametrize("shown_by", ["/data", "/performance"])
def test_no_segment_of_a_withheld_column_is_a_link(segmented, shown_by):
    """Events do not have a sensitive column, so its rare values would lead to an empty list as well."""
    page = segmented.send(f"{shown_by}?model=fraud&range=1h").body.decode()
    assert "group 1" in page
    assert {*re.findall(r"segment=(\w+)%3D", page)} == {"region"}


def test_a_row_has_its_own_truth(filled):
    """A row in the list has its number, output, score, features and label; of a row beyond the event the label."""
    found = {each["id"]: each for each in filled.get("/api/predictions?truth=wrong")["predictions"]}
    own = found["b"]["fitting_rows"]
    own["rows"][0]["label"].pop("time")
    assert own == {
        "count": 1,
        "rows": [
            {"id": "own", "row": 1, "class": "1", "value": None, "score": 0.8, "features": {"age": 30},
             "label": {"value": "0", "correct": False}}
        ],
    }  # fmt: skip
    beyond = {row["id"]: (row["row"], row["class"]) for row in found["large"]["fitting_rows"]["rows"]}
    assert beyond == {"large.150": (150, None), "elsewhere": (None, None)}
    assert filled.get("/api/predictions")["predictions"][2]["fitting_rows"] is None


def test_a_file_has_the_rows_that_the_list_has(filled):
    """An export with a filter has no rows beside those that fit, each with its label."""
    found = filled.get("/api/export/predictions?format=json&truth=wrong")
    assert {(row["id"], row["batch_id"], row["class"], row["label"]) for row in found} == {
        ("p", None, "1", "0"), ("own", "b", "1", "0"), ("large.150", "large", None, "0"), ("elsewhere", "large", None, "0"),
    }  # fmt: skip


def test_the_page_lists_rows(filled):
    """A row on the page leads to its own page and says which row of how many it is."""
    page = filled.send("/predictions?truth=wrong&label=0&class=1").body.decode()
    assert 'href="/predictions/own?' in page
    assert "row 1, batch of 3" in page
    assert 'href="/predictions/b?' not in page


def test_the_page_offers_what_rows_of_batches_have(filled):
    """Outputs of rows can be chosen, and the names of their features are suggested."""
    page = filled.send("/predictions").body.decode()
    assert {"0", "1", "True"} <= set(re.findall(r'<option value="([^"]*)"', page))
    assert '<option value="age=">' in page


def test_of_a_large_batch_the_page_has_the_first_rows(filled):
    """Beyond five rows of one batch the page says how many more fit, with a link to the batch."""
    attributes = {semconv.PREDICTION_ID: "wide", semconv.PREDICTION_BATCH_SIZE_ATTRIBUTE: 30}
    body = json.dumps({"rows": [{"prediction": "wide"}] * 30})
    filled.feed(logs(record(body, IDENTITY | attributes, event=semconv.PREDICTION_EVENT, own="b9" * 8)))
    page = filled.send("/predictions?class=wide").body.decode()
    assert page.count('href="/predictions/wide.') == 5
    assert re.search(r'<a href="/predictions/wide\?[^"]*">25 more rows</a>', page)
    assert len(filled.get("/api/predictions?class=wide")["predictions"][0]["fitting_rows"]["rows"]) == 20


def test_one_more_row_is_one_row(filled):
    """A number and its word agree."""
    attributes = {semconv.PREDICTION_ID: "six", semconv.PREDICTION_BATCH_SIZE_ATTRIBUTE: 6}
    body = json.dumps({"rows": [{"prediction": "six"}] * 6})
    filled.feed(logs(record(body, IDENTITY | attributes, event=semconv.PREDICTION_EVENT, own="b6" * 8)))
    assert ">1 more row</a>" in filled.send("/predictions?class=six").body.decode()
