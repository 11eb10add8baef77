"""The examples run as their READMEs say, and the promised telemetry arrives."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from reserved_ports import free_ports

REPOSITORY = Path(__file__).parents[2]


def run_json(*command: str, **environment: str) -> dict:
    """Returns the last line of a program's output; the program must succeed."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "COV_"))}
    done = subprocess.run(
        [sys.executable, *command],
        env={**clean, **environment},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_batch_job_records_rows_and_labels(receiver, tmp_path) -> None:
    """2,000 real rows in 20 batches: counted by class, labelled on their traces, with the authors' accuracy."""
    printed = run_json(
        "examples/batch_job/main.py",
        "--store",
        f"sqlite:///{tmp_path / 'predictions.db'}",
        OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url,
        OTEL_ML_INSTANCE_DIR=str(tmp_path),
    )
    predictions = receiver.metrics()["ml.predictions"]
    outcomes = receiver.metrics()["ml.eval.outcomes"]
    labels = [record for record in receiver.logs() if record.event_name == "ml.label"]
    traces = {span.trace_id for span in receiver.spans() if span.name == "predict employment"}

    assert (printed["rows"], printed["labels"], len(traces), len(labels)) == (2000, 2000, 20, 2000)
    assert sum(point.as_int for point in predictions) == 2000
    assert sum(point.as_int for point in outcomes) == 2000
    assert {record.trace_id for record in labels} == traces
    assert 0.75 < printed["performance"]["accuracy"] < 0.9


def test_the_demo_ends_with_its_terminal(tmp_path) -> None:
    """A closed terminal (SIGHUP) ends the console that the demo started."""
    console = tmp_path / "demo" / "console.log"
    service_port, console_port = free_ports(2)
    ports = ("--port", str(service_port), "--console-port", str(console_port))
    command = [sys.executable, "-m", "otel_ml", "demo", *ports]
    demo = subprocess.Popen([*command, "--folder", str(console.parent)], stderr=subprocess.DEVNULL)
    try:
        while not console.exists() or "listening" not in console.read_text():
            assert demo.poll() is None
            time.sleep(0.05)
        demo.send_signal(signal.SIGHUP)
        assert demo.wait(timeout=240) == 130
    finally:
        demo.kill()

    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", console_port)) != 0


def test_a_second_signal_does_not_interrupt_the_end() -> None:
    """Ctrl-C twice, or a terminal whose shell repeats SIGHUP, leaves no process of the demo behind."""
    code = """
import os, signal, time
from otel_ml.cli.demo import _interrupt_once
_interrupt_once(signal.SIGTERM, signal.SIGHUP)
try:
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)
except KeyboardInterrupt:
    for each in (signal.SIGTERM, signal.SIGHUP):
        os.kill(os.getpid(), each)
    print("ended in order")
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ended in order\n", "")


def test_the_demo_reads_back_what_it_sent(tmp_path) -> None:
    """`otel-ml demo --drift` trains, serves, sends people and batches, labels them, and reads all of it back."""
    service_port, console_port = map(str, free_ports(2))
    verdict = run_json(
        "-m", "otel_ml", "demo", "--drift", "--seconds", "6", "--rate", "20", "--port", service_port,
        "--console-port", console_port, "--folder", str(tmp_path / "demo"), OTEL_ML_INSTANCE_DIR=str(tmp_path),
        # threads that wait for each other are slow on a busy machine
        OMP_NUM_THREADS="1",
    )  # fmt: skip

    assert verdict["predictions"] == verdict["metric_predictions"] > verdict["events"] == verdict["traces"] > 0
    assert verdict["labels"] > 0
    assert verdict["lost"] == 0
    assert 0.4 < verdict["accuracy"] <= 1.0
