"""Cases 8, 13, 14 and 19: overload, concurrency, clock jumps, and too many names."""

from __future__ import annotations

import asyncio
import random
import threading
import time

import pytest
from opentelemetry import trace
from otlp_receiver import Reply

import otel_ml
from otel_ml._telemetry._queues import Wakeup
from otel_ml._telemetry.metrics._reader import CARDINALITY
from otel_ml._telemetry.predictions.model_cells import STAGES_KEPT
from otel_ml.config import MAX_MODELS
from otel_ml.testing import InMemoryTelemetry

BLOCKED = dict.fromkeys(("traces", "logs", "metrics"), Reply(delay=60, stores=False))


def flood(service, seconds, threads=2):
    """Predicts as often as time allows; returns the number."""
    stop, made = time.monotonic() + seconds, []

    def work():
        count = 0
        while time.monotonic() < stop:
            service.predict(50)
            count += 50
        made.append(count)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(made)


def overload(make_service, resident, figure, seconds):
    service = make_service(timeout=30.0)
    service.predict(1000)
    service.flush(30)
    before = resident()
    made = flood(service, seconds)
    peak = resident()
    service.flush(60)
    ledger, logs = service.ledger(), service.ledger("logs")

    assert ledger.produced == logs.produced == made + 1000
    assert set(ledger.dropped) <= {"queue_full"}
    assert ledger.rejected == ledger.in_flight == 0
    assert service.balanced()
    figure(
        8, offered_per_s=made / seconds, lost=ledger.lost(), lost_share=ledger.lost() / made, growth_mib=peak - before
    )
    return peak - before


def test_case_08_more_than_can_be_sent(make_service, resident, figure):
    """Two threads predict as fast as they can: what does not fit is dropped and counted exactly, under one reason."""
    overload(make_service, resident, figure, 0.5)


@pytest.mark.slow
def test_case_08_twenty_seconds_of_overload(make_service, resident, figure):
    """The same for longer; the recorded growth includes what the receiver keeps in this process."""
    overload(make_service, resident, figure, 20.0)


@pytest.mark.slow
def test_case_08_load_held_without_loss(make_service, receiver, figure):
    """Paced load at increasing rates finds the highest rate without drops."""
    held = 0
    for rate in (1000, 2000, 4000, 6000, 8000, 12000):
        service = make_service(timeout=30.0)
        began, made = time.perf_counter(), 0
        while (elapsed := time.perf_counter() - began) < 4.0:
            due = int(elapsed * rate)
            service.predict(due - made)
            made = due
            time.sleep(0.002)
        service.flush(60)
        if service.ledger().lost() or made < 0.95 * 4.0 * rate:
            break
        held = rate
    figure(8, held_per_s=held)
    assert held >= 2000


def test_case_08_a_small_queue_drops_the_newest(make_service, receiver):
    """A full queue drops new records and sends what it holds."""
    receiver.default = dict(BLOCKED)
    service = make_service(queue_size=10, schedule_delay=30.0, timeout=0.5)
    service.engine._predictions.wakeup = Wakeup(lambda: None, lambda: None)  # the worker sleeps
    service.predict(25)
    ledger = service.ledger()

    assert (ledger.produced, ledger.dropped) == (25, {"queue_full": 15})


def test_case_13_tasks_generators_and_a_blocked_receiver(make_service, receiver, figure):
    """With thousands of tasks, some cancelled, and generators closed elsewhere, no span has another request's parent."""
    receiver.default = dict(BLOCKED)
    service = make_service(queue_size=100_000, timeout=0.3)
    tracer = service.engine.tracer("user")

    @service.model.track
    async def predict(number):
        await asyncio.sleep(random.random() / 100)
        return {"prediction": 1, "probability": 0.5}

    @service.model.track
    async def stream(number):
        for item in range(3):
            yield item
            await asyncio.sleep(0)

    async def request(number):
        with tracer.start_as_current_span(f"request {number}") as span:
            await predict({"x": number})
            generator = stream({"x": number})
            async for _ in generator:
                if number % 3 == 0:
                    break
            assert trace.get_current_span() is span
            return generator

    async def main():
        tasks = [asyncio.create_task(request(number)) for number in range(2000)]
        await asyncio.sleep(0.005)
        for task in tasks[::10]:
            task.cancel()
        generators = await asyncio.gather(*tasks, return_exceptions=True)
        for generator in generators:
            if hasattr(generator, "aclose"):
                await generator.aclose()

    asyncio.run(main())
    receiver.close()
    receiver.default = {}
    receiver.open()
    service.flush(60)

    spans = {span.span_id: span for span in receiver.spans()}
    children = [span for span in spans.values() if span.name == "predict m" and span.parent_span_id in spans]
    wrong = [span for span in children if spans[span.parent_span_id].trace_id != span.trace_id]
    assert wrong == []
    assert service.balanced()
    figure(13, wrong_parents=len(wrong), tasks=2000)


