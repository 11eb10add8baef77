"""Somebody's provider for one signal does not silence the others.

Sources: Arize-ai/openinference#372 and langfuse/langfuse-docs#2449 (libraries that trace language models set a tracer
provider), huggingface/transformers#39115 (a mere import sets one), open-telemetry/opentelemetry-python#958.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import otlp_receiver
import pytest
from otlp_receiver import Receiver

PRELUDE = """
import json
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
import otel_ml

def say(**values):
    print(json.dumps(values), flush=True)

def set_theirs(*signals):
    for signal in signals:
        {
            "traces": lambda: trace.set_tracer_provider(TracerProvider()),
            "metrics": lambda: metrics.set_meter_provider(MeterProvider()),
            "logs": lambda: _logs.set_logger_provider(LoggerProvider()),
        }[signal]()

def predict():
    model = otel_ml.Model("fraud", task="binary", events="all")
    with model.prediction({"a": 1}) as prediction:
        prediction.set_output(1, 0.9)
"""
SIGNALS = ("traces", "metrics", "logs")
SOME = [theirs for size in (1, 2) for theirs in itertools.combinations(SIGNALS, size)]
Run = Callable[..., tuple[list[dict[str, Any]], list[str]]]


receiver = otlp_receiver.receiver


@pytest.fixture
def run(receiver: Receiver, tmp_path: Path) -> Run:
    """Runs a program; returns its JSON lines and what it wrote to stderr."""

    def go(program: str, **variables: str) -> tuple[list[dict[str, Any]], list[str]]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        environment |= {"OTEL_ML_INSTANCE_DIR": str(tmp_path), "ENDPOINT": receiver.url, **variables}
        done = subprocess.run(
            [sys.executable, "-c", PRELUDE + textwrap.dedent(program)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.splitlines()

    return go


@pytest.mark.parametrize("theirs", SOME, ids="+".join)
def test_signals_without_a_provider_get_ours(run: Run, receiver: Receiver, theirs: tuple[str, ...]) -> None:
    """openinference#372: theirs stays in place and keeps its signal; everything else of a prediction arrives."""
    lines, stderr = run(
        f"""
        import os
        set_theirs(*{theirs!r})
        before = [trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()]
        telemetry = otel_ml.configure(endpoint=os.environ["ENDPOINT"], service_name="fraud-api")
        predict()
        flushed = telemetry.force_flush()
        after = [trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()]
        kept = [name for name, one, other in zip(("traces", "metrics", "logs"), before, after) if one is other]
        ledger = {{name: one.delivered for name, one in telemetry.ledger().items()}}
        say(mode=telemetry.mode, kept=kept, flushed=flushed, notes=telemetry.notes(), ledger=ledger)
        say(ended=telemetry.shutdown())
        """
    )
    ours = [signal for signal in SIGNALS if signal not in theirs]
    arrived = {
        "traces": bool(receiver.spans()),
        "metrics": "ml.predictions" in receiver.metrics(),
        "logs": bool(receiver.logs()),
    }

    assert (lines[0]["mode"], lines[0]["flushed"], lines[1]["ended"]) == ("guest", True, True)
    assert lines[0]["kept"] == list(theirs)
    assert arrived == {signal: signal in ours for signal in SIGNALS}
    assert sorted(lines[0]["ledger"]) == sorted(ours)
    for signal in SIGNALS:
        assert any(note.startswith(f"{signal}: to ") for note in lines[0]["notes"]), lines[0]["notes"]
    said = [line for line in stderr if "endpoint" in line]
    assert said == [f"otel-ml: endpoint= has no effect on {' and '.join(theirs)}: other code has set their providers"]


def test_settings_without_effect_are_named(run: Run) -> None:
    """langfuse-docs#2449: with three providers of others nothing is ours, and one line names what was asked in vain."""
    lines, stderr = run(
        """
        set_theirs("traces", "metrics", "logs")
        telemetry = otel_ml.configure(endpoint="http://x:4318", send_queue_size=9, metric_export_interval=5.0)
        predict()
        say(mode=telemetry.mode, flushed=telemetry.force_flush(), ledger=telemetry.ledger())
        """
    )

    assert lines == [{"mode": "guest", "flushed": True, "ledger": {}}]
    expected = (
        "otel-ml: endpoint=, send_queue_size=, metric_export_interval= have no effect on traces, metrics and logs: "
        "other code has set their providers"
    )
    assert [line for line in stderr if "no effect" in line] == [expected]


