"""The engine against a real receiver: what was produced, what arrived, and what was dropped for which reason."""

from __future__ import annotations

import logging
import threading

import pytest
from engine_samples import Sample, event, eventually, span, within
from opentelemetry import trace
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.trace import SpanProcessor
from otlp_receiver import Reply

from otel_ml import _guard
from otel_ml._export.ledger import Ledger
from otel_ml._process.locks import CHECK_SECONDS
from otel_ml._telemetry.predictions.model_cells import ModelIdentity


def balanced(ledger: Ledger) -> bool:
    return ledger.produced == ledger.delivered + ledger.rejected + sum(ledger.dropped.values()) + ledger.in_flight


def test_the_ledger_agrees_with_the_receiver(make_engine, receiver):
    """Delivered spans, events and points are those that the receiver has."""
    engine = make_engine()
    engine.cells(ModelIdentity("m", "1", "primary")).mine().started += 1
    records = [Sample(number) for number in range(100)]

    assert [engine.offer(record) for record in records] == [True] * 100
    assert engine.flush(within())

    ledger = engine.ledger()
    assert {signal: account.delivered for signal, account in ledger.items()} == receiver.counted()
    assert ledger["traces"] == Ledger(100, 100)
    assert ledger["logs"] == Ledger(100, 100)
    assert [record.observed for record in records] == [1] * 100
    assert len({item.span_id for item in receiver.spans()}) == 100


def test_sdk_records_take_the_same_path(make_engine, receiver):
    """Spans and log records of other instrumentation count in the same ledger and have the same resource."""
    engine = make_engine()
    with engine.tracer("other").start_as_current_span("outer"), engine.tracer("other").start_as_current_span("inner"):
        engine.logger_provider.get_logger("other").emit(body="hello")
    engine.offer(Sample())

    assert engine.flush(within())
    assert sorted(item.name for item in receiver.spans()) == ["inner", "outer", "predict m"]
    assert sorted(item.body.string_value for item in receiver.logs()) == ["hello", '{"prediction": 1}']
    assert {signal: account.delivered for signal, account in engine.ledger().items()} == receiver.counted()


