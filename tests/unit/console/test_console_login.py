"""A console with a token: what is open, what the token opens, and what a login opens.

Sources: jupyterhub/jupyterhub#1908 and ipython/ipython#8438 (redirects after a login), microsoft/aspire#16067 (logins over http
and https), jupyter-server/jupyter_server#1212 (tokens in addresses), prometheus/prometheus#9166 (probes).
"""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from urllib.parse import urlencode

import grpc
import pytest
from console_feed import PROTOBUF, Client, logs, prediction, span, traces
from console_server import Console, running
from google.rpc.status_pb2 import Status

from otel_ml.console._options import ConsoleError, Options
from otel_ml.console.public._attempts import LIMIT, PEER_LIMIT, SECONDS, Attempts
from otel_ml.console.public._sessions import SECONDS as LOGIN_SECONDS
from otel_ml.console.public._sessions import Sessions
from otel_ml.console.public._token import Token, make_token, read_token
from otel_ml.console.receiving._ingest_queue import IngestQueue
from otel_ml.console.receiving._otlp_grpc import _SERVICES, GrpcReceiver
from otel_ml.console.storage._store import Database

TOKEN = "correct-horse-battery-staple"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Console]:
    """A console that others can reach."""
    with running(Options(host="0.0.0.0", token=TOKEN)) as started:
        yield started


def ask(console: Client, path: str, method: str = "GET", body: str | None = None, **headers: str):
    """Sends one request and follows no redirect; returns status, headers and text."""
    connection = http.client.HTTPConnection(console.address.removeprefix("http://"), timeout=60)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): text for name, text in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def log_in(console: Client, token: str = TOKEN, following: str = "/", **headers: str):
    return ask(console, "/login", "POST", urlencode({"token": token, "next": following}), **FORM, **headers)


def cookie_of(headers) -> str:
    return headers["set-cookie"].partition(";")[0]


def test_beyond_loopback_a_console_needs_a_token():
    """Options for another host without a token are an error that names both remedies, and never show a token."""
    with pytest.raises(ConsoleError, match=r"needs a token; add --token-file FILE .* or set OTEL_ML_CONSOLE_TOKEN"):
        Options(host="0.0.0.0")
    assert TOKEN not in repr(Options(host="0.0.0.0", token=TOKEN))


@pytest.mark.parametrize("path", ["/", "/predictions/p-1?span=a&b", "/report?save=1", "/none", "//evil.example/"])
def test_a_page_without_a_login_asks_for_the_token(guarded, path):
    """The answer to any page is the login, in its place, with no data and not kept by the browser."""
    status, headers, text = ask(guarded, path)
    assert (status, headers["www-authenticate"]) == (401, 'Bearer realm="otel-ml console"')
    assert headers["cache-control"] == "no-store"
    assert '<input id="token" type="password"' in text
    assert f'name="next" value="{path.replace("&", "&amp;")}"' in text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("GET", path) for path in ("/api/predictions", "/api/openapi.json", "/api/status", "/api/none")),
        ("GET", "/api/export/predictions"),
        ("GET", "/API/status"),
        ("GET", "/static/../api/status"),
        ("GET", "/login/../api/status"),
        ("GET", "/healthz/../api/status"),
        ("GET", "/%2e/api/status"),
        *((method, "/api/status") for method in ("HEAD", "OPTIONS", "PUT", "TRACE")),
        *(("POST", f"/v1/{signal}") for signal in ("traces", "logs", "metrics", "other")),
        ("POST", "/"),
        ("POST", "/logout"),
    ],
)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer caf\xe9"},
        {"Cookie": f"token={TOKEN}"},
        {"X-Forwarded-For": "127.0.0.1", "Host": "localhost"},
    ],
)
def test_nothing_else_is_open(guarded, method, path, headers):
    """Without the token every path and method is refused, whatever the other headers are."""
    status, given, text = ask(guarded, path, method, **headers)
    assert (status, given["www-authenticate"]) == (401, 'Bearer realm="otel-ml console"')
    assert "received" not in text


def test_the_token_is_no_parameter(guarded):
    """A token in an address, which stays in histories and logs, opens nothing."""
    for name in ("token", "t", "access_token", "api_key"):
        assert ask(guarded, f"/api/status?{name}={TOKEN}")[0] == 401


def test_a_sender_is_refused_in_its_encoding_before_its_body(guarded):
    """The refusal is an OTLP status, unauthenticated, and nothing of the request is counted."""
    before = guarded.ingest.status()["received"]
    refused = guarded.export(traces(span()))
    assert (refused.status, Status.FromString(refused.body).code) == (401, 16)
    as_json = guarded.send("/v1/traces", b"{}", content_type="application/json")
    assert (as_json.status, as_json.json()["code"]) == (401, 16)
    status, _, _ = ask(guarded, "/v1/logs", "POST", "", **{"content-length": "20000000", "content-type": PROTOBUF})
    assert (status, guarded.ingest.status()["received"]) == (401, before)


