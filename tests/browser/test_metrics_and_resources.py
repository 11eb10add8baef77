"""Metrics and resources in a real browser: series over time, labels as filters, machines beside the traffic."""

from __future__ import annotations

import re
import time

import pytest
from console_feed import counter, metrics, now, pairs
from console_server import running
from opentelemetry.proto.metrics.v1.metrics_pb2 import Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint
from page_steps import follow
from playwright.sync_api import expect

from otel_ml.console._options import Options

SECOND = 10**9
HOSTILE = "<img src=x onerror='window.canary=1'>"
STEPS = range(60)


def at(step):
    """Five seconds apart, the last one just now."""
    return now() - (len(STEPS) - 1 - step) * 5 * SECOND


def level(name, unit, value, step, **labels):
    """A point of a gauge."""
    point = NumberDataPoint(time_unix_nano=at(step), as_double=value, attributes=pairs(labels))
    return Metric(name=name, unit=unit, gauge=Gauge(data_points=[point]))


def rise(name, value, step, **labels):
    """A point of a counter that began with the first step."""
    return counter(value, name=name, at=at(step), start=at(-1), attributes=labels)


def took(step, **labels):
    """A histogram with half of its observations up to 10 ms and half up to 100 ms."""
    point = HistogramDataPoint(
        start_time_unix_nano=at(-1), time_unix_nano=at(step), count=10 * (step + 1), sum=0.5 * (step + 1),
        bucket_counts=[5 * (step + 1), 5 * (step + 1), 0], explicit_bounds=[0.01, 0.1], attributes=pairs(labels),
    )  # fmt: skip
    return Metric(name="shop.duration", unit="s", histogram=Histogram(data_points=[point], aggregation_temporality=2))


@pytest.fixture(scope="module")
def filled():
    """A counter with two labels, a gauge in bytes, a histogram, and metrics of a machine with two modes of its CPU."""
    with running(Options()) as started:
        started.feed(
            *(
                metrics(
                    *(
                        rise("shop.orders", (step + 1) * 5 * size, step, country=country, channel=channel)
                        for size, (country, channel) in enumerate((("DE", "web"), ("DE", "app"), (HOSTILE, "web")), 1)
                    ),
                    level("shop.cache", "By", 3 * 2**20, step), took(step, route="/cart"),
                    *(
                        level("system.cpu.utilization", "1", value, step, **{"cpu.mode": mode})
                        for mode, value in (("user", 0.25), ("idle", 0.75))
                    ),
                    *(
                        rise("system.network.io", (step + 1) * 5 * 2048, step, **{
                            "network.io.direction": "receive", "network.interface.name": name,
                        })
                        for name in ("eth0", "eth1")
                    ),
                )
                for step in STEPS
            )
        )  # fmt: skip
        yield started


def expect_series(page, *found):
    """Labels and newest value of each listed series."""
    cells = page.locator("section[aria-labelledby=series] tbody td")
    for side, texts in zip(("first", "last"), zip(*found, strict=True), strict=True):
        expect(cells.and_(page.locator(f"td:{side}-child"))).to_have_text(list(texts))


def test_from_all_metrics_to_one_series(visit):
    """The list leads to a metric, its labels are filters in the address, and a series leads to itself alone."""
    page = visit("/metrics?range=1h")
    page.get_by_label("Name has").fill("SHOP")
    page.keyboard.press("Enter")
    page.wait_for_url("**text=SHOP**")
    names = page.locator("tbody tr td:first-child")
    expect(names).to_have_text(["shop.cache", "shop.duration", "shop.orders"])
    assert page.locator("tbody tr").last.locator("td").all_inner_texts()[1:5] == ["counter", "prediction", "3", "180"]
    follow(names.last.locator("a"))
    expect_series(page, (f"{HOSTILE}, web", "3"), ("DE, app", "2"), ("DE, web", "1"))
    page.get_by_label("country").select_option("country=DE")
    page.wait_for_url("**label=country%3DDE**")
    expect_series(page, ("app", "2"), ("web", "1"))
    page.get_by_label("channel").select_option("channel=web")
    expect_series(page, ("all", "1"))
    page.click(".chip >> text=DE")
    page.locator("section[aria-labelledby=series] a", has_text="img").click()
    expect_series(page, ("all", "3"))
    page.click(".crumb a")
    expect(page.locator("h1")).to_have_text("Metrics")


def test_each_kind_has_its_chart(visit):
    """A counter is a rate, a gauge its value in fitting units, and a histogram has percentiles and a rate."""
    page = visit("/metrics?range=1h&name=shop.cache")
    expect_series(page, ("all", "3.00 MiB"))
    page.goto(page.url.replace("shop.cache", "shop.duration"))
    expect(page.locator("figure[data-drawn] h2")).to_have_text(["Percentiles", "Rate"])
    expect(page.locator(".legend").first.locator("li")).to_have_text(["p99", "p95", "p50"])
    expect_series(page, ("all", "91.0 ms"))
    page.goto(page.url.replace("shop.duration", "nothing"))
    expect(page.locator(".empty")).to_contain_text("No two points of nothing")


def test_resources_stand_on_the_axis_of_the_traffic(visit):
    """All charts have the same time axis; interfaces are added up, and what is idle is not drawn."""
    page = visit("/resources?range=1h")
    expect(page.locator("figure[data-drawn] h2")).to_have_text(["Traffic", "CPU of the machine", "Network"])
    axes = page.locator("figure").evaluate_all("all => all.map(each => each.dataset.from + '-' + each.dataset.to)")
    assert len(set(axes)) == 1
    cpu, network = (page.locator("figure", has=page.locator(f"h2:text-is('{title}')")) for title in (
        "CPU of the machine", "Network",
    ))  # fmt: skip
    assert cpu.locator("th").all_text_contents() == ["Time", "user"]
    assert "25.0 %" in cpu.locator("td:last-child").all_text_contents()
    assert network.locator("th").all_text_contents() == ["Time", "receive"]
    assert "4.00 KiB" in network.locator("td:last-child").all_text_contents()


def test_a_line_has_no_gaps_where_points_are_far_apart(console, open_page):
    """The steps of a chart are longer than the points are apart, so each before the newest has a value: elastic/kibana#41907."""
    now = time.time_ns()
    console.feed(
        *(metrics(Metric(name="slow", gauge=Gauge(data_points=[
            NumberDataPoint(time_unix_nano=now - turn * 60 * SECOND, as_double=turn)
        ]))) for turn in range(10))
    )  # fmt: skip
    page = open_page(java_script_enabled=False)
    page.goto(f"{console.address}/metrics?range=5m&name=slow")
    _, *cells = page.locator("figure tbody td:last-child").all_inner_texts()
    assert all(cells)
    assert 2 <= len(cells) <= 3


def test_an_empty_console_says_what_to_do(console, open_page):
    """Before anything arrived the pages say how to send it."""
    page = open_page()
    page.goto(f"{console.address}/metrics")
    expect(page.locator(".empty pre")).to_have_text(re.compile("OTEL_EXPORTER_OTLP_ENDPOINT="))
    page.goto(f"{console.address}/resources")
    expect(page.locator(".empty pre")).to_have_text("otel-ml sampler")