def test_unsampled_sdk_spans_are_not_sent(make_engine, receiver, monkeypatch):
    """The SDK's sampler variables apply."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    engine = make_engine()
    with engine.tracer("other").start_as_current_span("outer"):
        pass

    assert engine.flush(within())
    assert engine.sample(None, 1, "predict m", {}, []).sampled is False
    assert receiver.spans() == []


def test_partial_success_counts_as_rejected(make_engine, receiver):
    """Records that an accepting receiver refuses count as rejected."""
    answer = ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 3
    receiver.script["traces"] = [Reply(body=answer.SerializeToString())]
    refused = ExportLogsServiceResponse()
    refused.partial_success.rejected_log_records = 10_000
    receiver.script["logs"] = [Reply(body=refused.SerializeToString())]
    engine = make_engine()
    for number in range(10):
        engine.offer(Sample(number))

    assert engine.flush(within()) is False
    assert engine.ledger()["traces"] == Ledger(10, 7, 3)
    assert engine.ledger()["logs"] == Ledger(10, 0, 10)


@pytest.mark.parametrize("status", [400, 401, 404, 500, 501, 301])
def test_final_answers_are_not_retried(make_engine, receiver, status):
    """Every status outside the retry table is final; redirects are not followed."""
    receiver.default["traces"] = Reply(status, headers={"location": f"{receiver.url}/v1/other"})
    engine = make_engine()
    engine.offer(Sample())

    assert engine.flush(within()) is False
    assert engine.ledger()["traces"] == Ledger(1, 0, 1)
    assert receiver.requests["traces"] == 1
    assert receiver.requests["other"] == 0


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_retryable_answers_are_retried(make_engine, receiver, status):
    """Statuses of the retry table are retried after Retry-After; the flush does not wait for it."""
    receiver.script["traces"] = [Reply(status, headers={"retry-after": "0"})] * 2
    engine = make_engine()
    engine.offer(Sample())

    assert engine.flush(within()) is False
    assert eventually(lambda: engine.ledger()["traces"] == Ledger(1, 1))
    assert receiver.requests["traces"] == 3


def test_a_receiver_that_asks_to_wait_is_not_asked_by_a_flush(make_engine, receiver):
    """Retry-After holds for a flush too, which returns at once; the records stay queued, and a shutdown tries again."""
    receiver.script["traces"] = [Reply(503, headers={"retry-after": "3600"})]
    engine = make_engine()
    engine.offer(Sample())

    assert [engine.flush(within()) for _ in range(3)] == [False, False, False]
    assert receiver.requests["traces"] == 1
    assert engine.ledger()["traces"] == Ledger(1, in_flight=1)
    assert engine.shutdown(within())
    assert engine.ledger()["traces"] == Ledger(1, 1)


def test_a_closed_connection_is_retried(make_engine, receiver):
    """A request whose connection ends without an answer is sent again."""
    receiver.script["traces"] = [Reply(), Reply(cut="before", stores=False)]
    engine = make_engine()
    engine.offer(Sample(1))
    assert engine.flush(within())
    engine.offer(Sample(2))

    assert engine.flush(within())
    assert engine.ledger()["traces"] == Ledger(2, 2)


def test_a_slow_answer_is_cut_off_at_the_deadline(make_engine, receiver):
    """A receiver that sends byte by byte cannot block a sender beyond the deadline of the request."""
    receiver.default["traces"] = Reply(503, body=b"x" * 1000, drip=0.05)
    engine = make_engine(timeout=0.3)
    engine.offer(Sample())

    assert engine.flush(within(8)) is False
    assert engine.ledger()["traces"] == Ledger(1, in_flight=1)


def test_only_part_of_a_huge_answer_is_read(make_engine, receiver):
    """At most 64 KiB of an answer are read; the next batch uses a new connection."""
    receiver.script["traces"] = [Reply(400, body=b"x" * 1_000_000)]
    engine = make_engine()
    engine.offer(Sample(1))
    engine.flush(within())
    engine.offer(Sample(2))

    assert engine.flush(within())
    assert engine.ledger()["traces"] == Ledger(2, 1, 1)


def test_a_batch_that_is_too_large_is_split(make_engine, receiver, caplog):
    """413 splits the batch; a single record that still does not fit is dropped as too large, and the log says so."""
    receiver.script["traces"] = [Reply(413), Reply(413), Reply(200), Reply(413), Reply(200), Reply(413), Reply(200)]
    engine = make_engine()
    for number in range(4):
        engine.offer(Sample(number))

    engine.flush(within())

    ledger = engine.ledger()["traces"]
    assert ledger.dropped.keys() == {"too_large"}
    assert [line for line in caplog.messages if "counted as rejected" in line] == []
    assert [line.partition("; ")[0] for line in caplog.messages if "too large" in line] == [
        f"otel-ml: {receiver.url} finds a record of traces too large (HTTP 413)"
    ]
    assert ledger.delivered == len(receiver.spans())
    assert (ledger.in_flight, balanced(ledger)) == (0, True)


def test_a_record_beyond_the_request_limit_is_dropped(make_engine, receiver):
    """One giant record is dropped and counted; its neighbour arrives."""
    engine = make_engine()
    engine.offer(Sample(1, render_event=event(body="x" * 5_000_000)))
    engine.offer(Sample(2))

    assert engine.flush(within()) is False
    assert engine.ledger()["logs"] == Ledger(2, 1, 0, {"too_large": 1})
    assert len(receiver.logs()) == 1


def test_large_batches_are_sent_in_several_requests(make_engine, receiver):
    """Requests stay below their limit."""
    engine = make_engine()
    for number in range(12):
        engine.offer(Sample(number, render_event=event(number, body="x" * 1_000_000)))

    assert engine.flush(within(30))
    assert receiver.requests["logs"] >= 3
    assert engine.ledger()["logs"] == Ledger(12, 12)


def test_an_invalid_record_does_not_affect_its_neighbours(make_engine, receiver):
    """A prediction that cannot be encoded is dropped as invalid, an SDK record is repaired, all others arrive."""
    engine = make_engine()
    engine.offer(Sample(1))
    engine.offer(Sample(2, fails=True))
    engine.offer(Sample(3, render_event=event(body="\ud800")))
    engine.offer(Sample(4, spans=[span(name="\ud800")]))
    engine.offer(Sample(5))
    engine.logger_provider.get_logger("other").emit(body="good")
    engine.logger_provider.get_logger("other").emit(body="\ud800")
    engine.logger_provider.get_logger("other").emit(body=object())

    engine.flush(within())

    ledger = engine.ledger()
    assert ledger["traces"] == Ledger(5, 3, 0, {"invalid": 2})
    assert ledger["logs"] == Ledger(8, 6, 0, {"invalid": 2})
    assert {signal: account.delivered for signal, account in ledger.items()} == receiver.counted()


def test_the_ledger_counts_what_was_rendered(make_engine, receiver):
    """If rendering returns more or fewer records than announced, the ledger is corrected."""
    engine = make_engine()
    engine.offer(Sample(1, spans=[span(1), span(2), span(3)]))
    engine.offer(Sample(4, span_count=2))

    engine.flush(within())

    assert engine.ledger()["traces"] == Ledger(5, 4, 0, {"invalid": 1})
    assert len(receiver.spans()) == 4


def test_a_full_queue_drops_and_counts(make_engine, receiver):
    """Records beyond the queue's size are refused at once and counted."""
    engine = make_engine(queue_size=10)
    held = threading.Event()
    blocker = Sample(0)
    blocker.observe = lambda: held.wait(10)
    engine.offer(blocker)
    while len(engine._predictions):
        held.wait(0.001)

    results = [engine.offer(Sample(number)) for number in range(1, 16)]
    waiting = engine.ledger()["traces"]
    held.set()

    assert results == [True] * 10 + [False] * 5
    assert waiting == Ledger(16, 0, 0, {"queue_full": 5}, 11)
    engine.flush(within())
    assert engine.ledger()["traces"] == Ledger(16, 11, 0, {"queue_full": 5})
    assert len(receiver.spans()) == 11


