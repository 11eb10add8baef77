"""The scrape page with known series, beside the page whose lines are all rendered at each scrape."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import make_wsgi_app

from otel_ml import semconv
from otel_ml._observed_series import Observed, ObservedSeries
from otel_ml._telemetry.metrics._observed_family import ObservedFamily
from otel_ml._telemetry.metrics._page_lines import PageApp
from otel_ml._telemetry.metrics._scrape_page import PageReader
from otel_ml._telemetry.metrics._store import CellStore

WITH_START = "application/vnd.google.protobuf;proto=x;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5"
FORMATS = [
    "",
    "application/openmetrics-text; version=1.0.0",
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
    "text/plain;version=1.0.0;escaping=values",
]


class Source:
    """Series whose values a test sets."""

    def __init__(self) -> None:
        self.bins = [ObservedSeries({"model": "a b", "bin": f'{number} "x\\y"\nz\u2028ü'}) for number in range(40)]
        self.states = [ObservedSeries({"state": "matched"}), ObservedSeries({"state": "matched", "odd.key": ""})]
        self.values: list[float] = [*range(38), 12345678, 2**53]
        self.missing: list[Observed] = []

    def read(self) -> Iterator[tuple[semconv.Metric, list[Observed]]]:
        yield semconv.FEATURE_VALUES, list(zip(self.bins, self.values, strict=True))
        yield semconv.FEATURE_REFERENCE_SHARE, list(zip(self.bins, [1 / 3] * len(self.bins), strict=True))
        yield semconv.FEATURE_MISSING, self.missing

    def release(self) -> None:
        pass


class Page:
    """Both applications on one source."""

    def __init__(self, source: Source) -> None:
        family = ObservedFamily()
        family.add(source)
        reader = PageReader(CellStore(Resource({"service.name": "s"}), (family,)), is_primary=True)
        self._provider = MeterProvider([reader], shutdown_on_exit=False)
        self._provider.get_meter("other").create_counter("other").add(2)
        self._apps = (
            make_wsgi_app(reader.registry),
            PageApp(reader.registry, reader.without_known_series, reader.common_labels),
        )

    def read(self, accept: str = "", encoding: str = "") -> tuple[list, list]:
        """Returns status, headers and body of both."""
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/metrics",
            "QUERY_STRING": "",
            "HTTP_ACCEPT": accept,
            "HTTP_ACCEPT_ENCODING": encoding,
        }
        answers: tuple[list, list] = [], []
        for app, answer in zip(self._apps, answers, strict=True):
            body = b"".join(app(dict(environ), lambda *started, to=answer: to.extend(started)))
            answer.append(gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body)
        return answers

    def close(self) -> None:
        self._provider.shutdown()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def page(source: Source) -> Iterator[Page]:
    page = Page(source)
    yield page
    page.close()


@pytest.mark.parametrize("accept", FORMATS)
def test_the_page_is_that_of_the_library(page: Page, source: Source, accept: str) -> None:
    """In every format, the first time and when values have changed; labels may hold anything."""
    for value in (1, 2.5):
        source.values[0] = value
        theirs, ours = page.read(accept)
        assert ours == theirs
        assert (
            b'ml_feature_values_total{bin="0 \\"x\\\\y\\"\\nz\xe2\x80\xa8\xc3\xbc",model="a b",service_name="s"} %.1f\n'
            % value
            in ours[2]
        )


def test_a_start_is_said_to_those_who_read_it(page: Page) -> None:
    """Each counter is followed by the time at which it began, unless the server would take that for one more series."""
    began = re.compile(
        rb"^ml_feature_values_total{(.*)} .*\nml_feature_values_created{\1} (1\.[0-9]+e\+09)$", re.MULTILINE
    )
    with_start, without = page.read(WITH_START)[1][2], page.read(FORMATS[1])[1][2]

    assert len(set(began.findall(with_start))) == 40
    assert b"other_created{" in with_start
    assert b"_share_ratio_created" not in with_start
    assert b"_created" not in without


def test_series_come_and_go(page: Page, source: Source) -> None:
    """A series that is no longer exported leaves the page."""
    first = page.read()[1][2]
    kept, source.bins, source.values = source.bins, source.bins[:3], source.values[:3]
    second = page.read()
    source.bins, source.values = kept, [7.0] * 40
    third = page.read()

    assert (first.count(b"\nml_feature_values_total{"), second[1][2].count(b"\nml_feature_values_total{")) == (40, 3)
    assert (second[0], third[0]) == (second[1], third[1])


def test_series_of_a_metric_may_have_different_labels(page: Page, source: Source) -> None:
    """Each has its own labels only."""
    source.missing = [(series, 1) for series in source.states]

    lines = [line for line in page.read()[1][2].splitlines() if line.startswith(b"ml_feature_missing")]

    assert lines == [
        b'ml_feature_missing_total{service_name="s",state="matched"} 1.0',
        b'ml_feature_missing_total{odd_key="",service_name="s",state="matched"} 1.0',
    ]


def test_a_page_is_compressed_for_who_asks(page: Page) -> None:
    """As Prometheus does."""
    theirs, ours = page.read(encoding="deflate, gzip;q=1.0")

    assert ours == theirs
    assert ("Content-Encoding", "gzip") in ours[1]
