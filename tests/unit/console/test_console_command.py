"""The command: ready line, refusals, signals, exit codes; each in its own process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import grpc
import pytest
from console_feed import Client, logs, prediction

SERVICE = """
import otel_ml
telemetry = otel_ml.configure(service_name="shop")
with otel_ml.Model("fraud", version="1.0.0").prediction(id="p-1") as prediction:
    prediction.set_output(prediction=1, score=0.1)
assert telemetry.force_flush(30.0)
"""
COMMAND = "import sys; from otel_ml.cli import main; sys.exit(main())"


def command(*arguments):
    return [sys.executable, "-c", COMMAND, "console", "--port", "0", *arguments]


def start(*arguments):
    process = subprocess.Popen(command("--json", *arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return process, json.loads(process.stdout.readline())


def finish(process, number=signal.SIGTERM):
    process.send_signal(number)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_flushes_and_ends_with_zero(tmp_path, number):
    """After SIGTERM or SIGINT all accepted records are in the file and the exit code is 0."""
    import duckdb

    path = str(tmp_path / "console.duckdb")
    process, ready = start("--database", path)
    assert ready == {"address": ready["address"], "grpc": None, "database": path}
    client = Client(ready["address"])
    for index in range(20):
        assert client.export(logs(*[prediction(f"p-{index}-{row}") for row in range(50)])).status == 200
    assert {file.stat().st_mode & 0o077 for file in tmp_path.iterdir()} == {0}
    assert finish(process, number) == (0, "", "")
    with duckdb.connect(path, read_only=True) as connection:
        assert connection.execute("select count(*) from predictions").fetchone() == (1000,)


def test_a_file_in_use_is_refused(tmp_path):
    """The second console on one file ends with one line and exit code 2."""
    path = str(tmp_path / "console.duckdb")
    process, _ = start("--database", path)
    second = subprocess.run(command("--database", path), capture_output=True, text=True, timeout=240, check=False)
    assert (second.returncode, second.stdout) == (2, "")
    assert second.stderr == (
        f"otel-ml console: {path} is in use by another process; stop that one or choose another --database\n"
    )
    assert finish(process)[0] == 0


def test_a_port_in_use_is_refused():
    """A port in use ends with one line and the remedy."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            command("--database", ":memory:", "--port", str(port)),
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"otel-ml console: 127.0.0.1:{port}: Address already in use; choose another --host or --port\n"
    )


