"""The Collector in front of a console that has a token."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from pipeline_servers import Backend, Collector, collector_environment, eventually, running_collector

TOKEN = "a-token-of-32-letters-and-digits"
SPAN = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "checkout"}
SPAN |= {"startTimeUnixNano": "1796040000000000000", "endTimeUnixNano": "1796040000000000001"}


@pytest.fixture
def console() -> Iterator[str]:
    """The address of a console with the token."""
    command = [sys.executable, "-m", "otel_ml", "console", "--json", "--port", "0", "--database", ":memory:"]
    given = os.environ | {"OTEL_ML_CONSOLE_TOKEN": TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=given) as process:
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.terminate()


@pytest.fixture
def environment(console: str, backend: Backend, tmp_path: Path) -> dict[str, str]:
    """The variables of a Collector that sends to the console too, without the token."""
    return collector_environment(backend.address, tmp_path) | {"CONSOLE_OTLP_ENDPOINT": console}


def started(otelcol: Path, environment: dict[str, str], folder: Path, token: str) -> AbstractContextManager[Collector]:
    given = environment | {"OTEL_ML_CONSOLE_TOKEN": token}
    return running_collector(otelcol, given, folder, ("agent.yaml", "console.yaml"))


def send(collector: Collector) -> None:
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [SPAN]}]}]}).encode()
    headers = {"content-type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{collector.address}/v1/traces", body, headers), timeout=60).close()


def has_span(console: str) -> bool:
    """Whether the span is in the console."""
    wanted = urllib.request.Request(
        f"{console}/api/traces/{SPAN['traceId']}", headers={"authorization": f"Bearer {TOKEN}"}
    )
    with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(wanted, timeout=60) as answer:
        return [span["name"] for span in json.load(answer)["spans"]] == ["checkout"]
    return False


def test_the_collector_sends_the_token(
    otelcol: Path, console: str, environment: dict[str, str], tmp_path: Path
) -> None:
    """With `console.yaml` and the console's variable, spans are in the console."""
    with started(otelcol, environment, tmp_path, TOKEN) as collector:
        send(collector)
        eventually(lambda: has_span(console))


@pytest.mark.parametrize("token", ["", "another-token-of-32-letters-and-"])
def test_with_a_wrong_token_nothing_is_lost(
    otelcol: Path, console: str, environment: dict[str, str], tmp_path: Path, token: str
) -> None:
    """What the console refuses stays in the Collector's queue, and arrives after a restart with the right token."""
    with started(otelcol, environment, tmp_path, token) as collector:
        send(collector)
        eventually(lambda: "401" in collector.log.read_text())
    assert not has_span(console)
    with started(otelcol, environment, tmp_path, TOKEN):
        eventually(lambda: has_span(console))
