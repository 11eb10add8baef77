"""The everyday way of own mode: what it tells is what the general way tells, and nothing of it is lost."""

from __future__ import annotations

import contextvars
import gc
import json
import os
import sys
import threading
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
from otel_ml._telemetry.predictions.cells import BUCKETED_AT_ONCE, CellSet, Identity
from otel_ml.prediction import _binding
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
    """All ids of one call are its number, however often and in whatever order they are asked for."""

    number = 0

    def trace_id(self):
        return self.number

    span_id = prediction_number = trace_id


def told(calls, *, everyday, **keywords):
    """Everything that is exported for calls with features, result and parent."""
    output = None if everyday else lambda result: result
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


@settings(max_examples=150, deadline=None)
@given(
    calls=st.lists(
        st.tuples(ROWS, st.fixed_dictionaries({"prediction": LABELS, "probability": SCORES}), PARENTS), max_size=4
    ),
    task=st.sampled_from(["binary", "multiclass", "other"]),
    events=st.sampled_from(["all", "sampled", "errors", "off"]),
)
def test_both_ways_tell_the_same(calls, task, events):
    """Whatever comes in, spans, events and metrics are those of the general way; which span is an exemplar is chance."""
    assert told(calls, everyday=True, task=task, events=events) == told(calls, everyday=False, task=task, events=events)


def test_the_everyday_way_is_taken(monkeypatch):
    """A dict with a class and a score, from a dict of scalars, needs no general way."""
    monkeypatch.setattr(_fast_path.FastPrediction, "_finish", lambda *_, **__: pytest.fail("the general way"))

    spans, events, metrics = told([({"age": 41.0}, {"prediction": 1, "probability": 0.9}, None)], everyday=True)

    assert (len(spans), len(events), metrics["ml.predictions"][0]["value"]) == (1, 1, 1)