@pytest.mark.parametrize("content", [b'{"a":1}', b"", b"\0" * 100])
def test_a_file_that_is_not_a_database_is_refused(tmp_path, content):
    """DuckDB would show a JSON or CSV file as a table; the console refuses it and leaves it unchanged."""
    path = tmp_path / "x.json"
    path.write_bytes(content)
    done = subprocess.run(command("--database", str(path)), capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"otel-ml console: {path} is not a DuckDB file; choose another --database\n"
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (content, [path])


def test_bad_values_are_one_line():
    """A value out of range ends with one line that says what is expected."""
    done = subprocess.run(command("--retention-hours", "-1"), capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_host_beyond_loopback_takes_a_token(tmp_path):
    """With --host the console makes its token, never prints it, and takes it in the header of a service over both protocols."""
    file = tmp_path / "token"
    options = ("--database", ":memory:", "--host", "0.0.0.0", "--grpc-port", "0", "--token-file", str(file))
    process, ready = start(*options)
    token, port = file.read_text().strip(), ready["address"].rpartition(":")[2]
    client = Client(f"http://127.0.0.1:{port}")
    assert client.send("/api/status", Host="console.example").status == 401
    sender = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": client.address,
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": f"http://127.0.0.1:{ready['grpc'].rpartition(':')[2]}",
        "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer {token}",
        "OTEL_ML_EVENTS": "all",
    }
    subprocess.run([sys.executable, "-c", SERVICE], check=True, timeout=240, env=os.environ | sender)
    known = client.send("/api/summary", Host="console.example", Authorization=f"Bearer {token}")
    assert (known.json()["traces"], known.json()["events"]) == (1, 1)
    assert finish(process) == (0, "", f"otel-ml console: made {file} with a new token\n")


@pytest.mark.parametrize("grpc_port", ["0", "off"])
def test_a_sender_by_grpc_at_the_port_of_http_is_named_once(grpc_port):
    """The console says which protocol and port are right, since the sender cannot read an answer by HTTP/1.

    open-telemetry/opentelemetry-collector#7811, open-telemetry/opentelemetry-js#4166, grpc/grpc-go#6826.
    """
    process, ready = start("--database", ":memory:", "--grpc-port", grpc_port)
    for _ in range(2):
        with grpc.insecure_channel(ready["address"].removeprefix("http://")) as channel:
            with pytest.raises(grpc.RpcError) as refused:
                channel.unary_unary("/any/Export")(b"", timeout=60)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    place = f"; OTLP/gRPC goes to port {ready['grpc'].rpartition(':')[2]}" if ready["grpc"] else ""
    hint = "a sender uses gRPC at the port of HTTP, which needs OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"
    assert finish(process) == (0, "", f"otel-ml console: {hint}{place}\n")


def test_a_host_beyond_loopback_without_a_token_is_refused():
    """The console does not start, and the line names what to add."""
    done = subprocess.run(
        command("--database", ":memory:", "--host", "0.0.0.0"), capture_output=True, text=True, timeout=240, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "otel-ml console: --host 0.0.0.0: a console that others can reach needs a token; add --token-file FILE (made if "
        "it does not exist) or set OTEL_ML_CONSOLE_TOKEN\n"
    )


def test_the_ready_line_for_people_names_the_address():
    """Without --json one line has the address of the page, below the prefix if there is one."""
    process = subprocess.Popen(
        command("--database", ":memory:", "--url-prefix", "/tools/"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = process.stdout.readline()
    assert re.match(r"otel-ml console: listening for OTLP, page at http://127\.0\.0\.1:\d+/tools, data in", line)
    assert finish(process)[0] == 0


@pytest.mark.parametrize("name", ["duckdb", "uvicorn", "google.rpc.status_pb2"])
def test_a_missing_extra_is_named(tmp_path, name):
    """Without the extra the command ends with one line that says how to install it."""
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{name!r}] = None\n")
    done = subprocess.run(
        command(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (
        2,
        f"otel-ml console: the console needs {name}: pip install 'otel-ml[console]'\n",
    )


def test_help_has_an_example_and_needs_no_extra(tmp_path):
    """--help ends with an example and imports none of the large dependencies."""
    for name in ("duckdb", "uvicorn", "starlette", "jinja2"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')\n")
    done = subprocess.run(
        command("--help"), capture_output=True, text=True, timeout=240, check=False,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0
    assert "example:\n  otel-ml console --database fraud.duckdb\n" in done.stdout


def test_acknowledged_records_survive_the_end(tmp_path):
    """After SIGTERM under load from eight senders, every record that was answered with 200 is in the file."""
    import duckdb

    path = str(tmp_path / "console.duckdb")
    process, ready = start("--database", path)
    acknowledged: list[str] = []
    enough = threading.Event()

    def send(sender):
        client = Client(ready["address"])
        for index in range(10_000):
            ids = [f"p-{sender}-{index}-{row}" for row in range(20)]
            try:
                answer = client.export(logs(*map(prediction, ids)), compress=True)
            except OSError:
                return
            if answer.status == 200:
                acknowledged.extend(ids)
            if len(acknowledged) > 4000:
                enough.set()

    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(8)]
    for sender in senders:
        sender.start()
    assert enough.wait(240)
    # a busy machine may answer no request within the grace of the end, which the server then says
    status, out, _ = finish(process)
    assert (status, out) == (0, "")
    for sender in senders:
        sender.join(240)
    with duckdb.connect(path, read_only=True) as connection:
        stored = {row[0] for row in connection.execute("select prediction_id from predictions").fetchall()}
    assert set(acknowledged) - stored == set()
