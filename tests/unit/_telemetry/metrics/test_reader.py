"""Folded cells as data points, for OTLP and for the scrape page."""

from __future__ import annotations

import re
import socket
import threading
import urllib.request
from types import SimpleNamespace

import pytest
from engine_samples import within
from opentelemetry.metrics import Observation
from reserved_ports import free_port_before_another

from otel_ml import _guard, semconv
from otel_ml._telemetry.histograms import Exemplar
from otel_ml._telemetry.predictions.model_cells import ModelIdentity
from otel_ml.testing import _decode

IDENTITY = ModelIdentity("m", "1", "primary")
BASE = {"ml.model.name": "m", "ml.model.role": "primary", "ml.model.version": "1"}


def collected(engine, receiver) -> dict:
    receiver.accepted.clear()
    assert engine.flush(within())
    return _decode.metrics(body for signal, body in receiver.accepted if signal == "metrics")


def predict(cells, *, seconds: float = 0.004, label: str | None = "1", score: float | None = 0.93) -> None:
    cells.started += 1
    bucket = cells.durations.record(seconds)
    cells.durations.offer(bucket, Exemplar(seconds, 123, 0xABC, 0xDEF))
    cells.classes[label] = cells.classes.get(label, 0) + 1
    if score is not None:
        cells.scores.record(score)
    cells.finished += 1


def test_cells_become_the_catalogue_of_prediction_metrics(make_engine, receiver):
    """Counters, histograms and the number in flight have their names and attributes."""
    engine = make_engine()
    cells = engine.cells(IDENTITY).mine()
    predict(cells)
    predict(cells, label=None, score=None)
    cells.started += 2
    cells.finished += 1
    cells.failure("ValueError").record(0.2)
    cells.stage("preprocess").record(0.001)
    cells.batch_sizes.record(7)
    cells.first_items.record(0.5)
    cells.unrecognised += 1

    metrics = collected(engine, receiver)

    assert {name: points for name, points in metrics.items() if name == "ml.predictions"} == {
        "ml.predictions": [
            {"attributes": {**BASE, "ml.prediction.class": "1"}, "value": 1},
            {"attributes": BASE, "value": 1},
        ]
    }
    assert metrics["ml.prediction.errors"] == [
        {"attributes": {"error.type": "ValueError", **BASE}, "value": 1},
        {"attributes": BASE, "value": 0},
    ]
    assert metrics["ml.prediction.active"] == [{"attributes": BASE, "value": 1}]
    assert metrics["otelml.unrecognised.outputs"] == [{"attributes": BASE, "value": 1}]
    durations = metrics["ml.prediction.duration"]
    assert [(point["attributes"].get("error.type"), point["count"], point["sum"]) for point in durations] == [
        ("ValueError", 1, 0.2),
        (None, 2, 0.008),
    ]
    assert durations[1]["bounds"] == list(semconv.DURATION_BUCKETS)
    assert durations[1]["counts"] == [0, 0, 2] + [0] * 11
    assert durations[1]["exemplars"] == [{"value": 0.004, "trace_id": f"{0xABC:032x}", "span_id": f"{0xDEF:016x}"}]
    assert (durations[1]["min"], durations[1]["max"]) == (0.004, 0.004)
    assert metrics["ml.prediction.stage.duration"][0]["attributes"] == {**BASE, "ml.stage.name": "preprocess"}
    assert metrics["ml.prediction.batch.size"][0]["sum"] == 7
    assert metrics["ml.prediction.first_item.duration"][0]["count"] == 1
    assert metrics["ml.prediction.score"][0]["count"] == 1


