"""gevent may replace threads and locks before a fork or after `configure`, as `gunicorn -k gevent --preload` does it.

Sources: open-telemetry/opentelemetry-python#4345, #3897, open-telemetry/opentelemetry-python-contrib#3699,
quay/quay#5820 (greenlets of the parent live on in its children).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import otlp_receiver
import pytest
from otlp_receiver import Receiver

pytestmark = pytest.mark.slow
receiver = otlp_receiver.receiver
PROGRAM = """
import otel_ml
telemetry = otel_ml.configure(service_name="late", metric_export_interval=1.0)
model = otel_ml.Model("fraud", "1", task="binary", events="all", capture_features="none")

@model.track
def predict(features):
    return {"prediction": 1, "probability": 0.9}
"""
APPLICATION = """
def app(environ, start_response):
    predict({"a": 1})
    start_response("200 OK", [])
    return [b"ok"]
"""
IN_PROCESS = """
predict({"a": 0})
telemetry.force_flush()
from gevent import monkey
monkey.patch_all()
import gevent
gevent.joinall([gevent.spawn(predict, {"a": 1}) for _ in range(19)])
assert telemetry.force_flush(30)
assert telemetry.shutdown(30)
"""
HALF_PATCHED = """
from opentelemetry.metrics import CallbackOptions, Observation
from otel_ml._telemetry.metrics._callbacks import Callbacks
from gevent import monkey
monkey.patch_all(queue=False)
(observe,) = Callbacks().guarded("gauge", [lambda options: [Observation(1)]])
print([observe(CallbackOptions())[0].value for _ in range(2)])
"""


@pytest.fixture(scope="session")
def python_with_gevent() -> str:
    """The interpreter of an environment with gevent and gunicorn, made once in the cache."""
    folder = Path(os.environ.get("OTEL_ML_CACHE") or Path.home() / ".cache" / "otel-ml") / "gevent"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        made = subprocess.run([str(python), "-m", "pip", "install", "-q", "gevent>=24", "gunicorn>=23"], check=False)
        if made.returncode != 0:
            pytest.skip("gevent cannot be installed here")
        (folder / "complete").touch()
    (own,) = (folder / "lib").glob("python*/site-packages")
    (own / "ours.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n{Path(__file__).parents[3]}\n")
    return str(python)


def environment(receiver: Receiver, folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTHON"))}
    return {**kept, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_ML_INSTANCE_DIR": str(folder / "slots")}


def arrived(receiver: Receiver) -> tuple[int, int, list[int]]:
    """Spans, events, and the counts of each class in the last export."""
    counts = {str(point.attributes): point.as_int for point in receiver.metrics().get("ml.predictions", ())}
    return len(receiver.spans()), len(receiver.logs()), list(counts.values())


def times(receiver: Receiver) -> list[int]:
    """The times of all points of the class that was predicted, as they were exported."""
    return [
        point.time_unix_nano
        for request in receiver.metric_requests()
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "ml.predictions"
        for point in metric.sum.data_points
        if len(point.attributes) == 4
    ]


@pytest.mark.parametrize("first", ["", "from gevent import monkey\nmonkey.patch_all()\n"], ids=["late", "first"])
def test_gevent_in_workers_of_a_preloaded_application(
    receiver: Receiver, tmp_path: Path, python_with_gevent: str, first: str
) -> None:
    """opentelemetry-python#4345, quay/quay#5820: a worker sends all signals once, whether gevent patches before or after."""
    (tmp_path / "application.py").write_text(PROGRAM + APPLICATION)
    (tmp_path / "gunicorn.conf.py").write_text(first)
    command = ["gunicorn", "-k", "gevent", "--preload", "-b", "127.0.0.1:0", "application:app"]
    server = subprocess.Popen(
        [python_with_gevent, "-m", *command],
        cwd=tmp_path,
        env=environment(receiver, tmp_path),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr is not None
    try:
        for line in server.stderr:
            if found := re.search(r"Listening at: (http://\S+)", line):
                break
        for _ in range(20):
            with urllib.request.urlopen(found[1], timeout=60) as response:
                assert response.status == 200
        receiver.wait_for(lambda it: arrived(it) == (20, 20, [20]))
    finally:
        server.send_signal(signal.SIGTERM)
        said = server.communicate(timeout=60)[1]

    assert server.returncode == 0
    assert "Traceback" not in said
    assert times(receiver) == sorted(set(times(receiver)))


def test_gevent_that_has_not_come_to_queues(python_with_gevent: str) -> None:
    """gunicorn's worker: callbacks whose thread starts while gevent patches, before it comes to `queue`, return."""
    program = [python_with_gevent, "-W", "ignore", "-c", HALF_PATCHED]
    done = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)

    assert (done.stdout, done.stderr) == ("[1, 1]\n", "")


def test_gevent_while_our_threads_run(receiver: Receiver, tmp_path: Path, python_with_gevent: str) -> None:
    """contrib#3699: what is patched after the first export works as well, up to the end."""
    program = [python_with_gevent, "-W", "ignore", "-c", PROGRAM + IN_PROCESS]
    done = subprocess.run(
        program, env=environment(receiver, tmp_path), capture_output=True, text=True, timeout=90, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert arrived(receiver) == (20, 20, [20])
