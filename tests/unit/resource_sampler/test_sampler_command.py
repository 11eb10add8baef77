from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from reserved_ports import free_port

from otel_ml import semconv
from otel_ml.cli import main
from otel_ml.cli._sampler_reading import as_json, as_table
from otel_ml.cli.sampler import sdk_reason
from otel_ml.config import Config
from otel_ml.resource_sampler import Gap, Reading, Snapshot, SourceSnapshot

SNAPSHOT = Snapshot(
    (
        SourceSnapshot(
            "host",
            (
                Reading(semconv.SYSTEM_MEMORY_USAGE, 3 * 1024**3, {"system.memory.state": "used"}),
                Reading(semconv.SYSTEM_MEMORY_UTILIZATION, 0.125, {"system.memory.state": "used"}),
                Reading(semconv.SYSTEM_CPU_LOGICAL_COUNT, 2, {}),
            ),
            (),
            0.0005,
        ),
        SourceSnapshot(
            "gpu",
            (Reading(semconv.HW_TEMPERATURE, 54.0, {"hw.id": "GPU-a/temperature"}),),
            (Gap("nvml", "driver", "NVML Shared Library Not Found"),),
            0.001,
        ),
    ),
    0.0015,
)


def test_the_table_shows_what_was_read_what_is_missing_and_how_long_it_took():
    """Values have units for people, gaps have their reasons."""
    assert as_table(SNAPSHOT).splitlines() == [
        "SOURCE  METRIC                     VALUE     FROM           ATTRIBUTES",
        "host    system.memory.usage        3 GiB     /proc/meminfo  state=used",
        "host    system.memory.utilization  12.5 %    /proc/meminfo  state=used",
        "host    system.cpu.logical.count   2         /proc/stat",
        "gpu     hw.temperature             54.00 °C  NVML           id=GPU-a/temperature",
        "",
        "SOURCE  MISSING  WHY",
        "gpu     nvml     driver: NVML Shared Library Not Found",
        "",
        "read in 1.50 ms: host 0.50 ms, gpu 1.00 ms",
    ]


def test_json_has_the_same_with_units_and_reasons():
    """The JSON has base units and whole attribute names."""
    document = as_json(SNAPSHOT, "node")
    assert document["sources"] == [
        {"source": "host", "duration": 0.0005, "readings": 3},
        {"source": "gpu", "duration": 0.001, "readings": 1},
    ]
    assert document["readings"][0] == {
        "source": "host",
        "metric": "system.memory.usage",
        "value": 3221225472,
        "unit": "By",
        "attributes": {"system.memory.state": "used"},
        "from": "/proc/meminfo",
    }
    assert document["missing"] == [
        {"source": "gpu", "what": "nvml", "kind": "driver", "reason": "NVML Shared Library Not Found"}
    ]


