"""The HTTP client against servers that misbehave."""

from __future__ import annotations

import select
import socket
import ssl
import subprocess
import threading
from contextlib import contextmanager, suppress
from functools import partial

import pytest

from otel_ml._export.http_client import HttpClient, make_tls
from otel_ml._export.http_response import BODY_BYTES

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def server(*scripts):
    """Answers each connection with its script: a list of byte strings, one a request; None drops the connection."""
    requests = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            for script in scripts:
                connection, _ = listening.accept()
                with connection:
                    for answer in script:
                        request = b""
                        while b"\r\n\r\n" not in request or not request.endswith(b"body"):
                            chunk = connection.recv(65536)
                            if not chunk:
                                break
                            request += chunk
                        requests.append(request)
                        if answer is None:
                            break
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1/metrics?x=1", requests
        thread.join(10)


def test_one_connection_serves_all_requests():
    """Path, headers and body arrive; the connection is kept."""
    with server([OK, OK]) as (url, requests):
        client = HttpClient(url, {"X-Key": "value"})
        answers = [client.post(b"body", 10), client.post(b"body", 10)]
        client.close()
    assert [(answer.status, answer.body) for answer in answers] == [(200, b"ok")] * 2
    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/metrics?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nX-Key: value\r\nContent-Length: 4" in head
    assert body == b"body"


def test_a_connection_that_the_receiver_dropped_is_opened_again_once():
    """A request after an idle time is not lost."""
    with server([OK, None], [OK]) as (url, requests):
        client = HttpClient(url, {})
        assert [client.post(b"body", 10).status for _ in range(2)] == [200, 200]
        client.close()
    assert len(requests) == 3


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"HTTP/1.1 200 OK\nX: y\nContent-Length: 7\n\na\r\n\r\nbc", (200, b"a\r\n\r\nbc")),
        (b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\nabc\n0\nX: y\n\n", (200, b"abc")),
        (b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", (503, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", (202, b"")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", (200, b"")),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nX: y\r\n\r\n",
            (200, b"abcd"),
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", (200, b"")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nabc\r\n", (200, b"")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc", (200, b"")),
        (b"HTTP/1.0 404 Not Found\r\nConnection: close\r\n\r\n", (404, b"")),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", (200, b"until the end")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", (200, b"")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", (200, b"")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000, (200, b"x" * BODY_BYTES)),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000, (200, b"x" * BODY_BYTES)),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n30d40\r\n" + b"x" * 200_000 + b"\r\n0\r\n\r\n",
            (200, b"x" * BODY_BYTES),
        ),
    ],
    ids=[
        "line feeds",
        "line feeds in chunks",
        "busy",
        "announced",
        "no content",
        "no chunk",
        "chunks",
        "no chunk size",
        "negative chunk size",
        "cut off",
        "old and closed",
        "until the end",
        "absurd length",
        "negative length",
        "long",
        "long until the end",
        "long chunk",
    ],
)
def test_answers_of_all_kinds(answer, expected):
    """Announcements are skipped; a body is read up to a limit, and one that cannot be read is empty."""
    with server([answer], [OK]) as (url, _):
        client = HttpClient(url, {})
        response = client.post(b"body", 10)
        assert (response.status, response.body) == expected
        assert client.post(b"body", 10).body == b"ok"
        client.close()


def test_headers_are_read_whatever_their_case():
    """Header names are case-insensitive, as HTTP demands."""
    with server([b"HTTP/1.1 503 Busy\r\nRETRY-After:  7 \r\nContent-Length: 0\r\n\r\n"]) as (url, _):
        client = HttpClient(url, {})
        assert client.post(b"body", 10).headers["retry-after"] == "7"
        client.close()


