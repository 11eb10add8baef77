"""The list of predictions: each filter, pages without end, truth of single predictions and of batches.

Sources: flowlogix/flowlogix#1684 and olavim/objection-cursor#36 (pages lose rows of one sort value), lancedb/lancedb#2201 (an offset is wrong
after a write).
"""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from console_feed import TRACE, batch, failure, label, logs, now, prediction, record
from console_server import running

from otel_ml import semconv
from otel_ml.console._options import Options

SECOND = 10**9


def ids(console, query=""):
    """The ids of all pages."""
    found, after = [], ""
    while True:
        page = console.get(f"/api/predictions?{query}{after}")
        found += [row["id"] for row in page["predictions"]]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


@pytest.fixture(scope="module")
def filled():
    """Predictions of one model that differ in everything a list can be narrowed by, the newest first: f to a."""
    other = {semconv.MODEL_VERSION: "2.0.0", semconv.MODEL_ROLE: "canary", semconv.PREDICTION_DURATION_ATTRIBUTE: 0.5}
    with running(Options()) as started:
        started.feed(
            logs(
                prediction("a", features={"age": 41, "country": "DE", "a/b~c": 1.0}, score=0.1, outcome="0", at=now()),
                prediction("b", features={"age": 70, "country": None}, score=0.9, at=now() + 1),
                prediction("c", features={"age": 7.0, "country": "41"}, score=0.5, at=now() + 2),
                batch("d", 3, at=now() + 4, own="dd" * 8),
                failure("e", at=now() + 5),
            ),
            logs(record(
                json.dumps({"features": {}, "prediction": "1"}),
                {semconv.MODEL_NAME: "fraud", semconv.PREDICTION_ID: "f", semconv.PREDICTION_CLASS: "1"} | other,
                event=semconv.PREDICTION_EVENT, at=now() + 6,
            ), service="other-api"),
            logs(
                label("a", "0", correct=True, at=now() + 9),
                label("b", "1", correct=True, at=now() + 9),
                label("b", "0", correct=False, at=now() + 10),
                label("d.0", "0", correct=True, at=now() + 9, own="dd" * 8),
                label("d.2", "1", correct=False, at=now() + 9, own="dd" * 8),
            ),
        )  # fmt: skip
        yield started


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "fedcba"),
        ("model=&version=&truth=&min_score=", "fedcba"),
        ("model=other", ""),
        ("version=2.0.0", "f"),
        ("role=canary", "f"),
        ("service=other-api", "f"),
        ("class=0", "da"),
        ("label=0", "dba"),
        ("truth=right", "da"),
        ("truth=wrong", "db"),
        ("truth=labelled", "dba"),
        ("truth=unlabelled", "fdc"),
        ("failed=true", "e"),
        ("failed=false", "fdcba"),
        ("error_type=ValueError", "e"),
        ("min_score=0.5", "cb"),
        ("max_score=0.1", "da"),
        ("min_duration=0.4", "f"),
        ("max_duration=0.1", "cba"),
        ("feature=age=41", "a"),
        ("feature=age=41.0", "a"),
        ("feature=country=41", "c"),
        ("feature=age>=41", "ba"),
        ("feature=age<21", "dc"),
        ("feature=country=", "fedb"),
        ("feature=country!=", "ca"),
        ("feature=age>5&feature=age<8", "c"),
        ("feature=a/b~c=1", "a"),
        ("feature=age >= 41", "ba"),
        ("feature=age in 7, 41", "ca"),
        ("feature=age not in 7,41", "fedb"),
        ("feature=country is missing", "fedb"),
        ("feature=country is not missing", "ca"),
        ("label=1&class=0", "d"),
        ("label=1&class=1", ""),
        ("truth=right&feature=age=22", ""),
        ("truth=wrong&feature=age=22", "d"),
        ("trace_id=" + TRACE.upper(), "fedcba"),
        ("trace_id=" + "ab" * 16, ""),
        ("feature=age=21&max_score=0.05", ""),
        ("id=d", "d"),
        ("id=d.2", "d"),
        ("id=2", ""),
    ],
)
def test_each_filter_selects_what_fits(filled, query, expected):
    """A filter selects the predictions that fit, of a batch one row has to, and the newest label counts."""
    encoded = "&".join(
        f"{name}={quote(value)}" for name, _, value in (part.partition("=") for part in query.split("&"))
    )
    assert "".join(ids(filled, encoded if query else "")) == expected


