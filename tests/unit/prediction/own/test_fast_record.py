"""The order of a fast record's values is defined once, in `FastRecord`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import otel_ml
from otel_ml._telemetry import ports
from otel_ml._telemetry.records import FastRecord, Shape
from otel_ml.testing import CountingIds, FixedClock, InMemoryTelemetry

SOURCES = sorted(Path(otel_ml.__file__).parent.rglob("*.py"))


def test_the_values_are_offered_in_the_order_of_the_record(monkeypatch):
    """The bare tuple of the fast path has each value in the place of its name."""
    offered = []
    parent = SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=TraceFlags(1))
    with InMemoryTelemetry(clock=FixedClock(), ids=CountingIds()) as telemetry:
        monkeypatch.setattr(ports.state().engine, "offer", offered.append)
        model = otel_ml.Model("m", "1", task="binary", capture_features="all")

        @model.track
        def predict(_features):
            prediction = otel_ml.current_prediction()
            with prediction.stage("s"):
                ids.append((int(prediction.trace_id, 16), int(prediction.span_id, 16), int(prediction.id, 16)))
            telemetry.clock.advance(0.02)
            return {"prediction": 1, "probability": 0.93}

        ids = []
        with trace.use_span(NonRecordingSpan(parent)):
            predict({"age": 41.0})
        ((trace_id, span_id, number),) = ids
        (values,) = offered
        stages = values[-1]

        assert FastRecord._make(values) == FastRecord(
            source=model._handle.binding,
            shape=Shape.SAMPLED | Shape.HAS_PARENT | Shape.PARENT_IS_REMOTE,
            span_count=2,
            event_count=1,
            trace_id=trace_id,
            span_id=span_id,
            parent_id=0xDEF,
            end_ns=telemetry.clock.time_ns(),
            elapsed_ns=20_000_000,
            number=number,
            label="1",
            score=0.93,
            row={"age": 41.0},
            stages=stages,
        )
        assert [stage.name for stage in stages] == ["s"]


def unpackings() -> list[list[str]]:
    """The names of every assignment that unpacks a record."""
    targets = [
        node.targets[0]
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)
    ]
    return [[ast.unparse(name) for name in each.elts] for each in targets if len(each.elts) == len(FastRecord._fields)]


@pytest.mark.parametrize("names", unpackings())
def test_a_record_is_unpacked_in_the_order_of_its_fields(names):
    """Each unpacked name is that of the field in its place."""
    assert names == [field if name != "_" else "_" for name, field in zip(names, FastRecord._fields, strict=True)]


def test_the_unpackings_are_found():
    """The rendering and the template each unpack a record."""
    assert len(unpackings()) == 2