def test_a_receiver_that_answers_before_it_has_read_all_is_understood():
    """A receiver may find a request too large, answer, and close."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 20):
                    pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        client = HttpClient(f"http://127.0.0.1:{listening.getsockname()[1]}/", {})
        assert client.post(b"x" * (8 << 20), 10).status == 413
        client.close()
        thread.join(10)


@pytest.mark.parametrize(
    "answer",
    [b"220 mail ready\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 " + b"9" * 5000 + b"\r\n\r\n", b"x" * 100_000],
)
def test_another_protocol_is_an_error(answer):
    """An answer of a service that does not speak HTTP is an error."""
    with server([answer]) as (url, _), pytest.raises(OSError, match="answer"):
        HttpClient(url, {}).post(b"body", 10)


def test_bytes_after_an_answer_are_not_taken_for_the_next_one():
    """The connection is not kept: a receiver that answers twice is out of step."""
    with server([OK + b"HTTP/1.1 400 Bad\r\n"], [OK]) as (url, requests):
        client = HttpClient(url, {})
        assert [client.post(b"body", 10).body for _ in range(2)] == [b"ok"] * 2
        client.close()
    assert len(requests) == 2


def test_an_address_that_swallows_everything_leaves_time_for_the_next():
    """If one of two receivers of a name is down, the other is asked within the deadline."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent, server([OK]) as (url, _):
        waiting = [socket.socket() for _ in range(4)]  # its queue is full: a further connection is not answered
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(silent.getsockname())
        port = int(url.split(":")[2].partition("/")[0])
        rows = [
            (socket.AF_INET, socket.SOCK_STREAM, 0, "", address)
            for address in (silent.getsockname(), ("127.0.0.1", port))
        ]
        client = HttpClient(url, {}, resolve=lambda *_: rows)
        assert client.post(b"body", 2).body == b"ok"
        client.close()
        for connection in waiting:
            connection.close()


def test_an_address_of_a_family_that_the_system_lacks_is_skipped():
    """If IPv6 is switched off, ::1 is skipped for the address of version 4."""
    with server([OK]) as (url, _):
        address = ("127.0.0.1", int(url.split(":")[2].partition("/")[0]))
        rows = [(family, socket.SOCK_STREAM, 0, "", address) for family in (9999, socket.AF_INET)]
        client = HttpClient(url, {}, resolve=lambda *_: rows)
        assert client.post(b"body", 10).body == b"ok"
        client.close()


@pytest.mark.parametrize("host", ["a..b", "x" * 70 + ".test"])
def test_a_bad_host_name_is_an_error_of_the_connection(host):
    """It is reported like any other receiver that cannot be reached."""
    with pytest.raises(OSError, match="is not a host name"):
        HttpClient(f"http://{host}:4318/", {}).post(b"body", 10)


def test_a_name_without_an_address_is_an_error():
    """A resolver that returns no address is reported as an error."""
    with pytest.raises(OSError, match="has no address"):
        HttpClient("http://receiver.test:4318/", {}, resolve=lambda *_: []).post(b"body", 10)


