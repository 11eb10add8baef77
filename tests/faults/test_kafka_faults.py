"""Case 18: real Collectors on either side of a real Kafka broker; `benchmarks/kafka_tiers.py` is its run with services.

Sources: open-telemetry/opentelemetry-collector-contrib#36982, #22033 and #44161 (requests larger than a message may be),
#18075 (a message that is no OTLP), #6222, #35868, #39580 and open-telemetry/opentelemetry-collector#13901 (messages that are done before
they are delivered), #24029 and #14976 (no broker at the start; what was sent before it), #12208 (brokers that restart),
#39919 (TLS with a login); Telefonica/prometheus-kafka-adapter#75 (points of a series in several partitions).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / part) for part in ("deploy/local", "tests/pipeline")]

import built_servers  # noqa: E402  (found by the line above)
from kafka_broker import running_broker  # noqa: E402
from pipeline_servers import collector_environment, eventually, free_ports, otlp_backend, running_collector  # noqa: E402

RUN = ROOT / "tests" / "benchmarks" / "kafka_tiers.py"
WRITER, READER = ("agent.yaml", "to_kafka.yaml"), ("agent.yaml", "from_kafka.yaml")
LOGIN = ("kafka_tls.yaml", "kafka_sasl.yaml")
PASSWORD = "0x1f $a}#: b"
SECURE = """\
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.store
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
ssl.client.auth=required
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required username="collector" password="{password}";
"""


@pytest.fixture(scope="module")
def binary():
    """The Collector with `kafka`."""
    return built_servers.binary("collector-gateway")


@pytest.fixture
def backend():
    with otlp_backend() as recording:
        yield recording


@pytest.fixture
def collector(binary, backend, tmp_path):
    """Starts Collectors that know a broker and the back end."""

    @contextmanager
    def start(broker, name, files, **more):
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
        environment = collector_environment(backend.address, folder, OTELCOL_KAFKA_BROKERS=broker.address, **more)
        with running_collector(binary, environment, folder, files) as running:
            yield running

    return start


def logs(first, count, service="api", size=100):
    """Returns log records with numbers of their own."""
    message = ExportLogsServiceRequest()
    resource = message.resource_logs.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    scope = resource.scope_logs.add()
    for number in range(first, first + count):
        scope.log_records.add(time_unix_nano=time.time_ns()).body.string_value = f"{number} ".ljust(size, "x")
    return message


def spans(count, traces=1000, size=10):
    """Returns spans of so many traces, one of them with a long attribute."""
    message = ExportTraceServiceRequest()
    scope = message.resource_spans.add().scope_spans.add()
    for number in range(count):
        trace = (number % traces + 1).to_bytes(16, "little")
        span = scope.spans.add(trace_id=trace, span_id=(number + 1).to_bytes(8, "big"), start_time_unix_nano=1)
        span.end_time_unix_nano, span.name = 2, str(number)
        span.attributes.add(key="text").value.string_value = "x" * (size if number == count // 2 else 1)
    return message


def points(service, number):
    """Returns one point of a counter of one process."""
    message = ExportMetricsServiceRequest()
    resource = message.resource_metrics.add()
    resource.resource.attributes.add(key="service.instance.id").value.string_value = service
    data = resource.scope_metrics.add().metrics.add(name="calls").sum
    data.aggregation_temporality, data.is_monotonic = 2, True
    data.data_points.add(time_unix_nano=time.time_ns(), as_int=number)
    return message


def numbers(backend):
    """Returns how often each log record has arrived."""
    return Counter(
        int(record.body.string_value.split(" ")[0])
        for message in list(backend.received("/v1/logs"))
        for resource in message.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    )


def names(backend):
    """Returns how often each span has arrived."""
    return Counter(
        int(span.name)
        for message in list(backend.received("/v1/traces"))
        for resource in message.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )


def metrics(backend):
    return list(backend.received("/v1/metrics"))


def once(count):
    return Counter(range(count))


@pytest.mark.slow
@pytest.mark.parametrize("row", ["no fault", "SIGKILL broker", "SIGKILL writer", "SIGTERM reader", "SIGKILL reader"])
def test_case_18_kafka_loses_nothing(row, figure):
    """Through two writers, a broker and two readers everything arrives, and each series in order."""
    command = [sys.executable, str(RUN), "--json", "--rate", "400", "--only", row]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    figures = json.loads(done.stdout)
    twice = figures["spans_twice"] + figures["events_twice"]
    lost = figures["spans_lost"] + figures["events_lost"]
    figure(18, mode=f"Kafka, {row}", sent=figures["sent"], lost=lost, duplicated=twice)
    assert (lost, figures["incomplete"], figures["dropped_by_services"], figures["points_out_of_order"]) == (0, 0, 0, 0)
    assert row != "no fault" or twice == 0


@pytest.mark.slow
def test_case_18_kafka_takes_every_size(collector, backend, tmp_path):
    """Requests of megabytes are split, a span with an attribute of megabytes is cut, and a message that is no OTLP is passed over.

    The writer sends its own figures through Kafka too.
    """
    raw = tmp_path / "raw.yaml"
    raw.write_text(
        "exporters: { kafka: { partition_logs_by_resource_attributes: false, logs: { encoding: raw, topic: otlp_spans } } }"
    )
    port = str(free_ports(1)[0])
    own = {
        "OTELCOL_HTTP_PORT": port,
        "PROMETHEUS_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        "OTELCOL_SELF_INTERVAL_MS": "1000",
    }
    with running_broker(tmp_path) as broker:
        with collector(broker, "raw", [*WRITER, str(raw)]) as running:
            assert running.send("/v1/logs", logs(0, 5)) == 200
            time.sleep(1)
        with collector(broker, "writer", WRITER, **own) as writer, collector(broker, "reader", READER) as reader:
            assert writer.send("/v1/logs", logs(0, 5000, size=1000)) == 200
            assert writer.send("/v1/traces", spans(100, size=2_000_000)) == 200
            eventually(lambda: (numbers(backend), names(backend)) == (once(5000), once(100)))
            assert "failed to unmarshal message" in reader.log.read_text()
            eventually(lambda: any(b"otelcol_process_uptime" in each.SerializeToString() for each in metrics(backend)))
    assert max(message.ByteSize() for message in backend.received("/v1/logs")) < 1_000_000


@pytest.mark.slow
def test_case_18_a_key_has_one_partition(collector, backend, tmp_path):
    """All spans of a trace, all points of a process and all its log records are in one partition, and several are in use."""
    named = tmp_path / "partition.yaml"
    named.write_text("""
