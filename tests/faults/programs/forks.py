"""Forks again and again while every lock of telemetry is in use by other threads."""

from __future__ import annotations

import os
import sys
import threading
import time

from opentelemetry import _logs, metrics, trace

import otel_ml

FORKS = int(sys.argv[1])
WAIT_SECONDS = 30.0

telemetry = otel_ml.configure(service_name="forks", metric_export_interval=0.02, schedule_delay=0.01)
model = otel_ml.Model("m", version="1", events="all")
meter = metrics.get_meter("user")
counter = meter.create_counter("user.counter")
histogram = meter.create_histogram("user.histogram")
meter.create_observable_gauge("user.gauge", [lambda options: [metrics.Observation(1)]])
tracer, logger = trace.get_tracer("user"), _logs.get_logger("user")
ending = threading.Event()


def work(where):
    with model.prediction({"x": 1.0}) as prediction:
        prediction.set_output(prediction=1, score=0.5)
    counter.add(1, {"where": where})
    histogram.record(0.5, {"where": where})
    with tracer.start_as_current_span(where):
        logger.emit(body=where)


def busy():
    while not ending.is_set():
        work("parent")
        time.sleep(0.001)


def child():
    work("child")
    return 0 if telemetry.shutdown(20.0) else 3


def reap(pid):
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(pid, 9)
    os.waitpid(pid, 0)
    return "hang"


threads = [threading.Thread(target=busy, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
slowest, statuses = 0.0, []
for _ in range(FORKS):
    began = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        status = 4
        try:
            status = child()
        finally:
            os._exit(status)
    slowest = max(slowest, time.perf_counter() - began)
    statuses.append(reap(pid))
ending.set()
for thread in threads:
    thread.join()
print("statuses", {status: statuses.count(status) for status in set(statuses)}, flush=True)
print("slowest", slowest, flush=True)
print("flushed", telemetry.shutdown(20.0), flush=True)
