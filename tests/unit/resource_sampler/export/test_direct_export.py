from __future__ import annotations

import threading
import time

import otlp_receiver
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from otlp_receiver import Reply

from otel_ml import semconv
from otel_ml._export.answers import Answer
from otel_ml._export.ledger import Ledger
from otel_ml._export.transport import HttpTransport
from otel_ml.config import Config, ConfigError
from otel_ml.resource_sampler import DirectExport, Reading, Report, ResourceSampler

receiver = otlp_receiver.receiver


class One:
    """A source with one counter that grows by one a reading."""

    name = "host"
    metrics = (semconv.SYSTEM_DISK_IO,)

    def __init__(self):
        self.reads = self.closed = 0

    def read(self):
        self.reads += 1
        return Report((Reading(semconv.SYSTEM_DISK_IO, self.reads, {}),))

    def close(self):
        self.closed += 1


class Receiver:
    """A transport with an answer for each request; the last one for all further ones."""

    endpoint = "http://collector:4318/v1/metrics"

    def __init__(self, *answers):
        self.answers, self.bodies, self.closed = list(answers), [], 0

    def post(self, body, timeout):
        self.bodies.append(body)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def close(self):
        self.closed += 1

    def abandon(self):
        """There is no connection."""


ACCEPTED = Answer("accepted")
AWAY = Answer("retry", "connection refused or host unknown")


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def export(receiver, *, source=None, clock=None, **options):
    sampler = ResourceSampler(1.0, sources=[source or One()], budget=64)
    config = Config(endpoint="http://collector:4318").metrics
    return DirectExport(
        sampler, config=config, resource={"service.name": "x"}, transport=receiver, clock=clock or Clock(), **options
    )


def metrics_of(body):
    scope = ExportMetricsServiceRequest.FromString(body).resource_metrics[0].scope_metrics[0]
    return {metric.name: metric for metric in scope.metrics}


def value(body, name):
    return [point.as_int for point in metrics_of(body)[name].sum.data_points]


def test_readings_self_metrics_and_the_ledger_are_one_request():
    """Each tick sends one request; the ledger of the points before it is exact."""
    receiver = Receiver(ACCEPTED)
    direct = export(receiver)
    direct.step(101.0, threading.Event())
    direct.step(102.0, threading.Event())
    first, second = receiver.bodies
    assert (value(first, "system.disk.io"), value(second, "system.disk.io")) == ([1], [2])
    points = sum(len(getattr(metric, metric.WhichOneof("data")).data_points) for metric in metrics_of(first).values())
    assert value(second, "otelml.export.produced") == value(second, "otelml.export.delivered") == [points]
    assert metrics_of(second)["otelml.sampler.tick.duration"].histogram.data_points[0].count == 2
    assert {"otelml.sampler.cpu.time", "otelml.sampler.interval", "otelml.sampler.last_success"} <= set(
        metrics_of(first)
    )
    assert direct.ledger().produced == direct.ledger().delivered


def test_a_tick_longer_than_the_interval_is_an_overrun():
    """Counted as in a service; the time of a slow receiver does not belong to the tick."""
    clock = Clock()

    class Slow(One):
        def read(self):
            clock.now += 1.5 if self.reads else 0.5
            return super().read()

    class Late(Receiver):
        def post(self, body, timeout):
            clock.now += 5.0
            return super().post(body, timeout)

    receiver = Late(ACCEPTED)
    sampler = ResourceSampler(1.0, sources=[Slow()], budget=64, clock=clock)
    config = Config(endpoint="http://collector:4318").metrics
    direct = DirectExport(sampler, config=config, resource={}, transport=receiver, clock=clock)
    for _ in range(3):
        direct.step(clock.now + 1.0, threading.Event())
    assert [value(body, "otelml.sampler.overruns") for body in receiver.bodies] == [[0], [1], [2]]


