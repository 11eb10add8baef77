"""Where the system starts no thread for us, the service works and nothing is lost at an orderly end.

Sources: mongodb/mongo-python-driver#3061 (`InterpreterPoolExecutor`: a subinterpreter refuses daemon threads when they are
made), elastic/apm-agent-python#450 ("can't start new thread": the system refuses one when it starts).
"""

import os
import subprocess
import sys
from pathlib import Path

import otlp_receiver
import pytest
from otlp_receiver import Receiver

receiver = otlp_receiver.receiver
PROGRAM = """
import sys, threading

class Refused(threading.Thread):
    def {method}(self, *args, **keywords):
        if (keywords.get("name") or getattr(self, "_name", "")).startswith("{refused}"):  # the SDK needs its own
            raise RuntimeError("no thread")
        super().{method}(*args, **keywords)

threading.Thread = Refused
import otel_ml
telemetry = otel_ml.configure(service_name="s")
model = otel_ml.Model("fraud", "1", task="binary", classes=[0, 1])
predict = model.track(lambda features: {{"prediction": 1}})
assert predict({{"amount": 1.0}}) == {{"prediction": 1}}
{end}
"""


def run(receiver: Receiver, folder: Path, program: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    own = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_ML_INSTANCE_DIR": str(folder / "slots")}
    own["OTEL_ML_CAPTURE_FEATURES"] = "all"
    done = subprocess.run(
        [sys.executable, "-c", program], env={**kept, **own}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def predictions(receiver: Receiver) -> int:
    return sum(point.as_int for point in receiver.metrics()["ml.predictions"])


@pytest.mark.parametrize("method", ["__init__", "start"])
def test_the_end_sends_everything(receiver: Receiver, tmp_path: Path, method: str) -> None:
    """The exit of the interpreter sends span, event and counts, once, on the thread that ends the process."""
    assert run(receiver, tmp_path, PROGRAM.format(method=method, refused="otel-ml", end="")) == ""
    assert [span.name for span in receiver.spans()] == ["predict fraud"]
    assert [record.event_name for record in receiver.logs()] == ["ml.prediction"]
    assert len(receiver.metric_requests()) == 1
    assert predictions(receiver) == 1


@pytest.mark.parametrize("refused", ["otel-ml", "otel-ml-reader"])
def test_a_flush_does_not_wait_for_nobody(receiver: Receiver, tmp_path: Path, refused: str) -> None:
    """`force_flush` says at once that not everything was sent, also if only the counts wait; the end sends it."""
    end = "assert telemetry.force_flush(600) is False"
    assert run(receiver, tmp_path, PROGRAM.format(method="start", refused=refused, end=end)) == ""
    assert predictions(receiver) == 1
    assert [span.name for span in receiver.spans()] == ["predict fraud"]
