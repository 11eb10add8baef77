"""The query APIs of the local servers: Prometheus, VictoriaLogs and Jaeger."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

PREDICT_SPAN_PREFIX = "predict "
TRACE_LIMIT = 100_000
LOOK_BACK_SECONDS = 86_400


class Servers:
    """The query APIs of the three servers."""

    def __init__(self, prometheus: str, victoria_logs: str, jaeger: str) -> None:
        self._prometheus = prometheus.rstrip("/")
        self._victoria_logs = victoria_logs.rstrip("/")
        self._jaeger = jaeger.rstrip("/")

    def promql(self, query: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        data = self._json(f"{self._prometheus}/api/v1/query", query=query)["data"]
        if data["resultType"] in ("scalar", "string"):
            return [{"metric": {}, "value": data["result"]}]
        result: list[dict[str, Any]] = data["result"]
        return result

    def value(self, query: str) -> float:
        """The sum of an instant query, 0 when it has no result."""
        return sum(float(series["value"][1]) for series in self.promql(query))

    def figures(self, query: str) -> list[tuple[dict[str, str], float]]:
        """The labels and the value of each series of an instant query."""
        return [(series["metric"], float(series["value"][1])) for series in self.promql(query)]

    def recording_rules(self) -> list[dict[str, Any]]:
        groups = self._json(f"{self._prometheus}/api/v1/rules", type="record")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def exemplars(self, query: str) -> list[dict[str, Any]]:
        """All exemplars of the last day, newest last."""
        now = time.time()
        series = self._json(
            f"{self._prometheus}/api/v1/query_exemplars", query=query, start=now - LOOK_BACK_SECONDS, end=now + 60
        )["data"]
        found = [exemplar for each in series for exemplar in each["exemplars"]]
        return sorted(found, key=lambda exemplar: float(exemplar["timestamp"]))

    def logsql(self, query: str) -> list[dict[str, Any]]:
        body = _get(f"{self._victoria_logs}/select/logsql/query", query=query)
        return [json.loads(line) for line in body.splitlines() if line.strip()]

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of one trace, none if Jaeger does not know it."""
        try:
            traces = self._json(f"{self._jaeger}/api/traces/{trace_id}")["data"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise
        return [span for trace in traces for span in trace["spans"]]

    def prediction_traces(self) -> set[str]:
        """The ids of the traces that hold a prediction's span."""
        now = int(time.time() * 1_000_000)
        window = {"start": now - LOOK_BACK_SECONDS * 1_000_000, "end": now + 60_000_000, "limit": TRACE_LIMIT}
        found: set[str] = set()
        for service in self._json(f"{self._jaeger}/api/services")["data"] or []:
            operations = self._json(f"{self._jaeger}/api/operations", service=service)["data"] or []
            names = {each["name"] for each in operations if each["name"].startswith(PREDICT_SPAN_PREFIX)}
            for name in names:
                query = {"service": service, "operation": name, **window}
                traces = self._json(f"{self._jaeger}/api/traces", **query)["data"]
                found.update(trace["traceID"] for trace in traces)
        return found

    def _json(self, address: str, **parameters: object) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(_get(address, **parameters))
        return answer


def _get(address: str, **parameters: object) -> str:
    query = urllib.parse.urlencode({name: str(value) for name, value in parameters.items()})
    with urllib.request.urlopen(f"{address}?{query}", timeout=60.0) as response:
        text: str = response.read().decode("utf-8")
    return text