processors:
  attributes/partition: { actions: [{ key: partition, from_context: metadata.kafka.partition, action: upsert }] }
service:
  pipelines:
    traces/in: { processors: [attributes/partition] }
    logs/in: { processors: [attributes/partition] }
    metrics/in: { processors: [attributes/partition] }
""")
    with (
        running_broker(tmp_path) as broker,
        collector(broker, "writer", WRITER) as writer,
        collector(broker, "reader", [*READER, str(named)]),
    ):
        for number in range(10):
            for service in "abcdefgh":
                assert writer.send("/v1/metrics", points(service, number)) == 200
                assert writer.send("/v1/logs", logs(number, 1, service)) == 200
        assert writer.send("/v1/traces", spans(100, traces=20)) == 200
        eventually(lambda: numbers(backend).total() == 80 and len(names(backend)) == 100)
        eventually(lambda: sum(map(len, values(backend).values())) == 80)
    assert all(own == list(range(10)) for own in values(backend).values())
    for path, keys in (("/v1/traces", 20), ("/v1/logs", 8), ("/v1/metrics", 8)):
        found = partitions(backend, path)
        assert [len(own) for own in found.values()] == [1] * keys
        assert len(set.union(*found.values())) > 1


def partitions(backend, path):
    """Returns the partitions in which each trace or process has arrived."""
    found = defaultdict(set)
    for message in list(backend.received(path)):
        for resource in message.ListFields()[0][1]:
            for item in items(resource):
                own = {each.value.string_value for each in item.attributes if each.key == "partition"}
                found[item.trace_id if path == "/v1/traces" else str(resource.resource.attributes)] |= own
    return found


def items(resource):
    """Returns the spans, log records or points of a resource."""
    for field, scopes in resource.ListFields():
        if field.name == "scope_spans":
            yield from (span for scope in scopes for span in scope.spans)
        elif field.name == "scope_logs":
            yield from (record for scope in scopes for record in scope.log_records)
        elif field.name == "scope_metrics":
            # The Collectors' own figures arrive too.
            ours = [metric for scope in scopes for metric in scope.metrics if metric.name == "calls"]
            yield from (point for metric in ours for point in metric.sum.data_points)


def values(backend):
    """Returns the values of each process in the order in which they arrived."""
    found = defaultdict(list)
    for message in metrics(backend):
        for resource in message.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == "calls":
                        (name,) = (each.value.string_value for each in resource.resource.attributes)
                        found[name] += [point.as_int for point in metric.sum.data_points]
    return found


@pytest.mark.slow
def test_case_18_kafka_and_back_ends_go_away(collector, backend, tmp_path):
    """Collectors start without a broker; messages wait in a queue before it, in Kafka behind it, and nothing is refused."""
    with running_broker(tmp_path) as broker:
        broker.stop()
        with collector(broker, "writer", WRITER) as writer:
            assert writer.send("/v1/logs", logs(0, 1000)) == 200
            began = time.monotonic()
            assert writer.stop() == 0
            print(f"stop without a broker: {time.monotonic() - began:.1f} s")
        broker.start()
        backend.status = 503
        with collector(broker, "writer", WRITER) as writer:
            for number in range(1, 60):
                assert writer.send("/v1/logs", logs(number * 1000, 1000, f"service-{number % 7}")) == 200
            # The queue of the reader is full after a third; a restart changes nothing.
            for _ in range(2):
                with collector(broker, "reader", READER, OTELCOL_QUEUE_ITEMS="20000") as reader:
                    eventually(lambda: backend.refused > 0)
                    time.sleep(3)
                assert "queue is full" not in reader.log.read_text()
            backend.status = 200
            with collector(broker, "reader", READER, OTELCOL_QUEUE_ITEMS="20000"):
                eventually(lambda: len(numbers(backend)) == 60_000, 90)
    assert numbers(backend) == once(60_000)


@pytest.mark.slow
def test_case_18_a_login_that_fails_keeps_the_data(collector, backend, tmp_path):
    """With certificates and a password everything passes; with a wrong password it waits in the queue until that is right."""
    certificates(tmp_path)
    settings = SECURE.format(folder=tmp_path, password=PASSWORD)
    files = {
        "OTELCOL_KAFKA_CA_FILE": str(tmp_path / "ca.pem"),
        "OTELCOL_KAFKA_CERT_FILE": str(tmp_path / "client.pem"),
        "OTELCOL_KAFKA_KEY_FILE": str(tmp_path / "client.key"),
        "OTELCOL_KAFKA_USERNAME": "collector",
    }
    user = f"SCRAM-SHA-512=[name=collector,password={PASSWORD}]"
    with running_broker(tmp_path, "SASL_SSL", settings, user) as broker:
        for name, wrong in (
            ("writer", {"OTELCOL_KAFKA_PASSWORD": "wrong"}),
            ("other", {"OTELCOL_KAFKA_PASSWORD": PASSWORD, "OTELCOL_KAFKA_CA_FILE": str(tmp_path / "client.pem")}),
        ):
            with collector(broker, name, [*WRITER, *LOGIN], **files | wrong) as writer:
                assert writer.send("/v1/logs", logs(100 if name == "other" else 0, 100)) == 200
                eventually(lambda: "records export failed" in writer.log.read_text())  # noqa: B023
        right = files | {"OTELCOL_KAFKA_PASSWORD": PASSWORD}
        with (
            collector(broker, "writer", [*WRITER, *LOGIN], **right) as writer,
            collector(broker, "other", [*WRITER, *LOGIN], **right),
            collector(broker, "reader", [*READER, *LOGIN], **right) as reader,
        ):
            eventually(lambda: numbers(backend) == once(200))
            assert PASSWORD not in writer.log.read_text() + reader.log.read_text()


def certificates(folder):
    """Writes an authority and what it has signed for the broker and for a client."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=True)

    openssl(
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=ca",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
    )
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1")
    for name in ("broker", "client"):
        openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            f"/CN={name}",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
        )
        sign = ["x509", "-req", "-days", "1", "-in", f"{name}.csr", "-out", f"{name}.pem", "-extfile", "names"]
        openssl(*sign, "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
    (folder / "broker.store").write_text((folder / "broker.key").read_text() + (folder / "broker.pem").read_text())
