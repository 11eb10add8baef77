"""Prometheus tells when it or Alertmanager fails to alert, and a Watchdog tells what cannot be told. With the real servers.

Sources: ministryofjustice/cloud-platform#3543 (Alertmanager could not send to Slack, and nobody knew); cloud-gov/product#1004 (mail does not
get through: tell it elsewhere); giantswarm/prometheus-rules#237 (rules of objectives failed unnoticed); prometheus/alertmanager#4324 and
AndreiGavriliu/homelab#4 (a Watchdog that reaches an ordinary receiver opens an incident).
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import shortened
import yaml
from alertmanager_server import running_alertmanager
from pipeline_servers import eventually, free_ports, prometheus

FACTOR = 600
"""`for: 10m` is 1 s."""
OWN_RULES = {
    "groups": [
        {
            "name": "own",
            "rules": [
                {"alert": "Slow", "expr": "vector(1)", "labels": {"severity": "warning", "team": "payments"}},
                {"record": "broken", "expr": '{__name__=~"scrape_.+"} + on () group_left () up'},
            ],
        }
    ]
}


class Receivers(BaseHTTPRequestHandler):
    """Takes what comes to any receiver but `payments`."""

    seen: set[tuple[str, str]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        receiver = self.path.strip("/")
        self.seen.update((receiver, alert["labels"]["alertname"]) for alert in body["alerts"])
        self.send_response(403 if receiver == "payments" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@pytest.fixture
def receivers() -> Iterator[tuple[str, set[tuple[str, str]]]]:
    """The address of all receivers, and the receiver and name of each alert that came."""
    seen: set[tuple[str, str]] = set()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Receivers,), {"seen": seen})) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", seen
        finally:
            server.shutdown()
            thread.join()


def firing(address: str) -> dict[str, dict[str, str]]:
    """The labels of the alerts that fire, by name."""
    with urllib.request.urlopen(f"{address}/api/v1/alerts") as response:
        alerts: list[dict[str, Any]] = json.load(response)["data"]["alerts"]
    return {each["labels"]["alertname"]: each["labels"] for each in alerts if each["state"] == "firing"}


def test_who_cannot_be_told_is_told_elsewhere(tmp_path: Path, receivers: tuple[str, set[tuple[str, str]]]) -> None:
    """A receiver that refuses, a rule that fails and an Alertmanager that is gone alert; only the watchdog's receiver gets the Watchdog."""
    webhook, seen = receivers
    (port,) = free_ports(1)
    with ExitStack() as both, ExitStack() as only_alertmanager:
        config = shortened.write_alertmanager(tmp_path, webhook, FACTOR)
        alertmanager = only_alertmanager.enter_context(running_alertmanager(config, tmp_path))
        addresses = {"prometheus": f"127.0.0.1:{port}", "alertmanager": alertmanager.removeprefix("http://")}
        path = shortened.write_prometheus(tmp_path, addresses, FACTOR)
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(OWN_RULES))
        content = yaml.safe_load(path.read_text())
        content["rule_files"] = ["alerts/alerting.yaml", "own.yaml"]
        path.write_text(yaml.safe_dump(content))
        address = both.enter_context(prometheus(tmp_path, path, "", "--rules.alert.resend-delay=200ms", port=port))

        eventually(lambda: {("platform-page", "AlertsNotDelivered"), ("platform", "RulesFail")} <= seen)
        refused = firing(address)["AlertsNotDelivered"]
        assert (refused["integration"], refused["reason"]) == ("webhook", "authError")
        assert {each for each in seen if "Watchdog" in each} == {("watchdog", "Watchdog")}
        assert "AlertsNotSent" not in firing(address)

        only_alertmanager.close()
        eventually(lambda: "AlertsNotSent" in firing(address))
