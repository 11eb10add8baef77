"""The test kit: own and guest mode return the same dictionaries, and the former state is restored."""

from __future__ import annotations

import gc
import os

import pytest
from opentelemetry import _logs, metrics, trace

import otel_ml
from otel_ml import _guard
from otel_ml._telemetry import ports
from otel_ml.testing import CountingIds, FixedClock, InMemoryTelemetry
from otel_ml.testing._fixtures import fail_on_internal_errors


@pytest.fixture(autouse=True)
def no_models_of_other_tests():
    """Models with sensitive columns withhold exceptions as long as they exist; earlier ones are collected here."""
    gc.collect()


def emit() -> None:
    tracer = trace.get_tracer("kit")
    with tracer.start_as_current_span("outer", attributes={"a": 1, "b": 1.0, "c": True, "d": "x"}) as span:
        span.add_event("happened", {"n": 1})
        with tracer.start_as_current_span("inner") as inner:
            inner.set_status(trace.StatusCode.ERROR, "it broke")
        _logs.get_logger("kit").emit(
            timestamp=1, severity_number=_logs.SeverityNumber.INFO, severity_text="INFO", body="{}", event_name="e"
        )
        meter = metrics.get_meter("kit")
        meter.create_counter("kit.count", "{thing}", "Things.").add(2, {"k": "v"})
        meter.create_histogram("kit.time", "s", explicit_bucket_boundaries_advisory=[1.0, 2.0]).record(1.5)


def read(kit: InMemoryTelemetry) -> tuple:
    spans = [{key: value for key, value in span.items() if not key.endswith("_ns")} for span in kit.spans()]
    for span in spans:
        span["events"] = [{**event, "time_ns": 0} for event in span["events"]]
    found = {name: points for name, points in kit.metrics().items() if name.startswith("kit.")}
    return spans, kit.logs(), found


def test_own_and_guest_read_the_same():
    """The same calls give equal dictionaries in both modes."""
    seen = {}
    for mode in ("own", "guest"):
        with InMemoryTelemetry(mode, ids=CountingIds()) as kit:
            emit()
            seen[mode] = read(kit)

    assert seen["own"] == seen["guest"]
    spans, logs, points = seen["own"]
    assert [span["name"] for span in spans] == ["outer", "inner"]
    assert spans[1]["parent_span_id"] == spans[0]["span_id"]
    assert spans[0]["attributes"] == {"a": 1, "b": 1.0, "c": True, "d": "x"}
    assert (spans[1]["status"], spans[1]["status_message"]) == ("ERROR", "it broke")
    assert logs[0]["trace_id"] == spans[0]["trace_id"]
    assert points["kit.count"] == [{"attributes": {"k": "v"}, "value": 2}]
    assert points["kit.time"][0]["counts"] == [0, 1, 0]
    assert points["kit.time"][0]["exemplars"][0]["span_id"] == spans[0]["span_id"]


def test_the_former_state_is_restored():
    """Globals and mode are as before, also after nested kits."""
    before = (trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider(), ports.state())

    with InMemoryTelemetry() as outer:
        outside = ports.state().engine
        with InMemoryTelemetry("guest"):
            assert (ports.state().mode, ports.state().engine) == ("guest", None)
        assert ports.state().engine is outside
        emit()
        assert len(outer.spans()) == 2

    assert (
        trace.get_tracer_provider(),
        metrics.get_meter_provider(),
        _logs.get_logger_provider(),
        ports.state(),
    ) == before


def test_the_fixture_is_active(telemetry):
    """pytest loads `telemetry` without an import, in own mode, with a ledger."""
    emit()

    assert ports.state().mode == "own"
    assert telemetry.flush()
    assert telemetry.ledger()["traces"].delivered == 2
    assert telemetry.resource()["service.name"] == "test"
    assert telemetry.instruments()["kit.count"] == {
        "kind": "counter",
        "unit": "{thing}",
        "description": "Things.",
    }


def test_the_guest_fixture_is_active(guest_telemetry):
    """`guest_telemetry` has SDK providers and no ledger."""
    emit()

    assert ports.state().mode == "guest"
    assert guest_telemetry.ledger() == {}
    assert guest_telemetry.events("e")[0]["body"] == "{}"


def test_clock_and_ids_are_the_engines(telemetry):
    """A fixed clock moves only by `advance`; ids count."""
    clock, ids = FixedClock(), CountingIds()
    with InMemoryTelemetry(clock=clock, ids=ids):
        engine = ports.state().engine
        start = engine.clock.time_ns()
        clock.advance(1.5)

        assert (engine.clock.time_ns() - start, engine.clock.perf_counter_ns()) == (1_500_000_000, 1_500_000_000)
        assert (ports.ids().trace_id(), ports.ids().span_id(), ports.ids().prediction_number()) == (1, 1, 1)


def test_internal_errors_fail_a_test():
    """An error that otel-ml kept from the service fails the test."""
    with InMemoryTelemetry() as kit:
        _guard.report("test.place", ValueError())
        with pytest.raises(AssertionError, match=r"test\.place"):
            fail_on_internal_errors(kit)
        kit.internal_errors_expected = True
        fail_on_internal_errors(kit)
    _guard.reset()


def test_settings_are_passed_on():
    """Keywords are those of Config; a wrong one is refused."""
    with InMemoryTelemetry(events="all", service_name="mine") as kit:
        assert (kit.config.events, kit.resource()["service.name"]) == ("all", "mine")

    with pytest.raises(ValueError, match="events"):
        InMemoryTelemetry(events="some")


def test_reading_outside_the_block_is_an_error():
    """Telemetry cannot be read before the kit is active."""
    with pytest.raises(RuntimeError, match="with block"):
        InMemoryTelemetry().spans()


@pytest.mark.parametrize("mode", ["own", "guest"])
def test_a_disabled_sdk_does_not_disable_the_kit(mode, monkeypatch):
    """A suite that runs with OTEL_SDK_DISABLED=true can use the kit in some of its tests."""
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    with InMemoryTelemetry(mode) as kit:
        otel_ml.Model("fraud", "1", task="binary", events="all").record({"age": 1}, prediction=1)
        found = (len(kit.spans()), len(kit.events("ml.prediction")), kit.metrics()["ml.predictions"][0]["value"])

    assert (found, os.environ["OTEL_SDK_DISABLED"]) == ((1, 1, 1), "true")