def test_the_token_opens_all(guarded):
    """Senders and programs send `Authorization: Bearer`, in any case of the word; pages and exports take it too."""
    client = Client(guarded.address, {"authorization": f"bEARER  {TOKEN}"})
    assert client.export(logs(prediction("p-token"))).status == 200
    assert client.get("/api/predictions?id=p-token")["predictions"][0]["id"] == "p-token"
    assert "p-token" in client.send("/predictions").body.decode()
    assert b"p-token" in client.send("/api/export/predictions").body
    assert client.send("/api/status", Host="console.example").status == 200


def test_a_login_opens_pages_and_api_and_ends_with_the_logout(guarded):
    """The cookie is kept from scripts and other sites, opens pages and API, and is worth nothing after the logout."""
    status, headers, _ = log_in(guarded, following="/predictions?model=a%2Fb")
    assert (status, headers["location"]) == (303, "/predictions?model=a%2Fb")
    parts = {part.strip() for part in headers["set-cookie"].split(";")[1:]}
    assert parts == {"HttpOnly", "SameSite=Lax", "Path=/", f"Max-Age={LOGIN_SECONDS}"}
    assert TOKEN not in headers["set-cookie"]
    cookie = cookie_of(headers)
    for path in ("/", "/api/status", "/health"):
        assert ask(guarded, path, Cookie=f"other=1; {cookie}")[0] == 200
    assert '<form method="post" action="/logout">' in ask(guarded, "/", Cookie=cookie)[2]
    assert ask(guarded, "/login", Cookie=cookie)[1]["location"] == "/"
    status, headers, _ = ask(guarded, "/logout", "POST", Cookie=cookie)
    assert (status, headers["location"], "Max-Age=0" in headers["set-cookie"]) == (303, "/login", True)
    assert ask(guarded, "/", Cookie=cookie)[0] == 401


def test_a_token_that_was_copied_with_a_line_end_is_the_token(guarded):
    """White space around the token is none of it, and a form without an address leads to the overview."""
    assert log_in(guarded, f" {TOKEN}\r\n")[0] == 303
    assert 'name="next" value="/"' in ask(guarded, "/logout", "POST")[2]


@pytest.mark.parametrize("path", ["/v1/traces", "//v1/traces", "/v1//traces/", "/v1%2Ftraces"])
@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://example.com"])
def test_a_cookie_writes_no_telemetry(guarded, path, origin):
    """Another site can make a browser send its cookie, so senders need the token itself, however the address is written."""
    sent = {"Cookie": cookie_of(log_in(guarded)[1]), "content_type": "application/json", "origin": origin}
    assert ask(guarded, path, "POST", "{}", **sent)[0] == 401


def test_a_form_of_another_site_neither_logs_in_nor_out(guarded):
    """A browser says where a form comes from; one of another site or port changes nothing."""
    for site in ("cross-site", "same-site"):
        assert log_in(guarded, sec_fetch_site=site)[0] == 403
    cookie = cookie_of(log_in(guarded, sec_fetch_site="same-origin")[1])
    _, headers, _ = ask(guarded, "/logout", "POST", Cookie=cookie, sec_fetch_site="cross-site")
    assert (headers["set-cookie"], ask(guarded, "/", Cookie=cookie)[0]) == (None, 200)


@pytest.mark.parametrize(
    "following",
    [
        "//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "https://evil.example", "evil.example",
        "/\t/evil.example", "/\n//evil.example", "javascript:alert(1)", "", " //evil.example", "/a\r\nset-cookie: a=b",
        "/" + "a" * 5000, "/caf\u00e9",
    ],
)  # fmt: skip
def test_a_login_leads_to_no_other_site(guarded, following):
    """An address that is not a path of this console leads to the overview."""
    status, headers, _ = log_in(guarded, following=following)
    assert (status, headers["location"]) == (303, "/")


def test_behind_tls_the_cookie_is_secure_and_beside_that_of_http(guarded):
    """A login over https has a name of its own, since a page over http cannot replace its cookie."""
    secure, plain = (log_in(guarded, x_forwarded_proto=scheme)[1]["set-cookie"] for scheme in ("https, http", "http"))
    assert ("Secure" in secure, "Secure" in plain) == (True, False)
    names = {cookie.partition("=")[0] for cookie in (secure, plain)}
    assert len(names) == 2
    for cookie in (secure, plain):
        assert ask(guarded, "/health", Cookie=cookie.partition(";")[0])[0] == 200


