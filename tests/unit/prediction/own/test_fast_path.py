"""The fast path of own mode: it records the same as the general path, and loses nothing."""

from __future__ import annotations

import contextvars
import gc
import json
import os
import sys
import threading
import time
import warnings
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState

import otel_ml
from otel_ml import _guard, semconv
from otel_ml._telemetry import ports
from otel_ml.prediction.binding import _binding
from otel_ml.prediction.own import _fast_path
from otel_ml.quality import Column
from otel_ml.testing import FixedClock, InMemoryTelemetry

SCALARS = st.one_of(
    st.floats(),
    st.booleans(),
    st.none(),
    st.integers(-(2**70), 2**70),
    st.text(max_size=20),
    st.text("\x00\x7fé", max_size=4),
)
NAMES = st.one_of(st.text(max_size=10), st.integers(), st.tuples(st.text(max_size=3), st.integers()), st.none())
ROWS = st.one_of(st.none(), st.dictionaries(NAMES, st.one_of(SCALARS, st.lists(SCALARS, max_size=3)), max_size=5))
LABELS = st.one_of(
    st.integers(-(2**70), 2**70), st.text(max_size=10), st.booleans(), st.floats(allow_nan=False), st.none()
)
SCORES = st.one_of(st.floats(0.0, 1.0), st.floats(), st.none(), st.just("0.5"))
PARENTS = st.sampled_from(
    [
        None,
        SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(1)),
        SpanContext(5, 6, is_remote=False, trace_flags=TraceFlags(3)),
        SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(0)),
        SpanContext(5, 6, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("a", "b")])),
    ]
)


class IdsOfACall:
    """All ids of one call are its number, however often and in which order they are drawn."""

    number = 0

    def trace_id(self):
        return self.number

    span_id = prediction_number = trace_id


def recorded(calls, *, fast, **keywords):
    """Everything that is exported for calls with features, result and parent."""
    output = None if fast else lambda result: result
    with InMemoryTelemetry(clock=FixedClock(), ids=IdsOfACall()) as telemetry:
        model = otel_ml.Model("m", "1", capture_features="all", output=output, **keywords)
        for features, result, parent in calls:
            telemetry.ids.number += 1

            def predict(_features, clock=telemetry.clock, result=result):
                clock.advance(0.02)
                return result

            with trace.use_span(NonRecordingSpan(parent or trace.INVALID_SPAN_CONTEXT)):
                model.track(predict)(features)
        spans, metrics = telemetry.spans(), telemetry.metrics()
        for marked in [span["attributes"] for span in spans] + [
            point for points in metrics.values() for point in points
        ]:
            marked.pop(semconv.EXEMPLAR, None)
            marked.pop("exemplars", None)
            if "sum" in marked:
                marked["sum"] = f"{marked['sum']:.9g}"  # the order of adding is chance, too
        events = [{**event, "body": json.loads(event["body"])} for event in telemetry.events("ml.prediction")]
        return spans, events, metrics  # bodies by value: encoders write 1e-5 and 1e-05


@settings(max_examples=150)
@given(
    calls=st.lists(
        st.tuples(ROWS, st.fixed_dictionaries({"prediction": LABELS, "probability": SCORES}), PARENTS), max_size=4
    ),
    task=st.sampled_from(["binary", "multiclass", "other"]),
    events=st.sampled_from(["all", "sampled", "errors", "off"]),
)
def test_both_paths_record_the_same(calls, task, events):
    """For any input, spans, events and metrics are those of the general path; only the choice of exemplars is random."""
    assert recorded(calls, fast=True, task=task, events=events) == recorded(calls, fast=False, task=task, events=events)


def test_the_fast_path_is_taken(monkeypatch):
    """A dict with a class and a score, from a dict of scalars, does not need the general path."""
    monkeypatch.setattr(_fast_path.FastPrediction, "_finish", lambda *_, **__: pytest.fail("the general path"))

    spans, events, metrics = recorded([({"age": 41.0}, {"prediction": 1, "probability": 0.9}, None)], fast=True)

    assert (len(spans), len(events), metrics["ml.predictions"][0]["value"]) == (1, 1, 1)


