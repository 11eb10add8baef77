"""A handle is a description: it is saved, copied and sent to other processes like any plain object.

Sources: open-telemetry/opentelemetry-python-contrib#3467 and microsoft/semantic-kernel#12802 (instrumented objects hold
locks and modules, so that pickle and deepcopy fail); joblib/joblib#1118 (a model keeps a lock and cannot be dumped),
joblib/joblib#389 (what is defined in the script is shipped by value), sv-tools/marshmallow-objects#51 (deepcopy),
eosphoros-ai/DB-GPT#1715 (`dataclasses.asdict` copies deeply).
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import io
import json
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import pytest
from sklearn.base import BaseEstimator, clone

import otel_ml
from otel_ml._telemetry import configure
from otel_ml.testing import InMemoryTelemetry

RESULT = {"prediction": 1, "probability": 0.9}
FRAME = {"age": [float(value) for value in range(100)] * 3, "job": ["teacher", "nurse", "driver"] * 100}


def identify(features: Any) -> str:
    return f"id-{features['age']:g}"


def read(result: Any) -> Any:
    return {"prediction": result["answer"]}


def by_pickle(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


def by_oldest_pickle(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing, protocol=0))


def by_cloudpickle(thing: Any) -> Any:
    return pickle.loads(cloudpickle.dumps(thing))


def by_joblib(thing: Any) -> Any:
    buffer = io.BytesIO()
    joblib.dump(thing, buffer)
    return joblib.load(io.BytesIO(buffer.getvalue()))


WAYS = [copy.copy, copy.deepcopy, by_pickle, by_oldest_pickle, by_cloudpickle, by_joblib]
Way = Callable[[Any], Any]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def travel(request: pytest.FixtureRequest) -> Way:
    way: Way = request.param
    return way


def full_model(**more: Any) -> otel_ml.Model:
    profile = otel_ml.ReferenceProfile.fit(FRAME)
    return otel_ml.Model(
        "fraud",
        "1",
        role="canary",
        task="binary",
        classes=[0, 1],
        trained_at=1e9,
        profile=profile,
        schema=otel_ml.Schema.from_profile(profile),
        id=identify,
        events="all",
        capture_features="all",
        **more,
    )


class Scorer:
    """An estimator's wrapper that keeps its handle, as services write it."""

    def __init__(self, model: otel_ml.Model) -> None:
        self.model = model
        self.predict = model.track(self._predict)
        self.score = model.track(self._score)

    def _predict(self, features: Any) -> Any:
        return RESULT

    async def _score(self, features: Any) -> Any:
        return RESULT

    def run(self, features: Any) -> Any:
        with self.model.prediction(features) as prediction:
            prediction.set_output(1, 0.9)
        return prediction.id


class Estimator(BaseEstimator):
    def __init__(self, handle: Any = None) -> None:
        self.handle = handle


class Pipeline:
    """A callable object."""

    def __call__(self, features: Any) -> Any:
        return RESULT


@pytest.fixture
def predict_in_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A tracked function of a module, which ends with the test."""
    (tmp_path / "tasks_of_a_test.py").write_text(
        textwrap.dedent("""
        import otel_ml

        model = otel_ml.Model("worker", "1", task="binary")

        @model.track
        def predict(features):
            return {"prediction": 1, "probability": 0.9}

        @model.track
        def stream(features):
            yield {"prediction": 1, "probability": 0.9}
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("tasks_of_a_test").predict
    del sys.modules["tasks_of_a_test"]


def test_a_handle_arrives_as_it_was_declared(telemetry: InMemoryTelemetry, travel: Way) -> None:
    """contrib#3467: every keyword arrives, and the predictions of the copy are those of the same model."""
    model = full_model()
    arrived = travel(model)

    for one in (model, arrived):
        with one.prediction({"age": 41.0, "job": "nurse"}) as prediction:
            prediction.set_output(1, 0.9)
        assert prediction.id == "id-41"

    points = telemetry.metrics()
    identity = (arrived.name, arrived.version, arrived.role, arrived.task, arrived.classes, arrived.trained_at)
    assert identity == ("fraud", "1", "canary", "binary", ["0", "1"], 1e9)
    assert sum(point["value"] for point in points["ml.predictions"]) == 2
    assert (
        sum(point["value"] for point in points["ml.feature.values"] if point["attributes"]["ml.feature.name"] == "age")
        == 2
    )
    assert [sorted(json.loads(event["body"])["features"]) for event in telemetry.events("ml.prediction")] == [
        ["age", "job"]
    ] * 2


