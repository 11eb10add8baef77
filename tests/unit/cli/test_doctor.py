"""`otel-ml doctor`: a check of every signal, misread variables, and what is installed."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import metadata
from typing import Any

import otlp_receiver
import pytest
from otlp_grpc_receiver import GrpcReceiver
from otlp_receiver import Receiver, Reply

from otel_ml.config import SIGNALS

receiver = otlp_receiver.receiver

NOWHERE = "http://127.0.0.1:9"
REFUSED = "connection refused or host unknown"
NONE = dict.fromkeys(("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"), "none")


def doctor(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in an environment without variables of ours or of the specification."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-m", "otel_ml", "doctor", "--timeout", "2", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**inherited, **variables},
    )


def lines(done: subprocess.CompletedProcess[str], *beginnings: str) -> list[str]:
    """The lines of the report with these beginnings, without indent."""
    return [line.strip() for line in done.stdout.splitlines() if line.strip().startswith(beginnings)]


def of_signals(done: subprocess.CompletedProcess[str]) -> list[str]:
    return lines(done, *(f"{signal}: " for signal in ("traces", "metrics", "logs")))


def taken(url: str, signal: str) -> str:
    return f"{signal}: taken by {url}/v1/{signal} (http/protobuf)"


def test_the_series_of_segments_are_printed_beforehand() -> None:
    """Each value of a segment column adds 28 series, those of further and of missing values too."""
    done = doctor("--segments", "3", **NONE)

    assert lines(done, "segments add") == ["segments add: about 140 with columns of 3 values"]


def test_one_record_of_every_signal_is_sent_and_marked_as_a_check(receiver: Receiver) -> None:
    """The receiver has a span and a log record of one trace, and metrics; nothing that looks like a prediction."""
    done = doctor("--endpoint", receiver.url)
    [span], [record] = receiver.spans(), receiver.logs()

    assert (done.returncode, of_signals(done)) == (
        0,
        [taken(receiver.url, signal) for signal in ("traces", "metrics", "logs")],
    )
    assert (span.name, record.body.string_value, record.event_name) == ("otel-ml doctor", "otel-ml doctor", "")
    assert (record.trace_id, record.span_id, span.parent_span_id) == (span.trace_id, span.span_id, b"")
    assert receiver.points() > 0
    assert [name for name in receiver.metrics() if name.startswith("otelml.prediction")] == []


def test_a_receiver_of_metrics_only_fails_the_other_signals(receiver: Receiver) -> None:
    """404 for traces or logs is a failure."""
    receiver.default = dict.fromkeys(("traces", "logs"), Reply(404))
    done = doctor("--endpoint", receiver.url)

    assert (done.returncode, of_signals(done)) == (
        1,
        [
            f"traces: refused: HTTP 404 from {receiver.url}/v1/traces (http/protobuf)",
            taken(receiver.url, "metrics"),
            f"logs: refused: HTTP 404 from {receiver.url}/v1/logs (http/protobuf)",
        ],
    )


def test_the_endpoint_of_one_signal_is_checked(receiver: Receiver) -> None:
    """A wrong endpoint of one signal is reported beside a good general one and does not delay the other signals."""
    done = doctor(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{NOWHERE}/v1/traces")

    assert (done.returncode, of_signals(done)) == (
        1,
        [
            f"traces: not reached: {REFUSED} at {NOWHERE}/v1/traces (http/protobuf)",
            taken(receiver.url, "metrics"),
            taken(receiver.url, "logs"),
        ],
    )


def test_the_protocol_of_each_signal_is_shown(receiver: Receiver) -> None:
    """One signal can use gRPC and the others HTTP."""
    other = GrpcReceiver()
    done = doctor(
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=other.url,
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="grpc",
    )
    other.close()

    assert (done.returncode, of_signals(done)) == (
        0,
        [f"traces: taken by {other.url} (grpc)", taken(receiver.url, "metrics"), taken(receiver.url, "logs")],
    )
    assert [span.name for span in other.spans()] == ["otel-ml doctor"]


def test_a_signal_that_is_not_exported_is_shown_and_is_not_a_failure(receiver: Receiver) -> None:
    """Only exported signals must be taken."""
    done = doctor("--endpoint", receiver.url, OTEL_METRICS_EXPORTER="none", OTEL_TRACES_SAMPLER="always_off")

    assert (done.returncode, of_signals(done)) == (
        0,
        [
            "traces: not exported (OTEL_TRACES_SAMPLER samples nothing)",
            "metrics: not exported (OTEL_METRICS_EXPORTER=none)",
            taken(receiver.url, "logs"),
        ],
    )


def test_the_rest_is_checked_when_metrics_are_off() -> None:
    """A dead endpoint is found although no metrics are sent to it."""
    done = doctor("--endpoint", NOWHERE, OTEL_METRICS_EXPORTER="none")

    assert (done.returncode, of_signals(done)) == (
        1,
        [
            f"traces: not reached: {REFUSED} at {NOWHERE}/v1/traces (http/protobuf)",
            "metrics: not exported (OTEL_METRICS_EXPORTER=none)",
            f"logs: not reached: {REFUSED} at {NOWHERE}/v1/logs (http/protobuf)",
        ],
    )


@pytest.mark.parametrize("variables", [NONE, {"OTEL_SDK_DISABLED": "true"}])
def test_nothing_to_export_is_exit_code_1(variables: dict[str, str]) -> None:
    """One line says that nothing was checked."""
    done = doctor("--endpoint", NOWHERE, **variables)

    assert (done.returncode, lines(done, "nothing")) == (1, ["nothing is exported, so nothing was checked"])


def test_the_providers_of_another_sdk_are_not_checked() -> None:
    """The doctor cannot know what another SDK sends, and whether it arrives."""
    done = doctor("--endpoint", NOWHERE, OTEL_CONFIG_FILE="otel.yaml")

    assert (done.returncode, lines(done, "not checked")) == (1, ["not checked: another SDK exports from this process"])


@pytest.mark.parametrize("sampler", ["traceidratio", "parentbased_traceidratio", "parentbased_always_off"])
def test_the_check_is_sent_with_any_share_of_traces(receiver: Receiver, sampler: str) -> None:
    """The sampling rule drops nearly every other span."""
    done = doctor("--endpoint", receiver.url, OTEL_TRACES_SAMPLER=sampler, OTEL_TRACES_SAMPLER_ARG="0.000001")

    assert (done.returncode, lines(done, "traces: ")) == (0, [taken(receiver.url, "traces")])


@pytest.mark.parametrize(
    ("reply", "beginning"),
    [
        (Reply(503), "not reached: HTTP 503 at"),
        (Reply(200, b"<!doctype html>"), "refused: HTTP 200 and a web page: this is not an OTLP receiver, or a proxy"),
        (Reply(413), "refused: HTTP 413 from"),
        (Reply(401), "refused: HTTP 401 (check the credentials in OTEL_EXPORTER_OTLP_HEADERS) from"),
        (Reply(delay=30.0), "not reached: no answer in time at"),
    ],
)
def test_other_answers_are_failures(receiver: Receiver, reply: Reply, beginning: str) -> None:
    """The report shows the answer of the receiver."""
    receiver.default = {"logs": reply}
    done = doctor("--endpoint", receiver.url)

    assert (done.returncode, [line.startswith(f"logs: {beginning}") for line in lines(done, "logs: ")]) == (1, [True])


def test_records_on_the_console_leave_the_json_readable() -> None:
    """The console exporter writes to standard error here."""
    done = doctor("--json", **dict.fromkeys(NONE, "console"))
    found = json.loads(done.stdout)

    assert (done.returncode, {signal["state"] for signal in found["signals"].values()}) == (0, {"console"})
    assert '"name": "otel-ml doctor"' in done.stderr


def test_a_scraped_page_is_an_export() -> None:
    """Scraped metrics count as exported."""
    done = doctor(OTEL_ML_PROMETHEUS_PORT="0", **NONE)

    assert (done.returncode, [line.startswith("metrics: scraped at http://") for line in of_signals(done)]) == (
        0,
        [False, True, False],
    )


@pytest.fixture
def page_port() -> Iterator[int]:
    """The port of the scrape page of a running service."""
    program = "import otel_ml; t = otel_ml.configure(); print(t._engine.page.port, flush=True); input()"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    environment |= {**NONE, "OTEL_ML_PROMETHEUS_PORT": "0"}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout is not None
        yield int(service.stdout.readline())
        service.communicate("\n", timeout=60)


def test_beside_a_running_service_its_page_is_read(receiver: Receiver, page_port: int) -> None:
    """If the service runs and has the port, its page is read and the other signals are checked as usual."""
    line = f"at http://127.0.0.1:{page_port}/metrics, where this service runs"
    sent = doctor("--endpoint", receiver.url, OTEL_ML_PROMETHEUS_PORT=str(page_port))
    scraped = doctor(OTEL_ML_PROMETHEUS_PORT=str(page_port), **NONE)

    assert (sent.returncode, of_signals(sent)) == (
        0,
        [f"metrics: scrape page {line}", *(taken(receiver.url, signal) for signal in SIGNALS)],
    )
    assert (scraped.returncode, lines(scraped, "metrics: ")) == (0, [f"metrics: scraped {line}"])


def test_the_page_of_another_service_is_a_failure(page_port: int) -> None:
    """This service could not use the port."""
    done = doctor(OTEL_ML_PROMETHEUS_PORT=str(page_port), OTEL_SERVICE_NAME="other", **NONE)
    line = f"port {page_port} is taken, and no page of this service answers there"

    assert (done.returncode, lines(done, "metrics: ")) == (1, [f"metrics: not sent: the scrape page's {line}"])


def drip(listener: socket.socket) -> None:
    """Answers byte by byte until the listener is closed."""
    try:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                connection.sendall(b"#")
                time.sleep(0.1)
    except OSError:
        return


def test_a_scrape_port_of_another_program_is_a_failure(receiver: Receiver) -> None:
    """The other signals are still checked, however slowly the other program answers."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        threading.Thread(target=drip, args=(other,), daemon=True).start()
        done = doctor("--endpoint", receiver.url, OTEL_ML_PROMETHEUS_PORT=str(port))

    line = f"port {port} is taken, and no page of this service answers there"
    assert (done.returncode, of_signals(done)) == (
        1,
        [
            taken(receiver.url, "traces"),
            f"metrics: not sent: the scrape page's {line}",
            taken(receiver.url, "logs"),
        ],
    )