def loop_lag(work, seconds):
    """Returns the lag of an event loop, in milliseconds at p99.9, while tasks do `work` 500 times a second."""
    lags = []

    async def main():
        stop = time.perf_counter() + seconds
        while time.perf_counter() < stop:
            due = time.perf_counter() + 0.002
            await work()
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            lags.append(time.perf_counter() - due)

    asyncio.run(main())
    return sorted(lags)[int(len(lags) * 0.999)] * 1000


@pytest.mark.slow
def test_case_13_a_blocked_receiver_does_not_stall_the_loop(make_service, receiver, figure):
    """With telemetry and a hanging receiver the event loop lags no longer than without."""
    receiver.default = dict(BLOCKED)
    service = make_service(timeout=1.0, periodic=True, metric_export_interval=0.5)

    async def nothing():
        pass

    @service.model.track
    async def predict(features=None):
        return {"prediction": 1, "probability": 0.5}

    bare, watched = loop_lag(nothing, 5), loop_lag(lambda: predict({"x": 1}), 10)
    figure(13, loop_lag_p999_bare_ms=bare, loop_lag_p999_ms=watched)
    assert watched < bare + 50


class JumpingClock:
    """A wall clock that jumps an hour back and forth, beside a monotonic one that does not."""

    def __init__(self):
        self._calls = 0

    def time_ns(self):
        self._calls += 1
        return time.time_ns() + (3_600_000_000_000 if self._calls % 2 else -3_600_000_000_000)

    def perf_counter_ns(self):
        return time.perf_counter_ns()


def test_case_14_the_wall_clock_jumps(figure):
    """No negative duration in any span, event or histogram, and no point before its start."""
    with InMemoryTelemetry(clock=JumpingClock()) as telemetry:
        model = otel_ml.Model("m", version="1", events="all")
        for number in range(50):
            with model.prediction({"x": number}) as prediction, prediction.stage("stage"):
                prediction.set_output(prediction=1, score=0.5)
            telemetry.metrics()
        spans, metrics = telemetry.spans(), telemetry.metrics()

    durations = [int(span["end_ns"]) - int(span["start_ns"]) for span in spans]
    durations += [point["sum"] for name in metrics for point in metrics[name] if "sum" in point]
    assert len(spans) == 100
    assert all(duration >= 0 for duration in durations)
    assert metrics["ml.prediction.duration"][0]["sum"] < 10


def test_case_14_deadlines_ignore_the_wall_clock(make_service, receiver, monkeypatch):
    """A flush and a shutdown meet their deadline although the wall clock jumps an hour ahead."""
    receiver.default = dict(BLOCKED)
    service = make_service(timeout=0.3)
    service.predict()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 3600 * (random.random() - 0.5))
    began = time.monotonic()
    service.flush(5)
    service.end(1)

    assert time.monotonic() - began < 60
    assert service.balanced()


@pytest.mark.parametrize("count", [2_000, pytest.param(40_000, marks=pytest.mark.slow)])
def test_case_19_names_without_end(make_service, receiver, resident, figure, count):
    """Names and label values that never repeat: each number of series is bounded, and the first ones keep theirs."""
    service = make_service(timeout=60.0, queue_size=count * 2)
    service.predict()
    counter = service.engine.meter("user").create_counter("user.requests")
    counter.add(1, {"user": "first"})
    before = resident()
    models = [otel_ml.Model(f"m{number}", version=str(number)) for number in range(min(count, 1000))]
    for number in range(count):
        with models[number % len(models)].prediction({"x": 1}) as prediction, prediction.stage(f"s{number}"):
            prediction.set_output(prediction=f"class {number}", score=0.5)
        kind = type(f"E{number % 1000}", (Exception,), {})
        with pytest.raises(kind), service.model.prediction({"x": 1}):
            raise kind
        counter.add(1, {"user": str(number)})
    service.flush(120)

    seen = receiver.metrics()
    series = {name: len(points) for name, points in seen.items()}
    labels = [{p.key: p.value.string_value for p in point.attributes} for point in seen["user.requests"]]
    assert {"user": "first"} in labels
    assert series["user.requests"] <= CARDINALITY + 1  # the overflow point
    most = (MAX_MODELS + 1) * (STAGES_KEPT + 1)  # with those of further models, and of further stages
    assert max(n for name, n in series.items() if name.startswith("ml.")) <= most
    growth = resident() - before
    figure(19, distinct_labels=count, series=sum(series.values()), growth_mib=growth, legitimate_kept=1)
