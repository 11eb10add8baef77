"""Credentials are masked in every form in which people write them, in every field, and the words around them stay.

Sources: xrootd/xrootd#2343, leodip/goiabada#204 and NousResearch/hermes-agent#84746 (queries in access logs),
use-agent-os/agent-os#3367 and toluaina/pgsync#594 (addresses with a password and no user),
open-telemetry/opentelemetry-collector-contrib#42659 and openshift/lightspeed-service#2997 (keys that only contain a secret word),
bug-ops/zeph#5969 and amacneil/dbmate#785 (an @ in the password), MapServer/MapServer#7048 (a password in braces),
NousResearch/hermes-agent#50514 (cookies in both forms of a header),
pydantic/pydantic#8303 and #9139, pydantic/pydantic-settings#530 (input in validation errors), CodesWhat/drydock#875 (pairs of name and value),
sqlalchemy/sqlalchemy#4806 (values of an INSERT), HKUDS/OpenHarness#241 and DependencyTrack/dependency-track#1160 (addresses that are
secret as a whole), skyhook-io/radar#1256 (digests of images taken for passwords), dannyvfilms/Floppy#786 (spellings, lists).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.json_format import MessageToDict
from pipeline_servers import (
    ROOT,
    Backend,
    Collector,
    collector_environment,
    eventually,
    otlp_backend,
    running_collector,
)

from otel_ml import _credentials
from otel_ml._credentials import MASK, mask

NOW = str(time.time_ns())

MASKED = {
    # any user info in an address
    "cannot connect to redis://:hunter2@redis:6379/0": "cannot connect to redis://****@redis:6379/0",
    "rediss://:hunter2@h is down": "rediss://****@h is down",
    "GET https://hunter2@api/x?y=1": "GET https://****@api/x?y=1",
    "mongodb://svc:hunter2@h1:27017,h2:27017/db": "mongodb://****@h1:27017,h2:27017/db",
    "amqp://svc:hun/hunter2@mq:5672/v is down": "amqp://****@mq:5672/v is down",
    "postgresql://svc:p@hunter2@db/x": "postgresql://****@db/x",
    "root:hunter2@tcp(db:3306)/shop": "****@tcp(db:3306)/shop",
    "user hunter2@example.com is unknown": "user **** is unknown",
    # a name and its value
    "host=db password=hunter2 user=bob": "host=db password=**** user=bob",
    "Server=db;Uid=sa;Pwd=hunter2;Database=x": "Server=db;Uid=sa;Pwd=****;Database=x",
    "AccountName=a;AccountKey=hunter2==;Suffix=x": "AccountName=a;AccountKey=****;Suffix=x",
    "dbPassword: hunter2, userPin=hunter2 ok": "dbPassword: ****, userPin=**** ok",
    "Config(api_key='hunter2', retries=3)": "Config(api_key='****', retries=3)",
    "mysql --password hunter2 -h db": "mysql --password **** -h db",
    "--password hunter2, java -keyPassword hunter2": "--password **** java -keyPassword ****",
    "curl -u bob:hunter2 --user 'bob:hunter2' h": "curl -u bob:**** --user 'bob:****' h",
    "DB_PASS=hunter2 SECRET_KEY_BASE=hunter2 cvv: hunter2": "DB_PASS=**** SECRET_KEY_BASE=**** cvv: ****",
    "Settings(token=SecretStr('hunter2'), pin=b'hunter2')": "Settings(token='****'), pin=b'****')",
    "<QueryDict: {'authToken': ['hunter2'], 'n': ['1']}>": "<QueryDict: {'authToken': \"****\", 'n': ['1']}>",
    "?to=https%3A%2F%2Fh%3Ftoken%3Dhunter2": "?to=https%3A%2F%2Fh%3Ftoken%3D****",
    '[{"name":"DB_PASSWORD","value":"hunter2"},{"name":"A","value":"b"}]': (
        '[{"name":"DB_PASSWORD","value":"****"},{"name":"A","value":"b"}]'
    ),
    "<wsse:Password Type='x'>hunter2</wsse:Password>": "<wsse:Password Type='x'>****</wsse:Password>",
    "password\n  too short [type=string_too_short, input_value='hunter2', input_type=str]": (
        "password\n  too short [type=string_too_short, input_value='****', input_type=str]"
    ),
    "user\n  Field required [type=missing, input_value={'PASS': 'hunter2'}]": (
        "user\n  Field required [type=missing, input_value={'PASS': \"****\"}]"
    ),
    "[{'loc': ('body', 'password'), 'msg': 'too short', 'input': 'hunter2'}]": (
        "[{'loc': ('body', 'password'), 'msg': 'too short', 'input': '****'}]"
    ),
    "[SQL: INSERT INTO users (name, password) VALUES (?, ?)]\n[parameters: ('bob', 'hunter2')]": (
        "[SQL: INSERT INTO users (name, password) VALUES ****"
    ),
    "ALTER USER bob WITH PASSWORD 'hunter2' VALID": "ALTER USER bob WITH PASSWORD '****' VALID",
    "CREATE USER r IDENTIFIED WITH sha2 BY 'hunter2'": "CREATE USER r IDENTIFIED WITH sha2 BY '****'",
    "SET PASSWORD FOR bob = PASSWORD('hunter2')": "SET PASSWORD FOR bob = PASSWORD('****')",
    "SET PASSWORD FOR bob = 'hunter2'": "SET PASSWORD FOR bob = '****'",
    "Driver={SQL Server};pwd={my;hunter2};uid=sa": "Driver={SQL Server};pwd=****;uid=sa",
    "GET /x?user[password]=hunter2&y=1": "GET /x?user[password]=****&y=1",
    "user%5Bpassword%5D=hunter2&x=1": "user%5Bpassword%5D=****&x=1",
    "GET /x?password[]=hunter2": "GET /x?password[]=****",
    "note=password%3A%20hunter2": "note=password%3A****",
    "headers['x-api-key'] = 'hunter2'": "headers['x-api-key'] = '****'",
    'password="hun \\"hunter2" x=1': 'password="****" x=1',
    "[(b'x-api-key', b'hunter2'), ('n', 1)]": "[(b'x-api-key', b\"****\"), ('n', 1)]",
    '["password", "hunter2"]': '["password", "****"]',
    "redis://:hun#hunter2@h:6379": "redis://****@h:6379",
    "postgresql://svc:hun?hunter2@db/x": "postgresql://****@db/x",
    "ALTER ROLE bob PASSWORD E'hunter2' x": "ALTER ROLE bob PASSWORD '****' x",
    "ALTER LOGIN sa WITH PASSWORD = N'hunter2' x": "ALTER LOGIN sa WITH PASSWORD = N'****' x",
    "SET PASSWORD TO 'hunter2'": "SET PASSWORD TO '****'",
    "CREATE USER bob IDENTIFIED BY hunter2 x": "CREATE USER bob IDENTIFIED BY **** x",
    "CONFIG SET requirepass hunter2": "CONFIG SET requirepass ****",
    'Authorization: Token token="hunter2", x="hunter2" rest': "Authorization: **** rest",
    # JSON, after other words, in itself, nested, with numbers, cut off
    'request: {"password":"hunter2","n":1} failed': 'request: {"password":"****","n":1} failed',
    '{"body":"{\\"password\\":\\"hunter2\\",\\"x\\":1}"}': '{"body":"{\\"password\\":\\"****\\",\\"x\\":1}"}',
    '{"credentials":{"a":["hunter2","hunter2"]},"x":1.0}': '{"credentials":"****","x":1.0}',
    '{"credentials":{"a":{"b":{"c":"hunter2"}}}}': '{"credentials":"****"',
    '{"x":1,"secret":"hunter2': '{"x":1,"secret":"****"',
    "{'token': 'hunter2', 'x': 1}": "{'token': \"****\", 'x': 1}",
    '{"id":12345678901234567,"password":"hunter2"}': '{"id":12345678901234567,"password":"****"}',
    # HTTP
    "Authorization: Basic hunter2dXNlcjpw rest": "Authorization: **** rest",
    "sent Basic hunter2dXNlcjpw== to h": "sent Basic **** to h",
    "sent Bearer hunter2 to h": "sent Bearer **** to h",
    "sent Bearer\thunter2 to proxy": "sent Bearer **** to proxy",
    'Digest username="bob", realm="r", response="hunter2" sent': "Digest **** sent",
    "Cookie: a=hunter2; b=hunter2": "Cookie: ****",
    'Cookie: sid="hunter2"; x=hunter2': "Cookie: ****",
    '{"Cookie": "sid=hunter2==", "Host": "h"}': '{"Cookie": "****", "Host": "h"}',
    "{'password': b'hunter2', 'x': 1}": "{'password': \"****\", 'x': 1}",
    "login(password=b'hunter2', x=1)": "login(password=b'****', x=1)",
    "x-api-key: hunter2": "x-api-key: ****",
    "password value: hunter2": "password value: ****",
    "tool --pin hunter2 -v": "tool --pin **** -v",
    "gpg --passphrase hunter2 -d f": "gpg --passphrase **** -d f",
    "https://h/x?access_token=hunter2&b=1": "https://h/x?access_token=****&b=1",
    "https://h/x?sv=1&sig=hunter2%3D&b=1": "https://h/x?sv=1&sig=****&b=1",
    "GET /x?auth=hunter2&b=1": "GET /x?auth=****&b=1",
    "GET /f?authz=Bearer%20hunter2.x&b=1": "GET /f?authz=**** ****&b=1",
    "headers x=Bearer%20hunter2.x": "headers x=Bearer ****",
    "POST /pwd?id=1&otp=hunter2": "POST /pwd?id=1&otp=****",
    "GET /ws?ticket=hunter2": "GET /ws?ticket=****",
    "https://h/x?X-Amz-Signature=hunter2&b=1": "https://h/x?X-Amz-Signature=****&b=1",
    "POST https://api.telegram.org/bot123456:hunter2-hunter2-hunter2/getMe": "POST https://api.telegram.org/bot****/getMe",
    "POST https://hooks.slack.com/services/T0/B0/hunter2 429": "POST https://hooks.slack.com/**** 429",
    "/api/webhooks/1/hunter2": "/api/webhooks/****",
    # Redis, private keys, keys of fixed form
    "AUTH default hunter2": "AUTH ****",
    "HELLO 3 AUTH default hunter2 SETNAME x": "HELLO 3 AUTH **** SETNAME x",
    "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY----- read": "**** read",
    "used AKIAHUNTER2HUNTER2XX there": "used **** there",
    "sk-hunter2hunter2hunter2": "****",
    "nvapi-hunter2hunter2hunter2": "****",
    "used eyJhbGciOi.eyJzdWIi.hunter2 there": "used **** there",
}
KEPT = [
    'columns ["email", "age", "income"], dtype[token]',
    '{"gen_ai.token.type":"input","num_valid_tokens":5,"email.provider":"gmail","api_key_id":"k"}',
    "invalid password for bob",
    "Basic authentication failed for user",
    "KeyError: 'age', p = 0.05, spin: 3, tokens: 5, headphones: 1",
    "GET http://host:80/users/@me",
    "pulling ghcr.io/a/b:1.0@sha256:5d86b924 and redis:7@sha256:5d86b924",
    "Set-Cookie missing; invalid username-password pair; first_pass: 2; docker run -u 1000:1000 x",
    "usage: login <password> <host>, SELECT password FROM users, INSERT INTO models (name) VALUES ('a')",
    '{"features":{"shipping":1,"number":2},"prediction":"1","score":0.5}',
]
KEYS = [
    *(f"{kind}_{'a1' * 12}" for kind in ("ghp", "github_pat", "sk", "hf", "npm", "gsk")),
    *(f"{kind}-{'a1' * 12}" for kind in ("glpat", "xoxb", "sk", "pypi", "nvapi")),
    *(f"{kind}{'A1' * 8}" for kind in ("AKIA", "ASIA")),
    f"AIza{'a1b2c' * 7}",
    f"hvs.{'a1' * 12}",
    "eyJhbGciOi.eyJzdWIi.c2ln",
]
TEXTS = {**MASKED, **{text: text for text in KEPT}}


def text(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


def spans() -> list[dict[str, Any]]:
    """One span for each text, which stands in its attribute, its name, its status and its exception."""
    return [
        {
            "traceId": f"{number:032x}",
            "spanId": f"{number:016x}",
            "name": each,
            "kind": 1,
            "startTimeUnixNano": NOW,
            "endTimeUnixNano": NOW,
            "attributes": [text("db.query.text", each)],
            "events": [{"timeUnixNano": NOW, "name": "exception", "attributes": [text("exception.message", each)]}],
            "status": {"code": 2, "message": each},
        }
        for number, each in enumerate(TEXTS, 1)
    ]


def logs() -> list[dict[str, Any]]:
    """Each text as a body; then each as an attribute, and in a list inside a map."""
    records: list[dict[str, Any]] = [{"timeUnixNano": NOW, "body": {"stringValue": each}} for each in TEXTS]
    for each in TEXTS:
        inner = {"values": [{"key": "b", "value": {"arrayValue": {"values": [{"stringValue": each}]}}}]}
        attributes = [text("note", each), {"key": "a", "value": {"kvlistValue": inner}}]
        records.append({"timeUnixNano": NOW, "body": {"stringValue": "noted"}, "attributes": attributes})
    return records


def request(kind: str, scope: str, items: list[dict[str, Any]], resource: list[dict[str, Any]]) -> bytes:
    attributes = [text("service.name", "shop"), *resource]
    return json.dumps(
        {f"resource{kind}": [{"resource": {"attributes": attributes}, f"scope{kind}": [{scope: items}]}]}
    ).encode()


def arrived(backend: Backend, signal: str, count: int) -> list[dict[str, Any]]:
    """The records that arrived, once all of them have."""

    def found() -> list[dict[str, Any]]:
        plain = [MessageToDict(each) for each in backend.received(f"/v1/{signal}")]
        records = [
            record
            for message in plain
            for resource in next(iter(message.values()))
            if resource["resource"]["attributes"][0]["value"]["stringValue"] == "shop"
            for scope in next(value for key, value in resource.items() if key.startswith("scope"))
            for record in next(value for key, value in scope.items() if isinstance(value, list))
        ]
        return records if len(records) >= count else []

    result: list[dict[str, Any]] = eventually(found)
    return result


def values(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {each["key"]: next(iter(each["value"].values())) for each in attributes}


@pytest.fixture(scope="module")
def backend() -> Iterator[Backend]:
    with otlp_backend() as recording:
        yield recording


@pytest.fixture(scope="module")
def collector(otelcol: Path, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    folder = tmp_path_factory.mktemp("collector")
    environment = collector_environment(backend.address, folder)
    with running_collector(otelcol, environment, folder) as running:
        yield running


def test_credentials_in_spans(collector: Collector, backend: Backend) -> None:
    """Attribute, name, status message and exception of a span lose the credential and keep the words around it."""
    backend.requests.clear()
    assert collector.send_json("/v1/traces", request("Spans", "spans", spans(), [])) == 200
    seen = {
        span["name"]: (
            values(span["attributes"])["db.query.text"],
            span["status"]["message"],
            values(span["events"][0]["attributes"])["exception.message"],
        )
        for span in arrived(backend, "traces", len(TEXTS))
    }
    assert seen == {masked: (masked,) * 3 for masked in TEXTS.values()}


@pytest.fixture(scope="module")
def keys_alone(collector: Collector, backend: Backend) -> list[dict[str, Any]]:
    """Returns the spans that arrived, for each key one with it as status message, one as event and one as attribute."""
    plain = {"traceId": "f" * 32, "spanId": "f" * 16, "startTimeUnixNano": NOW, "endTimeUnixNano": NOW}
    sent = [
        {**plain, **field}
        for key in KEYS
        for field in (
            {"status": {"code": 2, "message": key}},
            {"events": [{"timeUnixNano": NOW, "name": key}]},
            {"attributes": [text("note", key)]},
        )
    ]
    assert collector.send_json("/v1/traces", request("Spans", "spans", sent, [])) == 200

    def found() -> list[dict[str, Any]]:
        return [each for each in arrived(backend, "traces", 1) if each["traceId"] == "/" * 21 + "w=="]

    return eventually(found)  # type: ignore[no-any-return]


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_is_all_of_one_field(key: str, keys_alone: list[dict[str, Any]]) -> None:
    """A key of fixed form is masked where it is the only text of a span: status message, event or attribute."""
    first = 3 * KEYS.index(key)
    status, event, attribute = keys_alone[first : first + 3]
    assert status["status"]["message"] == MASK
    assert event["events"][0]["name"] == MASK
    assert values(attribute["attributes"]) == {"note": MASK}


def test_credentials_in_logs(collector: Collector, backend: Backend) -> None:
    """Body and attributes of a log record lose the credential; a list or map with one is flattened, others stay."""
    backend.requests.clear()
    assert (
        collector.send_json("/v1/logs", request("Logs", "logRecords", logs(), [text("dsn", "redis://:hunter2@r")]))
        == 200
    )
    found = arrived(backend, "logs", 2 * len(TEXTS))
    bodies, records = found[: len(TEXTS)], found[len(TEXTS) :]
    assert [record["body"]["stringValue"] for record in bodies] == list(TEXTS.values())
    assert [values(record["attributes"])["note"] for record in records] == list(TEXTS.values())
    assert [values(record["attributes"]).get("a.b.0") for record in records] == [
        None if plain == masked else masked for plain, masked in TEXTS.items()
    ]
    sent = b"".join(message.SerializeToString() for message in backend.received("/v1/logs"))
    assert b"hunter2" not in sent.lower()


def test_attributes_of_scopes(collector: Collector, backend: Backend) -> None:
    """Of the attributes of a scope one word stays; a longer text, also in a list, and a key of fixed form are masked."""
    backend.requests.clear()
    listed = {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "redis://:hunter2@r"}]}}}
    attributes = [text("version", "1.2-beta_3"), text("note", "password=hunter2"), text("key", "AKIAHUNTER2HUNTER2XX")]
    span, record = {"traceId": "f" * 32, "spanId": "f" * 16}, {"body": {"stringValue": "x"}}
    for signal, kind, body in (
        ("traces", "Spans", json.loads(request("Spans", "spans", [span], []))),
        ("logs", "Logs", json.loads(request("Logs", "logRecords", [record], []))),
    ):
        body[f"resource{kind}"][0][f"scope{kind}"][0]["scope"] = {"name": "lib", "attributes": [*attributes, listed]}
        assert collector.send_json(f"/v1/{signal}", json.dumps(body).encode()) == 200

        def scoped(signal: str = signal, kind: str = kind) -> list[dict[str, Any]]:
            found = [MessageToDict(each) for each in backend.received(f"/v1/{signal}")]
            parts = [part for each in found for part in each[f"resource{kind}"][0][f"scope{kind}"]]
            return [part["scope"] for part in parts if part.get("scope", {}).get("name") == "lib"]

        (scope,) = eventually(scoped)
        assert values(scope["attributes"]) == {"version": "1.2-beta_3", "note": MASK, "key": MASK, "list.0": MASK}


@pytest.mark.parametrize("given", TEXTS)
def test_the_sdk_masks_the_same_forms(given: str) -> None:
    """The SDK's own texts lose the same credentials."""
    assert mask(given) == TEXTS[given]


