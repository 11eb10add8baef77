"""After `shutdown` a process may begin again, with other settings, and no True covers a loss.

Sources: traceroot-ai/traceroot-py#117 and #140 (a second start hands back the dead client),
open-telemetry/opentelemetry-js#5226 (nothing is recorded after the second start), openai/openai-agents-python#4732 (the
default processor is not built again after a shutdown), AgentOps-AI/agentops#789 ("Overriding of current TracerProvider is
not allowed").
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import otlp_receiver
import pytest

receiver = otlp_receiver.receiver


@pytest.fixture
def run(receiver, tmp_path):
    """Runs a program with the receiver as endpoint; returns its JSON lines. It may write nothing to stderr."""

    def go(program: str, **variables: str) -> list[dict]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_ML_INSTANCE_DIR": str(tmp_path / "slots"),
            "OTEL_ML_CAPTURE_FEATURES": "all",
            **variables,
        }
        prelude = (
            "import json, logging, os, signal, sys, time\nimport otel_ml\nfrom opentelemetry import metrics, trace\n"
        )
        prelude += "def say(**values): print(json.dumps(values), flush=True)\n"
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", prelude + textwrap.dedent(program)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stderr == "", done.stderr
        go.status = done.returncode
        return [json.loads(line) for line in done.stdout.splitlines()]

    return go


def services(receiver) -> list[tuple[str, str]]:
    """Service and name of each span, sorted."""
    return sorted(
        (next(one.value.string_value for one in resource.resource.attributes if one.key == "service.name"), span.name)
        for request in receiver.trace_requests()
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )


def test_the_cell_of_a_notebook_runs_again(run, receiver):
    """The same cell, run twice: the second telemetry works, with the handles of the first."""
    lines = run(
        """
        t = otel_ml.configure(service_name="nb"); m = otel_ml.Model("fraud"); t.shutdown()
        t2 = otel_ml.configure(service_name="nb")
        with m.prediction({"a": 1}) as p: p.set_output(prediction=1)
        say(same=t2 is t, flushed=t2.force_flush(), traces=vars(t2.ledger()["traces"]))
        """
    )

    traces = {"produced": 1, "delivered": 1, "rejected": 0, "dropped": {}, "in_flight": 0, "spooled": 0, "folded": []}
    assert lines == [{"same": False, "flushed": True, "traces": traces}]
    assert receiver.metrics()["ml.predictions"][0].as_int == 1


def test_other_arguments_are_welcome_after_a_shutdown(run, receiver):
    """A second life may have another service name; records go out under the name of their life."""
    run(
        """
        for name in ("first", "second", "third"):
            t = otel_ml.configure(service_name=name)
            with trace.get_tracer("x").start_as_current_span(f"in {name}"): pass
            t.shutdown()
        """
    )

    assert services(receiver) == [(name, f"in {name}") for name in ("first", "second", "third")]


def test_what_the_service_got_in_its_first_life_goes_on(run, receiver):
    """Tracers, instruments, log handlers and instrumented models of a module work in the second life, too."""
    run(
        """
        early = trace.get_tracer("early")
        t = otel_ml.configure(service_name="one", logging=True)
        tracer = trace.get_tracer("module")
        counter = metrics.get_meter("module").create_counter("jobs")
        seen = metrics.get_meter("module").create_observable_gauge("seen", [lambda _: [metrics.Observation(7)]])
        log = logging.getLogger("module")
        logging.basicConfig(handlers=[logging.NullHandler()])
        model = otel_ml.Model("m", "1")
        predict = model.track(lambda features: {"prediction": 1, "probability": 0.9})
        predict({"a": 1}); counter.add(5); log.warning("one")
        t.shutdown()
        otel_ml.configure(service_name="two", logging=True)
        for each in (early, tracer):
            with each.start_as_current_span("again"): pass
        predict({"a": 1}); counter.add(3); log.warning("two")
        """
    )

    assert services(receiver) == [("one", "predict m"), ("two", "again"), ("two", "again"), ("two", "predict m")]
    metrics = receiver.metrics()
    assert [metrics["jobs"][0].as_int, metrics["seen"][0].as_int, metrics["ml.predictions"][0].as_int] == [3, 7, 1]
    assert [len(metrics[name]) for name in ("otelml.export.produced", "ml.predictions")] == [3, 1]
    assert [record.body.string_value for record in receiver.logs() if not record.event_name] == ["one", "two"]


def test_a_second_life_ends_in_order_too(run, receiver):
    """Exit and SIGTERM shut down the telemetry that is in force."""
    run(
        """
        otel_ml.configure(service_name="one", flush_on_sigterm=True).shutdown()
        otel_ml.configure(service_name="two", flush_on_sigterm=True)
        with trace.get_tracer("x").start_as_current_span("last"): pass
        os.kill(os.getpid(), signal.SIGTERM); time.sleep(10)
        """
    )

    assert (run.status, services(receiver)) == (-15, [("two", "last")])


def test_a_forked_child_of_a_second_life_counts_for_itself(run, receiver):
    """Instruments of the first life start at zero in a child, as those of the second do."""
    run(
        """
        otel_ml.configure(service_name="one")
        counter = metrics.get_meter("module").create_counter("jobs")
        otel_ml.configure().shutdown()
        otel_ml.configure(service_name="two")
        counter.add(5)
        if os.fork() == 0:
            counter.add(3)
            otel_ml.configure().shutdown()
            os._exit(0)
        os.wait()
        """
    )

    found = [
        point.as_int
        for request in receiver.metric_requests()
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "jobs"
        for point in metric.sum.data_points
        if point.as_int  # new series come with a point at zero
    ]
    assert sorted(found) == [3, 5]


def test_a_forked_child_of_a_second_life_runs_the_callbacks_of_the_first(run, receiver):
    """An observable instrument of the first life is observed in the child without waiting for a thread of the parent."""
    run(
        """
        otel_ml.configure(service_name="one")
        metrics.get_meter("module").create_observable_gauge("pid", [lambda _: [metrics.Observation(os.getpid())]])
        otel_ml.configure().shutdown()
        otel_ml.configure(service_name="two").force_flush()
        if os.fork() == 0:
            otel_ml.configure().shutdown()
            os._exit(0)
        os.wait()
        """
    )

    found = {
        point.as_int
        for request in receiver.metric_requests()
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "pid"
        for point in metric.gauge.data_points
    }
    assert len(found) == 2


def test_no_thread_of_an_earlier_life_is_left(run):
    """kirodotdev/KiroCrew#347: a notebook that begins again often does not gather threads."""
    lines = run(
        """
        import threading
        instruments = []
        for name in ("one", "two", "three"):
            t = otel_ml.configure(service_name=name)
            t.force_flush()
            for kept in (metrics.get_meter("service"), metrics.get_meter(name)):
                instruments.append(kept.create_observable_gauge(f"gauge.{name}", [lambda _: [metrics.Observation(1)]]))
            t.force_flush()
            t.shutdown()
        end = time.monotonic() + 60
        while threading.active_count() > 1 and time.monotonic() < end:
            time.sleep(0.01)
        say(left=[thread.name for thread in threading.enumerate()])
        """
    )

    assert lines == [{"left": ["MainThread"]}]


