"""Places that ask for a token, a certificate and a tenant: all that is sent has them, and nothing is lost for want of them.

Sources: open-telemetry/opentelemetry-collector-contrib#27901 and #42800 (a tenant for Mimir), #26557 (for Loki);
candelahq/candela#637 (all is lost when the token of the start expires); open-telemetry/opentelemetry-collector#13477 (what is
refused for the credentials is dropped); grafana/agent#6173 (a user and a password for Grafana Cloud);
rocketride-org/rocketride-server#1612 (a redirect takes the credentials to another host);
follow-redirects/follow-redirects#83 (a redirected POST is a GET);
open-telemetry/opentelemetry-collector-contrib#45953, #44104 and #17031 (a mounted Secret is read once, and never again).
"""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from pathlib import Path

import pytest
import yaml
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pipeline_servers import (
    ROOT,
    Backend,
    Collector,
    collector_environment,
    eventually,
    free_ports,
    otlp_backend,
    running_collector,
)

CLOSED = ("agent.yaml", "hosted.yaml", "authorization.yaml")
CLIENT = {"OTELCOL_CLIENT_CERT_FILE": "client.crt", "OTELCOL_CLIENT_KEY_FILE": "client.key"}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and the certificates of a server on loopback and of a client."""
    folder = tmp_path_factory.mktemp("certificates")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n", encoding="utf-8")
    new = ["req", "-newkey", "rsa:2048", "-nodes"]
    commands = [[*new, "-x509", "-days", "1", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt"]]
    for name in ("server", "client"):
        commands.append([*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr"])
        sign = ["x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
        commands.append([*sign, "-days", "1", "-extfile", "names", "-out", f"{name}.crt"])
    for command in commands:
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
    return folder


def demanding(certificates: Path) -> ssl.SSLContext:
    """Returns the side of a server that asks for a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "server.crt", certificates / "server.key")
    context.load_verify_locations(certificates / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def environment(backend: Backend, folder: Path, **variables: str) -> dict[str, str]:
    """Returns the variables of a Collector that sends to the closed places of one server."""
    own = str(free_ports(4)[3])
    return collector_environment(backend.address, folder, OTELCOL_SELF_PORT=own, **variables)


def one_of_each(
    name: str,
) -> dict[str, ExportTraceServiceRequest | ExportLogsServiceRequest | ExportMetricsServiceRequest]:
    """Returns a span, a log record and a point."""
    traces, logs, metrics = ExportTraceServiceRequest(), ExportLogsServiceRequest(), ExportMetricsServiceRequest()
    traces.resource_spans.add().scope_spans.add().spans.add(trace_id=b"\1" * 16, span_id=b"\2" * 8, name=name)
    logs.resource_logs.add().scope_logs.add().log_records.add(body={"string_value": name})
    gauge = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name=name).gauge
    gauge.data_points.add(as_int=1, time_unix_nano=time.time_ns())
    return {"/v1/traces": traces, "/v1/logs": logs, "/v1/metrics": metrics}


def send(collector: Collector, name: str) -> None:
    """Sends one of each."""
    assert [collector.send(path, request) for path, request in one_of_each(name).items()] == [200] * 3


def arrived(backend: Backend, name: str) -> set[str]:
    """Returns where something with this name has arrived."""
    return {path for path, message in backend.requests if name.encode() in message.SerializeToString()}


EVERYWHERE = {"/prometheus/v1/metrics", "/loki/v1/logs", "/tempo/v1/traces"}


def test_a_new_token_is_read_and_nothing_is_lost(otelcol: Path, certificates: Path, tmp_path: Path) -> None:
    """All places and the Collector's own figures have token, tenant and certificate; what is refused until the new token is there arrives; the stop succeeds."""
    token = tmp_path / "token"
    token.write_text("token-one\n", encoding="utf-8")
    variables = {name: str(certificates / file) for name, file in CLIENT.items()}
    variables |= {
        "OTELCOL_AUTHORIZATION_FILE": str(token),
        "OTELCOL_CA_FILE": str(certificates / "ca.crt"),
        "OTELCOL_TENANT": "0123",
        "LOKI_TENANT": "payments",
        "OTELCOL_SELF_INTERVAL_MS": "500",
    }
    with otlp_backend(demanding(certificates)) as backend:

        def require(value: str) -> None:
            common = {"Authorization": f"Bearer {value}", "X-Scope-OrgID": "0123"}
            backend.required = {"prometheus": common, "tempo": common, "loki": common | {"X-Scope-OrgID": "payments"}}

        require("token-one")
        settings = environment(backend, tmp_path, **variables)
        with running_collector(otelcol, settings, tmp_path, CLOSED) as running:
            send(running, "with token one")
            eventually(lambda: arrived(backend, "with token one") == EVERYWHERE)
            eventually(lambda: arrived(backend, "otelcol_exporter_queue_size"))
            require("token-two")
            send(running, "with token two")
            eventually(lambda: backend.refused >= 3)
            assert arrived(backend, "with token two") == set()
            token.write_text("token-two\n", encoding="utf-8")
            eventually(lambda: arrived(backend, "with token two") == EVERYWHERE)
            assert running.stop() == 0
        log = running.log.read_text(encoding="utf-8")
    assert "401" in log
    assert "token-one" not in log
    assert "token-two" not in log