def test_the_collector_has_the_same_forms() -> None:
    """The configuration repeats the SDK's list, in its order."""
    config = yaml.safe_load((ROOT / "collector" / "agent.yaml").read_text(encoding="utf-8"))
    statements = config["processors"]["transform/redact"]["trace_statements"][1]["statements"]
    calls = [
        re.match(r'replace_all_patterns\(cache\["texts"\], "value", "(.*)", "(.*)"\)$', each, re.DOTALL)
        for each in statements
    ]
    plain = [
        tuple(re.sub(r"\\(.)", r"\1", part.replace("$$", "$")) for part in call.groups()) for call in calls if call
    ]
    assert plain == [tuple(form) for form in _credentials.FORMS]
    patterns = config["processors"]["redaction"]["blocked_key_patterns"]
    assert patterns[0].replace("$$", "$") == _credentials.KEY


NAMES = {
    "password": True, "db.password": True, "dbPassword": True, "DB_PASSWORD": True, "userpassword": True, "passwd": True,
    "api_key": True, "apiKey": True, "x-api-key": True, "client_secret": True, "refreshToken": True, "token": True,
    "http.request.header.authorization": True, "http.request.header.cookie": True, "cookie.sid": True, "email": True,
    "emailAddress": True, "user.phone": True, "phone_number": True, "userPin": True, "user_pin": True, "iban": True,
    "password_hash": True, "access_tokens": True,
    "gen_ai.token.type": False, "num_valid_tokens": False, "feature.valid_tokens": False, "client.api_key_id": False,
    "email.provider": False, "email_verified": False, "token_count": False, "tokenizer": False, "secretary": False,
    "spin": False, "class_name": False, "monkey": False, "headphones": False, "phone_model": False, "number": False,
    "k8s.secret.name": False, "cookies_enabled": False, "password_length": False,
}  # fmt: skip