def test_the_ledger_counts_each_final_answer():
    """Partial success and refusals are rejected; a request that is too large is dropped, since it cannot be split."""
    answers = [Answer("accepted", rejected=2), Answer("rejected", "HTTP 400"), Answer("too_large", "HTTP 413")]
    direct = export(Receiver(*answers))
    counts = []
    for _ in answers:
        before = direct.ledger().produced
        direct.step(101.0, threading.Event())
        counts.append(direct.ledger().produced - before)
    first, second, third = counts
    assert direct.ledger() == Ledger(sum(counts), first - 2, 2 + second, {"too_large": third})


def test_a_web_page_is_no_acceptance(receiver):
    """As in the engine, a web page accepts nothing, whatever its status."""
    receiver.script["metrics"] = [Reply(body=b"<html>Log in</html>", headers={"content-type": "text/html"})]
    config = Config(endpoint=receiver.url).metrics
    transport = HttpTransport("metrics", config)
    direct = DirectExport(ResourceSampler(1.0, sources=[One()]), config=config, resource={}, transport=transport)
    direct.step(time.monotonic() + 10, threading.Event())
    transport.close()
    ledger = direct.ledger()
    assert ledger == Ledger(ledger.produced, 0, ledger.produced)


@pytest.mark.parametrize("failure", [AWAY, Answer("retry", "HTTP 503")])
def test_a_receiver_that_is_down_costs_counted_points_and_two_lines(failure, caplog):
    """One line reports the failure with its remedy and one the recovery; the next snapshot has the missing values."""
    caplog.set_level("INFO", "otel_ml")
    receiver = Receiver(failure, failure, failure, ACCEPTED)
    direct = export(receiver)
    for _ in range(3):
        direct.step(100.1, threading.Event())
    lost = direct.ledger().produced
    assert direct.ledger() == Ledger(lost, dropped={"retry_exhausted": lost})
    direct.step(100.1, threading.Event())
    produced = direct.ledger().produced
    assert direct.ledger() == Ledger(produced, produced - lost, dropped={"retry_exhausted": lost})
    assert value(receiver.bodies[-1], "system.disk.io") == [4]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith(f"otel-ml: cannot export metrics to http://collector:4318: {failure.detail}; losses are")
    assert lines[1] == "otel-ml: export to http://collector:4318 works again after 0 s"


def test_a_transport_that_raises_costs_one_snapshot(caplog):
    """Its points are counted as if the receiver were down."""

    class Broken(Receiver):
        def post(self, body, timeout):
            raise ArithmeticError

    direct = export(Broken(ACCEPTED))
    direct.step(100.1, threading.Event())
    ledger = direct.ledger()
    assert ledger == Ledger(ledger.produced, dropped={"retry_exhausted": ledger.produced})
    assert "sampler.post failed with ArithmeticError" in caplog.text


def test_a_receiver_that_asks_to_wait_is_not_asked_earlier():
    """Retry-After applies across ticks."""
    clock = Clock()
    receiver = Receiver(Answer("retry", "HTTP 429", retry_after=30.0), ACCEPTED)
    direct = export(receiver, clock=clock)
    direct.step(100.1, threading.Event())
    clock.now = 110.0
    direct.step(110.1, threading.Event())
    assert len(receiver.bodies) == 1
    clock.now = 131.0
    direct.step(131.1, threading.Event())
    ledger = direct.ledger()
    assert (len(receiver.bodies), ledger.delivered) == (2, ledger.produced - ledger.dropped["retry_exhausted"])


def test_a_longer_export_interval_skips_ticks():
    """Every tick is read, so that counters see each restart; only some are sent."""
    clock, receiver, source = Clock(), Receiver(ACCEPTED), One()
    direct = export(receiver, clock=clock, source=source, every=3.0)
    for tick in range(9):
        clock.now = 100.0 + tick * 1.0001
        direct.step(clock.now + 1, threading.Event())
    assert (source.reads, len(receiver.bodies)) == (9, 3)


