"""`configure` in processes of its own: the three modes, idempotence, exit, and fork."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

PRELUDE = """
import json, os, sys
import otel_ml
def say(**values): print(json.dumps(values), flush=True)
"""


@pytest.fixture
def run(receiver, tmp_path):
    """Runs a program with the receiver as endpoint; returns its JSON lines."""

    def go(program: str, *, code: int = 0, says: str | None = None, **variables: str) -> list[dict]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
        environment |= {
            "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
            "OTEL_ML_INSTANCE_DIR": str(tmp_path / "slots"),
            "OTEL_SERVICE_NAME": "unit",
            **variables,
        }
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PRELUDE + textwrap.dedent(program)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        other = [line for line in done.stderr.splitlines() if says is None or says not in line]
        assert (done.returncode, other) == (code, other if code else []), done.stderr
        go.stderr = done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return go


def test_own_mode_sets_the_globals_and_flushes_at_exit(run, receiver):
    """Without other providers ours are set, and any instrumentation's span is sent when the program ends."""
    lines = run(
        """
        telemetry = otel_ml.configure()
        from opentelemetry import trace
        with trace.get_tracer("other").start_as_current_span("work"):
            pass
        say(mode=telemetry.mode, same=otel_ml.configure(service_name="unit") is telemetry)
        """
    )

    assert lines == [{"mode": "own", "same": True}]
    assert [span.name for span in receiver.spans()] == ["work"]
    assert receiver.points() > 0


def test_another_configuration_is_refused(run):
    """A second call with other arguments raises and names the difference; so does an unknown option."""
    lines = run(
        """
        otel_ml.configure(service_name="a")
        for arguments in ({"service_name": "b"}, {"servicename": "a"}):
            try:
                otel_ml.configure(**arguments)
            except otel_ml.ConfigError as error:
                say(error=str(error))
        """
    )

    assert [line["error"] for line in lines] == [
        "configure() was called before with another service_name: call it once, with the same arguments, or after shutdown()",
        "unknown option servicename: did you mean service_name?",
    ]


def test_a_wrong_setting_fails_before_anything_starts(run):
    """A bad endpoint ends the program with one clear line."""
    run("otel_ml.configure()", code=1, OTEL_EXPORTER_OTLP_ENDPOINT="collector:4318")

    assert run.stderr.splitlines()[-1].startswith("otel_ml.config.ConfigError: OTEL_EXPORTER_OTLP_ENDPOINT is")


def test_a_misspelt_variable_is_logged_once(run):
    """One line names a misspelt variable, such as one that should keep inputs private, but not its value."""
    run("otel_ml.configure(); otel_ml.configure()", says="not understood", OTEL_ML_CAPTURE_FEATURE="none")

    assert run.stderr.splitlines() == [
        "otel-ml: not understood: OTEL_ML_CAPTURE_FEATURE (did you mean OTEL_ML_CAPTURE_FEATURES?)"
    ]


def test_telemetry_without_an_exporter_is_not_recorded(run, receiver):
    """Without exporters of spans and logs a prediction is only counted: no record is queued, no exemplar is kept."""
    lines = run(
        """
        import threading
        telemetry = otel_ml.configure()
        model = otel_ml.Model("m", version="1", task="binary")
        predict = model.track(lambda features: {"prediction": 1, "probability": 0.9})
        for _ in range(3):
            predict({"a": 1.0})
        say(threads=[thread.name for thread in threading.enumerate() if "worker" in thread.name])
        """,
        OTEL_TRACES_EXPORTER="none",
        OTEL_LOGS_EXPORTER="none",
    )
    points = receiver.metrics()["ml.prediction.duration"]

    assert lines == [{"threads": []}]
    assert [(point.count, list(point.exemplars)) for point in points] == [(3, [])]
    assert (receiver.spans(), receiver.logs()) == ([], [])