@pytest.mark.parametrize("sampler", ["always_on", "always_off"])
def test_the_id_is_the_same_whoever_asks_and_whenever(sampler, monkeypatch):
    """Inside the call, after it, and in the event."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", task="binary", events="all")
        asked = []

        @model.track
        def predict(_):
            prediction = otel_ml.current_prediction()
            asked.append((prediction, prediction.id, prediction.trace_id, prediction.span_id))
            return {"prediction": 1, "probability": 0.9}

        predict({"age": 41.0})
        prediction, *ids = asked[0]
        (event,) = telemetry.events("ml.prediction")
        told = [event["attributes"]["ml.prediction.id"], event["trace_id"], event["span_id"]]

        assert [prediction.id, prediction.trace_id, prediction.span_id] == ids == told


def test_what_is_added_to_the_span_arrives():
    """A prediction that the service writes to is told in the general way, with what was written."""
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
    """What the service said is what is counted, once."""
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", task="binary")

        @model.track
        def predict(_):
            otel_ml.current_prediction().set_output(0, 0.2)
            return {"prediction": 1, "probability": 0.9}

        predict({"age": 41.0})
        counted = [(p["attributes"]["ml.prediction.class"], p["value"]) for p in telemetry.metrics()["ml.predictions"]]

        assert counted == [("0", 1)]


def test_noted_predictions_stay_few_without_any_collection():
    """The worker sorts them into buckets before a reader asks."""
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", task="binary", events="off")
        predict = model.track(lambda _: {"prediction": 1, "probability": 0.9})
        longest = 0
        for _ in range(4 * _fast_path.PENDING_KEPT):
            predict(None)
            longest = max(longest, len(model._handle.binding.elapsed_ns))

        assert longest <= _fast_path.PENDING_KEPT
        assert telemetry.metrics()["ml.predictions"][0]["value"] == 4 * _fast_path.PENDING_KEPT


def test_a_caller_settles_when_nobody_else_does():
    """With a worker that never comes the lists keep their limit all the same."""
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", task="binary", events="off")
        model._handle.binding.engine.wake_worker = lambda: None
        predict = model.track(lambda _: {"prediction": 1, "probability": 0.9})
        for _ in range(_fast_path.PENDING_KEPT + 100):
            predict(None)

        assert len(model._handle.binding.elapsed_ns) <= _fast_path.PENDING_KEPT
        assert telemetry.metrics()["ml.predictions"][0]["value"] == _fast_path.PENDING_KEPT + 100


def test_nothing_is_lost_between_noting_and_folding():
    """Eight threads note while a ninth folds: every sum is monotone and the last one whole."""
    cells = CellSet(Identity("m", "1", "primary"))

    def note():
        for _ in range(5_000):
            next(cells.begun)
            cells.elapsed_ns.append(20_000_000)
            cells.scores.append(0.5)
            cells.classes.append("1")

    threads = [threading.Thread(target=note) for _ in range(8)]
    for thread in threads:
        thread.start()
    sums = []
    while any(thread.is_alive() for thread in threads):
        cells.bucket_pending()
        sums.append(sum(cells.fold().cells.durations.counts))
    folded = cells.fold().cells

    assert sums == sorted(sums)
    assert (folded.started, folded.finished, folded.classes) == (40_000, 40_000, {"1": 40_000})
    assert (sum(folded.durations.counts), sum(folded.scores.counts)) == (40_000, 40_000)
    assert (folded.durations.minimum, folded.durations.maximum, folded.scores.total) == (0.02, 0.02, 20_000.0)


def test_settling_takes_a_part_at_a_time():
    """One step sorts no more than a chunk, so that it never holds the interpreter for long."""
    cells = CellSet(Identity("m", "1", "primary"))
    for noted in (cells.elapsed_ns, cells.scores, cells.classes):
        noted.extend([1] * (BUCKETED_AT_ONCE + 1))

    cells.bucket_pending()

    assert [len(noted) for noted in (cells.elapsed_ns, cells.scores, cells.classes)] == [1, 1, 1]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_leaves_what_was_noted_to_the_parent():
    """The child starts at zero, with calls that were under way in the parent forgotten."""
    cells = CellSet(Identity("m", "1", "primary"))
    for _ in range(3):
        next(cells.begun)
    cells.elapsed_ns.append(1)
    cells.fold()
    cells.reset_after_fork()
    next(cells.begun)
    folded = cells.fold().cells

    assert (folded.started, folded.finished) == (1, 0)


def test_records_are_told_in_their_order():
    """Everyday predictions do not overtake others of the same chunk."""
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", events="all", capture_features="all")
        for number in range(20):
            result = {"prediction": number} if number % 3 else {"prediction": number, "probability": 0.5}
            model.track(lambda _, result=result: result)({"x": 1.0})
        told = [float(json.loads(event["body"])["prediction"]) for event in telemetry.events("ml.prediction")]

        assert told == list(range(20))
        assert [span["span_id"] for span in telemetry.spans()] == [
            event["span_id"] for event in telemetry.events("ml.prediction")
        ]


def test_ended_predictions_do_not_keep_their_ancestors():
    """A chain of tasks, each started inside the one before, keeps none of those that have ended."""
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
    """What `shutdown` does, and what a full queue comes to."""
    engine._predictions.closed = True


def hear_nothing(engine):
    """What `configure` does without exporters of spans and logs."""
    engine.has_exporters = False


@pytest.mark.parametrize("refuse", [close_queue, hear_nothing])
def test_predictions_that_nobody_takes_do_not_keep_their_ancestors(refuse):
    """A chain of contexts keeps none of those that have ended where no record is rendered."""
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


def test_a_heavy_batch_that_nobody_hears_is_not_queued():
    """Without exporters of spans and logs no record waits, however large."""
    with InMemoryTelemetry() as telemetry:
        engine = ports.state().engine
        hear_nothing(engine)
        model = otel_ml.Model("m", "1", capture_features="all", events="all")
        model.record([{"text": "x" * 4_000}] * 500, prediction=[1] * 500, batch=True)

        assert len(engine._predictions) == 0
        assert telemetry.metrics()["ml.prediction.batch.size"][0]["sum"] == 500


def test_a_span_processor_that_is_added_late_sees_models_that_exist():
    """Models are bound anew to spans of the SDK; what was counted goes on, the features' bins too."""
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
    """Neither who adds a processor nor who makes a model sees an error, and every model follows in the end."""
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