def test_kinds_and_units_are_those_of_the_catalogue(make_engine, receiver):
    """Instrument, unit and description come from semconv."""
    engine = make_engine()
    cells = engine.cells(IDENTITY).mine()
    predict(cells)
    receiver.accepted.clear()
    engine.flush(within())

    found = _decode.instruments(body for signal, body in receiver.accepted if signal == "metrics")

    catalogue = {
        metric.name: {"kind": metric.instrument, "unit": metric.unit, "description": metric.description}
        for metric in semconv.metrics()
    }
    assert found == {name: catalogue[name] for name in found}
    assert {"ml.predictions", "ml.prediction.duration", "otelml.export.dropped"} <= found.keys()


def test_histograms_without_values_are_absent(make_engine, receiver):
    """A model without predictions has counters at zero and no histogram."""
    engine = make_engine()
    engine.cells(IDENTITY)

    metrics = collected(engine, receiver)

    assert sorted(name for name in metrics if name.startswith("ml.")) == [
        "ml.model.processes",
        "ml.prediction.active",
        "ml.prediction.errors",
    ]
    assert metrics["ml.prediction.errors"] == [{"attributes": BASE, "value": 0}]


def test_sums_are_cumulative_with_a_fixed_start_and_exemplars_of_the_interval(make_engine, receiver):
    """Sums keep their start, so a lost export costs resolution, not counts; an exemplar is sent once."""
    engine = make_engine()
    cells = engine.cells(IDENTITY).mine()
    predict(cells)
    first = collected(engine, receiver)["ml.prediction.duration"][0]
    predict(cells)
    cells.durations.exemplars.clear()
    second = collected(engine, receiver)["ml.prediction.duration"][0]

    assert (first["count"], len(first["exemplars"])) == (1, 1)
    assert (second["count"], len(second["exemplars"])) == (2, 0)


def test_delta_preference_exports_differences(make_engine, receiver):
    """With delta temporality counters and histograms are differences; the number in flight stays a level."""
    engine = make_engine(metric_temporality="delta")
    cells = engine.cells(IDENTITY).mine()
    cells.started += 1
    predict(cells)
    collected(engine, receiver)
    predict(cells)
    predict(cells)

    metrics = collected(engine, receiver)

    assert metrics["ml.predictions"][0]["value"] == 2
    assert metrics["ml.prediction.duration"][0]["count"] == 2
    assert metrics["ml.prediction.active"][0]["value"] == 1


def test_self_metrics_start_at_zero_for_every_signal_and_reason(make_engine, receiver):
    """A zero before the first lost record makes an alert on it possible."""
    engine = make_engine()

    metrics = collected(engine, receiver)

    dropped = {
        (point["attributes"]["otelml.signal"], point["attributes"]["otelml.drop.reason"]): point["value"]
        for point in metrics["otelml.export.dropped"]
    }
    assert dropped == {
        (signal, reason): 0 for signal in ("traces", "metrics", "logs") for reason in semconv.DROP_REASONS
    }
    assert metrics["otelml.internal.errors"] == [{"attributes": {}, "value": 0}]


def test_a_surrogate_in_a_name_is_replaced(make_engine, receiver):
    """Text that UTF-8 cannot encode is replaced, and all other points arrive."""
    engine = make_engine()
    cells = engine.cells(ModelIdentity("m\ud800", "1", "primary")).mine()
    predict(cells, label="\udfff")

    point = collected(engine, receiver)["ml.predictions"][0]

    assert (point["attributes"]["ml.model.name"], point["attributes"]["ml.prediction.class"]) == ("m\ufffd", "\ufffd")


def test_the_reader_survives_a_broken_callback_and_a_broken_fold(make_engine, receiver):
    """After a failed collection the next one works."""
    engine = make_engine()
    fail = [True]

    def callback(_):
        if fail[0]:
            raise ZeroDivisionError
        return [Observation(5)]

    engine.meter("user").create_observable_gauge("user.gauge", [callback])
    engine._models._sets[IDENTITY] = SimpleNamespace(worth_bucketing=int, count_finished=int)  # cannot be folded
    without = collected(engine, receiver)
    fail[0] = False
    del engine._models._sets[IDENTITY]
    again = collected(engine, receiver)

    assert "user.gauge" not in without
    assert "otelml.export.produced" in without
    assert again["user.gauge"] == [{"attributes": {}, "value": 5}]
    places = {point["attributes"].get("otelml.error.place") for point in again["otelml.internal.errors"]}
    assert places == {None, "callback", "reader.fold"}
    _guard.reset()


