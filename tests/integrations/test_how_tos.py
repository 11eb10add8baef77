"""The how-tos about tests, workers and lost telemetry say what is true: their code runs, and nothing is lost.

Source: the tests of EdwinWenink/udacity-ml-fastapi, which found no page about any of it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import httpx
import pytest
from code_blocks import write_files

TESTING = "examples/testing/README.md"
WORKERS = "examples/workers/README.md"
NOTHING = "examples/i_see_nothing/README.md"
REPOSITORY = Path(__file__).parents[2]


def run(*command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "COV_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**kept, "OTEL_ML_INSTANCE_DIR": str(folder), **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def received(receiver):
    """Spans of predictions, their events, and the count of predictions over all processes."""
    counted = {}
    for request in receiver.metric_requests():
        for resource in request.resource_metrics:
            instance = next(one for one in resource.resource.attributes if one.key == "service.instance.id")
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    if metric.name == "ml.predictions":
                        points = metric.sum.data_points
                        key = (instance.value.string_value, points[0].start_time_unix_nano)
                        counted[key] = sum(point.as_int for point in points)
    spans = [span for span in receiver.spans() if span.name.startswith("predict ")]
    events = [record for record in receiver.logs() if record.event_name == "ml.prediction"]
    return len(spans), len(events), sum(counted.values())


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_SDK_DISABLED": "true"},
        {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")},
    ],
    ids=["no receiver", "disabled", "no exporters"],
)
def test_the_tests_of_the_how_to_pass(tmp_path, variables):
    """The tests that the page shows pass with no other set-up; with either remedy there is no line of ours."""
    write_files(TESTING, tmp_path)
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", folder=tmp_path, **variables)

    assert "3 passed" in done.stdout, done.stdout
    assert ("otel-ml" in done.stderr) is (not variables), done.stderr


def test_the_batch_job_says_whether_all_was_sent(tmp_path, receiver):
    """The status of the job is 0 with a receiver and 1 without."""
    write_files(WORKERS, tmp_path)

    assert run("batch_job.py", folder=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url).returncode == 0
    assert received(receiver) == (1, 1, 2)
    assert run("batch_job.py", folder=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9").returncode == 1


def test_process_pools_lose_nothing(tmp_path, receiver):
    """Ten rows through each of three kinds of pools arrive."""
    write_files(WORKERS, tmp_path)
    done = run("score_all.py", folder=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    assert (done.returncode, received(receiver)) == (0, (30, 30, 30)), done.stderr


def test_a_pool_that_kills_its_workers_needs_the_variable(tmp_path, receiver):
    """With OTEL_ML_FLUSH_ON_SIGTERM the end of a `with` block loses nothing either."""
    write_files(WORKERS, tmp_path)
    script = tmp_path / "score_all.py"
    script.write_text(script.read_text().replace("pool.close()", "pass").replace("pool.join()", "pass"))
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, "OTEL_ML_FLUSH_ON_SIGTERM": "true"}
    done = run("score_all.py", folder=tmp_path, **settings)

    assert (done.returncode, received(receiver)) == (0, (30, 30, 30)), done.stderr


def test_a_job_of_rq_loses_nothing(tmp_path, receiver):
    """A work horse is a forked child that ends by `os._exit` after its job."""
    write_files(WORKERS, tmp_path)
    horse = """
    import os
    import rq_tasks
    for _ in range(3):
        child = os.fork()
        if child == 0:
            rq_tasks.job({"amount": 12.0})
            os._exit(0)
        os.waitpid(child, 0)
    """
    done = run("-c", textwrap.dedent(horse), folder=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    assert (done.returncode, received(receiver)) == (0, (3, 3, 3)), done.stderr


def test_the_cells_of_a_notebook_run_again(tmp_path, receiver):
    """`configure` runs again with the same arguments, and with others after `shutdown`."""
    write_files(WORKERS, tmp_path)
    cell = (tmp_path / "notebook.py").read_text()
    (tmp_path / "twice.py").write_text(f"{cell}\ntelemetry.shutdown()\n{cell}")
    done = run("twice.py", folder=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    assert (done.returncode, done.stderr, received(receiver)) == (0, "", (2, 2, 2))


def test_gunicorn_with_preload_and_recycled_workers_loses_nothing(tmp_path, receiver, serve):
    """The settings that the page shows, with a worker that ends after a few requests."""
    write_files(WORKERS, tmp_path)
    write_files(TESTING, tmp_path)
    service = (tmp_path / "service.py").read_text() + "\n\n@app.get('/healthz')\ndef health() -> dict:\n    return {}\n"
    (tmp_path / "service.py").write_text(service)
    served = serve(
        *(sys.executable, "-m", "gunicorn", "service:app", "-c", "gunicorn.conf.py", "-b", "127.0.0.1:{port}"),
        *("--max-requests", "5", "--max-requests-jitter", "0"),
        folder=tmp_path,
        PYTHONPATH=f"{REPOSITORY}{os.pathsep}{tmp_path}",
    )
    answered = sum(is_answered(f"{served.url}/predict") for _ in range(25))
    served.terminate()
    spans, events, counted = received(receiver)

    assert answered >= 15, served.output
    assert spans == events == counted >= answered, served.output


def is_answered(url):
    """Whether a prediction was answered; a worker that is about to end may cut a connection."""
    try:
        return httpx.post(url, json={"age": 41}, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("said", "variables"),
    [
        ("traces: taken by http://", {}),
        ("not reached: connection refused ", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}),
        ("not exported (OTEL_", {"OTEL_TRACES_EXPORTER": "none"}),
        ("mode: off", {"OTEL_SDK_DISABLED": "true"}),
        ("not understood: OTEL_ML_", {"OTEL_ML_EVENT": "all"}),
    ],
)
def test_the_doctor_says_what_the_page_lists(tmp_path, receiver, said, variables):
    """The page is searched with what the doctor has printed; the status is 0 only if all was taken."""
    settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url, **variables}
    done = run("-m", "otel_ml", "doctor", folder=tmp_path, **settings)

    assert said in done.stdout
    assert f"| `{said}" in (REPOSITORY / NOTHING).read_text(encoding="utf-8")
    assert done.returncode == (1 if {"OTEL_SDK_DISABLED", "OTEL_EXPORTER_OTLP_ENDPOINT"} & set(variables) else 0)


def test_one_call_can_be_seen_without_a_back_end(tmp_path):
    """The program of the page prints what one call emits."""
    write_files(NOTHING, tmp_path)
    done = run("one_call.py", folder=tmp_path)

    assert (done.returncode, "'ml.prediction.class': '1'" in done.stdout, "ml.predictions" in done.stdout) == (
        0,
        True,
        True,
    )


def test_the_order_of_decorators_decides(tmp_path, receiver):
    """Above the route, `track` sees no request; and health checks are observed if nothing is excluded."""
    program = """
    from fastapi import FastAPI
    from fastapi.testclient import TestClient
    import otel_ml
    otel_ml.configure(service_name="order")
    fraud = otel_ml.Model("fraud", task="binary")
    app = FastAPI()
    otel_ml.instrument_fastapi(app, excluded_paths=[])
    @app.get("/below")
    @fraud.track
    def below() -> int:
        return 1
    @fraud.track
    @app.get("/above")
    def above() -> int:
        return 1
    @app.get("/healthz")
    def health() -> int:
        return 1
    with TestClient(app) as client:
        for path in ("/below", "/above", "/healthz"):
            client.get(path)
    """
    run("-c", textwrap.dedent(program), folder=tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=receiver.url)

    assert [span.name for span in receiver.spans() if span.name != "predict fraud"] == [
        "GET /below",
        "GET /above",
        "GET /healthz",
    ]
    assert received(receiver) == (1, 1, 1)