def test_json_has_the_same_by_signal(receiver: Receiver, tmp_path: Any) -> None:
    """State, endpoint, protocol and detail, and the ledger with the spooled records."""
    receiver.default = {"traces": Reply(400)}
    done = doctor(
        "--json",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=f"{NOWHERE}/v1/logs",
        OTEL_ML_SPOOL_DIR=str(tmp_path),
    )
    found = json.loads(done.stdout)
    protocol = "http/protobuf"
    entry = {"produced": 1, "delivered": 0, "rejected": 0, "dropped": {}, "in_flight": 0, "spooled": 0, "folded": []}

    assert (done.returncode, found["delivered"]) == (1, False)
    assert found["signals"] == {
        "traces": {
            "state": "refused",
            "endpoint": f"{receiver.url}/v1/traces",
            "protocol": protocol,
            "detail": "HTTP 400",
        },
        "metrics": {"state": "taken", "endpoint": f"{receiver.url}/v1/metrics", "protocol": protocol, "detail": ""},
        "logs": {
            "state": "not_reached",
            "endpoint": f"{NOWHERE}/v1/logs",
            "protocol": protocol,
            "detail": f"{REFUSED}; 1 in the spool",
        },
    }
    assert found["ledger"]["traces"] == {**entry, "rejected": 1}
    assert found["ledger"]["logs"] == {**entry, "in_flight": 1, "spooled": 1}