@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
def test_the_ids_are_the_same_wherever_they_are_read(sampler, monkeypatch):
    """Ids are equal inside the call, after it, and in the event."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", task="binary", events="all")
        read = []

        @model.track
        def predict(_):
            prediction = otel_ml.current_prediction()
            read.append((prediction, prediction.id, prediction.trace_id, prediction.span_id))
            return {"prediction": 1, "probability": 0.9}

        predict({"age": 41.0})
        prediction, *ids = read[0]
        (event,) = telemetry.events("ml.prediction")
        exported = [event["attributes"]["ml.prediction.id"], event["trace_id"], event["span_id"]]

        assert [prediction.id, prediction.trace_id, prediction.span_id] == ids == exported


def test_what_is_added_to_the_span_arrives():
    """A prediction that the service writes to takes the general path and has what was written."""
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", task="binary")

        @model.track
        def predict(_):
            trace.get_current_span().set_attribute("tenant", "a")
            return {"prediction": 1, "probability": 0.9}

        predict({"age": 41.0})

        assert telemetry.spans()[0]["attributes"]["tenant"] == "a"
        assert telemetry.metrics()["ml.predictions"][0]["value"] == 1


def test_an_output_that_was_set_wins_over_the_result():
    """The output that the service set is counted, once."""
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", task="binary")

        @model.track
        def predict(_):
            otel_ml.current_prediction().set_output(0, 0.2)
            return {"prediction": 1, "probability": 0.9}

        predict({"age": 41.0})
        counted = [(p["attributes"]["ml.prediction.class"], p["value"]) for p in telemetry.metrics()["ml.predictions"]]

        assert counted == [("0", 1)]


def test_pending_predictions_stay_few_without_a_collection():
    """The worker sorts them into buckets before a reader collects."""
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", task="binary", events="off")
        engine, woken = model._handle.binding.engine, []
        wake = engine.wake_worker
        engine.wake_worker = lambda: woken.append(wake())
        predict = model.track(lambda _: {"prediction": 1, "probability": 0.9})
        for _ in range(_fast_path.PENDING_BEFORE_WAKE):
            predict(None)
        # while the worker sorts, a caller goes on: how many are pending at most depends on the machine
        deadline = time.monotonic() + 60
        while len(model._handle.binding.elapsed_ns) >= _fast_path.PENDING_BEFORE_WAKE and time.monotonic() < deadline:
            time.sleep(0.001)

        assert woken
        assert len(model._handle.binding.elapsed_ns) < _fast_path.PENDING_BEFORE_WAKE
        assert telemetry.metrics()["ml.predictions"][0]["value"] == _fast_path.PENDING_BEFORE_WAKE


def test_a_caller_buckets_when_the_worker_does_not():
    """The lists keep their limit without a worker, too."""
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", task="binary", events="off")
        model._handle.binding.engine.wake_worker = lambda: None
        predict = model.track(lambda _: {"prediction": 1, "probability": 0.9})
        for _ in range(_fast_path.PENDING_KEPT + 100):
            predict(None)

        assert len(model._handle.binding.elapsed_ns) <= _fast_path.PENDING_KEPT
        assert telemetry.metrics()["ml.predictions"][0]["value"] == _fast_path.PENDING_KEPT + 100


def test_records_are_exported_in_their_order():
    """Predictions of the fast path do not overtake others of the same chunk."""
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", events="all", capture_features="all")
        for number in range(20):
            result = {"prediction": number} if number % 3 else {"prediction": number, "probability": 0.5}
            model.track(lambda _, result=result: result)({"x": 1.0})
        exported = [float(json.loads(event["body"])["prediction"]) for event in telemetry.events("ml.prediction")]

        assert exported == list(range(20))
        assert [span["span_id"] for span in telemetry.spans()] == [
            event["span_id"] for event in telemetry.events("ml.prediction")
        ]


def test_ended_predictions_do_not_keep_their_ancestors():
    """A chain of tasks, each started inside the one before, keeps none of the ended ones."""
    with InMemoryTelemetry():
        model = otel_ml.Model("m", "1", task="binary", events="all")
        alive = []
        contexts = [contextvars.copy_context()]

        def predict(_):
            alive.append(weakref.ref(otel_ml.current_prediction()))
            contexts.append(contextvars.copy_context())
            return {"prediction": 1, "probability": 0.9}

        for _ in range(50):
            contexts.pop(0).run(model.track(predict), {"x": 1.0})
        gc.collect()

        assert sum(reference() is not None for reference in alive) <= 2


def close_queue(engine):
    """What `shutdown` does; a full queue has the same effect."""
    engine._predictions.closed = True


def export_nothing(engine):
    """What `configure` does without exporters of spans and logs."""
    engine.has_exporters = False


@pytest.mark.parametrize("refuse", [close_queue, export_nothing])
def test_refused_predictions_do_not_keep_their_ancestors(refuse):
    """A chain of contexts keeps none of the ended predictions if no record is rendered."""
    with InMemoryTelemetry():
        refuse(ports.state().engine)
        model = otel_ml.Model("m", "1")
        alive = []
        context = contextvars.copy_context()

        def predict():
            with model.prediction({"x": 1.0}) as prediction, prediction.stage("s"):
                alive.append(weakref.ref(prediction))
                prediction.set_output(1)
                return contextvars.copy_context()

        for _ in range(50):
            context = context.run(predict)
        gc.collect()

        assert sum(reference() is not None for reference in alive) <= 2


def test_a_large_batch_without_exporters_is_not_queued():
    """Without exporters of spans and logs no record waits, large or small."""
    with InMemoryTelemetry() as telemetry:
        engine = ports.state().engine
        export_nothing(engine)
        model = otel_ml.Model("m", "1", capture_features="all", events="all")
        model.record([{"text": "x" * 4_000}] * 500, prediction=[1] * 500, batch=True)

        assert len(engine._predictions) == 0
        assert telemetry.metrics()["ml.prediction.batch.size"][0]["sum"] == 500


def test_a_span_processor_that_is_added_late_sees_models_that_exist():
    """Models are bound again to spans of the SDK; their counts continue, the features' bins too."""
    seen = []

    class Mine(SpanProcessor):
        def on_end(self, span):
            seen.append(span.name)

    with InMemoryTelemetry() as telemetry:
        profile = otel_ml.ReferenceProfile.fit({"x": [float(number) for number in range(10)] * 10})
        model = otel_ml.Model("m", "1", task="binary", profile=profile)
        predict = model.track(lambda _: {"prediction": 1, "probability": 0.9})
        predict({"x": 1.0})
        ports.state().engine.tracer_provider.add_span_processor(Mine())
        predict({"x": 1.0})
        metrics = telemetry.metrics()

    assert seen == ["predict m"]
    assert [found["count"] for found in metrics["ml.prediction.duration"]] == [2]
    assert sum(found["value"] for found in metrics[semconv.FEATURE_VALUES.name]) == 2