@pytest.mark.parametrize("mode", ["guest", "before configure"])
def test_it_travels_in_every_mode(travel: Way, mode: str) -> None:
    """microsoft/semantic-kernel#12802: whether telemetry is set up or not makes no difference."""
    early = full_model()
    if mode == "guest":
        with InMemoryTelemetry("guest") as kit:
            travel(early).record({"age": 1.0}, prediction=1)
            assert len(kit.events("ml.prediction")) == 1
    else:
        arrived = travel(early)
        with InMemoryTelemetry() as kit:  # bound when telemetry comes, as any other handle
            arrived.record({"age": 1.0}, prediction=1)
            assert len(kit.events("ml.prediction")) == 1


def test_an_object_that_keeps_handle_and_tracked_methods_travels(telemetry: InMemoryTelemetry, travel: Way) -> None:
    """joblib/joblib#1118: two lines of telemetry do not make a model unsaveable, and it stays tracked."""
    arrived = travel(Scorer(otel_ml.Model("fraud", "1", task="binary")))

    assert arrived.predict({"age": 1}) == RESULT
    assert asyncio.run(arrived.score({"age": 1})) == RESULT
    assert arrived.run({"age": 1})

    assert sum(point["value"] for point in telemetry.metrics()["ml.predictions"]) == 3


def test_tracked_callables_travel(telemetry: InMemoryTelemetry, travel: Way, predict_in_worker: Any) -> None:
    """A tracked function is found by its name, a tracked object by what it wraps."""
    function = travel(predict_in_worker)
    pipeline = travel(otel_ml.Model("pipeline").track(Pipeline()))
    stream = travel(sys.modules[predict_in_worker.__module__].stream)

    assert (function({"a": 1}), pipeline({"a": 1}), list(stream({"a": 1}))) == (RESULT, RESULT, [RESULT])
    assert sorted(span["name"] for span in telemetry.spans()) == [
        "predict pipeline",
        "predict worker",
        "predict worker",
    ]


def test_an_estimator_with_a_handle_can_be_cloned(telemetry: InMemoryTelemetry) -> None:
    """sv-tools/marshmallow-objects#51: `clone` copies every parameter deeply."""
    copied = clone(Estimator(otel_ml.Model("fraud", "1"))).handle

    copied.record({"a": 1}, prediction=1)

    assert len(telemetry.spans()) == 1


@pytest.mark.parametrize("way", [by_pickle, by_cloudpickle, by_joblib], ids=lambda way: way.__name__)
def test_a_lambda_travels_where_it_can(telemetry: InMemoryTelemetry, way: Way) -> None:
    """joblib/joblib#389: what plain pickle cannot take goes through cloudpickle if the process has it."""
    model = way(otel_ml.Model("fraud", task="binary", output=lambda result: {"prediction": result["answer"]}))

    model.track(lambda features: {"answer": 1})({"a": 1})

    assert telemetry.metrics()["ml.predictions"][0]["attributes"]["ml.prediction.class"] == "1"


def test_a_lambda_stays_behind_with_one_line_where_it_cannot() -> None:
    """Without cloudpickle the handle is saved all the same, and a line names the keyword that was left out."""
    code = """
    import pickle, otel_ml
    model = otel_ml.Model("fraud", output=lambda result: result, id=lambda features: 1)
    print(pickle.loads(pickle.dumps(model)).name)
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)

    assert ran.stdout == "fraud\n"
    assert [line.partition(" is ")[0] for line in ran.stderr.splitlines()] == [
        "otel-ml: id= of the copied model 'fraud'",
        "otel-ml: output= of the copied model 'fraud'",
    ]


def test_telemetry_arrives_as_what_is_in_force(telemetry: InMemoryTelemetry, travel: Way) -> None:
    """joblib/joblib#389: a job that ends with `telemetry.force_flush()` is shipped with what it refers to."""
    in_force = configure.current()

    assert travel(in_force) is in_force
    configure.adopt(None, None)
    arrived = travel(in_force)
    if arrived is not in_force:  # a copy in the same process is the same
        assert (arrived.mode, arrived.force_flush(), arrived.ledger()) == ("off", True, {})
        assert arrived.notes() == ["mode: off (configure() has not been called in this process)"]


