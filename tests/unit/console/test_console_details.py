"""Features beside their training distribution, exceptions, parts of a trace, and what a page says is withheld."""

from __future__ import annotations

import pytest
from console_feed import (
    IDENTITY,
    SPAN,
    TRACE,
    batch,
    label,
    logs,
    metrics,
    now,
    pairs,
    prediction,
    record,
    span,
    traces,
)
from performance_feed import gauge

from otel_ml import semconv
from otel_ml.console.web._formats import after, bin_name
from otel_ml.console.web.details._exceptions import exceptions
from otel_ml.console.web.details._feature_rows import feature_rows
from otel_ml.console.web.details._waterfall import SPANS_SHOWN, part

AGE = {"00 (-inf, 25)": 0.1, "01 [25, 35.5]": 0.3, "02 (35.5, 80)": 0.595, "03 [80, inf)": 0.005}
JOB = {"teacher": 0.7, "x" * 55 + "~0123abcd": 0.2, "1": 0.05, "true": 0.03, "__other__": 0.015, "__unseen__": 0.005}


@pytest.mark.parametrize(
    ("value", "bins", "found", "remark"),
    [
        (24.9, AGE, "00 (-inf, 25)", None), (25, AGE, "01 [25, 35.5]", None), (35.5, AGE, "01 [25, 35.5]", None),
        (36, AGE, "02 (35.5, 80)", None), ("30", AGE, "01 [25, 35.5]", None), (1e9, AGE, "03 [80, inf)", "rare in training"),
        (float("-inf"), AGE, "00 (-inf, 25)", None), ("old", AGE, None, "not in any bin"), ([1], AGE, None, "not in any bin"),
        (10**400, AGE, None, "not in any bin"), (float("nan"), AGE, None, "not in any bin"), (None, AGE, None, "missing or infinite"),
        (None, JOB, None, "missing"),
        ("teacher", JOB, "teacher", None), (1, JOB, "1", None), (1.0, JOB, "1", None), (True, JOB, "true", None),
        ("x" * 90, JOB, "x" * 55 + "~0123abcd", None), ("clerk", JOB, "__other__", "rare or unseen in training"),
    ],
)  # fmt: skip
def test_a_value_is_found_in_its_training_bin(value, bins, found, remark):
    """The bin of a value is that of the reference, whether it is a number or a category."""
    row = feature_rows({"f": value}, {"f": bins})[0]
    assert (row.bin, row.remark) == (found, remark)
    assert row.bars.count("M") == len(bins)
    assert row.mark.count("M") == (found is not None)


def test_unusual_features_come_first():
    """Unusual values come first, the others in the order of the event; a sensitive column has no bins to show."""
    reference = {"age": AGE, "job": JOB, "ssn": {"00": 0.5, "01": 0.5}, "plan": {"c00": 0.9, "__other__": 0.1}}
    rows = feature_rows({"ssn": 3, "plan": "a", "job": "teacher", "age": 99, "free": 1}, reference)
    assert [row.name for row in rows] == ["age", "ssn", "plan", "job", "free"]
    assert [row.bars for row in rows if row.name in {"ssn", "plan", "free"}] == ["", "", ""]


def test_a_bin_has_a_name_without_its_number():
    """A bin reads as a range or a category."""
    assert [bin_name(label) for label in ("07 [25, 32)", "00 (-inf, 1)", "42 street", "__other__")] == [
        "[25, 32)", "(-inf, 1)", "42 street", "other values",
    ]  # fmt: skip


def test_a_time_is_shown_from_the_start_of_its_trace():
    """A log line says how long after the start of its trace it was."""
    assert (after("1970-01-01T00:00:01.000500Z", 10**9), after("1970-01-01T00:00:00.5Z", 10**9)) == (
        "+500 µs",
        "-500 ms",
    )


def raised(kind="ValueError", message="no", stack="", place="predict", event="exception"):
    given = {"exception.type": kind, "exception.message": message, "exception.stacktrace": stack}
    return {"name": place, "span_id": place, "events": [{"name": event, "attributes": given}]}


