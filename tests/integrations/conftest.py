"""Fixtures: SDK providers in memory, an ASGI client, an OTLP receiver, and servers in processes of their own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import otlp_receiver
import pytest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from reserved_ports import free_port

fresh_guard = otlp_receiver.fresh_guard
REPOSITORY = Path(__file__).parents[2]


class Memory:
    """The SDK with everything kept in memory."""

    def __init__(self, sampler=None):
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self._logs = InMemoryLogRecordExporter()
        self.tracer_provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.tracer_provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meter_provider = MeterProvider(metric_readers=[self._reader], shutdown_on_exit=False)
        self.logger_provider = LoggerProvider(shutdown_on_exit=False)
        self.logger_provider.add_log_record_processor(SimpleLogRecordProcessor(self._logs))

    @property
    def providers(self):
        return {"tracer_provider": self.tracer_provider, "meter_provider": self.meter_provider}

    def spans(self):
        """Finished spans, in the order in which they ended."""
        return list(self._spans.get_finished_spans())

    def logs(self):
        """Emitted log records."""
        return [data.log_record for data in self._logs.get_finished_logs()]

    def scopes(self):
        """Names of the scopes of the emitted log records."""
        return [data.instrumentation_scope.name for data in self._logs.get_finished_logs()]

    def metrics(self):
        """Every metric by name."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name):
        """Attributes and count (histogram) or value (sum) of each data point of a metric."""
        metric = self.metrics().get(name)
        points = () if metric is None else metric.data.data_points
        return sorted(
            ((dict(point.attributes), point.count if hasattr(point, "count") else point.value) for point in points),
            key=repr,
        )


class Client:
    """Calls an application in process, with one event loop per call."""

    def __init__(self, app, **options):
        self._transport = httpx.ASGITransport(app, raise_app_exceptions=False, **options)

    def request(self, method, path, **options):
        return self.together([(method, path, options)])[0]

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, **options):
        return self.request("POST", path, **options)

    def together(self, requests):
        """Sends all requests at once."""

        async def run():
            async with httpx.AsyncClient(transport=self._transport, base_url="http://service.test:8080") as client:
                calls = [client.request(method, path, **options) for method, path, options in requests]
                return await asyncio.gather(*calls)

        return asyncio.run(run())


class Receiver(otlp_receiver.Receiver):
    """Also returns resources and whole metrics."""

    def span_resources(self):
        """The resource attributes of each received span."""
        return [
            attributes(resource.resource)
            for request in self.trace_requests()
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for _ in scope.spans
        ]

    def metric(self, name):
        """The last message of a metric and the attributes of each resource that sent it."""
        found = [
            (metric, attributes(resource.resource))
            for request in self.metric_requests()
            for resource in request.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
        ]
        return found[-1][0], [resource for _, resource in found]


def attributes(message):
    """Attributes of a decoded OTLP message as a mapping."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in message.attributes}


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def sampled_memory():
    """Builds the SDK with a sampler."""
    return Memory


@pytest.fixture
def client_of():
    return Client


@pytest.fixture
def attributes_of():
    return attributes


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


class Served:
    """A server in a process of its own."""

    def __init__(self, command, environment, folder, port):
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self._process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            self._lines.append(line)

    @property
    def output(self):
        return "".join(self._lines)

    def wait_until_ready(self, timeout=240.0):
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                if httpx.get(f"{self.url}/healthz", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"the server did not start:\n{self.output}")

    def terminate(self, timeout=240):
        """Sends SIGTERM and returns the exit status."""
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(timeout)
        self._reader.join(timeout)
        return status

    def close(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._process.stdout.close()


@pytest.fixture
def serve(receiver, tmp_path):
    """Starts a command that serves on the port that replaces `{port}`; its telemetry goes to the receiver."""
    running = []

    def start(*command, folder, **environment):
        port = free_port()
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "COV_"))}
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_ML_INSTANCE_DIR": str(tmp_path),
            "PYTHONPATH": str(REPOSITORY),
            **environment,
        }
        filled = [str(part).format(port=port) for part in command]
        served = Served(filled, {**clean, **settings}, folder, port)
        running.append(served)
        served.wait_until_ready()
        return served

    yield start
    for served in running:
        served.close()