FRESH_WORKER = """
import otel_ml
import joblib
{setup}
model = otel_ml.Model("fraud", task="binary", capture_features="all")

def predict(row):
    with model.prediction(row) as prediction:
        prediction.set_output(1, 0.9)

if __name__ == "__main__":
    rows = [{{"a": 1}}] * 3
    joblib.Parallel(n_jobs=1)(joblib.delayed(predict)(row) for row in rows)
    joblib.Parallel(n_jobs=2, backend="loky")(joblib.delayed(predict)(row) for row in rows)
"""


@pytest.mark.parametrize(
    ("setup", "lines"),
    [
        ("otel_ml.configure(traces_exporter='none', metrics_exporter='none', logs_exporter='none')", 1),
        ("", 0),
    ],
    ids=["configured", "without telemetry"],
)
def test_a_worker_without_telemetry_is_named(tmp_path: Path, setup: str, lines: int) -> None:
    """joblib/joblib#1017: a freshly started worker has no telemetry; a line says where to call `configure`."""
    (tmp_path / "script.py").write_text(FRESH_WORKER.format(setup=setup))
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, check=True, timeout=60
    )

    said = {line for line in ran.stderr.splitlines() if line.startswith("otel-ml")}
    assert len(said) == lines, ran.stderr
    assert all("call configure() here too" in line for line in said)


def test_a_store_travels_as_its_url(telemetry: InMemoryTelemetry, tmp_path: Path, travel: Way) -> None:
    """A handle with ground truth stores its predictions from wherever it arrives."""
    truth = otel_ml.GroundTruth(f"sqlite:///{tmp_path}/predictions.db")
    with travel(full_model(ground_truth=truth)).prediction({"age": 7.0}) as prediction:
        prediction.set_output(1, 0.9)
    arrived = travel(truth)
    arrived_model = travel(otel_ml.Model("fraud", "1", ground_truth=arrived))
    arrived_model.record({"age": 8.0}, prediction=1, id="id-8")

    assert telemetry.flush()
    assert [arrived.flush(), truth.flush()] == [True, True]
    assert truth.record_label("id-7", 1) == "matched"
    assert arrived.record_label("id-8", 0) == "matched"


def test_a_store_that_is_read_only_stays_so(tmp_path: Path) -> None:
    """It arrives as a store that refuses labels, and its end does not part a writing store from its copies."""
    url = f"sqlite:///{tmp_path}/predictions.db"
    truth = otel_ml.GroundTruth(url)
    reader = otel_ml.GroundTruth(url, read_only=True)
    arrived = by_pickle(reader)

    assert arrived.record_label("id-7", 1) == "failed"
    assert truth.record_label("id-7", 1) == "waiting"
    reader.close()
    assert by_pickle(truth) is truth
    truth.close()


