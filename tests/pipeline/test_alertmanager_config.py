"""deploy/alertmanager as shipped: its routes and texts by amtool, its messages by the real Alertmanager."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import built_servers
import pytest
import yaml
from alertmanager_server import running_alertmanager, send
from pipeline_servers import PROMETHEUS, ROOT, eventually

FOLDER = ROOT / "deploy" / "alertmanager"
CONFIG = FOLDER / "alertmanager.yml"
SECRETS = "/etc/alertmanager/secrets"
SINCE = "2026-01-01T03:00:00Z"
MODEL = {"k8s_cluster_name": "eu", "k8s_namespace_name": "ml", "job": "api", "ml_model_name": "fraud"}
ALERT = {
    "status": "firing",
    "labels": {"alertname": "HighPredictionLatency", "severity": "warning", "team": "search", **MODEL},
    "annotations": {
        "summary": "fraud 1 is slow",
        "description": "95 % of the predictions of api take up to 972.2ms; the limit is 500 ms.",
        "runbook_url": "https://wiki.example.org/runbook#highpredictionlatency",
    },
    "startsAt": SINCE,
    "endsAt": "2026-01-01T04:00:00Z",
    "generatorURL": "http://prometheus.example.org/graph",
}
TEXT = """\
HighPredictionLatency (warning, firing): fraud 1 is slow
95 % of the predictions of api take up to 972.2ms; the limit is 500 ms.
  job: api
  k8s_cluster_name: eu
  k8s_namespace_name: ml
  ml_model_name: fraud
  team: search
  since: 2026-01-01 03:00:00 UTC
Runbook: https://wiki.example.org/runbook#highpredictionlatency
Graph: http://prometheus.example.org/graph
"""


def amtool(*arguments: str, stdin: str = "") -> str:
    command = [str(built_servers.binary("amtool")), *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def loaded() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    return content


def alert_rules() -> list[dict[str, Any]]:
    files = sorted((PROMETHEUS / "alerts").glob("*.yaml"))
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"]]


def test_amtool_accepts_the_configuration() -> None:
    """The configuration and its templates are valid."""
    assert "FAILED" not in amtool("check-config", str(CONFIG))


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"team": "payments", "severity": "critical"}, "payments-page"),
        ({"team": "payments", "severity": "warning"}, "payments"),
        ({"team": "search", "severity": "critical"}, "search-page"),
        ({"team": "search", "severity": "warning"}, "search"),
        ({"severity": "critical"}, "platform-page"),
        ({"severity": "warning"}, "platform"),
        ({"team": "nobody knows", "severity": "critical"}, "platform-page"),
        ({"team": "nobody knows", "severity": "warning"}, "platform"),
        ({"team": "", "severity": "warning"}, "platform"),
        ({}, "platform"),
        ({"alertname": "Watchdog", "severity": "none"}, "watchdog"),
    ],
)
def test_the_team_and_the_severity_choose_the_receiver(labels: dict[str, str], receiver: str) -> None:
    """An alert reaches its team, by severity; one without a known team reaches the platform's."""
    given = [f'{name}="{value}"' for name, value in {"alertname": "X", **labels}.items()]
    assert amtool("config", "routes", "test", "--config.file", str(CONFIG), *given) == receiver