def test_an_exception_is_shown_once_with_its_longest_stack_trace():
    """Spans and log lines that recorded the same exception are named together."""
    long = 'Traceback:\n  File "/app/a.py", line 1, in f\n    g()\n  File "/x/site-packages/b.py", line 2, in g\nValueError: no'
    spans = [raised(stack="ValueError: no", place="server"), raised(stack=long), raised("KeyError")]
    found, _ = exceptions(spans, [{"attributes": {"exception.type": "ValueError", "exception.message": "no"}}], 5)
    assert [(each.type, each.places) for each in found] == [
        ("ValueError", ["span server", "span predict", "a log line"]), ("KeyError", ["span predict"]),
    ]  # fmt: skip
    assert [kind for _, kind in found[0].lines] == ["error", "own", "own", "library", "error"]


def test_what_recorded_an_exception_is_named_once():
    """A span that tries again can record the same exception a thousand times."""
    retries = raised()
    retries["events"] *= 1000
    assert [each.places for each in exceptions([retries, raised()], [], 5)[0]] == [["span predict"]]


def test_a_long_stack_trace_keeps_both_ends():
    """The place is at one end and the cause at the other, depending on the language; what is left out is counted."""
    (found,), _ = exceptions([raised(stack="\n".join(map(str, range(300))))], [], 5)
    shown = [line for line, _ in found.lines]
    assert (found.omitted, len(shown)) == (181, 120)
    assert shown == [*map(str, range(30)), "…", *map(str, range(211, 300))]
    (whole,), _ = exceptions([raised(stack="\n".join(map(str, range(120))))], [], 5)
    assert (whole.omitted, len(whole.lines)) == (0, 120)
    assert exceptions([], [{"attributes": None}], 5) == ([], 0)


def test_of_many_exceptions_the_first_are_read():
    """Those of other types and messages are counted, each once; more of a known one still add their place and stack."""
    spans = [raised(message=str(number % 7), stack="at a", place=f"s{number}") for number in range(14)]
    spans.append(raised(message="1", stack="at b\nat a", place="last"))
    found, others = exceptions(spans, [], 3)
    assert ([each.message for each in found], others) == (["0", "1", "2"], 4)
    assert found[1].places == ["span s1", "span s8", "span last"]
    assert [line for line, _ in found[1].lines] == ["at b", "at a"]


def test_an_answer_has_some_exceptions_of_a_trace_and_says_so(console):
    """A span with thousands of exceptions answers with a hundred; its events have all of them."""
    failed = span(attributes={semconv.PREDICTION_ID: "p-1"})
    for number in range(150):
        told = pairs({semconv.EXCEPTION_TYPE: "E", semconv.EXCEPTION_MESSAGE: str(number)})
        failed.events.add(name="exception", attributes=told)
    console.feed(traces(failed), logs(prediction("p-1")))
    for path in (f"/api/traces/{TRACE}", "/api/predictions/p-1"):
        found = console.get(path)
        assert (len(found["exceptions"]), found["exceptions_truncated"]) == (100, True)
    assert len(console.get(f"/api/traces/{TRACE}")["spans"][0]["events"]) == 150
    assert "145 more exceptions" in console.send(f"/traces/{TRACE}").body.decode()


def test_a_part_of_a_trace_has_the_chosen_span():
    """A trace is shown in parts; the chosen span decides which, and its details are always there."""
    spans = [
        {"name": f"s{i}", "span_id": str(i), "parent_span_id": None, "start_ns": i, "end_ns": i + 1, "status": 2 * (i == 40),
         "attributes": {"text": "x" * 2000}}
        for i in range(SPANS_SHOWN * 2 + 5)
    ]  # fmt: skip
    first, middle = part(spans, None), part(spans, str(SPANS_SHOWN + 70))
    assert (first.earlier, first.later, first.chosen, first.errors) == (None, str(SPANS_SHOWN), None, 1)
    assert "40" in first.detailed
    assert len(first.detailed) < 20
    assert (middle.earlier, middle.later, middle.bars[0].span["name"]) == ("0", str(2 * SPANS_SHOWN), f"s{SPANS_SHOWN}")
    assert str(SPANS_SHOWN + 70) in middle.detailed
    assert part(spans, "unknown").chosen is None
    assert part(spans, str(2 * SPANS_SHOWN)).later is None