@pytest.mark.parametrize("signal", ["trace", "metrics", "_logs"])
def test_guest_mode_leaves_providers_alone(run, receiver, signal):
    """If one provider exists already, it is not replaced, and our sender sends nothing of its signal."""
    theirs = {"trace": "traces", "metrics": "metrics", "_logs": "logs"}[signal]
    lines = run(
        f"""
        from opentelemetry import trace, metrics, _logs
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk._logs import LoggerProvider
        theirs = {{"trace": TracerProvider, "metrics": MeterProvider, "_logs": LoggerProvider}}["{signal}"]()
        setter = {{
            "trace": trace.set_tracer_provider, "metrics": metrics.set_meter_provider, "_logs": _logs.set_logger_provider
        }}
        setter["{signal}"](theirs)
        telemetry = otel_ml.configure()
        getter = {{
            "trace": trace.get_tracer_provider, "metrics": metrics.get_meter_provider, "_logs": _logs.get_logger_provider
        }}
        say(
            mode=telemetry.mode, kept=getter["{signal}"]() is theirs, ledger=sorted(telemetry.ledger()),
            flushed=telemetry.force_flush(), ended=telemetry.shutdown(), notes=telemetry.notes(),
        )
        """
    )

    assert [(line["mode"], line["kept"], line["ledger"], line["flushed"], line["ended"]) for line in lines] == [
        ("guest", True, sorted({"traces", "metrics", "logs"} - {theirs}), True, True)
    ]
    assert "Provider of opentelemetry is set" in lines[0]["notes"][0]
    assert receiver.requests[theirs] == 0


def test_guest_mode_ends_within_its_limit(run, receiver):
    """A processor that ignores its time limit blocks neither flush nor shutdown and is named once."""
    lines = run(
        """
        import threading, time
        from opentelemetry import trace
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        class Stuck(SpanProcessor):
            def force_flush(self, timeout_millis=30_000):
                threading.Event().wait(60)
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(Stuck())
        trace.set_tracer_provider(provider)
        telemetry = otel_ml.configure()
        began = time.monotonic()
        say(done=[telemetry.force_flush(0.3), telemetry.shutdown(0.3)], in_time=time.monotonic() - began < 30)
        """,
        says="ignores its time limit",
    )

    assert lines == [{"done": [False, False], "in_time": True}]
    assert run.stderr.count("ignores its time limit") == 1


@pytest.mark.parametrize(("asked", "lines"), [("fraud-api", 1), ("theirs", 0)])
def test_guest_mode_logs_a_service_name_that_differs(run, asked, lines):
    """One line says which signals carry another service name than the argument's."""
    run(
        f"""
        from opentelemetry import trace
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        trace.set_tracer_provider(TracerProvider(resource=Resource.create({{"service.name": "theirs"}})))
        otel_ml.configure(service_name="{asked}")
        """,
        says="not 'fraud-api'",
    )
    logged = [line for line in run.stderr.splitlines() if "so traces carry its service name 'theirs'" in line]

    assert len(logged) == lines
    assert all("not 'fraud-api': set OTEL_SERVICE_NAME" in line for line in logged)


def test_a_configuration_file_means_guest_mode(run, receiver):
    """With OTEL_CONFIG_FILE another SDK sets the providers."""
    lines = run(
        "say(mode=otel_ml.configure().mode)", says="are not exported: no provider", OTEL_CONFIG_FILE="/tmp/otel.yaml"
    )

    assert lines == [{"mode": "guest"}]
    assert receiver.heads == []


def test_opentelemetry_instrument_means_guest_mode(run, receiver):
    """Under zero-code instrumentation the distribution owns the providers."""
    lines = run(
        """
        import opentelemetry.instrumentation.auto_instrumentation
        say(mode=otel_ml.configure().mode)
        """,
        says="are not exported: no provider",
    )

    assert lines == [{"mode": "guest"}]


def test_a_disabled_sdk_means_mode_off(run, receiver):
    """With OTEL_SDK_DISABLED=true there is no provider, no thread and no request."""
    lines = run(
        """
        import threading
        telemetry = otel_ml.configure()
        from opentelemetry import trace
        say(mode=telemetry.mode, provider=type(trace.get_tracer_provider()).__name__,
            threads=threading.active_count(), flushed=telemetry.force_flush(), ended=telemetry.shutdown())
        """,
        OTEL_SDK_DISABLED="True",
    )

    assert lines == [{"mode": "off", "provider": "ProxyTracerProvider", "threads": 1, "flushed": True, "ended": True}]
    assert receiver.heads == []