def test_secrets_are_files() -> None:
    """No receiver has a key, a password or a secret address in the file, and each secret is a file of its folder."""
    receivers = loaded()["receivers"]
    text = json.dumps(receivers)
    secret = r'"((?:api_)?url|routing_key|service_key|auth_password|credentials|password|token|api_key)":'
    assert re.findall(secret, text) == []
    files = re.findall(r'"\w+_file": "([^"]+)"', text)
    assert files != []
    assert [file for file in files if not file.startswith(SECRETS + "/")] == []
    named = re.findall(r"^\| `(\w+)` \|", (FOLDER / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {Path(file).name for file in files} == set(named)


def test_inhibitions_name_what_exists() -> None:
    """Each alert and each label of an inhibition is one of our rules."""
    names = {rule["alert"] for rule in alert_rules()}
    rules = loaded()["inhibit_rules"]
    text = json.dumps([[*rule["source_matchers"], *rule["target_matchers"]] for rule in rules])
    used = {name for match in re.findall(r'alertname (?:=|=~|!=) \\"([^"\\]+)', text) for name in match.split("|")}
    assert used - names == set()
    files = [file for kind in ("rules", "alerts") for file in (PROMETHEUS / kind).glob("*.yaml")]
    known = set(re.findall(r"\w+", " ".join(file.read_text(encoding="utf-8") for file in files)))
    assert {label for rule in rules for label in rule["equal"]} - {"alertname"} - known == set()


def render(template: str, *alerts: dict[str, Any], status: str = "firing", **group: str) -> str:
    data = json.dumps({"receiver": "x", "status": status, "alerts": list(alerts), "groupLabels": group})
    given = ["--template.glob", str(FOLDER / "templates" / "*.tmpl"), "--template.data", "/dev/stdin"]
    return amtool("template", "render", *given, "--template.text", f'{{{{ template "{template}" . }}}}', stdin=data)


def test_a_message_says_what_where_how_much_and_what_to_do() -> None:
    """The text has summary, value, labels and the address of the runbook entry; the title is one line."""
    assert render("otelml.text", ALERT) == TEXT.strip()
    assert render("otelml.title", ALERT) == "[FIRING] fraud 1 is slow"
    over = {**ALERT, "status": "resolved"}
    assert "  until: 2026-01-01 04:00:00 UTC\n" in render("otelml.text", over, status="resolved")
    both = render("otelml.title", ALERT, over, ml_model_name="fraud", k8s_cluster_name="eu")
    assert both == "[FIRING] 2 alerts: fraud in eu"


def test_a_message_about_hundreds_of_features_is_short_enough_to_arrive() -> None:
    """A message has the text of ten alerts that fire and of ten that have ended, and says how many there are.

    prometheus/alertmanager#2769: Slack refuses a message with dozens of alerts, which then reach nobody.
    """
    long = {**ALERT, "generatorURL": f"http://prometheus:9090/graph?g0.expr={'x' * 1000}"}
    over = {**long, "status": "resolved", "endsAt": "2026-01-01T04:00:00Z"}
    text = render("otelml.text", *[long] * 500, *[over] * 11)
    assert len(text) < 40_000
    assert [text.count(part) for part in (", firing): ", ", resolved): ")] == [10, 10]
    assert re.findall(r"In all (.*); the first 10 are above", text) == [
        "500 alerts are firing",
        "11 alerts are resolved",
    ]
    assert "In all" not in render("otelml.text", *[ALERT] * 10)


@pytest.mark.parametrize(
    "marked", ["<!channel>", "<@U123>", "<#C1>", "<http://x.example|click>", "<mailto:a@b.example>"]
)
def test_what_requests_say_is_no_mention_and_no_link(marked: str) -> None:
    """A segment or a model with the name of a mention does not call a whole channel; ordinary signs stay.

    target/goalert#2666, eelzon/morgenbot#11.
    """
    told = dict.fromkeys(("summary", "description"), f"worse for {marked}")
    alert = {**ALERT, "labels": {**ALERT["labels"], "ml_model_name": marked}, "annotations": told}
    texts = [render("otelml.text", alert), render("otelml.title", alert)]
    texts.append(render("otelml.title", alert, alert, ml_model_name=marked))
    assert [text for text in texts if marked in text or marked[1:] not in text] == []
    bounds = "score < 0.5, <3, a & b > c"
    assert bounds in render("otelml.text", {**ALERT, "annotations": {"summary": bounds}})


@contextmanager
def recorder() -> Iterator[tuple[str, list[tuple[str, str, Any]]]]:
    """A server that keeps path, authorization and JSON of each request."""
    requests: list[tuple[str, str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            requests.append((self.path, self.headers.get("Authorization", ""), body))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            """Logs nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", requests
        finally:
            server.shutdown()
            thread.join()


def test_receivers_get_their_message_with_the_secrets_of_the_files(tmp_path: Path) -> None:
    """Slack and webhook receivers as shipped take address and token from files and send title, text and runbook."""
    with recorder() as (address, requests):
        for name, content in (
            ("platform_slack_url", address + "/slack"),
            ("search_webhook_url", address + "/hook"),
            ("search_webhook_token", "a token"),
        ):
            (tmp_path / name).write_text(content)
        config = tmp_path / "alertmanager.yml"
        text = CONFIG.read_text(encoding="utf-8").replace(SECRETS, str(tmp_path))
        text = text.replace("templates/*.tmpl", str(FOLDER / "templates" / "*.tmpl"))
        config.write_text(text.replace("group_wait: 30s", "group_wait: 100ms"))
        with running_alertmanager(config, tmp_path) as alertmanager:
            new = {key: value for key, value in ALERT.items() if key not in ("status", "endsAt")}
            critical = {**new, "labels": {**ALERT["labels"], "alertname": "ModelNotServing", "severity": "critical"}}
            of_nobody = {**new, "labels": {k: v for k, v in ALERT["labels"].items() if k != "team"} | {"job": "x"}}
            send(alertmanager, critical, of_nobody)
            eventually(lambda: len(requests) >= 2)
    slack, hook = (next(each for each in requests if each[0] == path) for path in ("/slack", "/hook"))
    attachment = slack[2]["attachments"][0]
    assert attachment["title"] == "[FIRING] fraud 1 is slow"
    assert "972.2ms" in attachment["text"]
    assert "Runbook: https://wiki.example.org/runbook#highpredictionlatency" in attachment["text"]
    assert hook[1] == "Bearer a token"
    assert [each["annotations"] for each in hook[2]["alerts"]] == [ALERT["annotations"]]