@pytest.mark.parametrize("theirs", [["metrics"], ["traces", "metrics", "logs"], ["traces"]], ids="+".join)
def test_a_scrape_page_needs_metrics_of_ours(run: Run, theirs: list[str]) -> None:
    """openinference#372: where somebody else has the metrics, the page would be empty: a line says that there is none."""
    lines, stderr = run(
        f"""
        set_theirs(*{theirs!r})
        telemetry = otel_ml.configure(logs_exporter="none", traces_exporter="none")
        say(page=any("scrape page" in note for note in telemetry.notes()))
        """,
        OTEL_ML_PROMETHEUS_PORT="0",
    )

    said = [line for line in stderr if "no scrape page is opened" in line]
    assert (lines[0]["page"], len(said)) == (("metrics" not in theirs), int("metrics" in theirs))


def test_a_scrape_page_is_an_export_too(run: Run) -> None:
    """Metrics that only the scrape page shows get our provider; nothing else has to be exported."""
    lines, stderr = run(
        """
        set_theirs("traces", "logs")
        telemetry = otel_ml.configure(metrics_exporter="prometheus", prometheus_port=0)
        say(page=any("scrape page" in note for note in telemetry.notes()))
        """
    )

    assert (lines, stderr) == ([{"page": True}], [])


@pytest.mark.parametrize(
    ("start", "variables"),
    [
        ("import opentelemetry.instrumentation.auto_instrumentation; set_theirs('traces')", {}),
        ("set_theirs('traces')", {"OTEL_CONFIG_FILE": "/tmp/otel.yaml"}),
    ],
)
def test_what_goes_nowhere_is_named(run: Run, start: str, variables: dict[str, str]) -> None:
    """Where another SDK is in charge and sets no provider for a signal, a line, the notes and the flush say so."""
    lines, stderr = run(
        f"""
        {start}
        telemetry = otel_ml.configure()
        predict()
        say(notes=telemetry.notes(), flushed=telemetry.force_flush(0.5))
        metrics.set_meter_provider(MeterProvider()); _logs.set_logger_provider(LoggerProvider())
        say(notes=telemetry.notes(), flushed=telemetry.force_flush(0.5))
        """,
        **variables,
    )

    assert "metrics and logs are not exported: no provider is set for them" in lines[0]["notes"]
    assert (lines[0]["flushed"], lines[1]["flushed"]) == (False, True)
    assert not any("not exported" in note for note in lines[1]["notes"])
    assert [line for line in stderr if "not exported" in line] == [
        "otel-ml: metrics and logs are not exported: no provider is set for them"
    ]


def test_the_name_of_the_service_is_theirs_unless_given(run: Run, receiver: Receiver) -> None:
    """huggingface/transformers#39115: without a name of our own, metrics carry the name of the spans beside them."""
    run(
        """
        import os
        from opentelemetry.sdk.resources import Resource
        trace.set_tracer_provider(TracerProvider(resource=Resource.create({"service.name": "theirs"})))
        telemetry = otel_ml.configure(endpoint=os.environ["ENDPOINT"])
        predict()
        telemetry.force_flush()
        """
    )

    names = {
        attribute.value.string_value
        for request in receiver.metric_requests()
        for resource in request.resource_metrics
        for attribute in resource.resource.attributes
        if attribute.key == "service.name"
    }
    assert names == {"theirs"}


def test_a_forked_child_and_an_exit_lose_nothing(run: Run, receiver: Receiver) -> None:
    """Ours behave as in own mode: a child starts at zero, and the exit sends what is left."""
    run(
        """
        import multiprocessing, os
        set_theirs("traces")
        otel_ml.configure(endpoint=os.environ["ENDPOINT"], service_name="fraud-api")
        predict()
        child = multiprocessing.get_context("fork").Process(target=predict)
        child.start(); child.join()
        """
    )

    last = {id(request): request for request in receiver.metric_requests()}
    counted: dict[str, int] = {}
    for request in last.values():
        for resource in request.resource_metrics:
            instance = {one.key: one.value.string_value for one in resource.resource.attributes}["service.instance.id"]
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == "ml.predictions":
                        counted[instance] = sum(point.as_int for point in metric.sum.data_points)
    assert sorted(counted.values()) == [1, 1]
    assert len(receiver.logs()) == 2