def test_importing_loads_neither_the_sdk_nor_numpy():
    """`import otel_ml` and the test kit load neither the SDK nor numpy."""
    program = """
import sys
import otel_ml, otel_ml.config
heavy = [name for name in ("opentelemetry.sdk", "numpy", "grpc", "urllib3", "google.protobuf") if name in sys.modules]
print(heavy)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == "[]\n"


def test_the_environment_and_the_random_state_are_unchanged(run):
    """Configuring changes no variable and draws no number from `random`."""
    lines = run(
        """
        import random
        random.seed(1)
        expected = random.Random(1).random()
        before = dict(os.environ)
        otel_ml.configure()
        from opentelemetry import trace
        with trace.get_tracer("other").start_as_current_span("work"):
            pass
        say(environment=before == dict(os.environ), random=random.random() == expected)
        """
    )

    assert lines == [{"environment": True, "random": True}]


FORK = """
telemetry = otel_ml.configure()
from otel_ml._telemetry import ports
from otel_ml._telemetry.predictions.model_cells import ModelIdentity
from opentelemetry import trace
engine = ports.state().engine
cells = engine.cells(ModelIdentity("m", "1", "primary"))
def work(name):
    with trace.get_tracer("other").start_as_current_span(name):
        cells.mine().started += 1
        cells.mine().classes["1"] = cells.mine().classes.get("1", 0) + 1
for number in range(3):
    work("parent")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_starts_at_zero(run, receiver):
    """The child sends only its own spans and counts, under its own instance id; nothing is sent twice."""
    lines = run(
        FORK
        + """
pid = os.fork()
if pid == 0:
    work("child")
    done = telemetry.force_flush()
    say(who="child", done=done, id=engine.instance.id, produced=telemetry.ledger()["traces"].produced,
        predictions=cells.fold().cells.classes["1"])
    telemetry.shutdown()
    os._exit(0)
os.waitpid(pid, 0)
work("parent")
say(who="parent", done=telemetry.force_flush(), id=engine.instance.id,
    produced=telemetry.ledger()["traces"].produced, predictions=cells.fold().cells.classes["1"])
"""
    )

    child, parent = lines
    assert (child["done"], child["produced"], child["predictions"]) == (True, 1, 1)
    assert (parent["done"], parent["produced"], parent["predictions"]) == (True, 4, 4)
    assert child["id"] != parent["id"]
    assert sorted(span.name for span in receiver.spans()) == ["child", "parent", "parent", "parent", "parent"]
    ids = {
        attribute.value.string_value
        for request in receiver.trace_requests()
        for attribute in request.resource_spans[0].resource.attributes
        if attribute.key == "service.instance.id"
    }
    assert ids == {child["id"], parent["id"]}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forking_while_sending_never_hangs(run, receiver):
    """Each of twenty children forked under load flushes and ends."""
    lines = run(
        FORK
        + """
import threading, time
stop = threading.Event()
def load():
    while not stop.wait(0.0005):
        work("load")
threads = [threading.Thread(target=load) for _ in range(2)]
for thread in threads: thread.start()
ends = []
for _ in range(20):
    pid = os.fork()
    if pid == 0:
        work("child")
        began = time.monotonic()
        done = telemetry.force_flush(20), telemetry.shutdown(20)
        if done != (True, True):
            say(child=done, seconds=time.monotonic() - began, ledger=str(telemetry.ledger()))
        os._exit(0 if done == (True, True) else 3)
    ends.append(os.waitpid(pid, 0)[1])
stop.set()
for thread in threads: thread.join()
say(ends=ends, done=telemetry.force_flush(20), produced=telemetry.ledger()["traces"].produced)
""",
        PYTHONWARNINGS="ignore::DeprecationWarning",
    )

    assert lines[:-1] == []  # the error of a child that failed
    assert lines[0]["ends"] == [0] * 20
    assert lines[0]["done"] is True
    assert len(receiver.spans()) == lines[0]["produced"] + 20
