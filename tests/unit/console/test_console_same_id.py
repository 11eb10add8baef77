"""A canary or shadow that predicts under the id of the primary, as a mirrored request makes it."""

from __future__ import annotations

import html
import re
from urllib.parse import urljoin

import pytest
from console_feed import label, logs, now, prediction, span, traces
from performance_feed import CANARY

from otel_ml import semconv

FIRST, SECOND = "aa" * 16, "bb" * 16
MS = 10**6


@pytest.fixture
def mirrored(console):
    """Two predictions, each mirrored to the canary a moment later; of the second the canary is right and the primary wrong."""
    for name, at in (("p-0", now() - 20 * MS), ("p-1", now() - 10 * MS)):
        console.feed(
            logs(
                prediction(name, outcome="0", trace=FIRST, at=at),
                prediction(name, outcome="1", trace=SECOND, at=at + MS, attributes=CANARY),
            )
        )
    console.feed(
        logs(label("p-1", "1", correct=False, trace=FIRST), label("p-1", "1", correct=True, trace=SECOND)),
        traces(span(trace=FIRST, attributes={semconv.PREDICTION_ID: "p-1"})),
    )
    return console


def strip(page):
    """Output, label and version as the page shows them."""
    parts = dict(re.findall(r"<dt>(Output|Label)</dt><dd[^>]*>(.*?)</dd>", page, re.DOTALL))
    return {name: re.sub(r"<[^>]*>|\s", "", text) for name, text in parts.items()}


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", {"Output": "0", "Label": "1✗"}),
        ("?version=2.0.0", {"Output": "1", "Label": "1✓"}),
        ("?model=fraud&version=1.0.0&role=primary", {"Output": "0", "Label": "1✗"}),
        (f"?trace={SECOND}", {"Output": "1", "Label": "1✓"}),
        ("?version=9", {"Output": "0", "Label": "1✗"}),
    ],
)
def test_the_page_shows_the_version_that_was_asked_for(mirrored, query, shown):
    """Without a version it is that of the primary, although the canary predicted later."""
    page = mirrored.send(f"/predictions/p-1{query}").body.decode()
    assert strip(page) == shown
    assert re.findall(r'href="([^"]+)"[^>]*>(?:1\.0\.0|2\.0\.0 <span)', page) == [
        "/predictions/p-1?model=fraud&amp;version=1.0.0&amp;role=primary",
        "/predictions/p-1?model=fraud&amp;version=2.0.0&amp;role=canary",
    ]


def test_the_list_leads_to_the_version_of_its_row(mirrored):
    """A wrong prediction stays wrong after the click."""
    page = mirrored.send("/predictions?truth=wrong").body.decode()
    (link,) = re.findall(r'href="(/predictions/[^"]+)"', page)
    assert link.startswith(f"/predictions/p-1?model=fraud&amp;version=1.0.0&amp;role=primary&amp;trace={FIRST}&amp;")


def test_neighbours_are_of_the_same_version(mirrored):
    """The prediction before is one of the same version and has another id; its link says the version."""
    for version, role, trace in (("1.0.0", "primary", FIRST), ("2.0.0", "canary", SECOND)):
        page = mirrored.send(f"/predictions/p-1?version={version}&role={role}").body.decode()
        before = re.findall(r'rel="prev"[^>]*href="([^"]+)"', page)
        assert before == [f"/predictions/p-0?model=fraud&amp;version={version}&amp;role={role}&amp;trace={trace}"]


def test_a_span_is_chosen_within_the_version(mirrored):
    """A click on a span stays with the version; the trace leads to the prediction that it is of."""
    page = mirrored.send("/predictions/p-1?model=fraud&version=1.0.0&role=primary").body.decode()
    assert f"role=primary&amp;trace={FIRST}&amp;span=b7ad6b7169203331#s-" in page
    assert f"/predictions/p-1?trace={FIRST}" in mirrored.send(f"/traces/{FIRST}").body.decode()


def test_the_api_tells_the_versions_of_an_id(mirrored):
    """It answers for the primary, or for the version of the parameters."""
    first = mirrored.get("/api/predictions/p-1")
    second = mirrored.get("/api/predictions/p-1?role=canary")
    assert [first["prediction"]["version"], second["prediction"]["version"]] == ["1.0.0", "2.0.0"]
    assert first["versions"] == [
        {"model": "fraud", "version": "1.0.0", "role": "primary"},
        {"model": "fraud", "version": "2.0.0", "role": "canary"},
    ]


def test_the_rows_of_a_long_trace_have_short_links(mirrored):
    """A span that is not described on the page leads to this page with it; no row repeats the address."""
    mirrored.feed(traces(*(span(f"step {each}", trace=FIRST, own=f"{each:016x}") for each in range(1, 300))))
    for address in (f"/traces/{FIRST}", "/predictions/p-1?model=fraud&version=1.0.0&role=primary"):
        page = mirrored.send(address).body.decode()
        rows = [html.unescape(link) for link in re.findall(r'<a class="row" [^>]*href="([^"]*)"', page)]
        assert rows
        assert all(link.startswith("?") for link in rows)
        own, chosen = urljoin(address, rows[-1]).partition("#s-")[::2]
        assert own.startswith(address)
        assert f'<details id="s-{chosen}" open>' in mirrored.send(own).body.decode()