def test_processors_are_added_while_models_are_made():
    """Neither adding a processor nor making a model fails, and in the end every model is bound again."""
    stop = threading.Event()
    errors = []
    models = []

    class Mine(SpanProcessor):
        pass

    def make():
        try:
            while not stop.is_set():
                models.append(otel_ml.Model(f"m{len(models) % 20}"))
                del models[:-50]
        except Exception as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    with InMemoryTelemetry():
        makers = [threading.Thread(target=make) for _ in range(2)]
        try:
            sys.setswitchinterval(1e-5)
            for maker in makers:
                maker.start()
            for _ in range(50):
                ports.state().engine.tracer_provider.add_span_processor(Mine())
        finally:
            stop.set()
            for maker in makers:
                maker.join()
            sys.setswitchinterval(interval)

        assert errors == []
        assert _guard.counts() == {}
        assert {model._handle.binding.state for model in models} == {ports.state()}


def test_a_new_model_leaves_the_filters_of_warnings_alone():
    """A model made in one thread does not make a deprecated call of another one fail: the SDK's tracers are shared."""
    with InMemoryTelemetry(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "nobody writes this")
        before = list(warnings.filters)
        otel_ml.Model("new")

        assert warnings.filters == before


def test_a_child_forked_while_models_are_bound_can_make_models():
    """The lock of the shared instruments, held by another thread at the fork, does not block the child."""
    with InMemoryTelemetry():
        with _binding._lock:
            child = os.fork()
            if child == 0:
                os._exit(0 if otel_ml.Model("child").name == "child" else 1)
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_a_stage_passes_the_trace_state_on():
    """A stage passes on what the caller's vendor wrote, as the prediction does."""
    flags, state = TraceFlags(1), TraceState([("vendor", "1")])
    parent = SpanContext(5, 6, is_remote=True, trace_flags=flags, trace_state=state)
    with InMemoryTelemetry():
        token = otel_context.attach(trace.set_span_in_context(NonRecordingSpan(parent)))
        with otel_ml.Model("m", "1").prediction({"x": 1.0}) as prediction, prediction.stage("s"):
            found = trace.get_current_span().get_span_context().trace_state
            prediction.set_output(1)
        otel_context.detach(token)

    assert found == state


