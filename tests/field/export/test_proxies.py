"""Proxies and bundles of certificate authorities as the stock exporter takes them from the environment.

Sources: open-telemetry/opentelemetry-js#6637 and #6638, open-telemetry/opentelemetry-dotnet#4771 (proxies are ignored),
pydantic/logfire#136 and IBM/mcp-context-forge#4644 (REQUESTS_CA_BUNDLE is ignored).
"""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading

import otlp_receiver
import pytest

from otel_ml._export.answers import Answer
from otel_ml._export.proxies import Proxy, find_proxy
from otel_ml._export.transport import HttpTransport
from otel_ml.config import Config

receiver = otlp_receiver.receiver
fresh_guard = otlp_receiver.fresh_guard


class FakeProxy:
    """Answers a POST by itself and opens tunnels to one address on loopback, whatever host it is asked for."""

    def __init__(self, target: int = 0, status: int = 200) -> None:
        self.heads: list[str] = []
        self._target = target
        self._status = status
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # ends the wait of its thread
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            if not (data := connection.recv(4096)):
                return
            received += data
        self.heads.append(received.partition(b"\r\n\r\n")[0].decode())
        if not self.heads[-1].startswith("CONNECT") or self._status != 200:
            connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % self._status)
            connection.close()
            return
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        other = socket.create_connection(("127.0.0.1", self._target))
        for source, sink in ((connection, other), (other, connection)):
            threading.Thread(target=pipe, args=(source, sink), daemon=True).start()


def pipe(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(4096):
            sink.sendall(data)
    except OSError:
        pass
    finally:
        source.close()
        sink.close()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """Only what a test sets."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def authority(tmp_path):
    """A certificate of its own for collector.example, and its key."""
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=x"]
    command += ["-addext", "subjectAltName=DNS:collector.example,IP:127.0.0.1"]
    try:
        subprocess.run([*command, "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no certificate can be made here: {error}")
    return files


@pytest.fixture
def tls_server(authority):
    """Answers one OTLP request after another over TLS; returns its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
                with context.wrap_socket(connection, server_side=True) as secured:
                    request = b""
                    while not request.endswith(b"body") and (data := secured.recv(65536)):
                        request += data
                    secured.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            except OSError:  # of a connection that ended early, or because the listener is closed
                if listener.fileno() < 0:
                    return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)  # else the thread waits on, and may take the place of the next test's server
    listener.close()
    thread.join()


def post(endpoint: str) -> Answer:
    transport = HttpTransport("traces", Config(endpoint=endpoint).traces)
    answer = transport.post(b"body", 5.0)
    transport.close()
    return answer


def test_http_goes_through_the_proxy_with_the_whole_address(monkeypatch):
    """User and password of the proxy's URL become its header."""
    proxy = FakeProxy()
    monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("//", "//user:p%40ss@"))

    assert post("http://collector.example:4318/otlp") == Answer("accepted")
    proxy.close()
    [head] = proxy.heads
    lines = head.split("\r\n")
    assert lines[0] == "POST http://collector.example:4318/otlp/v1/traces HTTP/1.1"
    assert "Host: collector.example:4318" in lines
    assert "Proxy-Authorization: Basic dXNlcjpwQHNz" in lines


def test_https_goes_through_a_tunnel(monkeypatch, authority, tls_server):
    """The proxy sees the host and nothing of the request; the certificate is checked for the receiver's name."""
    proxy = FakeProxy(tls_server)
    monkeypatch.setenv("https_proxy", proxy.url.replace("//", "//u:p@"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority[0]))

    assert post("https://collector.example:4318") == Answer("accepted")
    proxy.close()
    [head] = proxy.heads
    assert head.split("\r\n") == [
        "CONNECT collector.example:4318 HTTP/1.1",
        "Host: collector.example:4318",
        "Proxy-Authorization: Basic dTpw",
    ]


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_private_authority_is_believed(monkeypatch, authority, tls_server, variable):
    """Without it the same certificate is refused."""
    endpoint = f"https://127.0.0.1:{tls_server}"
    before = post(endpoint)
    monkeypatch.setenv(variable, str(authority[0]))

    assert (before, post(endpoint)) == (Answer("retry", "TLS failed"), Answer("accepted"))


def test_a_bundle_that_does_not_exist_is_named(monkeypatch, authority, tls_server, caplog):
    """The authorities of the system hold, as if it were not set."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")

    assert post(f"https://127.0.0.1:{tls_server}").detail == "TLS failed"
    assert [line for line in caplog.messages if "REQUESTS_CA_BUNDLE is not used: '/nowhere/ca.pem'" in line] != []


def test_a_proxy_that_refuses_is_named(monkeypatch):
    """The line about failing exports says that it was the proxy."""
    proxy = FakeProxy(status=407)
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)

    assert post("https://collector.example:4318") == Answer(
        "retry", f"the proxy answers HTTP 407 (through the proxy 127.0.0.1:{proxy.port})"
    )
    proxy.close()


def test_loopback_never_has_a_proxy(monkeypatch, receiver):
    """A Collector beside the service is reached directly, whatever is set."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")

    assert post(receiver.url) == Answer("accepted")
    assert [find_proxy(f"http://{host}:4318") for host in ("localhost", "127.0.0.1", "[::1]", "127.8.8.8")] == [
        None
    ] * 4


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({"HTTP_PROXY": "http://proxy:3128"}, Proxy("proxy", 3128, None)),
        ({"http_proxy": "proxy:3128"}, Proxy("proxy", 3128, None)),
        ({"ALL_PROXY": "http://proxy"}, Proxy("proxy", 80, None)),
        ({"HTTPS_PROXY": "http://proxy:3128"}, None),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "example"}, None),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "other, .collector.example"}, None),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, None),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "elsewhere"}, Proxy("proxy", 3128, None)),
        ({"HTTP_PROXY": "socks5://proxy:1080"}, None),
        ({"HTTP_PROXY": "http://proxy:x"}, None),
        ({"HTTP_PROXY": ""}, None),
    ],
)
def test_the_variables_are_read_as_python_reads_them(monkeypatch, variables, found):
    """NO_PROXY names hosts and domains; a proxy that we cannot use is not used."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert find_proxy("http://collector.example:4318/v1/traces") == found


def test_a_proxy_that_cannot_be_used_is_named(monkeypatch, caplog):
    """One line says what to do."""
    monkeypatch.setenv("HTTP_PROXY", "socks5://user:CANARY@proxy:1080")
    find_proxy("http://collector.example:4318")

    [line] = caplog.messages
    assert "NO_PROXY" in line
    assert "CANARY" not in line
