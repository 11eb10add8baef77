"""The Collector in front of a console that has a token."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from pipeline_servers import Backend, collector_environment, eventually, running_collector

TOKEN = "a-token-of-32-letters-and-digits"
SPAN = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "checkout"}
SPAN |= {"startTimeUnixNano": "1796040000000000000", "endTimeUnixNano": "1796040000000000001"}


def test_the_collector_sends_the_token(otelcol: Path, backend: Backend, tmp_path: Path) -> None:
    """With `console.yaml` and the console's variable, spans are in the console."""
    command = [sys.executable, "-m", "otel_ml", "console", "--json", "--port", "0", "--database", ":memory:"]
    given = os.environ | {"OTEL_ML_CONSOLE_TOKEN": TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=given) as console:
        try:
            assert console.stdout is not None
            address = json.loads(console.stdout.readline())["address"]
            environment = collector_environment(backend.address, tmp_path)
            environment |= {"CONSOLE_OTLP_ENDPOINT": address, "OTEL_ML_CONSOLE_TOKEN": TOKEN}
            with running_collector(otelcol, environment, tmp_path, ("agent.yaml", "console.yaml")) as collector:
                body = {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}
                sent = urllib.request.Request(
                    f"{collector.address}/v1/traces", json.dumps(body).encode(), {"content-type": "application/json"}
                )
                urllib.request.urlopen(sent, timeout=10).close()
                wanted = urllib.request.Request(
                    f"{address}/api/traces/{SPAN['traceId']}", headers={"authorization": f"Bearer {TOKEN}"}
                )

                def arrived() -> bool:
                    with (
                        contextlib.suppress(urllib.error.HTTPError),
                        urllib.request.urlopen(wanted, timeout=10) as answer,
                    ):
                        return [span["name"] for span in json.load(answer)["spans"]] == ["checkout"]
                    return False

                eventually(arrived)
        finally:
            console.terminate()