def test_cookies_that_were_changed_open_nothing(guarded):
    """A cookie with another end, signature or none of it is refused."""
    name, _, value = cookie_of(log_in(guarded)[1]).partition("=")
    until, text, signature = value.split(".")
    for made in (
        f"{int(until) + 1}.{text}.{signature}", f"{until}.{text}.{signature[:-1]}", f"{until}.{text}.", "..", ".", "x",
        f"{until}.{text}.caf\u00e9", "",
    ):  # fmt: skip
        assert ask(guarded, "/", Cookie=f"{name}={made}")[0] == 401


def test_wrong_tokens_are_limited_by_address():
    """After ten wrong tokens in a minute the form waits for a minute; the token itself still opens the API."""
    with running(Options(token=TOKEN)) as console:
        answers = {log_in(console, f"wrong-{index}")[0] for index in range(LIMIT)}
        status, headers, text = log_in(console)
        assert (answers, status, headers["retry-after"]) == ({401}, 429, str(SECONDS))
        assert "Too many wrong tokens" in text
        assert ask(console, "/api/status", **BEARER)[0] == 200


def test_wrong_tokens_are_forgotten():
    """Attempts are counted for a minute, for each address, and for a bounded number of addresses."""
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for _ in range(LIMIT):
        assert attempts.is_allowed("a", "a")
        attempts.fail("a", "a")
    assert (attempts.is_allowed("a", "a"), attempts.is_allowed("b", "b")) == (False, True)
    now[0] = SECONDS + 1
    for _ in range(LIMIT):
        assert attempts.is_allowed("a", "a")
        attempts.fail("a", "a")
    assert not attempts.is_allowed("a", "a")
    for index in range(20_000):
        attempts.fail(str(index), "a")
    assert len(attempts._failed) == 10_000


def test_one_peer_with_many_addresses_has_a_limit_too(monkeypatch):
    """Behind a proxy each address has its own ten attempts, and all together a hundred, since a header names them."""
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    with running(Options(token=TOKEN)) as console:
        for index in range(PEER_LIMIT):
            assert log_in(console, "wrong", x_forwarded_for=f"192.0.2.{index}, 198.51.100.{index}")[0] == 401
        assert log_in(console, x_forwarded_for="203.0.113.1")[0] == 429
        assert log_in(console)[0] == 303
        assert ask(console, "/api/status", **BEARER)[0] == 200


def test_behind_a_proxy_one_address_does_not_lock_out_others(monkeypatch):
    """The limit is that of the address which the proxy names last; a prefix in the path changes nothing."""
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    with running(Options(token=TOKEN, url_prefix="/ml")) as console:
        answers = [log_in(console, "wrong", x_forwarded_for=f"{index}, 192.0.2.1")[0] for index in range(LIMIT + 5)]
        assert answers == [401] * LIMIT + [429] * 5
        assert log_in(console, x_forwarded_for="192.0.2.2")[0] == 303


def test_the_addresses_of_one_ipv6_network_are_one():
    """One subscriber has all addresses of a /64; an IPv4 address, and a name that a proxy gives, stand alone."""
    attempts = Attempts(lambda: 0.0)
    for index in range(LIMIT):
        for address in (f"2001:db8::{index:x}", f"192.0.2.{index}", f"::ffff:192.0.2.{index}", f"unknown-{index}"):
            attempts.fail(address, address)
    assert not attempts.is_allowed("2001:db8::ffff:1", "2001:db8::ffff:1")
    assert all(
        attempts.is_allowed(each, each) for each in ("2001:db8:0:1::1", "192.0.2.1", "::ffff:192.0.2.3", "unknown-1")
    )


def test_a_login_ends_after_a_week_and_outlives_a_restart():
    """A new console with the same token knows the login; one with another token and one a week later do not."""
    now = [1000.0]
    cookie = Sessions(Token(TOKEN), clock=lambda: now[0]).begin(secure=False)
    given = dict([cookie.partition(";")[0].split("=", 1)])
    again = Sessions(Token(TOKEN), clock=lambda: now[0])
    assert (again.is_open(given), Sessions(Token(TOKEN + "x"), clock=lambda: now[0]).is_open(given)) == (True, False)
    now[0] += LOGIN_SECONDS
    assert not again.is_open(given)


@pytest.mark.parametrize("is_secure", [True, False])
def test_a_login_is_removed_as_it_was_set(is_secure):
    """A browser removes a cookie that came over TLS only if the answer says `Secure` too."""
    sessions = Sessions(Token(TOKEN))
    name, value = sessions.begin(secure=is_secure).partition(";")[0].split("=", 1)
    (removed,) = sessions.end({name: value})
    assert (removed.startswith(f'{name}="";'), "; Secure" in removed) == (True, is_secure)