def test_a_metric_that_cannot_be_encoded_does_not_affect_others(make_engine, receiver):
    """A counter beyond 63 bits is dropped as invalid; all other metrics arrive."""
    engine = make_engine()
    huge = engine.meter("user").create_counter("user.huge")
    huge.add(2**62)
    huge.add(2**62)
    engine.meter("user").create_counter("user.fine").add(1)

    receiver.accepted.clear()
    assert engine.flush(within()) is False
    metrics = _decode.metrics(body for signal, body in receiver.accepted if signal == "metrics")

    assert "user.huge" not in metrics
    assert metrics["user.fine"] == [{"attributes": {}, "value": 1}]
    assert engine.ledger()["metrics"].dropped == {"invalid": 2}  # the point and its zero
    assert engine.ledger()["metrics"].delivered == receiver.points()


def test_models_are_bounded(make_engine):
    """Models beyond the limit share one set of cells."""
    engine = make_engine(max_models=64)

    identities = {engine.cells(ModelIdentity(f"m{number}", "1", "primary")).identity for number in range(64 + 50)}

    assert len(identities) == 64 + 1
    assert ModelIdentity("__other__", "__other__", "__other__") in identities


def test_many_attribute_sets_are_kept(make_engine, receiver):
    """An instrument may have more attribute sets than the SDK's default of 2,000, as feature bins need."""
    engine = make_engine()
    counter = engine.meter("user").create_counter("user.bins")
    for number in range(3000):
        counter.add(1, {"bin": number})

    assert len(collected(engine, receiver)["user.bins"]) == 3000


def test_no_count_of_many_threads_is_lost(make_engine, receiver):
    """The cells of eight threads fold to one sum, even after the threads have ended."""
    engine = make_engine()
    handle = engine.cells(IDENTITY)

    def work():
        cells = handle.mine()
        for _ in range(1000):
            predict(cells)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    middle = collected(engine, receiver)
    for thread in threads:
        thread.join()

    assert collected(engine, receiver)["ml.predictions"][0]["value"] == 8000
    assert middle.get("ml.predictions", [{"value": 0}])[0]["value"] <= 8000


def test_the_scrape_page_has_the_same_names_once(make_engine, receiver):
    """The page has every metric of the OTLP path once, under its Prometheus name."""
    engine = make_engine(prometheus_port=0)
    cells = engine.cells(IDENTITY).mine()
    predict(cells)
    cells.failure("ValueError").record(0.2)
    address = engine.page.address

    text = urllib.request.urlopen(address, timeout=60).read().decode()
    exemplars = collected(engine, receiver)["ml.prediction.duration"][1]["exemplars"]

    families = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(families) == len(set(families))
    names = {semconv.prometheus_name(metric) for metric in (semconv.PREDICTIONS, semconv.PREDICTION_DURATION)}
    assert names <= set(families)
    labels = 'ml_model_name="m",ml_model_role="primary",ml_model_version="1"'
    resource = f'service_instance_id="{engine.instance.id}",service_name="unit"'
    assert f'ml_predictions_total{{{labels},ml_prediction_class="1",{resource}}} 1.0' in text
    assert f'ml_prediction_errors_total{{error_type="ValueError",{labels},{resource}}} 1.0' in text
    assert f"ml_prediction_duration_seconds_count{{{labels},{resource}}} 1.0" in text
    assert address.startswith("http://127.0.0.1:")
    assert len(exemplars) == 1


