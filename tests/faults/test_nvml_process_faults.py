from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

sys.path.insert(0, str(Path(__file__).parents[1] / "data" / "nvml"))
from fake_nvml import scenario  # noqa: E402
from nvml_fixtures import nvml_library  # noqa: E402, F401 - fixture

FOREVER = 10**9


class Sink:
    """Keeps the names of the metrics that arrive over OTLP."""

    def __init__(self):
        sink = self
        self.names, self.arrived = set(), threading.Condition()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with sink.arrived:
                    for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                        for scope in resource.scope_metrics:
                            sink.names |= {metric.name for metric in scope.metrics}
                    sink.arrived.notify_all()
                self.send_response(200)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def wait_for(self, *names):
        with self.arrived:
            assert self.arrived.wait_for(lambda: self.names >= set(names), 40.0), sorted(self.names)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def sink():
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def start(nvml_library, tmp_path, sink):  # noqa: F811
    """Starts `otel-ml sampler` on a scenario, stops it, and returns its status and the library's counts."""
    started = []

    def run(*rules, gpus=2):
        (tmp_path / "scenario").write_text(scenario(*rules, gpus=gpus))
        environment = {
            **os.environ,
            "LD_LIBRARY_PATH": str(Path(nvml_library).parent),
            "FAKE_NVML_SCENARIO": str(tmp_path / "scenario"),
            "FAKE_NVML_COUNTS": str(tmp_path / "counts"),
        }
        endpoint = f"http://127.0.0.1:{sink.server.server_port}"
        command = [sys.executable, "-m", "otel_ml", "sampler", "--interval", "0.2", "--endpoint", endpoint]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
        return end

    def end():
        started[-1].send_signal(signal.SIGTERM)
        status = started[-1].wait(90)
        counts = dict(line.split() for line in (tmp_path / "counts").read_text().splitlines())
        return status, {name: int(count) for name, count in counts.items()}

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_eight_gpus_arrive_over_otlp_and_are_released(start, sink):
    """`otel-ml sampler` with the real binding: figures, XID counts and its own cost arrive; the exit releases everything."""
    end = start(gpus=8)
    sink.wait_for(
        "hw.energy", "hw.errors", "hw.status", "otelml.gpu.clock.frequency", "otelml.sampler.nvml.call.duration"
    )
    status, counts = end()
    left = {name: counts[name] for name in ("overlaps", "after_shutdown", "inside", "initialised", "event_sets")}
    assert (status, left) == (0, dict.fromkeys(left, 0))
    assert "nvmlDeviceGetPcieThroughput" not in counts


def test_the_process_ends_while_a_driver_call_never_returns(start, sink):
    """Host figures keep arriving, and SIGTERM ends the process."""
    end = start(f"0 - 1 delay nvmlDeviceGetMemoryInfo_v2 {FOREVER}")
    sink.wait_for("system.cpu.time", "otelml.sampler.collector.errors")
    status, counts = end()
    assert (status, counts["inside"], counts["overlaps"]) == (0, 1, 0)
    assert "hw.energy" not in sink.names
