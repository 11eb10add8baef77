"""The search field: every way to write an id that people copy leads to the page about it.

Sources: jaegertracing/jaeger-ui#3484 (upper case), jaegertracing/jaeger-ui#2809 (the short id that a page shows), grafana/grafana#49008 (blanks
around it), TencentBlueKing/bk-monitor#6519 (quotes around it).
"""

from __future__ import annotations

import http.client
from urllib.parse import quote, urlsplit

import pytest
from console_feed import TRACE, batch, logs, now, prediction, span, traces
from console_server import running

from otel_ml.console._options import Options

ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
ALONE, TWO = "ab" * 16, "cd" * 16


@pytest.fixture(scope="module")
def filled():
    with running(Options()) as started:
        started.feed(
            logs(
                prediction(ID, trace=ALONE, own="a1" * 8, at=now()),
                prediction("order-17", trace=TWO, own="a2" * 8, at=now() + 1),
                prediction("order-18", trace=TWO, own="a3" * 8, at=now() + 2),
                prediction("Case-9", trace="ef" * 16, at=now() + 3),
                prediction("n-1", trace="99" * 16, at=now() + 5),
                prediction("n-2", trace="99" * 16, at=now() + 6),
                batch("0f8fad5b-0000-469f-a165-70867728950f", 3, at=now() + 4, own="a4" * 8),
            ),
            traces(span(trace=TWO, own="b2" * 8)),
        )
        yield started


def found(console, text):
    """Where the search leads to; the status if it leads nowhere."""
    connection = http.client.HTTPConnection(urlsplit(console.address).netloc, timeout=60)
    try:
        connection.request("GET", f"/search?q={quote(text)}")
        answer = connection.getresponse()
        return answer.getheader("location") or answer.status
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (ID.upper(), f"/predictions/{ID}"),
        (f'  "{ID}",\n', f"/predictions/{ID}"),
        (ID[:13].upper(), f"/predictions/{ID}"),
        ("0F8FAD5B-0000-469F-A165-70867728950F.2", "/predictions/0f8fad5b-0000-469f-a165-70867728950f.2"),
        ("Case-9", "/predictions/Case-9"),
        ("0f8fad5b", "/predictions?range=3d&id=0f8fad5b"),
        ("0f8", 404),
        (ALONE.upper(), f"/predictions/{ID}"),
        (f"00-{TWO}-{'b2' * 8}-01", f"/traces/{TWO}?span={'b2' * 8}"),
        ("cdcdcdcd-cdcd-cdcd-cdcd-cdcdcdcdcdcd", f"/traces/{TWO}"),
        ("99" * 16, f"/predictions?range=3d&trace_id={'99' * 16}"),
        ("B2" * 8, f"/traces/{TWO}?span={'b2' * 8}"),
        (TRACE, "/predictions/0f8fad5b-0000-469f-a165-70867728950f"),
        ("fraud", "/model?model=fraud"),
        ("", 404),
        ("nobody", 404),
    ],
)  # fmt: skip
def test_an_id_is_found_however_it_was_copied(filled, text, address):
    """An id leads to its page in upper case, in quotes, within a traceparent, as a row of a batch, or by its first characters."""
    assert found(filled, text) == address