def test_a_budget_that_is_not_a_number_is_one_clear_line(receiver: Receiver) -> None:
    """The line is that of `otel-ml sampler`."""
    done = doctor("--endpoint", receiver.url, OTEL_ML_SAMPLER_BUDGET="lots")

    assert (done.returncode, done.stdout, done.stderr) == (
        2,
        "",
        "otel-ml doctor: budget (OTEL_ML_SAMPLER_BUDGET) is 'lots': use a share of one core above 0, such as 0.01\n",
    )


def test_a_misread_variable_is_shown(receiver: Receiver) -> None:
    """The report shows it; only the check decides about the exit code."""
    shown = doctor("--endpoint", receiver.url, OTEL_ML_CAPTURE_FEATURE="all")
    found = json.loads(doctor("--endpoint", receiver.url, "--json", OTEL_ML_CAPTURE_FEATURE="all").stdout)
    line = "OTEL_ML_CAPTURE_FEATURE (did you mean OTEL_ML_CAPTURE_FEATURES?)"

    assert (shown.returncode, lines(shown, "not understood")) == (0, [f"not understood: {line}"])
    assert found["not_understood"] == [line]


def test_a_setting_that_is_probably_a_mistake_is_a_note(receiver: Receiver) -> None:
    """A timeout in milliseconds and a variable without effect are understood: the report has the lines of the log."""
    found = doctor(
        "--endpoint", receiver.url, "--json", OTEL_EXPORTER_OTLP_TIMEOUT="10000", OTEL_BSP_EXPORT_TIMEOUT="1"
    )
    report = json.loads(found.stdout)

    assert report["not_understood"] == []
    assert [note.partition(":")[0] for note in report["notes"][-2:]] == [
        "timeout (OTEL_EXPORTER_OTLP_TIMEOUT) is 10000 seconds",
        "OTEL_BSP_EXPORT_TIMEOUT has no effect",
    ]


def test_no_extra_is_omitted() -> None:
    """The list comes from the metadata of the package; `all` means every other one."""
    found = json.loads(doctor("--json", **NONE).stdout)

    assert set(found["extras"]) == {*(metadata("otel-ml").get_all("Provides-Extra") or ())} - {"all"}
    assert {"fast", "zero-code"} <= set(found["extras"])


def test_an_extra_is_installed_when_all_that_it_requires_is() -> None:
    """One missing distribution makes the extra missing; a requirement without an extra marker belongs to none."""
    from otel_ml.cli._doctor.extras import installed

    requires = (
        "urllib3>=2.0",
        "pytest>=1; extra == 'here'",
        'otel-ml-nowhere[x]>=1; python_version >= "3.10" and extra == "half"',
        "pytest; extra == 'half'",
    )

    assert installed(("here", "half", "all"), requires) == {"here": True, "half": False}
