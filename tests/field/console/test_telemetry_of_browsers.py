"""Scripts in a browser that send their telemetry to a console, and addresses with too many slashes."""

from __future__ import annotations

import http.client
import json

import pytest
from console_feed import PROTOBUF, now, span, traces
from console_server import running

from otel_ml.console._options import Options

PAGE = "http://localhost:3000"
TOKEN = "a-token-of-the-tests-0123456789"


def ask(console, origin, path="/v1/traces", headers="content-type"):
    """The answer to what a browser asks before it sends."""
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": headers, "Origin": origin}
    connection = http.client.HTTPConnection(console.address.rpartition("/")[2], timeout=60)
    connection.request("OPTIONS", path, headers=asked)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


@pytest.fixture(scope="module")
def guarded():
    """A console with a token."""
    with running(Options(token=TOKEN)) as started:
        yield started


@pytest.mark.parametrize(
    "origin", [PAGE, "https://127.0.0.1:8443", "http://[::1]:5173", "http://app.localhost", "http://LOCALHOST:8501"]
)
def test_a_page_from_loopback_may_send(console, origin):
    """A web app under development sends its telemetry (microsoft/aspire#4917)."""
    answer = ask(console, origin, headers="content-type,x-requested-with")
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == origin
    assert answer.headers["access-control-allow-methods"] == "POST"
    assert answer.headers["access-control-allow-headers"] == "content-type,x-requested-with"
    sent = console.send("/v1/traces", b"{}", content_type="application/json", origin=origin)
    assert (sent.status, sent.headers["access-control-allow-origin"]) == (200, origin)
    assert sent.headers["access-control-allow-credentials"] == "true"
    assert (answer.headers["vary"], sent.headers["vary"]) == ("origin", "origin")


@pytest.mark.parametrize(
    "origin",
    ["https://example.com", "null", "http://localhost.example.com", "http://127.0.0.1.example.com", "http://notlocalhost", "http://[", "x"],
)  # fmt: skip
def test_another_page_may_not_send(console, origin):
    """A page that somebody happens to have open writes nothing into the console (Mesh-LLM/mesh-llm#1356).

    Its host name may be pointed at 127.0.0.1; then its browser sends without asking.
    """
    answer = ask(console, origin)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers
    for path in ("/v1/traces", "//v1/traces/"):
        sent = console.send(path, b"{}", content_type="application/json", origin=origin, host="example.com:4318")
        assert (sent.status, "access-control-allow-origin" in sent.headers) == (403, False)
    assert console.send("/v1/traces", b"{}", content_type="application/json", host="example.com:4318").status == 200


@pytest.mark.parametrize("path", ["/api/status", "/api/overview", "/", "/requests"])
def test_no_page_may_read_by_a_browser(console, guarded, path):
    """What a console shows is not for scripts of other addresses, with a token or without."""
    for each in (console, guarded):
        assert "access-control-allow-origin" not in ask(each, PAGE, path).headers
        assert "access-control-allow-origin" not in each.send(path, origin=PAGE).headers


def test_with_a_token_any_page_may_send_that_has_it(guarded):
    """A web app with a name of its own sends with the token; without it, it can read why not (microsoft/aspire#6249)."""
    origin = "https://shop.example.com"
    assert ask(guarded, origin, headers="authorization,content-type").status == 204
    sent = {"content_type": "application/json", "origin": origin}
    assert guarded.send("/v1/traces", b"{}", authorization=f"Bearer {TOKEN}", **sent).status == 200
    refused = guarded.send("/v1/traces", b"{}", **sent)
    assert (refused.status, refused.headers["access-control-allow-origin"]) == (401, origin)


def test_a_sender_that_is_no_browser_gets_no_permission(console, guarded):
    """Without an origin nobody has asked for one."""
    for each in (console, guarded):
        sent = each.send("/v1/traces", b"{}", content_type="application/json", authorization=f"Bearer {TOKEN}")
        assert (sent.status, "access-control-allow-origin" in sent.headers) == (200, False)


@pytest.mark.parametrize(("own", "path"), [("5a", "/v1/traces/"), ("5b", "//v1/traces"), ("5c", "/v1//traces")])
def test_slashes_too_many_lose_nothing(console, own, path):
    """An endpoint that ends in a slash, and an exporter that adds one (openobserve/openobserve#3849).

    Source: open-telemetry/opentelemetry-js#3269.
    """
    body = traces(span(f"by {path}", trace="5a" * 16, own=own * 8, start=now())).SerializeToString()
    assert console.send(path, body, content_type=PROTOBUF).status == 200
    assert f"by {path}" in {each["name"] for each in console.get("/api/traces/" + "5a" * 16)["spans"]}
    assert json.loads(console.send(path, b"{}", content_type="application/json").body) == {}
