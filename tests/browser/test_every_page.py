"""Every page in a real browser: accessible, whole on each screen and in both colours, without scripts, with hostile texts."""

from __future__ import annotations

import re
from urllib.parse import quote

import pytest
from console_server import running
from hostile_feed import FEATURE, METRIC, MODEL, feed_hostile
from page_steps import expect_drawn, expect_width
from playwright.sync_api import expect

from otel_ml.console._options import Options
from otel_ml.console.web import _pages
from otel_ml.console.web._frame import Frame
from otel_ml.console.web._query_runner import QueryRunner

_OF_MODEL = f"model={quote(MODEL)}&range=1h"
PAGES = {
    "overview": "/?range=1h",
    "model": f"/model?{_OF_MODEL}",
    "data": f"/data?{_OF_MODEL}",
    "feature": f"/data?{_OF_MODEL}&feature={quote(FEATURE)}",
    "performance": f"/performance?{_OF_MODEL}",
    "predictions": f"/predictions?{_OF_MODEL}&truth=wrong&column=features&column=id&column=version",
    "prediction": "/predictions/p-59",
    "failed prediction": "/predictions/p-err",
    "batch": "/predictions/b-1",
    "row of a batch": "/predictions/b-1.1",
    "requests": "/requests?range=1h&failed=true",
    "trace": f"/traces/{'33' * 16}?span={'c2' * 8}",
    "logs": "/logs?range=1h&text=scoring",
    "log record": "/logs?range=1h&text=scoring&record=",
    "metrics": "/metrics?range=1h",
    "metric": f"/metrics?range=1h&name={quote(METRIC)}",
    "resources": "/resources?range=1h",
    "health": "/health?range=1h",
    "report": f"/report?{_OF_MODEL}",
}
NOT_FOUND = ("/search?q=nothing", "/nowhere", f"/traces/{'99' * 16}", "/predictions/nothing", "/model?range=nothing")


@pytest.fixture(scope="module")
def filled():
    """A console that has something hostile for each page."""
    with running(Options()) as started:
        feed_hostile(started)
        yield started


@pytest.fixture(params=PAGES.values(), ids=PAGES)
def path(request, filled):
    """The address of each page."""
    if not request.param.endswith("record="):
        return request.param
    return "/logs?range=1h&text=scoring&" + re.search('record=[^"&]+', filled.send(request.param[:-8]).body.decode())[0]


def test_it_is_accessible_and_whole(visit, axe, path, filled):
    """No rule of axe-core is broken, nothing is cut off, hostile texts stay texts, and nothing comes from elsewhere."""
    page = visit("about:blank", color_scheme="light")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(filled.address + path)
    expect_drawn(page)
    assert axe(page) == []
    page.emulate_media(color_scheme="dark")
    assert axe(page, "color-contrast") == []
    page.set_viewport_size({"width": 768, "height": 800})
    expect_width(page, 768)
    page.set_viewport_size({"width": 390, "height": 800})
    expect_width(page, 390)
    assert axe(page) == []
    page.emulate_media(color_scheme="light")
    assert axe(page, "color-contrast") == []
    assert page.evaluate("[window.canary, document.querySelectorAll('main script, main img').length]") == [None, 0]
    assert ("window.canary=1" in page.inner_text("main")) != path.startswith("/resources")
    assert re.findall("\u202e|49ww", page.content()) == []
    assert {url.startswith(filled.address) for url in asked} == {True}


def test_it_works_without_scripts(visit, path):
    """Each chart is a table, the bar has a button, and nothing is cut off."""
    page = visit(path, java_script_enabled=False, viewport={"width": 390, "height": 800})
    expect(page.locator("h1")).to_be_visible()
    assert page.locator("figure[data-chart] table:visible").count() == page.locator("figure[data-chart]").count()
    assert page.locator(".plot:visible, .script:visible").count() == 0
    expect_width(page, 390)


def test_each_route_is_among_these_pages(console):
    """A new page is looked at by this module."""
    frame = Frame(QueryRunner(console.store))
    routes = [
        route for route in _pages.routes(frame, console.ingest, Options()) if not route.path.startswith(frame.static)
    ]
    found = [*PAGES.values(), *NOT_FOUND]
    assert [
        route.path for route in routes if not any(route.path_regex.match(each.partition("?")[0]) for each in found)
    ] == []


def test_an_empty_console_says_what_to_do(console, visit):
    """Before anything arrived each page has a sentence with the next step."""
    page = visit(f"{console.address}/", viewport={"width": 390, "height": 800})
    for name, address in PAGES.items():
        if "/predictions/" in address or "/traces/" in address or name in {"health", "report"}:
            continue
        page.goto(console.address + address.partition("?")[0])
        expect(page.locator(".empty").first, name).to_be_visible()
        expect_width(page, 390)


def test_a_wrong_address_has_a_sentence_and_a_way_back(filled, open_page, axe):
    """What is not there is said on a page like the others."""
    page = open_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
    for address in NOT_FOUND:
        answer = page.goto(filled.address + address)
        assert answer.status in {400, 404}, address
        expect(page.locator("nav.pages")).to_be_visible()
        assert axe(page) == [], address
        expect_width(page, 390)