def test_a_store_that_cannot_be_reached_is_left_out_with_one_line(tmp_path: Path) -> None:
    """Loading a model does not fail because the place of its predictions is not there."""
    folder = tmp_path / "there"
    folder.mkdir()
    code = f"""
    import os, pickle, shutil, otel_ml
    truth = otel_ml.GroundTruth("sqlite:///{folder}/p.db")
    saved = pickle.dumps(otel_ml.Model("fraud", ground_truth=truth))
    truth.close()
    shutil.rmtree("{folder}")
    model = pickle.loads(saved)
    model.record({{"a": 1}}, prediction=1)
    print(model.name)
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)

    assert ran.stdout == "fraud\n"
    assert len([line for line in ran.stderr.splitlines() if "prediction store" in line]) == 1, ran.stderr


def test_profiles_and_schemas_travel(travel: Way) -> None:
    """They are plain data, and equal to what was sent."""
    profile = otel_ml.ReferenceProfile.fit(FRAME, sensitive=("job",))
    schema = otel_ml.Schema.from_profile(profile)
    assert profile.id  # cached values travel or not, the content is what counts

    assert travel(profile) == profile
    assert travel(profile).id == profile.id
    assert travel(schema) == schema
    assert [column.domain_digests for column in travel(schema).columns] == [c.domain_digests for c in schema.columns]


@pytest.mark.parametrize("way", [by_pickle, by_oldest_pickle, by_cloudpickle, by_joblib], ids=lambda way: way.__name__)
def test_a_prediction_travels_as_its_ids(
    telemetry: InMemoryTelemetry, caplog: pytest.LogCaptureFixture, way: Way
) -> None:
    """A result that keeps its prediction can be sent; it is over where it arrives, and a line says so if it was not."""
    model = otel_ml.Model("fraud", "1")
    with model.prediction({"a": 1}) as prediction:
        arrived = way(prediction)
        with arrived.stage("elsewhere"):
            arrived.set_output(1)
        prediction.set_output(1)
    over = way(prediction)

    same = [(one.id, one.trace_id, one.span_id) for one in (prediction, arrived, over)]
    assert same == [(prediction.id, prediction.trace_id, prediction.span_id)] * 3
    assert len(telemetry.spans()) == 1
    line = (
        "otel-ml: a prediction was sent to another process before its end: only its ids arrive, "
        "so set its output and record its stages where it began"
    )
    assert [record.message for record in caplog.records if "ids" in record.message] == [line]


def test_a_copy_of_a_prediction_is_that_prediction(telemetry: InMemoryTelemetry) -> None:
    """eosphoros-ai/DB-GPT#1715: `dataclasses.asdict` and frameworks copy results deeply; a prediction has one life."""
    with otel_ml.Model("fraud", "1", task="binary").prediction({"a": 1}) as prediction:
        copy.deepcopy({"meta": prediction})["meta"].set_output(1)
        copy.copy(prediction).set_output(1)

    assert telemetry.metrics()["ml.predictions"][0]["attributes"]["ml.prediction.class"] == "1"


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_process_pool_takes_methods_of_objects_with_a_handle(method: str, predict_in_worker: Any) -> None:
    """contrib#3467: `submit` ships the bound method, its object and the handle in it."""
    scorer = Scorer(otel_ml.Model("fraud", "1"))
    with ProcessPoolExecutor(1, mp_context=get_context(method)) as pool:
        results = [
            pool.submit(scorer.predict, {"a": 1}).result(60),
            pool.submit(predict_in_worker, {"a": 1}).result(60),
        ]
        ids = pool.submit(scorer.run, {"a": 1}).result(60)

    assert results == [RESULT] * 2
    assert isinstance(ids, str)


def test_joblib_runs_a_function_that_is_tracked_in_main(tmp_path: Path) -> None:
    """joblib/joblib#389: what is decorated in a script is shipped by value, before and after `configure`."""
    script = tmp_path / "job.py"
    script.write_text(
        textwrap.dedent("""
        import joblib, otel_ml

        model = otel_ml.Model("fraud", "1", output=lambda result: result)

        @model.track
        def predict(row):
            return {"prediction": 1, "probability": 0.9}

        class Scorer:
            @model.track
            def predict(self, row):
                return {"prediction": 1, "probability": 0.9}

        def run():
            for call in (predict, Scorer().predict):
                results = joblib.Parallel(n_jobs=2)(joblib.delayed(call)({"a": row}) for row in range(4))
                print(len(results), results[0]["prediction"])

        run()
        otel_ml.configure(service_name="job", traces_exporter="none", metrics_exporter="none", logs_exporter="none")
        run()
        """)
    )
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)

    assert (ran.stdout, ran.returncode) == ("4 1\n" * 4, 0), ran.stderr
