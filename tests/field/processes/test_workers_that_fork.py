"""A worker process that ends in any orderly way sends what it has counted, also where no exit function of Python runs.

Sources: open-telemetry/opentelemetry-python-contrib#4916 and open-telemetry/opentelemetry-python#3885 (children of
Celery's prefork pool end by `os._exit`), celery/celery#5120 and celery/billiard#67 (children that are recycled after
each task), rq/rq#2031 (no place to call something at the end of a work horse), unbit/uwsgi#1978, unbit/uwsgi#2387 and
open-telemetry/opentelemetry-python#2767 (uWSGI forks without Python's hooks, so that workers have no thread for metrics).
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import otlp_receiver
import pytest
from otlp_receiver import Receiver

receiver = otlp_receiver.receiver
PROGRAM = """
import os, sys
import otel_ml
telemetry = otel_ml.configure(service_name="workers", schedule_delay=60.0, metric_export_interval=600.0)
model = otel_ml.Model("fraud", task="binary", events="all")

def work(number):
    with model.prediction({"a": number}) as prediction:
        prediction.set_output(1, 0.9)
    return number
"""
TASKS = """
import celery
app = celery.Celery("tasks", broker="filesystem://")
folder = os.environ["QUEUE"]
app.conf.update(
    broker_transport_options={"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "-c"},
    task_ignore_result=True,
    worker_max_tasks_per_child=int(os.environ["MOST"]) or None,
)
predict = app.task(name="predict")(work)
"""


@pytest.fixture(scope="session")
def python_with_celery() -> str:
    """The interpreter of an environment with Celery, made once in the cache: it needs other versions than we do."""
    folder = Path(os.environ.get("OTEL_ML_CACHE") or Path.home() / ".cache" / "otel-ml") / "celery"
    python = folder / "bin" / "python"
    if not (folder / "complete").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        made = subprocess.run([str(python), "-m", "pip", "install", "-q", "celery>=5.3"], check=False)
        if made.returncode != 0:
            pytest.skip("Celery cannot be installed here")
        (folder / "complete").touch()
    (own,) = (folder / "lib").glob("python*/site-packages")
    (own / "ours.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n{Path(__file__).parents[3]}\n")
    return str(python)


def counted(receiver: Receiver) -> int:
    """Predictions over all processes, by the last export of each."""
    found: dict[str, int] = {}
    for request in receiver.metric_requests():
        for resource in request.resource_metrics:
            instance = {one.key: one.value.string_value for one in resource.resource.attributes}["service.instance.id"]
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == "ml.predictions":
                        start = metric.sum.data_points[0].start_time_unix_nano
                        found[f"{instance} {start}"] = sum(point.as_int for point in metric.sum.data_points)
    return sum(found.values())


def environment(receiver: Receiver, folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    own = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_ML_INSTANCE_DIR": str(folder / "slots")}
    return {**kept, **own, "PYTHONPATH": str(folder), **more}


def run(receiver: Receiver, folder: Path, program: str, **more: str) -> str:
    (folder / "program.py").write_text(PROGRAM + textwrap.dedent(program))
    command = [sys.executable, str(folder / "program.py")]
    done = subprocess.run(
        command, env=environment(receiver, folder, **more), capture_output=True, text=True, timeout=60, check=True
    )
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("tasks_a_child", [0, 1, 3])
def test_a_celery_worker_loses_nothing(
    receiver: Receiver, tmp_path: Path, python_with_celery: str, tasks_a_child: int
) -> None:
    """contrib#4916: spans, events and counts of all tasks arrive, whether children are recycled or stopped warmly."""
    for name in ("queue", "queue-c"):
        (tmp_path / name).mkdir()
    (tmp_path / "tasks.py").write_text(PROGRAM + TASKS)
    variables = environment(receiver, tmp_path, QUEUE=str(tmp_path / "queue"), MOST=str(tasks_a_child))
    command = ["celery", "-A", "tasks", "worker", "-c", "2", "--without-gossip", "--without-mingle"]
    with (tmp_path / "worker.log").open("w") as log:
        worker = subprocess.Popen(
            [python_with_celery, "-m", *command], env=variables, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=log
        )
    try:
        send = "import tasks\nfor number in range(6): tasks.predict.delay(number)"
        subprocess.run([python_with_celery, "-c", send], env=variables, cwd=tmp_path, timeout=60, check=True)
        waiting = tmp_path / "queue"
        wait_until(lambda: not list(waiting.glob("*.celery.msg")))
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(30)

    assert len(receiver.spans()) == 6, (tmp_path / "worker.log").read_text()
    assert len(receiver.logs()) == 6
    assert counted(receiver) == 6


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits until all tasks are taken, and a moment longer, so that they have run."""
    end = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)
    time.sleep(1.0)


@pytest.mark.parametrize("where", ["parent", "child"])
def test_a_billiard_process_loses_nothing(receiver: Receiver, tmp_path: Path, where: str) -> None:
    """celery/billiard#67: Celery's copy of `multiprocessing` ends its children in the same way."""
    pytest.importorskip("billiard")
    (tmp_path / "setup_of_child.py").write_text(PROGRAM)
    program = """
    import billiard
    def child(number):
        work(number)
    """
    if where == "child":
        program = """
        telemetry.shutdown()
        import billiard
        def child(number):
            import setup_of_child
            setup_of_child.work(number)
        """
    said = run(
        receiver,
        tmp_path,
        textwrap.dedent(program)
        + textwrap.dedent("""
        children = [billiard.Process(target=child, args=(number,)) for number in range(3)]
        [child.start() for child in children]
        [child.join() for child in children]
        """),
    )

    assert (len(receiver.spans()), len(receiver.logs()), counted(receiver)) == (3, 3, 3), said


@pytest.mark.parametrize("hook", ["telemetry.force_flush()", "telemetry.shutdown()"])
def test_a_worker_that_ends_by_exit_sends_all_with_one_line(receiver: Receiver, tmp_path: Path, hook: str) -> None:
    """rq/rq#2031: no hook runs at `os._exit`, so the guide names the line to call before it."""
    run(
        receiver,
        tmp_path,
        f"""
        for number in range(3):
            child = os.fork()
            if child == 0:
                work(number)
                {hook}
                os._exit(0)
            os.waitpid(child, 0)
        """,
    )

    assert (len(receiver.spans()), len(receiver.logs()), counted(receiver)) == (3, 3, 3)


def test_a_worker_that_is_forked_in_c_loses_nothing(receiver: Receiver, tmp_path: Path) -> None:
    """unbit/uwsgi#1978: with `py-call-osafterfork` uWSGI forks in C and runs the hooks of the child only."""
    said = run(
        receiver,
        tmp_path,
        """
        import ctypes
        for number in range(3):
            child = ctypes.PyDLL(None).fork()
            if child == 0:
                ctypes.pythonapi.PyOS_AfterFork_Child()
                work(number)
                telemetry.shutdown()
                os._exit(0)
            os.waitpid(child, 0)
        """,
    )

    assert (len(receiver.spans()), len(receiver.logs()), counted(receiver)) == (3, 3, 3), said


def test_predictions_of_a_child_reach_the_store(receiver: Receiver, tmp_path: Path) -> None:
    """opentelemetry-python#3885: what waits for the database at the end of a child is written as well."""
    run(
        receiver,
        tmp_path,
        f"""
        import multiprocessing
        truth = otel_ml.GroundTruth("sqlite:///{tmp_path}/p.db")
        model = otel_ml.Model("fraud", task="binary", ground_truth=truth)
        children = [multiprocessing.get_context("fork").Process(target=work, args=(number,)) for number in range(3)]
        [child.start() for child in children]
        [child.join() for child in children]
        """,
    )
    with sqlite3.connect(tmp_path / "p.db") as connection:
        names = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        table = next(name for name in names if "prediction" in name)
        stored = connection.execute(f"select count(*) from {table}").fetchone()  # noqa: S608 - a name of the schema
    connection.close()

    assert stored == (3,)
