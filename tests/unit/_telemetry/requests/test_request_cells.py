"""The cells of HTTP requests and their data points."""

from __future__ import annotations

import threading

import pytest
from opentelemetry.sdk.resources import Resource

from otel_ml import semconv
from otel_ml._telemetry.histograms import Exemplar
from otel_ml._telemetry.metrics._points import Window
from otel_ml._telemetry.metrics._store import CellStore
from otel_ml._telemetry.requests import _points
from otel_ml._telemetry.requests._metric_family import RequestFamily
from otel_ml._telemetry.requests.cells import RequestCells, RequestCellSet, RequestKey

KEY = RequestKey("GET", "http", "/leaf/{leaf}", 200, None)


def finish(requests: RequestCellSet, key: RequestKey = KEY, seconds: float = 0.004) -> None:
    cells = requests.mine()
    active = cells.begin((key.method, key.scheme))
    requests.cell(cells, key).record(seconds)
    active.finished += 1


def counts(requests: RequestCellSet) -> dict[RequestKey, int]:
    return {key: sum(cell.counts) for key, cell in requests.fold().cells.durations.items()}


def test_threads_are_summed_even_after_they_have_ended():
    """Five hundred short-lived threads add up and do not accumulate."""
    requests = RequestCellSet()
    for _ in range(500):
        thread = threading.Thread(target=finish, args=(requests,))
        thread.start()
        thread.join()

    assert [counts(requests) for _ in range(2)] == [{KEY: 500}] * 2
    assert len(requests.by_thread) == 0


def test_too_many_series_share_one():
    """Requests beyond the limit are counted under the route other; known series are unchanged."""
    requests = RequestCellSet(limit=2)
    for number in range(5):
        finish(requests, RequestKey("GET", "http", f"/{number}", 200, "KeyError" if number % 2 else None))
    finish(requests, RequestKey("GET", "http", "/0", 200, None))

    assert counts(requests) == {
        RequestKey("GET", "http", "/0", 200, None): 2,
        RequestKey("GET", "http", "/1", 200, "KeyError"): 1,
        RequestKey("GET", "http", semconv.OTHER, None, None): 2,
        RequestKey("GET", "http", semconv.OTHER, None, semconv.OTHER): 1,
    }


def test_the_limit_holds_over_all_threads():
    """A thread that ends does not make room for further series."""
    requests = RequestCellSet(limit=3)
    for number in range(20):
        thread = threading.Thread(target=finish, args=(requests, KEY._replace(route=f"/{number}")))
        thread.start()
        thread.join()

    assert len(counts(requests)) == 4
    assert sum(counts(requests).values()) == 20


def test_a_forked_child_counts_from_zero():
    """A request that began before the fork belongs to the parent; its end is not counted in the child."""
    requests = RequestCellSet()
    active = requests.mine().begin(("GET", "http"))
    requests.reset_after_fork()
    active.finished += 1
    finish(requests)

    folded = requests.fold().cells
    assert {key: (cell.started, cell.finished) for key, cell in folded.active.items()} == {("GET", "http"): (1, 1)}
    assert counts(requests) == {KEY: 1}


def test_points_follow_the_semantic_conventions():
    """Duration, exemplar and requests in flight have the stable names and attributes."""
    requests = RequestCellSet()
    finish(requests)
    requests.mine().begin(("GET", "http"))
    exemplar = Exemplar(0.004, 7, 1, 2)
    requests.mine().durations[KEY].offer(0, exemplar)

    scope = _points.scope_metrics(requests.fold(), Window(1, 10))
    assert scope is not None
    duration, active = scope.metrics
    (histogram,) = duration.data.data_points
    (number,) = active.data.data_points
    assert (duration.name, duration.unit, active.name, active.unit, active.data.is_monotonic) == (
        "http.server.request.duration",
        "s",
        "http.server.active_requests",
        "{request}",
        False,
    )
    assert histogram.attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.route": "/leaf/{leaf}",
        "http.response.status_code": 200,
    }
    assert (histogram.count, histogram.sum, histogram.explicit_bounds) == (
        1,
        0.004,
        [float(b) for b in semconv.HTTP_BUCKETS],
    )
    assert [(kept.value, kept.trace_id, kept.span_id) for kept in histogram.exemplars] == [(0.004, 1, 2)]
    assert (number.attributes, number.value) == ({"http.request.method": "GET", "url.scheme": "http"}, 1)


def test_without_requests_there_is_nothing():
    """A process that serves nothing has no HTTP metrics."""
    assert _points.scope_metrics(RequestCellSet().fold(), Window(1, 10)) is None


@pytest.mark.parametrize("scheme", ["", "https"])
def test_an_unknown_scheme_is_absent(scheme):
    """Only a known scheme becomes an attribute."""
    attributes = RequestKey("GET", scheme, None, None, "incomplete_response").attributes()

    assert attributes == {
        "http.request.method": "GET",
        "error.type": "incomplete_response",
        **({"url.scheme": scheme} if scheme else {}),
    }


def test_a_delta_view_returns_differences():
    """Delta temporality applies to requests too; requests in flight stay a sum."""
    requests = RequestFamily()
    store = CellStore(Resource({}), [requests])
    view = store.view(delta=True)
    seen = []
    for _ in range(2):
        finish(requests.cells)
        (scope,) = view.merge(_nothing()).resource_metrics[0].scope_metrics
        seen.append([metric.data.data_points[0].count for metric in scope.metrics[:1]])

    assert seen == [[1], [1]]


def _nothing():
    from opentelemetry.sdk.metrics.export import MetricsData

    return MetricsData([])


def test_a_cell_begun_twice_is_one():
    """Requests of one method and scheme share a cell."""
    cells = RequestCells()

    assert cells.begin(("GET", "http")) is cells.begin(("GET", "http"))
    assert cells.active["GET", "http"].started == 2