def shares(feature, bins, **more):
    """The reference of a feature."""
    of = {semconv.FEATURE_NAME: feature, semconv.PROFILE_ID: "p", **more}
    return [
        gauge(semconv.FEATURE_REFERENCE_SHARE, share, {**of, semconv.FEATURE_BIN: label})
        for label, share in bins.items()
    ]


def page(console, prediction_id="p-1"):
    """The page of a prediction as text."""
    return console.send(f"/predictions/{prediction_id}").body.decode()


def test_features_stand_beside_the_reference_of_their_version(console):
    """The reference is that of the prediction's version under its own name; another one's is left alone."""
    console.feed(
        logs(prediction(features={"age": 30, "job": "clerk"})),
        metrics(
            *shares("age", AGE), *shares("job", JOB), *shares("ssn", {"00": 0.5, "01": 0.5}), *shares("income", AGE),
            *shares("age", {"00 (-inf, 90)": 0.77, "01 [90, inf)": 0.23}, **{semconv.MODEL_VERSION: "2.0.0"}),
            *shares("age", {"00 (-inf, 90)": 0.66, "01 [90, inf)": 0.34}, **{semconv.REFERENCE: "last_week"}),
            *shares(semconv.PREDICTION_FEATURE, {"0": 0.5, "1": 0.5}),
        ),
    )  # fmt: skip
    text = page(console)
    assert "30.0 %" in text
    assert "25 to 35.5" in text
    assert "66.0 %" not in text
    assert "77.0 %" not in text
    assert text.index("rare or unseen in training") < text.index("30.0 %")
    assert "<dt>ssn</dt><dd>sensitive columns; their values never leave the service" in text
    assert "<dt>income</dt><dd>the call had no such value" in text
    assert semconv.PREDICTION_FEATURE not in text


def test_what_is_withheld_is_said(console):
    """A page says why it has no features and no messages of exceptions."""
    failed = span(error=True)
    event = failed.events.add(name="exception")
    event.attributes.extend(
        pairs({"exception.type": "ValueError", "exception.message": "withheld: a model has sensitive columns"})
    )
    made = prediction()
    made.body.string_value = '{"prediction": "1"}'
    console.feed(traces(failed), logs(made))
    text = page(console)
    assert "capture_features" in text
    assert "Messages of exceptions" in text
    console.feed(logs(prediction("p-2", trace="ee" * 16)))
    assert "Nothing that this page would show" in page(console, "p-2")


def test_links_of_spans_are_stored(console):
    """A link has the ids and the attributes that were sent; one without valid ids is left out."""
    made = span()
    made.links.add(trace_id=bytes.fromhex("ab" * 16), span_id=bytes.fromhex("cd" * 8), attributes=pairs({"k": 1}))
    made.links.add(trace_id=b"short", span_id=b"x")
    console.feed(traces(made), logs(record("x", IDENTITY, at=now(), own=SPAN)))
    assert console.get(f"/api/traces/{TRACE}")["spans"][0]["links"] == [
        {"trace_id": "ab" * 16, "span_id": "cd" * 8, "attributes": {"k": 1}}
    ]


def test_a_label_of_a_row_with_a_huge_number_spoils_no_list(console):
    """Its number is no place in the batch; the list and its file have the row by its id."""
    console.feed(logs(batch("b-huge")), logs(label(f"b-huge.{'9' * 5000}", correct=False)))
    for address in ("/api/predictions?truth=wrong", "/predictions?truth=wrong", "/api/rows?model=fraud"):
        assert console.send(address).status == 200, address