def test_each_place_has_its_own_password(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """A file for each place, another scheme and another header are sent as they are; a place without a tenant gets none."""
    variables = {"OTELCOL_AUTHORIZATION_SCHEME": "Basic"}
    for place, text in (("PROMETHEUS", "MTpw"), ("LOKI", "Mjpw"), ("TEMPO", "Mzpw")):
        (tmp_path / place).write_text(text, encoding="utf-8")
        variables[f"{place}_AUTHORIZATION_FILE"] = str(tmp_path / place)
        backend.required[place.lower()] = {"Authorization": f"Basic {text}", "X-Scope-OrgID": ""}
    with running_collector(otelcol, environment(backend, tmp_path, **variables), tmp_path, CLOSED) as running:
        send(running, "with token one")
        eventually(lambda: arrived(backend, "with token one") == EVERYWHERE)


def test_a_key_has_a_header_of_its_own(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """With another header and no scheme the header has the key alone."""
    (tmp_path / "key").write_text("a-key", encoding="utf-8")
    variables = {"OTELCOL_AUTHORIZATION_FILE": str(tmp_path / "key"), "OTELCOL_AUTHORIZATION_SCHEME": ""}
    backend.required = dict.fromkeys(["prometheus", "loki", "tempo"], {"x-api-key": "a-key"})
    settings = environment(backend, tmp_path, OTELCOL_AUTHORIZATION_HEADER="x-api-key", **variables)
    with running_collector(otelcol, settings, tmp_path, CLOSED) as running:
        send(running, "with token one")
        eventually(lambda: arrived(backend, "with token one") == EVERYWHERE)


def test_a_page_to_sign_in_is_no_delivery(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """What is redirected to a page or to another host stays in the queue, and arrives when the place takes it."""
    with (
        otlp_backend() as other,
        running_collector(otelcol, collector_environment(backend.address, tmp_path), tmp_path) as running,
    ):
        for status, location in ((302, "/login"), (307, f"http://localhost:{other.port}/v1/logs")):
            backend.status, backend.location, backend.refused = status, location, 0
            send(running, f"with {status}")
            eventually(lambda: backend.refused >= 3)
        assert running.log.read_text(encoding="utf-8").count("redirected to http://") >= 3
        backend.status, backend.location = 200, ""
        eventually(lambda: arrived(backend, "with 302") == arrived(backend, "with 307") == EVERYWHERE)
    assert other.requests == []


def test_a_place_with_an_unknown_certificate_gets_nothing(otelcol: Path, certificates: Path, tmp_path: Path) -> None:
    """Without the authority of the place nothing is sent to it, and the log says why."""
    with otlp_backend(demanding(certificates)) as backend:
        settings = environment(backend, tmp_path)
        with running_collector(otelcol, settings, tmp_path, CLOSED[:2]) as running:
            send(running, "with token one")
            eventually(lambda: "certificate signed by unknown authority" in running.log.read_text(encoding="utf-8"))
    assert backend.requests == []


@pytest.mark.parametrize(
    ("variable", "content", "said"),
    [
        ("OTELCOL_AUTHORIZATION_FILE", None, "OTELCOL_AUTHORIZATION_FILE_or_PROMETHEUS_AUTHORIZATION_FILE"),
        ("OTELCOL_AUTHORIZATION_FILE", " \n", "{file}"),
        ("OTELCOL_CA_FILE", "no certificate", "failed to load CA"),
        ("OTELCOL_CLIENT_CERT_FILE", "no certificate", "both certificate and key"),
    ],
)
def test_a_wrong_file_ends_the_start(
    variable: str, content: str | None, said: str, otelcol: Path, tmp_path: Path
) -> None:
    """A file that is not named, is empty or holds something else ends the start; the message names it."""
    (tmp_path / "token").write_text("token", encoding="utf-8")
    variables = {"OTELCOL_AUTHORIZATION_FILE": str(tmp_path / "token")}
    file = tmp_path / "file"
    if content is None:
        del variables[variable]
    else:
        file.write_text(content, encoding="utf-8")
        variables[variable] = str(file)
    with otlp_backend() as backend:
        settings = environment(backend, tmp_path, **variables)
    configs = [part for name in CLOSED for part in ("--config", str(ROOT / "collector" / name))]
    done = subprocess.run(
        [str(otelcol), *configs], env=settings, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, said.format(file=file) in done.stderr) == (1, True), done.stderr


def test_a_secret_that_kubernetes_swaps_is_read_each_time(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """A mounted Secret is a link to a link that is replaced: senders with the new token are let in, those with the old one are not."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "tokens").symlink_to("..data/tokens")

    def swap(number: int) -> None:
        (secret / f"..{number}").mkdir()
        (secret / f"..{number}" / "tokens").write_text(f"token-{number}\n", encoding="utf-8")
        (secret / "..new").symlink_to(f"..{number}")
        (secret / "..new").replace(secret / "..data")
        shutil.rmtree(secret / f"..{number - 1}", ignore_errors=True)

    swap(1)
    settings = collector_environment(backend.address, tmp_path, OTELCOL_BIND="127.0.0.1")
    settings["OTELCOL_TOKENS_FILE"] = str(secret / "tokens")
    with running_collector(otelcol, settings, tmp_path, ["agent.yaml", "remote.yaml"]) as running:

        def answer(number: int) -> int:
            headers = {"Authorization": f"Bearer token-{number}"}
            return running.send("/v1/traces", ExportTraceServiceRequest(), headers)

        for number in (2, 3, 4):
            swap(number)
            eventually(lambda number=number: answer(number) == 200)
            assert answer(number - 1) == 401


def test_the_files_may_stand_in_any_order(otelcol: Path, tmp_path: Path) -> None:
    """With remote.yaml before or behind, senders need a token of its file and the places get one of theirs."""
    for name in ("tokens", "token"):
        (tmp_path / name).write_text("token\n", encoding="utf-8")
    settings = collector_environment("http://127.0.0.1:1", tmp_path, OTELCOL_BIND="127.0.0.1")
    settings |= {name: str(tmp_path / file) for name, file in (("OTELCOL_TOKENS_FILE", "tokens"),)}
    settings["OTELCOL_AUTHORIZATION_FILE"] = str(tmp_path / "token")
    read = []
    for more in (["remote.yaml", *CLOSED[1:]], [CLOSED[2], CLOSED[1], "remote.yaml"]):
        configs = [part for name in ("agent.yaml", *more) for part in ("--config", str(ROOT / "collector" / name))]
        command = [str(otelcol), "print-config", *configs]
        done = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        read.append(yaml.safe_load(done.stdout))
    assert read[0] == read[1]


def test_a_team_has_its_own_tenant(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """With the file of the page the metrics of a team go to its tenant, and those of all others to the common one."""
    page = (ROOT / "collector" / "README.md").read_text(encoding="utf-8")
    own = next(block for block in page.split("```yaml\n")[1:] if block.startswith("processors:\n  filter/payments"))
    (tmp_path / "teams.yaml").write_text(own.split("```")[0], encoding="utf-8")
    request = ExportMetricsServiceRequest()
    for team in ("payments", "search", ""):
        resource = request.resource_metrics.add()
        if team:
            resource.resource.attributes.add(key="team", value={"string_value": team})
        gauge = resource.scope_metrics.add().metrics.add(name=f"of.{team or 'nobody'}").gauge
        gauge.data_points.add(as_int=1, time_unix_nano=time.time_ns())
    settings = environment(backend, tmp_path, OTELCOL_TENANT="common", OTELCOL_SELF_INTERVAL_MS="60000")
    files = ["agent.yaml", "hosted.yaml", str(tmp_path / "teams.yaml")]
    with running_collector(otelcol, settings, tmp_path, files) as running:
        assert running.send("/v1/metrics", request) == 200
        eventually(lambda: len(backend.requests) >= 2)
    got = {
        tenant: {metric.name for resource in message.resource_metrics for metric in resource.scope_metrics[0].metrics}  # type: ignore[attr-defined]
        for tenant, (_, message) in zip(backend.tenants, backend.requests, strict=True)
    }
    assert got == {"payments": {"of.payments"}, "common": {"of.search", "of.nobody"}}
