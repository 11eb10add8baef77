"""Foreign processors and exporters are flushed and shut down within the promised time."""

from __future__ import annotations

import threading
import time

import pytest
from engine_samples import Sample, within
from opentelemetry.sdk._logs import LogRecordProcessor
from opentelemetry.sdk.trace import SpanProcessor

from otel_ml._telemetry._foreign_calls import ForeignProviders


class Provider:
    """A provider that answers as given; `released` ends a call that hangs."""

    def __init__(self, answer=True):
        self.answer = answer
        self.released = threading.Event()
        self.calls = []

    def force_flush(self, timeout_millis):
        self.calls.append("flush")
        if self.answer == "hangs":
            self.released.wait(60)
        if self.answer == "raises":
            raise RuntimeError
        return self.answer

    def shutdown(self):
        self.calls.append("shutdown")
        if self.answer == "hangs":
            self.released.wait(60)


@pytest.fixture
def hanging():
    made = Provider("hangs")
    yield made
    made.released.set()


@pytest.mark.parametrize(
    ("answers", "flushed"),
    [((), True), ((True, None), True), ((True, False), False), ((True, "raises"), False)],
    ids=["none", "true and none", "false", "raises"],
)
def test_a_flush_succeeds_only_if_all_providers_flush(answers, flushed):
    """Only False and an exception are failures: some distributions return None."""
    providers = [Provider(answer) for answer in answers]

    assert ForeignProviders(lambda: providers).flush(within()) is flushed
    assert [provider.calls for provider in providers] == [["flush"]] * len(answers)


def test_a_provider_without_a_flush_is_skipped():
    """The API's own placeholders cannot flush."""
    assert ForeignProviders(lambda: [object()]).flush(within()) is True


def test_a_provider_that_hangs_does_not_affect_the_others(hanging, caplog):
    """The others are flushed, the limit holds, one line names the provider, and no second thread waits for it."""
    good = Provider()
    others = ForeignProviders(lambda: [hanging, good])
    flushed = [others.flush(time.monotonic() + 0.3) for _ in range(3)]

    assert flushed == [False] * 3
    assert (hanging.calls, good.calls) == (["flush"], ["flush"] * 3)
    line = "Provider of this process ignores its time limit and is abandoned; what its processors hold may be lost"
    assert [record.getMessage() for record in caplog.records] == [f"otel-ml: {line}"]
    assert sum(thread.name == "otel-ml-foreign-call" for thread in threading.enumerate()) == 1


def test_a_shutdown_abandons_what_hangs(hanging):
    """All providers are shut down at the same time."""
    good = Provider()
    calls = ForeignProviders(lambda: [hanging, good]).begin_shutdown()

    assert [call.wait(time.monotonic() + 0.2) for call in calls] == [False, True]
    assert good.calls == ["shutdown"]


class Spans(SpanProcessor):
    def __init__(self, provider):
        self.provider = provider

    def force_flush(self, timeout_millis=30_000):
        return self.provider.force_flush(timeout_millis)

    def shutdown(self):
        self.provider.shutdown()


class Logs(LogRecordProcessor):
    def __init__(self, provider):
        self.provider = provider

    def on_emit(self, log_record):
        pass

    def force_flush(self, timeout_millis=30_000):
        return self.provider.force_flush(timeout_millis)

    def shutdown(self):
        self.provider.shutdown()


def test_processors_of_the_service_are_flushed_and_shut_down(make_engine):
    """Processors that a service adds to our providers are flushed and shut down with ours."""
    engine = make_engine()
    spans, logs = Provider(), Provider()
    engine.tracer_provider.add_span_processor(Spans(spans))
    engine.logger_provider.add_log_record_processor(Logs(logs))

    assert (engine.flush(within()), engine.shutdown(within())) == (True, True)
    assert (spans.calls, logs.calls) == (["flush", "shutdown"], ["flush", "shutdown"])


@pytest.mark.parametrize("signal", ["traces", "logs"])
def test_a_processor_that_hangs_blocks_neither_flush_nor_shutdown(make_engine, receiver, hanging, signal):
    """Both return within their limit, and our own records are delivered."""
    engine = make_engine()
    if signal == "traces":
        engine.tracer_provider.add_span_processor(Spans(hanging))
    else:
        engine.logger_provider.add_log_record_processor(Logs(hanging))
    engine.offer(Sample())
    flushed = engine.flush(time.monotonic() + 1)
    receiver.wait_for(lambda it: it.spans() and it.logs())

    assert (flushed, engine.shutdown(time.monotonic() + 1)) == (False, False)
    assert (len(receiver.spans()), len(receiver.logs())) == (1, 1)
