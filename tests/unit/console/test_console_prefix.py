"""A console that a proxy shows below a path.

Sources: microsoft/aspire#5134 and #4528, mlflow/mlflow#2823 and #643, Arize-ai/phoenix#5376.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator

import pytest
from console_feed import SPAN, TRACE, logs, prediction, record, span, traces
from console_server import Console, running
from test_console_login import TOKEN, ask, cookie_of, log_in

from otel_ml.console._app import build
from otel_ml.console._options import ConsoleError, Options
from otel_ml.console.receiving._ingest_queue import IngestQueue
from otel_ml.console.storage._store import Database

PREFIX = "/tools/otel-ml"
PAGES = [
    "/", "/model", "/data", "/performance", "/predictions", f"/predictions/p-1?span={SPAN}", "/requests", f"/traces/{TRACE}",
    "/logs", "/metrics", "/resources", "/health", "/report?model=fraud", "/none",
]  # fmt: skip


@pytest.fixture(scope="module")
def below() -> Iterator[Console]:
    """A console below a path, with a token and one prediction whose texts look like addresses."""
    with running(Options(token=TOKEN, url_prefix=PREFIX)) as started:
        started.headers["authorization"] = f"Bearer {TOKEN}"
        text = '<a href="/x"> href="/y" src=\'/z\''
        started.feed(traces(span(attributes={"note": text})), logs(prediction(outcome=text), record(text)))
        yield started


@pytest.mark.parametrize("path", PAGES)
def test_every_address_on_a_page_has_the_prefix(below, path):
    """Links, forms, scripts and styles lead to the proxy's path, whether the proxy takes the prefix off or not."""
    kept, taken = (below.send(begin + path) for begin in (PREFIX, ""))
    assert (kept.status, taken.status) == ((404, 404) if path == "/none" else (200, 200))
    assert int(kept.headers["content-length"]) == len(kept.body)
    for answer in (kept, taken):
        page = answer.body.decode()
        addresses = re.findall(r'\s(?:href|src|action|formaction)="(/[^"]*)"', page)
        assert addresses
        assert [each for each in addresses if not each.startswith(f"{PREFIX}/")] == []
        assert re.findall(r'(?<!placeholder)="/(?!tools/otel-ml/)[a-z]', page) == []


def test_values_are_not_addresses(below):
    """A text that looks like a link is shown as it is."""
    page = below.send(f"{PREFIX}/predictions/p-1").body.decode()
    assert "href=&#34;/y&#34;" in page


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_empty_page_says_how_to_send_through_the_proxy(below, scheme):
    """The command has the scheme, host and path under which the reader has the console, and that it needs the token."""
    proxy = {"Host": "ml.example.org", "X-Forwarded-Proto": scheme}
    page = below.send(f"{PREFIX}/requests?from=1&to=2", **proxy).body.decode()
    sent = f"OTEL_EXPORTER_OTLP_ENDPOINT={scheme}://ml.example.org{PREFIX} OTEL_EXPORTER_OTLP_HEADERS="
    assert sent + '"Authorization=Bearer <token>" python service.py' in html.unescape(page)


def test_redirects_cookies_and_the_api_have_the_prefix(below):
    """A login leads to the page below the prefix, and its cookie goes to no other path of the host."""
    _, headers, page = ask(below, f"{PREFIX}/predictions?model=fraud")
    assert 'name="next" value="/predictions?model=fraud"' in page
    status, headers, _ = log_in(below, following="/predictions?model=fraud")
    assert (status, headers["location"]) == (303, f"{PREFIX}/predictions?model=fraud")
    assert f"; Path={PREFIX}/;" in headers["set-cookie"] + ";"
    cookie = cookie_of(headers)
    assert ask(below, f"{PREFIX}/search?q=p-1", Cookie=cookie)[1]["location"] == f"{PREFIX}/predictions/p-1"
    columns = ask(below, f"{PREFIX}/predictions?column=id", Cookie=cookie)[1]["set-cookie"]
    assert f"Path={PREFIX}/predictions;" in columns
    assert ask(below, PREFIX, Cookie=cookie)[0] == 200
    assert below.get(f"{PREFIX}/api/openapi.json")["servers"] == [{"url": PREFIX}]
    style = re.search(rf'href="({PREFIX}/static/[^"]+\.css)"', page)[1]
    assert below.send(style).headers["content-type"].startswith("text/css")
    assert below.send(PREFIX).status == 200


@pytest.mark.parametrize(
    "path",
    [f"{PREFIX}/api/status", f"{PREFIX}//api/status", f"{PREFIX}{PREFIX}/api/status", f"{PREFIX}/static/../api/status"],
)
def test_a_prefix_opens_nothing(below, path):
    """What needs the token needs it below the prefix too."""
    assert ask(below, path)[0] == 401


@pytest.mark.parametrize("prefix", ["otel", "/a b", "/a//b", "/..", "/a?b", "/caf\xe9", "//a", '/a"b'])
def test_a_prefix_is_a_path(prefix):
    """Another text is refused on one line."""
    with pytest.raises(ConsoleError, match="^--url-prefix .*: expected a path such as /otel-ml$"):
        Options(url_prefix=prefix)


@pytest.mark.parametrize("prefix", ["/logs", "/api/x", "/login", "/static", "/healthz"])
def test_a_prefix_that_is_a_page_is_refused(prefix):
    """A path of the console itself could be either."""
    options = Options(token=TOKEN, url_prefix=prefix)
    store = Database.open(options)
    try:
        with pytest.raises(ConsoleError, match="is a path of the console itself"):
            build(store, IngestQueue(store, options), options)
    finally:
        store.close()
