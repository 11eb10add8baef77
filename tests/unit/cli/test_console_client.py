"""How commands read a console: its token, its refusals, and answers of other services."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from otel_ml import semconv
from otel_ml.cli._console.client import ConsoleClient
from otel_ml.cli._terminal import CommandError

TOKEN = "a-token-of-32-letters-and-digits"


class Handler(BaseHTTPRequestHandler):
    """Answers with what it got, after the token; `/busy` and `/moved` with a refusal."""

    def do_GET(self):
        refused = self.path == "/private" and self.headers["authorization"] != f"Bearer {TOKEN}"
        status = {"/busy": 503, "/moved": 302}.get(self.path, 401 if refused else 200)
        self.send_response(status)
        if status == 302:
            self.send_header("location", "http://127.0.0.1:1/elsewhere")
        self.end_headers()
        body = {"error": "busy"} if status == 503 else {"path": self.path}
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_):
        """Says nothing."""


@pytest.fixture(scope="module")
def address():
    """A server that stands for a console."""
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def said(call):
    """The message of a failure."""
    with pytest.raises(CommandError) as caught:
        call()
    return str(caught.value)


def test_the_token_comes_from_a_file_or_the_environment(address, tmp_path, monkeypatch):
    """A file wins over the variable; white space around the token does not count."""
    file = tmp_path / "token"
    file.write_text(f"\ufeff {TOKEN}\n", encoding="utf-8")
    monkeypatch.setenv(semconv.ENV_CONSOLE_TOKEN, "wrong")
    assert ConsoleClient(address, "--console", file).json("/private") == {"path": "/private"}
    remedy = f"--token-file FILE or {semconv.ENV_CONSOLE_TOKEN}"
    assert said(lambda: ConsoleClient(address, "--console").json("/private")) == (
        f"the console at {address} refuses the token: {remedy}"
    )
    monkeypatch.setenv(semconv.ENV_CONSOLE_TOKEN, f" {TOKEN}\n")
    assert ConsoleClient(f"{address}/", "--console").json("/private") == {"path": "/private"}
    monkeypatch.delenv(semconv.ENV_CONSOLE_TOKEN)
    assert said(lambda: ConsoleClient(address, "--console").json("/private")) == (
        f"the console at {address} needs its token: {remedy}"
    )


@pytest.mark.parametrize("content", [b"", b"two words", b"two\nlines", b"\xff\xfe", "tok\u00e9n".encode(), None])
def test_a_token_file_without_a_token_is_one_line(tmp_path, content):
    """The message names the file and never quotes what is in it."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    message = said(lambda: ConsoleClient("http://127.0.0.1:1", "--console", file))
    assert str(file) in message
    assert "\n" not in message
    assert "two" not in message


def test_a_refusal_is_one_line(address):
    """The message has status and error of the console; a redirect is not followed, so that no other host gets the token."""
    console = ConsoleClient(address, "--console")
    assert said(lambda: console.json("/busy")) == f"{address} answers 503: busy"
    assert said(lambda: console.json("/moved")).startswith(f"{address} answers 302: ")
    assert console.json("/a", [("x", "ä&b"), ("x", "2")]) == {"path": "/a?x=%C3%A4%26b&x=2"}


def test_no_proxy_stands_before_loopback(address, monkeypatch):
    """A proxy of the environment does not get requests for this machine."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert ConsoleClient(address, "--console").json("/x") == {"path": "/x"}


@pytest.mark.parametrize(
    "address",
    [
        "localhost:4318",
        "ftp://h",
        "http:///x",
        "http://:80",
        "http://h:99999",
        "http://h:0",
        "http://h:x",
        "http://[::1",
    ],
)
def test_an_address_needs_scheme_host_and_port(address):
    """What is no address of a console is refused with the name of the option and an example."""
    assert said(lambda: ConsoleClient(address, "--console")) == (
        f"--console takes an address such as http://127.0.0.1:4318, not {address!r}"
    )