def test_flush_is_false_when_something_was_dropped(run):
    """dd-trace-py#3483: what is recorded between two lives is counted, and one line says so."""
    lines = run(
        """
        t = otel_ml.configure(service_name="nb"); m = otel_ml.Model("fraud")
        said = []
        class Handler(logging.Handler):
            def emit(self, record): said.append(record.getMessage())
        logging.getLogger().addHandler(Handler())
        say(flushed=t.force_flush())
        t.shutdown()
        say(flushed=t.force_flush())
        for _ in range(2):
            with m.prediction({"a": 1}) as p: p.set_output(prediction=1)
        say(said=said)
        say(flushed=t.force_flush(), dropped=t.ledger()["traces"].dropped)
        say(flushed=t.force_flush())
        """
    )

    assert lines == [
        {"flushed": True},
        {"flushed": True},
        {"said": ["otel-ml: predictions after shutdown() are dropped: call shutdown() later, or configure() again"]},
        {"flushed": False, "dropped": {"shutdown": 2}},
        {"flushed": True},
    ]


@pytest.mark.parametrize("disabled", ["", "true"])
def test_the_other_modes_begin_again_too(run, disabled):
    """In guest and off mode a second `configure` after `shutdown` is as good as the first."""
    lines = run(
        """
        if not os.environ["OTEL_SDK_DISABLED"]:
            from opentelemetry.sdk.trace import TracerProvider
            trace.set_tracer_provider(TracerProvider())
        modes = []
        for name in ("one", "two"):
            t = otel_ml.configure(environment=name)
            modes.append(t.mode)
            t.shutdown()
        say(modes=modes)
        """,
        OTEL_SDK_DISABLED=disabled,
    )

    assert lines == [{"modes": ["off" if disabled else "guest"] * 2}]