def test_exemplars_are_on_a_page_that_nothing_else_exports(make_engine):
    """A bucket leads to the trace of one of its predictions, in the format that has exemplars."""
    engine = make_engine(prometheus_port=0, metrics_exporter="none")
    predict(engine.cells(IDENTITY).mine())
    openmetrics = {"Accept": "application/openmetrics-text; version=1.0.0"}

    text = urllib.request.urlopen(urllib.request.Request(engine.page.address, headers=openmetrics), timeout=60).read()

    exemplar = re.compile(
        rb'_bucket{.*} 1\.0 # {span_id="[0-9a-f]{16}",trace_id="[0-9a-f]{32}"} 0\.004 1\.23e-07$', re.MULTILINE
    )
    assert [line.split(b"{")[0] for line in exemplar.findall(text)] == [b"_bucket"]


def test_a_taken_port_is_a_clear_error(make_engine):
    """If another program has the port, the error names setting and remedy, and the instance slot is released."""
    from otel_ml.config import ConfigError

    with socket.create_server(("127.0.0.1", 0)) as other:
        # it closes each connection; one that answers too slowly is with the tests of the doctor
        threading.Thread(target=lambda: other.accept()[0].close(), daemon=True).start()
        with pytest.raises(ConfigError, match="choose a free port"):
            make_engine(prometheus_port=other.getsockname()[1])

    assert make_engine().instance.slot == 0


def test_workers_of_one_service_take_consecutive_ports(make_engine, caplog):
    """A second worker takes the next free port and logs which one."""
    port = free_port_before_another()
    first = make_engine(prometheus_port=port, service_name='w"1')
    second = make_engine(prometheus_port=port, service_name='w"1')

    assert (first.page.port, second.page.port) == (port, port + 1)
    [line] = caplog.messages
    assert line.endswith(f"has port {port}: the scrape page of this one is at {second.page.address}")


def test_a_port_of_another_service_is_an_error(make_engine):
    """Taking the next port would make a scraper mistake one service for the other."""
    from otel_ml.config import ConfigError

    first = make_engine(prometheus_port=0, service_name="a")

    with pytest.raises(ConfigError, match="choose a free port"):
        make_engine(prometheus_port=first.page.port, service_name="b")


@pytest.mark.parametrize("periodic", [True])
def test_metrics_are_exported_at_their_interval(make_engine, receiver, periodic):
    """The reader exports at its interval without a call."""
    make_engine(periodic=periodic, metric_export_interval=0.02)

    deadline = threading.Event()
    for _ in range(1000):
        if receiver.requests["metrics"] >= 2:
            break
        deadline.wait(0.01)

    assert receiver.requests["metrics"] >= 2


def test_exponential_histograms_are_for_sdk_instruments_only(make_engine, receiver, monkeypatch):
    """The preference applies to SDK instruments; predictions keep their buckets, and the doctor says so."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram")
    engine = make_engine()
    predict(engine.cells(IDENTITY).mine())
    engine.meter("user").create_histogram("user.time").record(1.0)
    receiver.accepted.clear()
    engine.flush(within())

    kinds = _decode.instruments(body for signal, body in receiver.accepted if signal == "metrics")

    assert kinds["user.time"]["kind"] == "exponential_histogram"
    assert kinds["ml.prediction.duration"]["kind"] == "histogram"
    assert any("keep their explicit buckets" in line for line in engine.notes())


def test_counts_are_exported_early_only_where_the_collection_is_periodic(make_engine, receiver):
    """A test that collects on flush gets each export that it asked for, and no other."""
    early, on_flush = make_engine(periodic=True), make_engine()
    early.cells(IDENTITY).mine().finished += 1
    receiver.wait_for(lambda it: it.bodies("metrics"))
    on_flush.flush(within())
    on_flush.cells(IDENTITY).mine().finished += 1
    (reader,) = on_flush._metrics.readers

    assert not reader._schedule.is_due(within(30), reader._count())