def test_names_of_labels(collector: Collector, backend: Backend) -> None:
    """A secret label is hashed, so that two series stay two; every other label keeps its value and type."""
    backend.requests.clear()
    points = [
        {"asInt": str(number), "timeUnixNano": NOW, "startTimeUnixNano": NOW, "attributes": [text(name, f"v{number}")]}
        for name in NAMES
        for number in (1, 2)
    ]
    points.append(
        {
            "asInt": "3",
            "timeUnixNano": NOW,
            "startTimeUnixNano": NOW,
            "attributes": [{"key": "valid_tokens", "value": {"intValue": "5"}}],
        }
    )
    points += [
        {"asInt": "4", "timeUnixNano": NOW, "startTimeUnixNano": NOW, "attributes": [text("note", each)]}
        for each in MASKED
    ]
    sums = {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": points}
    metric = [{"name": "labels", "sum": sums}]
    assert (
        collector.send_json("/v1/metrics", request("Metrics", "metrics", metric, [text("dsn", "redis://:hunter2@r")]))
        == 200
    )
    found = next(each for each in arrived(backend, "metrics", 1) if each["name"] == "labels")["sum"]["dataPoints"]
    labels = [each["attributes"][0] for each in found]
    assert len({json.dumps(label) for label in labels}) == len(points)
    kept = {
        name: {label["value"].get("stringValue") for label in labels if label["key"] == name} == {"v1", "v2"}
        for name in NAMES
    }
    assert kept == {name: not secret for name, secret in NAMES.items()}
    assert [label["value"] for label in labels if label["key"] == "valid_tokens"] == [{"intValue": "5"}]
    assert MASK not in json.dumps(labels)
    assert "hunter2" not in json.dumps([MessageToDict(each) for each in backend.received("/v1/metrics")]).lower()