@pytest.mark.parametrize("phase", ["connecting", "shaking hands", "waiting"])
def test_a_request_is_cut_from_another_thread_in_every_phase(phase):
    """The cut request fails at once without a second try, and the next request is sent as usual."""
    scheme = "https" if phase == "shaking hands" else "http"
    with socket.create_server(("127.0.0.1", 0), backlog=0 if phase == "connecting" else 8) as silent:
        waiting = [socket.socket() for _ in range(4 if phase == "connecting" else 0)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(silent.getsockname())
        client = HttpClient(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/", {})
        seen = []

        def post():
            try:
                client.post(b"body", 60)
            except OSError as error:
                seen.append(error)

        thread = threading.Thread(target=post)
        thread.start()
        while thread.is_alive():
            client.close()
            thread.join(0.05)
        for connection in waiting:
            connection.close()
    assert len(seen) == 1
    assert not isinstance(seen[0], TimeoutError)
    assert client._socket is None


def test_a_receiver_that_drips_is_cut_at_the_deadline():
    """The deadline is for the whole of a request, not for each piece."""
    end = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip():
            connection, _ = listening.accept()
            with connection:
                while not end.wait(0.02):
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        try:
            with pytest.raises(TimeoutError):
                HttpClient(f"http://127.0.0.1:{listening.getsockname()[1]}/", {}).post(b"body", 0.3)
        finally:
            end.set()
            thread.join(10)


def test_a_refused_connection_is_an_error():
    """A refused connection is an error at once."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        HttpClient(f"http://127.0.0.1:{port}/", {}).post(b"body", 10)


@pytest.fixture
def certificate(tmp_path):
    """A certificate of its own for 127.0.0.1, and its key."""
    files = tmp_path / "own.pem", tmp_path / "own.key"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-out", str(files[0]), "-keyout", str(files[1])]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no certificate can be made here: {error}")
    return files


@contextmanager
def encrypted(certificate, *later):
    """A server that answers a request over TLS on each connection; after the first it sends the others unasked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            for unasked in (later, ())[: 1 + bool(later)]:
                connection, _ = listening.accept()
                with connection, suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                    request = b""
                    while not request.endswith(b"body"):
                        request += secured.recv(65536)
                    for answer in (OK, *unasked):
                        secured.sendall(answer)
                    if unasked:
                        secured.recv(65536)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}/v1/metrics"
        thread.join(10)


def test_over_tls_with_the_authority_of_the_settings(certificate):
    """OTEL_EXPORTER_OTLP_CERTIFICATE names the authority that is trusted."""
    with encrypted(certificate) as url:
        client = HttpClient(url, {}, partial(make_tls, str(certificate[0]), None, None))
        assert client.post(b"body", 10).status == 200
        client.close()


def test_a_certificate_of_an_unknown_authority_is_refused(certificate):
    """No request is sent to a receiver with an untrusted certificate."""
    with encrypted(certificate) as url, pytest.raises(ssl.SSLCertVerificationError):
        HttpClient(url, {}).post(b"body", 10)


def test_what_comes_over_tls_after_an_answer_is_not_taken_for_the_next_one(certificate):
    """After a 408 on an idle connection the next request uses a new one."""
    timed_out = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    with encrypted(certificate, timed_out) as url:
        client = HttpClient(url, {}, partial(make_tls, str(certificate[0]), None, None))
        first = client.post(b"body", 10).status
        assert select.select([client._socket], [], [], 60)[0], "the unasked answer did not come"
        assert [first, client.post(b"body", 10).status] == [200, 200]
        client.close()


def test_the_common_name_of_a_certificate_names_no_host():
    """Only the subject's alternative names count, as in every browser."""
    assert not make_tls(None, None, None).hostname_checks_common_name


def test_an_encrypted_key_is_an_error(certificate, tmp_path):
    """An encrypted key fails without a prompt for its password."""
    key = tmp_path / "encrypted.key"
    command = ["openssl", "rsa", "-aes256", "-passout", "pass:secret", "-in", str(certificate[1]), "-out", str(key)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)

    with pytest.raises(OSError, match=r"."):
        make_tls(None, str(certificate[0]), str(key))


def test_a_name_lookup_that_hangs_ends_at_the_deadline():
    """The next request waits for the same lookup: there is never more than one."""
    asked, released = [], threading.Event()

    def resolve(*question):
        asked.append(question)
        released.wait(30)
        return []

    client = HttpClient("http://receiver.test:4318/", {}, resolve=resolve)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            client.post(b"body", 0.1)
    released.set()

    assert len(asked) == 1


def test_an_abandoned_connection_stays_open_for_its_owner():
    """A forked child closes its descriptor only; what it sends goes over a connection of its own."""
    with server([OK, OK], [OK]) as (url, requests):
        client = HttpClient(url, {})
        client.post(b"body", 10)
        parents = client._socket.dup()
        client.abandon()
        parents.sendall(b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody")
        assert parents.recv(1000) == OK
        parents.close()
        assert client.post(b"body", 10).body == b"ok"
        client.close()
    assert len(requests) == 3


@pytest.mark.parametrize(
    ("url", "host"),
    [("http://a:80/", "a"), ("http://a/", "a"), ("http://[::1]:4318/", "[::1]:4318"), ("https://a:443/", "a")],
)
def test_the_host_header_names_host_and_port(url, host):
    """The scheme's own port is left out, and an address of version 6 has brackets."""
    assert HttpClient(url, {})._head.split(b"\r\n")[1] == f"Host: {host}".encode()


def test_a_request_carries_international_names_in_ascii():
    """The host in IDNA, path and query percent-encoded; what is percent-encoded already stays."""
    head = HttpClient("http://b\u00fccher.test/tr\u00e4ces/%20?\u00fc=1", {})._head.split(b"\r\n")
    assert head == [b"POST /tr%C3%A4ces/%20?%C3%BC=1 HTTP/1.1", b"Host: xn--bcher-kva.test"]


def test_no_answer_is_left_over_after_an_interrupted_request():
    """Whatever interrupts a request, its late answer must not be taken for that of the next one."""
    with server([OK, OK], [OK]) as (url, requests):
        client = HttpClient(url, {})
        assert client.post(b"body", 10).status == 200

        class Interrupting(bytes):
            def __len__(self):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            client.post(Interrupting(b"body"), 10)
        assert client._socket is None
        assert client.post(b"body", 10).status == 200
        client.close()
    assert len(requests) == 3