def test_a_window_has_its_start_and_not_its_end(console):
    """`since` belongs to the window and `until` does not."""
    start = (now() // SECOND) * SECOND
    console.feed(logs(*(prediction(name, at=start + index * SECOND) for index, name in enumerate("abc"))))
    assert ids(console, f"since={start // SECOND}&until={start // SECOND + 2}") == ["b", "a"]


def test_pages_have_each_prediction_once(console):
    """Predictions of one moment come on several pages, each once, also while newer ones arrive."""
    console.feed(logs(*(prediction(f"p-{index}", at=now() + index // 50) for index in range(120))))
    first = console.get("/api/predictions?limit=40")
    console.feed(logs(prediction("newer", at=now() + SECOND)))
    found = [row["id"] for row in first["predictions"]]
    after = first["next"]
    while after is not None:
        page = console.get(f"/api/predictions?limit=40&after={after}")
        found += [row["id"] for row in page["predictions"]]
        after = page["next"]
    assert sorted(found) == sorted(f"p-{index}" for index in range(120))


def test_a_rare_prediction_is_found_on_a_later_page(console, monkeypatch):
    """A page looks only so far for what is rare; the pages after it look further until everything was looked at."""
    monkeypatch.setattr("otel_ml.console.storage.lists._prediction_list._SLICES", (10, 20))
    console.feed(
        logs(
            *(prediction(f"p-{index}", at=now() + index // 4) for index in range(100)),
            label("p-3", "0", correct=False),
            label("p-77", "0", correct=False),
        )
    )
    first = console.get("/api/predictions?truth=wrong")
    assert ([row["id"] for row in first["predictions"]], first["next"] is None) == (["p-77"], False)
    assert ids(console, "truth=wrong") == ["p-77", "p-3"]
    assert ids(console, "truth=unlabelled&limit=7") == [row for row in ids(console) if row not in {"p-3", "p-77"}]


def test_the_rows_of_batches_count_in_what_a_page_looks_at(console, monkeypatch):
    """A page of batches looks at as many rows as one of single predictions, and the pages after it at all others."""
    monkeypatch.setattr("otel_ml.console.storage.lists._prediction_list._SLICES", (10, 20))
    console.feed(logs(*(batch(f"b-{index}", 6, at=now() + index) for index in range(9))))
    assert console.get("/api/predictions?class=9")["next"].startswith(f"{now() + 3 - 1}.")
    assert ids(console, "class=0") == [f"b-{index}" for index in range(8, -1, -1)]


def test_a_batch_says_how_many_of_its_rows_are_labelled_and_wrong(filled):
    """A batch in the list counts its labelled rows and the wrong ones among them."""
    rows = {row["id"]: row["row_labels"] for row in filled.get("/api/predictions")["predictions"]}
    assert (rows["d"], rows["a"]) == ({"labelled": 2, "wrong": 1}, None)


def test_a_clock_that_runs_ahead_does_not_stay_on_top(console):
    """A prediction from the future stands where it arrived."""
    console.feed(logs(prediction("future", at=now() + 10**15)))
    console.feed(logs(prediction("now", at=now())))
    assert ids(console)[0] == "future"
    later = now() + 3600 * SECOND
    assert "future" not in ids(console, f"since={later // SECOND}")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("truth=maybe", "truth: expected right or wrong or labelled or unlabelled"),
        ("failed=1", "failed: expected true or false"),
        ("min_score=nan", "min_score: expected a number"),
        ("feature=age", "feature: expected a name, one of = != < <= > >= in and a value, or a name and: is missing"),
        (
            "feature=age%3Eold",
            "feature: expected a name, one of = != < <= > >= in and a value, or a name and: is missing",
        ),
        ("&".join(["feature=a%3D1"] * 17), "feature: given more than 16 times"),
        ("after=1", "after: expected what `next` of the page before says"),
        ("after=99999999999999999999.a", "after: expected what `next` of the page before says"),
        ("class=1&class=2", "a parameter is repeated"),
    ],
)
def test_a_wrong_filter_is_refused_with_what_is_expected(console, query, said):
    """A filter that cannot be read is a 400 that names it."""
    answer = console.send(f"/api/predictions?{query}")
    assert (answer.status, answer.json()) == (400, {"error": said})


@pytest.fixture(scope="module")
def typed():
    """Predictions whose features have numbers, texts that look like numbers, booleans and missing values."""
    with running(Options()) as started:
        started.feed(
            logs(
                prediction("a", features={"zip": "01234", "job": " Private", "city=London": 1}, at=now()),
                prediction("b", features={"zip": "1234", "flag": True, "city": "Rome"}, at=now() + 1),
                prediction("c", features={"zip": 1234.0, "flag": "yes", "city": "Paris, TX"}, at=now() + 2),
                prediction("d", features={"zip": "nan"}, at=now() + 3),
                prediction("e", features={"zip": None}, at=now() + 4),
                prediction("f", features={"zip": " "}, at=now() + 5),
            )
        )
        yield started


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("zip=01234", "a"),
        ("zip=1234", "cb"),
        ("zip=1234.0", "c"),
        ("zip >= 1000", "cba"),
        ("zip in 01234, 7", "a"),
        ("zip=nan", "d"),
        ("zip is missing", "fe"),
        ("zip!=1234", "feda"),
        ("flag=True", "b"),
        ("job=Private", "a"),
        ("job=", "fedcb"),
        ('"city=London">=1', "a"),
        ('"city=London" in 1,2', "a"),
        ('city in "Paris, TX", Rome', "cb"),
    ],
)
def test_a_text_that_looks_like_a_number_is_a_text(typed, query, expected):
    """Numbers are equal to numbers and texts to texts, NaN is above no limit, and null, blank and absent are missing.

    Sources: msupply-foundation/open-msupply#10322 (a filter strips leading zeros), langchain4j/langchain4j#6108 (NaN),
    SigNoz/signoz#86 and mlflow/mlflow#21280 (missing values).
    """
    assert "".join(ids(typed, f"feature={quote(query)}")) == expected
