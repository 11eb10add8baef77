"""`OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN` moves or copies the exceptions of predictions to log records.

Sources: open-telemetry/semantic-conventions#3410 (the variable and its values), open-telemetry/semantic-conventions#4095
(a request that is ignored is to be said) and open-telemetry/opentelemetry-python#5323 (instrumentations honour it).
"""

from __future__ import annotations

import os
from typing import Any

import pandas as pd
import pytest

import otel_ml
from otel_ml._telemetry.environment_check import misread_variables
from otel_ml.config import Config, remarks
from otel_ml.testing import InMemoryTelemetry

OPT_IN = "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN"
EVENT = "ml.prediction.exception"
MODES = ("own", "guest")


def fail(model: otel_ml.Model, error: BaseException | None = None) -> None:
    """Makes a prediction that raises."""
    raised = ValueError("it broke") if error is None else error
    with pytest.raises(type(raised)), model.prediction({"a": 1}):
        raise raised


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("opt_in", "on_span", "as_log"),
    [("", 1, 0), ("logs", 0, 1), ("logs/dup", 1, 1), (" LOGS ", 0, 1), ("traces", 1, 0)],
)
def test_where_an_exception_is_recorded(
    monkeypatch: pytest.MonkeyPatch, mode: Any, opt_in: str, on_span: int, as_log: int
) -> None:
    """semantic-conventions#3410: on the span, as a record, or both; any other value leaves it on the span."""
    monkeypatch.setenv(OPT_IN, opt_in)
    with InMemoryTelemetry(mode) as telemetry:
        fail(otel_ml.Model("m"))
        ((span,), events) = telemetry.spans(), telemetry.events(EVENT)

    assert (len(span["events"]), len(events)) == (on_span, as_log)
    assert (span["status"], span["attributes"]["error.type"]) == ("ERROR", "ValueError")


@pytest.mark.parametrize("mode", MODES)
def test_the_record_is_on_the_span_and_says_the_same(monkeypatch: pytest.MonkeyPatch, mode: Any) -> None:
    """It has the span's context, severity ERROR, and the attributes that the span event has."""
    monkeypatch.setenv(OPT_IN, "logs/dup")
    with InMemoryTelemetry(mode) as telemetry:
        fail(otel_ml.Model("m", "2"))
        ((span,), (record,)) = telemetry.spans(), telemetry.events(EVENT)

    assert (record["trace_id"], record["span_id"], record["severity"]) == (span["trace_id"], span["span_id"], "ERROR")
    assert record["time_ns"] == span["events"][0]["time_ns"]
    assert record["attributes"] == {
        **span["events"][0]["attributes"],
        "ml.model.name": "m",
        "ml.model.version": "2",
        "ml.model.role": "primary",
        "ml.prediction.id": span["attributes"]["ml.prediction.id"],
    }
    assert record["attributes"]["exception.type"] == "ValueError"


@pytest.mark.parametrize("mode", MODES)
def test_what_is_withheld_on_the_span_is_withheld_in_the_record(monkeypatch: pytest.MonkeyPatch, mode: Any) -> None:
    """Once a column is sensitive, no text of an exception leaves the process, in neither place."""
    monkeypatch.setenv(OPT_IN, "logs/dup")
    train = pd.DataFrame({"country": ["US", "DE"] * 500})
    profile = otel_ml.ReferenceProfile.fit(train, sensitive=("country",))
    with InMemoryTelemetry(mode) as telemetry:
        model = otel_ml.Model("m", profile=profile)
        secret = "CANARY"  # in a variable: the line of code that raises is kept
        with pytest.raises(ValueError, match=secret), model.prediction({"country": secret}):
            raise ValueError(f"unknown country {secret}")
        spans, logs = telemetry.spans(), telemetry.logs()

    assert [record["event_name"] for record in logs] == ["ml.prediction", EVENT]
    assert "CANARY" not in repr((spans, logs))


@pytest.mark.parametrize("mode", MODES)
def test_an_exception_of_an_unsampled_trace_is_recorded(monkeypatch: pytest.MonkeyPatch, mode: Any) -> None:
    """A log record does not depend on the sampling of traces, as the event of a failed prediction does not."""
    monkeypatch.setenv(OPT_IN, "logs")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with InMemoryTelemetry(mode, events="off") as telemetry:
        fail(otel_ml.Model("m"))
        otel_ml.Model("m").record_error(KeyError("k"))
        assert (telemetry.spans(), len(telemetry.events(EVENT)), len(telemetry.logs())) == ([], 2, 2)


@pytest.mark.parametrize("mode", MODES)
def test_a_caller_that_gave_up_is_no_exception(monkeypatch: pytest.MonkeyPatch, mode: Any) -> None:
    """A cancelled call has no exception on its span, and none in the log."""
    monkeypatch.setenv(OPT_IN, "logs/dup")
    with InMemoryTelemetry(mode) as telemetry:
        fail(otel_ml.Model("m"), GeneratorExit())
        assert ([span["events"] for span in telemetry.spans()], telemetry.events(EVENT)) == ([[]], [])


def test_the_ledger_counts_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both log records of a failed prediction are produced and delivered."""
    monkeypatch.setenv(OPT_IN, "logs")
    with InMemoryTelemetry() as telemetry:
        fail(otel_ml.Model("m"))
        assert telemetry.flush()
        ledger = telemetry.ledger()["logs"]

    assert (ledger.produced, ledger.delivered) == (2, 2)


def test_without_an_exporter_of_logs_exceptions_stay_on_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """semantic-conventions#4095: they would be nowhere, so they are not moved, and a line says it."""
    monkeypatch.setenv(OPT_IN, "logs")
    with InMemoryTelemetry(logs_exporter="none") as telemetry:
        fail(otel_ml.Model("m"))
        (span,) = telemetry.spans()

    assert [event["name"] for event in span["events"]] == ["exception"]
    (line,) = [line for line in remarks(Config(logs_exporter="none")) if OPT_IN in line]
    assert "exceptions stay on spans" in line


@pytest.mark.parametrize("value", ["traces", "true", "logs,traces"])
def test_an_unknown_value_is_one_line(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """semantic-conventions#4095: for any other value a line says that exceptions stay where they were."""
    monkeypatch.setenv(OPT_IN, value)

    assert misread_variables(os.environ) == [f"{OPT_IN}='{value}' (use logs or logs/dup; exceptions stay on spans)"]