def test_a_child_that_is_forked_while_models_are_bound_makes_models():
    """The lock of the shared instruments, held by another thread at the fork, does not hold up the child."""
    with InMemoryTelemetry():
        with _binding._lock:
            child = os.fork()
            if child == 0:
                os._exit(0 if otel_ml.Model("child").name == "child" else 1)
        _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_the_trace_state_goes_below_a_stage():
    """What the caller's vendor wrote is sent on from a stage as from the prediction itself."""
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
    """A list of one row whose result says nothing is no batch, whether its features are copied or not."""
    with InMemoryTelemetry() as telemetry:
        model = otel_ml.Model("m", "1", capture_features="all", events=events)
        model.track(lambda _: object())([{"a": 1}])
        model.track(lambda _: object())([{"a": 1}, {"a": 2}])
        sizes = telemetry.metrics()["ml.prediction.batch.size"]

    assert [(found["count"], found["sum"]) for found in sizes] == [(1, 2)]


def test_a_stage_that_ends_too_late_is_no_record():
    """What is told is what was there when the prediction ended: the account is never short."""
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


def test_a_prediction_that_cannot_begin_is_not_active_for_good():
    """A foreign span that raises costs the prediction, not the gauge."""

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


def test_a_time_limit_while_bucketing_leaves_no_lock_held():
    """An exception that a signal handler throws while the caller sorts into buckets ends only that call."""
    cells = CellSet(Identity("m", "1", "primary"))

    class Thrown(Exception):
        pass

    def thrown():
        raise Thrown

    bucket, cells._bucket = cells._bucket, thrown
    with pytest.raises(Thrown):
        cells.bucket_pending()
    cells._bucket = bucket
    cells.elapsed_ns.append(1)
    cells.bucket_pending()

    assert cells.fold().cells.finished == 1


def test_long_labels_are_not_kept_as_keys():
    """The classes that were seen are remembered by short texts only."""
    with InMemoryTelemetry():
        model = otel_ml.Model("m", "1", task="multiclass")
        model.track(lambda _: {"prediction": "x" * 100_000, "probability": 0.5})(None)

        assert max(map(len, model._handle.binding.class_texts), default=0) <= 1024


def test_heavy_rows_count_by_their_bytes():
    """A wide row of long texts waits under the bound in bytes, a narrow one of numbers needs none."""
    with InMemoryTelemetry(queue_size=100_000, schedule_delay=60.0) as telemetry:
        model = otel_ml.Model("m", "1", task="binary", events="all", capture_features="all")
        predict = model.track(lambda _: {"prediction": 1, "probability": 0.9})
        heavy = {f"f{index}": "x" * 1000 for index in range(900)}
        for _ in range(200):
            predict(heavy)
        predict({"x": 1.0})
        account = telemetry.ledger()["logs"]

        assert account.dropped["queue_full"] > 100
        assert account.produced == 201


def test_the_text_of_an_exception_is_withheld_after_the_model_is_gone():
    """A sensitive model made for one request still withholds when the spans of that request are encoded."""
    with InMemoryTelemetry() as telemetry:
        otel_ml.Model("m", "1", schema=otel_ml.Schema([Column("ssn", sensitive=True)]))
        gc.collect()
        tracer = trace.get_tracer("t", tracer_provider=telemetry._engine.tracer_provider)
        with pytest.raises(ValueError, match="078"), tracer.start_as_current_span("s"):
            raise ValueError("078-05-1120")

        assert "078-05" not in json.dumps(telemetry.spans(), default=str)