@pytest.mark.parametrize("body", ["", "token", f"token={TOKEN}&next={'x' * 9000}", "token=%ff", "a=1&" * 50, "\x00"])
def test_a_form_that_is_none_is_a_wrong_token(body):
    """A body without fields, of 9 KB or of other characters is answered with the form."""
    with running(Options(token=TOKEN)) as console:
        assert ask(console, "/login", "POST", body, **FORM)[0] == 401


def test_probes_need_no_token(guarded):
    """A probe learns only that the console answers, and style sheet and icon hold no data."""
    assert (ask(guarded, "/healthz")[0], ask(guarded, "/healthz")[2], ask(guarded, "/healthz", "HEAD")[0]) == (
        200,
        "ok\n",
        200,
    )
    style = re.search(r'href="(/static/[^"]+\.css)"', ask(guarded, "/login")[2])[1]
    assert ask(guarded, style)[0] == 200


def test_loopback_without_a_token_stays_open(console):
    """Without a token there is no login, and a token that is sent is no mistake."""
    assert ask(console, "/api/status", **BEARER)[0] == 200
    assert (ask(console, "/login")[0], ask(console, "/healthz")[0], "Log out" in ask(console, "/")[2]) == (
        404,
        200,
        False,
    )


def test_grpc_takes_the_token():
    """A call without the token is unauthenticated, and its message is not read."""
    options = Options(grpc_port=0, token=TOKEN, max_request_bytes=1000)
    store = Database.open(options)
    ingest = IngestQueue(store, options)
    ingest.start()
    receiver = GrpcReceiver(ingest, options)
    with grpc.insecure_channel(receiver.start()) as channel:
        export = channel.unary_unary(f"/{_SERVICES['traces']}/Export")
        body = traces(span()).SerializeToString()
        for metadata in ([], [("authorization", f"Bearer {TOKEN}x")], [("authorization", TOKEN)], [("cookie", TOKEN)]):
            for sent in (body, bytes(2000)):
                with pytest.raises(grpc.RpcError) as refused:
                    export(sent, timeout=60, metadata=metadata)
                assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert export(body, timeout=60, metadata=[("authorization", f"Bearer {TOKEN}")]) == b""
    receiver.stop()
    ingest.close()
    assert ingest.status()["stored"] == 1
    store.close()


@pytest.mark.parametrize("text", [TOKEN, f"\ufeff{TOKEN}\r\n", f"  {TOKEN}\n\n"])
def test_a_token_file_is_read_as_editors_write_it(tmp_path, text):
    """A byte order mark, blanks and line ends around a token are none of it."""
    file = tmp_path / "token"
    file.write_text(text, encoding="utf-8", newline="")
    assert read_token(file, {"OTEL_ML_CONSOLE_TOKEN": "another-token-in-the-environment"}) == TOKEN


@pytest.mark.parametrize(
    "text", ["", "\n", "short", "two words are no token", "comma,comma,comma,comma", "caf\xe9" * 5, "a" * 600]
)
def test_a_text_that_is_no_token_is_refused(tmp_path, text):
    """The error says what a token has, and does not repeat the text."""
    file = tmp_path / "token"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConsoleError, match=r"^--token-file .*: expected one line of 16 to 512 letters") as refused:
        read_token(file, {})
    assert not text.strip() or text not in str(refused.value)


def test_a_token_file_that_does_not_exist_is_made_once(tmp_path):
    """The new token can be read by its owner only, and is not replaced."""
    file = tmp_path / "token"
    assert make_token(file)
    token = read_token(file, {})
    assert (file.stat().st_mode & 0o077, make_token(file), read_token(file, {})) == (0, False, token)
    assert len(token) >= 43
    with pytest.raises(ConsoleError, match="^--token-file .*: Is a directory"):
        read_token(tmp_path, {})
    with pytest.raises(ConsoleError, match="^--token-file .*below: Not a directory"):
        make_token(file / "below")


def test_the_environment_has_the_token_if_no_file_is_named():
    """An empty variable is none, and a wrong one is named."""
    assert read_token(None, {"OTEL_ML_CONSOLE_TOKEN": f" {TOKEN}\n"}) == TOKEN
    assert (read_token(None, {"OTEL_ML_CONSOLE_TOKEN": " "}), read_token(None, {})) == (None, None)
    with pytest.raises(ConsoleError, match="^OTEL_ML_CONSOLE_TOKEN: expected"):
        read_token(None, {"OTEL_ML_CONSOLE_TOKEN": "short"})


def test_errors_are_json_for_programs(guarded):
    """A program that forgot the token reads on one line what to send."""
    refused = json.loads(ask(guarded, "/api/predictions")[2])
    assert refused == {"error": "this console needs its token: Authorization: Bearer <token>"}