def test_it_ends_with_the_watched_process_and_sends_once_more():
    """The last readings arrive, the source is closed and so is the connection."""
    receiver, source = Receiver(ACCEPTED), One()
    export(receiver, source=source).run(threading.Event(), lambda: source.reads > 0)
    assert (source.reads, source.closed, receiver.closed, len(receiver.bodies)) == (2, 1, 1, 2)


def test_the_last_export_says_that_it_is_the_last():
    """An interval of 0 tells a sampler that was stopped from one that was killed."""
    receiver, source = Receiver(ACCEPTED), One()
    export(receiver, source=source).run(threading.Event(), lambda: source.reads > 0)
    intervals = [metrics_of(body)["otelml.sampler.interval"].gauge.data_points for body in receiver.bodies]
    assert [[point.as_double for point in points] for points in intervals] == [[1.0], [0.0]]


def test_a_stop_is_flushed_even_if_the_export_interval_is_far():
    """A SIGTERM costs no points."""
    stop = threading.Event()
    stop.set()
    receiver = Receiver(ACCEPTED)
    export(receiver, every=3600.0).run(stop)
    assert len(receiver.bodies) == 1


def test_a_receiver_that_does_not_answer_does_not_delay_a_stop():
    """The request in flight is cut after a moment and its points are counted; the last request is still tried."""

    class Hanging(Receiver):
        def __init__(self):
            super().__init__(ACCEPTED)
            self.is_in_flight, self.is_cut = threading.Event(), threading.Event()

        def post(self, body, timeout):
            answer = super().post(body, timeout)
            if len(self.bodies) == 1:
                self.is_in_flight.set()
                assert self.is_cut.wait(30)
                return AWAY
            return answer

        def close(self):
            self.is_cut.set()

    receiver, stop = Hanging(), threading.Event()
    export = DirectExport(
        ResourceSampler(3600.0, sources=[One()]), config=Config().metrics, resource={}, transport=receiver
    )
    thread = threading.Thread(target=export.run, args=(stop,))
    thread.start()
    assert receiver.is_in_flight.wait(30)
    stop.set()
    thread.join(30)
    assert not thread.is_alive()
    assert len(receiver.bodies) == 2
    ledger = export.ledger()
    assert ledger.dropped["shutdown"] > 0
    assert ledger.produced == ledger.delivered + ledger.dropped["shutdown"]


def test_points_that_cannot_be_sent_at_the_end_are_counted():
    """A receiver that is down does not delay the end."""
    direct = export(Receiver(AWAY))
    stop = threading.Event()
    stop.set()
    direct.step(200.0, stop)
    assert direct.ledger() == Ledger(direct.ledger().produced, dropped={"shutdown": direct.ledger().produced})


def test_headers_and_compression_are_those_of_the_settings(receiver):
    """The sampler's requests follow OTEL_EXPORTER_OTLP_HEADERS and OTEL_EXPORTER_OTLP_COMPRESSION."""
    config = Config(endpoint=receiver.url, headers={"authorization": "Bearer x"}, compression="gzip").metrics
    transport = HttpTransport("metrics", config)
    direct = DirectExport(ResourceSampler(1.0, sources=[One()]), config=config, resource={}, transport=transport)
    direct.step(time.monotonic() + 10, threading.Event())
    transport.close()
    ((_, body),) = receiver.accepted
    (headers,) = receiver.headers
    assert value(body, "system.disk.io") == [1]
    assert (headers["authorization"], headers["content-encoding"]) == ("Bearer x", "gzip")


def test_a_certificate_that_cannot_be_read_is_one_clear_line(tmp_path, monkeypatch):
    """The start fails with the variable's name or the reason."""
    for name, match in (
        ("none.pem", "CERTIFICATE names .* is not a file"),
        ("bad.pem", "^the certificates for https://c:1/"),
    ):
        (tmp_path / "bad.pem").write_text("nothing")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(tmp_path / name))
        with pytest.raises(ConfigError, match=match):
            DirectExport(ResourceSampler(1.0), config=Config(endpoint="https://c:1").metrics, resource={})