@pytest.mark.parametrize("events", ["all", "off"])
def test_the_size_of_a_batch_does_not_depend_on_what_is_captured(events):
    """A list of one row with an unrecognised result is not a batch, whether its features are copied or not."""
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", capture_features="all", events=events)
        model.track(lambda _: object())([{"a": 1}])
        model.track(lambda _: object())([{"a": 1}, {"a": 2}])
        sizes = telemetry.metrics()["ml.prediction.batch.size"]

    assert [(found["count"], found["sum"]) for found in sizes] == [(1, 2)]


def test_a_stage_that_ends_too_late_is_not_recorded():
    """A record has the stages that had ended with the prediction, so the ledger adds up."""
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", task="binary", events="all")
        stages = []

        @model.track
        def predict(_):
            stages.append(otel_ml.current_prediction().stage("early"))
            with otel_ml.current_prediction().stage("done"):
                pass
            stages[0].__enter__()
            return {"prediction": 1, "probability": 0.9}

        def out_of_order():
            predict(None)
            stages[0].__exit__(None, None, None)

        contextvars.copy_context().run(out_of_order)
        account = telemetry.ledger()["traces"]
        telemetry.flush()

        assert (account.in_flight >= 0, telemetry.ledger()["traces"].in_flight) == (True, 0)


def test_a_prediction_that_cannot_begin_does_not_stay_active():
    """A span of another library that raises costs the prediction, not the gauge."""

    class Hostile(NonRecordingSpan):
        def get_span_context(self):
            raise ZeroDivisionError

    with InMemoryTelemetry() as telemetry:
        telemetry.internal_errors_expected = True
        model = otel_ml.Model("m", "1", task="binary")
        predict = model.track(lambda _: {"prediction": 1, "probability": 0.9})
        before = otel_context.get_current()
        token = otel_context.attach(trace.set_span_in_context(Hostile(trace.INVALID_SPAN_CONTEXT)))
        results = [predict(None) for _ in range(5)]
        otel_context.detach(token)

        assert results == [{"prediction": 1, "probability": 0.9}] * 5
        assert otel_context.get_current() is before
        assert telemetry.metrics()["ml.prediction.active"][0]["value"] == 0


def test_long_labels_are_not_kept_as_keys():
    """Seen classes are remembered by short texts only."""
    with InMemoryTelemetry():
        model = otel_ml.Model("m", "1", task="multiclass")
        model.track(lambda _: {"prediction": "x" * 100_000, "probability": 0.5})(None)

        assert max(map(len, model._handle.binding.class_texts), default=0) <= 1024


def test_large_rows_count_by_their_bytes():
    """A wide row of long texts waits under the bound in bytes, a narrow row of numbers without one."""
    with InMemoryTelemetry(queue_size=100_000, schedule_delay=60.0) as telemetry:
        model = otel_ml.Model("m", "1", task="binary", events="all", capture_features="all")
        predict = model.track(lambda _: {"prediction": 1, "probability": 0.9})
        large = {f"f{index}": "x" * 1000 for index in range(900)}
        for _ in range(200):
            predict(large)
        predict({"x": 1.0})
        account = telemetry.ledger()["logs"]

        assert account.dropped["queue_full"] > 100
        assert account.produced == 201


def test_the_text_of_an_exception_is_withheld_after_the_model_is_gone():
    """A sensitive model made for one request still withholds messages when the spans of that request are encoded."""
    with InMemoryTelemetry() as telemetry:
        otel_ml.Model("m", "1", schema=otel_ml.Schema([Column("ssn", sensitive=True)]))
        gc.collect()
        tracer = trace.get_tracer("t", tracer_provider=telemetry._engine.tracer_provider)
        with pytest.raises(ValueError, match="078"), tracer.start_as_current_span("s"):
            raise ValueError("078-05-1120")

        assert "078-05" not in json.dumps(telemetry.spans(), default=str)