def test_one_reading_of_this_machine_as_json(capsys):
    """The output is one JSON document with live readings."""
    assert main(["sampler", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["mode"] == "node"
    assert {"system.cpu.utilization", "process.memory.usage"} <= {row["metric"] for row in document["readings"]}


def test_one_reading_of_this_machine_as_a_table(capsys):
    """The output is a table with the same readings."""
    assert main(["sampler", "--once", "--mode", "process"]) == 0
    assert capsys.readouterr().out.startswith("SOURCE")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--pid", "99999999", "--once"], "otel-ml sampler: pid=99999999: there is no such process here"),
        (["--pid", "99999999"], "otel-ml sampler: pid=99999999: there is no such process here"),
        (
            ["--budget", "0"],
            "otel-ml sampler: budget (OTEL_ML_SAMPLER_BUDGET) is 0.0: use a share of one core above 0, such as 0.01",
        ),
        (
            ["--endpoint", "localhost:4318"],
            (
                "otel-ml sampler: endpoint is 'localhost:4318': use a URL with http:// or https://, "
                "such as http://localhost:4318"
            ),
        ),
    ],
)
def test_bad_input_is_one_line_and_status_2(words, line):
    """The line states what is wrong, before anything is sent."""
    code = "import sys; from otel_ml.cli import main; sys.exit(main())"
    finished = subprocess.run(
        [sys.executable, "-c", code, "sampler", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert (finished.returncode, finished.stderr) == (2, line + "\n")


@pytest.mark.parametrize(
    "words",
    [
        ["--interval", "0"],
        ["--interval", "often"],
        ["--interval", "nan"],
        ["--interval", "1e10"],
        ["--mode", "pod"],
        ["--pid", "x"],
        ["--name", ""],
        ["--name", " "],
    ],
)
def test_a_wrong_option_is_refused_by_the_parser(words, capsys):
    """The last line names the option."""
    with pytest.raises(SystemExit) as ended:
        main(["sampler", *words])
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("variable", [{"OTEL_ML_SAMPLER": "off"}, {"OTEL_SDK_DISABLED": "true"}])
def test_what_the_environment_switches_off_does_not_start(variable):
    """It prints one line and exits with 0: any other status would restart a sidecar again and again."""
    code = "import sys; from otel_ml.cli import main; sys.exit(main(['sampler']))"
    finished = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variable},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (finished.returncode, finished.stderr) == (
        0,
        "otel-ml sampler: the environment switches metrics or the sampler off, so there is nothing to do\n",
    )


def ended(*words, **environment):
    """Status and standard error of the command that ends by itself."""
    finished = subprocess.run(
        [sys.executable, "-m", "otel_ml", "sampler", *words],
        env={**{key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return finished.returncode, finished.stderr


def test_no_exporter_is_nothing_to_do():
    """Status 0 and one line, as if switched off: sampling without an exporter would be waste."""
    line = "otel-ml sampler: OTEL_METRICS_EXPORTER is none, so there is nothing to do\n"
    assert ended(OTEL_METRICS_EXPORTER="none") == (0, line)


def test_a_configuration_file_without_a_reader_is_refused(tmp_path):
    """The file leaves the SDK to the code that starts the process; without such code the metrics would silently be lost."""
    status, lines = ended(OTEL_CONFIG_FILE=str(tmp_path / "sdk.yaml"))
    assert (status, lines.splitlines()[-1]) == (
        2,
        (
            "otel-ml sampler: OTEL_CONFIG_FILE is set, but nothing here reads it: start this with opentelemetry-instrument, "
            "or unset it"
        ),
    )


def test_an_unknown_exporter_is_refused():
    """The message lists the known names."""
    line = "metrics_exporter (OTEL_METRICS_EXPORTER) is 'datadog': use one of otlp, console, none, prometheus"
    assert ended(OTEL_METRICS_EXPORTER="datadog") == (2, f"otel-ml sampler: {line}\n")


def test_what_comes_and_goes_is_shown_on_standard_error(tmp_path):
    """A GPU that is back or a driver that is missing is logged at level INFO, which Python does not show by default."""
    command = [sys.executable, "-m", "otel_ml", "sampler", "--endpoint", "http://127.0.0.1:9", "--mode", "process"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "LD_LIBRARY_PATH": ""}) as it:
        lines = [it.stderr.readline() for _ in range(2)]
        it.send_signal(signal.SIGTERM)
        it.communicate(timeout=60)
    assert lines[1] in {
        "otel-ml: no NVIDIA driver here: GPU readings are absent\n",
        "otel-ml: the NVIDIA driver answers: GPU readings start\n",
    }


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux")  # noqa: PTH110
def test_a_full_disk_behind_standard_error_does_not_end_it():
    """Log lines are lost, readings are not."""
    requests = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Silent."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server, open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "otel_ml", "sampler", "--mode", "process", "--interval", "600"]
        command += ["--endpoint", f"http://127.0.0.1:{server.server_port}"]
        with subprocess.Popen(command, stderr=full) as sampler:
            server.timeout = 60
            server.handle_request()
            sampler.kill()
    assert len(requests) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux")  # noqa: PTH110
@pytest.mark.parametrize("form", ["--once", "--json"])
def test_a_full_disk_behind_standard_output_is_one_line(form):
    """The command prints one line and exits with a status other than 0."""
    with open("/dev/full", "w") as full:  # noqa: PTH123
        command = [sys.executable, "-m", "otel_ml", "sampler", "--mode", "process", form]
        finished = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    line = "otel-ml sampler: cannot write the reading: No space left on device"
    assert (finished.returncode, finished.stderr.splitlines()[0]) == (2, line)


def test_id_and_name_of_a_process_exclude_each_other(capsys):
    """Only one process can be read."""
    with pytest.raises(SystemExit):
        main(["sampler", "--pid", "1", "--name", "x"])
    assert "not allowed with argument --pid" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({}, ""),
        ({"metric_temporality": "delta"}, "the temporality"),
        ({"metrics_exporter": "console"}, "the exporter"),
        ({"prometheus_port": 0}, "the scrape page"),
        ({"histogram_aggregation": "base2_exponential_bucket_histogram"}, "the histograms"),
    ],
)
def test_a_setting_that_only_the_sdk_supports_exports_through_the_sdk(setting, why):
    """One line reports it; everything else is exported without an SDK."""
    assert sdk_reason(Config(**setting)) == why


def test_through_the_sdk_it_samples_flushes_and_ends_too():
    """The command exports through the SDK, here with the console exporter; the last export has an interval of 0."""
    environment = {**os.environ, "OTEL_METRICS_EXPORTER": "console", "OTEL_TRACES_EXPORTER": "none"}
    environment |= {"OTEL_LOGS_EXPORTER": "none", "OTEL_METRIC_EXPORT_INTERVAL": "200"}
    code = "import sys; from otel_ml.cli import main; sys.exit(main(['sampler', '--interval', '0.2']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as sampler:
        first = sampler.stderr.readline()
        seen = ""
        while "system.cpu.time" not in seen:
            seen = sampler.stdout.readline()
            assert seen
        sampler.send_signal(signal.SIGTERM)
        rest, _ = sampler.communicate(timeout=60)
    assert first.endswith(" through the SDK (the exporter); Ctrl-C ends it\n")
    assert sampler.returncode == 0
    last = rest[rest.rindex('"name": "otelml.sampler.interval"') :]
    assert re.search(r'"value": ([0-9.]+)', last)[1] == "0.0"


def test_the_exporter_prometheus_is_the_scrape_page():
    """The readings are on the page, and the first line names it instead of an address that gets nothing."""
    port = free_port()
    environment = {**os.environ, "OTEL_METRICS_EXPORTER": "prometheus", "OTEL_EXPORTER_PROMETHEUS_PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, "-m", "otel_ml", "sampler", "--interval", "0.2"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as sampler:
        first = sampler.stderr.readline()
        page = ""
        while "system_cpu_time" not in page:
            assert sampler.poll() is None
            time.sleep(0.1)
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                page = answer.read().decode()
        sampler.send_signal(signal.SIGTERM)
        sampler.communicate(timeout=60)
    assert f"to the scrape page on port {port} through the SDK (the exporter, the scrape page)" in first


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="POSIX")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_a_signal_ends_it_with_a_last_export_and_status_0(name):
    """A closed terminal ends it like an orchestrator's signal."""
    posts = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self):
            posts.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Silent."""

    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        command = [sys.executable, "-m", "otel_ml", "sampler", "--mode", "process", "--interval", "600"]
        command += ["--endpoint", f"http://127.0.0.1:{server.server_port}"]
        # The suite itself may run under nohup, which its children would inherit.
        default_signal = lambda: signal.signal(getattr(signal, name), signal.SIG_DFL)  # noqa: E731
        options = {"stderr": subprocess.PIPE, "text": True, "env": environment, "preexec_fn": default_signal}
        with subprocess.Popen(command, **options) as sampler:
            assert sampler.stderr.readline().endswith("; Ctrl-C ends it\n")
            sampler.send_signal(getattr(signal, name))
            sampler.communicate(timeout=60)
        server.shutdown()
        thread.join()
    assert sampler.returncode == 0
    assert posts


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="POSIX")
def test_under_nohup_the_end_of_the_terminal_is_ignored():
    """A signal that was ignored stays ignored."""
    code = (
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); from otel_ml.cli import main\n"
        "sys.exit(main(['sampler', '--mode', 'process', '--interval', '600', '--endpoint', 'http://127.0.0.1:9']))"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, env=environment) as sampler:
        sampler.stderr.readline()
        sampler.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            sampler.wait(timeout=1)
        sampler.send_signal(signal.SIGTERM)
        sampler.communicate(timeout=60)
    assert sampler.returncode == 0


def test_a_command_that_samples_loads_no_sdk():
    """The command does not import the SDK, which halves its memory."""
    code = (
        "import sys; from otel_ml.cli import main\n"
        "main(['sampler', '--json'])\n"
        "import otel_ml._process.instance\n"
        "heavy = ('opentelemetry.sdk', 'google.protobuf', 'urllib3', 'numpy', 'grpc', 'psutil', 'http.client', 'ssl')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert finished.stdout.splitlines()[-1] == "[]"


def test_help_has_an_example_and_loads_no_large_module():
    """`--help` imports no large module, so that it appears fast."""
    code = (
        "import sys; from otel_ml.cli import main\n"
        "try: main(['sampler', '--help'])\n"
        "finally: print([name for name in ('numpy', 'grpc', 'opentelemetry', 'psutil') if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert "otel-ml sampler --once" in finished.stdout
    assert finished.stdout.splitlines()[-1] == "[]"