def test_no_record_of_many_threads_is_lost(make_engine, receiver):
    """Every record of eight threads is in the ledger and at the receiver."""
    engine = make_engine()

    def offer():
        for number in range(500):
            engine.offer(Sample(number))

    threads = [threading.Thread(target=offer) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert engine.flush(within(30))
    assert engine.ledger()["traces"] == Ledger(4000, 4000)
    assert len(receiver.spans()) == 4000


def test_shutdown_sends_what_is_queued(make_engine, receiver):
    """A shutdown exports spans, events and a last collection, and is safe to call twice."""
    engine = make_engine(periodic=True)
    for number in range(100):
        engine.offer(Sample(number))

    assert engine.shutdown(within())
    assert engine.shutdown(within())
    assert {signal: account.delivered for signal, account in engine.ledger().items()} == receiver.counted()
    assert engine.ledger()["traces"] == Ledger(100, 100)
    assert engine.ledger()["metrics"].delivered > 0


def test_after_a_shutdown_records_are_refused_and_counted(make_engine):
    """A late record is dropped with the reason shutdown, and the next flush says so once."""
    engine = make_engine()
    engine.shutdown(within())

    assert engine.offer(Sample()) is False
    with engine.tracer("late").start_as_current_span("late"):
        pass
    assert engine.ledger()["traces"] == Ledger(2, 0, 0, {"shutdown": 2})
    assert [engine.flush(within()), engine.flush(within())] == [False, True]


def test_a_shutdown_without_a_receiver_counts_what_is_lost(make_engine):
    """Without a receiver, queued records are dropped, and every one is accounted for."""
    engine = make_engine(endpoint="http://127.0.0.1:9", periodic=True)
    for number in range(1000):
        engine.offer(Sample(number))

    assert engine.shutdown(within()) is False
    ledger = engine.ledger()
    assert [account.in_flight for account in ledger.values()] == [0, 0, 0]
    assert all(balanced(account) for account in ledger.values())
    assert ledger["traces"].lost() == 1000


def test_a_shutdown_does_not_wait_for_a_receiver_that_hangs(make_engine, receiver):
    """A receiver that never answers cannot block the shutdown beyond its deadline."""
    receiver.default["traces"] = Reply(delay=60)
    engine = make_engine(timeout=60)
    engine.offer(Sample())

    assert engine.shutdown(within(0.5)) is False
    assert engine.ledger()["traces"] == Ledger(1, 0, 0, {"shutdown": 1})


def test_one_line_when_exports_fail_and_one_when_they_work_again(make_engine, receiver, caplog):
    """However often exports fail, the log has one line with endpoint and remedy, and one at recovery."""
    receiver.script["traces"] = [Reply(503, headers={"retry-after": "0"})] * 3
    engine = make_engine()
    with caplog.at_level(logging.WARNING, "otel_ml"):
        engine.offer(Sample())
        engine.flush(within())
        assert eventually(lambda: engine.ledger()["traces"].delivered == 1)

    lines = [record.getMessage() for record in caplog.records if record.name == "otel_ml"]
    assert len(lines) == 2
    assert receiver.url in lines[0]
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in lines[0]
    assert "works again" in lines[1]


def test_gzip_and_headers_reach_the_receiver(make_engine, receiver):
    """Requests have the configured compression and headers."""
    engine = make_engine(compression="gzip", headers={"Authorization": "Bearer t"})
    engine.offer(Sample())

    assert engine.flush(within())
    assert len(receiver.spans()) == 1
    assert {seen["authorization"] for seen in receiver.headers} == {"Bearer t"}
    assert {seen["content-encoding"] for seen in receiver.headers} == {"gzip"}


def test_sending_is_not_instrumented(make_engine, receiver):
    """Instrumentation is suppressed while we send, so that telemetry does not cause telemetry."""
    from otel_ml._telemetry._suppress import is_suppressed

    engine = make_engine()
    seen: list[bool] = []
    sample = Sample()
    sample.observe = lambda: seen.append(is_suppressed())
    engine.offer(sample)
    engine.flush(within())

    assert seen == [True]
    assert is_suppressed() is False


def test_our_own_log_lines_do_not_feed_the_pipeline(make_engine, receiver):
    """A record that is logged while otel-ml reports a problem is not exported."""
    engine = make_engine()
    logger = engine.logger_provider.get_logger("root")

    class Handler(logging.Handler):
        def emit(self, record):
            logger.emit(body=record.getMessage())

    handler = Handler()
    logging.getLogger("otel_ml").addHandler(handler)
    try:
        _guard.warn("a line of ours")
    finally:
        logging.getLogger("otel_ml").removeHandler(handler)

    assert engine.flush(within())
    assert engine.ledger()["logs"] == Ledger()


def test_a_foreign_span_processor_gets_sdk_spans(make_engine):
    """A processor that the user adds sees every span, so fast-path spans are turned off, and the notes say so."""
    engine = make_engine()
    before = engine.fast_spans

    class Mine(SpanProcessor):
        pass

    engine.tracer_provider.add_span_processor(Mine())

    assert (before, engine.fast_spans) == (True, False)
    assert "traces: SDK path, because the span processor Mine was added and must see every span" in engine.notes()


def test_exemplars_refer_to_exported_spans(make_engine):
    """Without exporters of spans and logs there are no exemplars until the user adds a span processor."""
    engine = make_engine(traces_exporter="none", logs_exporter="none")
    before = engine.exemplars

    class Mine(SpanProcessor):
        pass

    engine.tracer_provider.add_span_processor(Mine())

    assert (before, engine.exemplars, make_engine().exemplars) == (False, True, True)
    assert make_engine(exemplar_filter="always_off").exemplars is False


def test_a_collection_renews_the_claim_on_the_instance_slot(make_engine):
    """Even while the worker is idle, a cleaner of temporary files does not remove the slot's file."""
    engine = make_engine(traces_exporter="none", logs_exporter="none")
    path = engine.instance._held.path
    path.unlink()
    engine.instance._checked_at -= CHECK_SECONDS

    assert engine.flush(within())
    assert path.exists()


def test_a_foreign_id_generator_makes_all_ids(make_engine, monkeypatch):
    """A generator that OTEL_PYTHON_ID_GENERATOR names makes all ids, on SDK spans."""
    monkeypatch.setenv("OTEL_PYTHON_ID_GENERATOR", "random")

    engine = make_engine()

    assert type(engine.tracer_provider.id_generator).__name__ == "RandomIdGenerator"
    assert engine.fast_spans is False


def test_ids_ignore_the_services_seed(make_engine):
    """`random.seed` has no effect on ids, and ids have none on the service's random numbers."""
    import random

    engine = make_engine()

    def ids() -> int:
        random.seed(42)
        span = engine.tracer("t").start_span("s")
        return span.get_span_context().trace_id

    first, number = ids(), random.random()

    assert ids() != first
    assert random.random() == number


@pytest.mark.parametrize("exporter", ["none", "console"])
def test_a_signal_without_our_sender_is_not_in_its_ledger(make_engine, receiver, exporter, capsys):
    """Exporter none sends nothing; the console exporter takes the SDK path and prints events."""
    engine = make_engine(traces_exporter=exporter, logs_exporter=exporter, metrics_exporter="none")
    with engine.tracer("t").start_as_current_span("printed"):
        engine.offer(Sample(span_count=0, spans=[]))

    assert engine.flush(within())
    assert list(engine.ledger().values()) == [Ledger()] * 3
    assert receiver.heads == []
    assert engine.fast_spans is (exporter == "none")
    assert ("printed" in capsys.readouterr().out) is (exporter == "console")


def test_a_raising_sampler_samples_nothing(make_engine):
    """If the user's sampler raises, the span is not sampled and the request is unaffected."""
    engine = make_engine()

    class Broken:
        def should_sample(self, *_, **__):
            raise ZeroDivisionError

    engine._sampling.sampler = Broken()

    assert engine.sample(None, 1, "n", {}, []).sampled is False
    assert _guard.counts() == {"engine.sample": 1}


def test_sampling_asks_the_providers_sampler(make_engine, monkeypatch):
    """The sampler decides by trace id."""
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    engine = make_engine()

    assert [engine.sample(None, trace_id, "n", {}, []).sampled for trace_id in (1, 2**64 - 1)] == [True, False]
    assert trace.get_current_span().get_span_context().is_valid is False


def test_shutdown_logs_what_was_lost(make_engine, caplog):
    """With a dead receiver, the last line of the log has the counts."""
    engine = make_engine(endpoint="http://127.0.0.1:9", metrics_exporter="none")
    engine.offer(Sample())
    engine.shutdown(within(0.5))

    logged = [record.getMessage() for record in caplog.records if "reached" in record.getMessage()]
    assert logged == ["otel-ml: never reached the receiver: traces 1 (shutdown), logs 1 (shutdown)"]
