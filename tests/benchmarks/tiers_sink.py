"""The back end of tiers.py: keeps what arrives, by sender, and says what of it is lost, twice or split; as a program a server.

The first part of a path names the Collector that sent a request.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from sink import Handler

REQUESTS: list[tuple[str, bytes, str]] = []
"""Path, body and encoding: nothing is decoded while the Collectors are measured."""


@dataclass
class Report:
    """What has arrived."""

    spans: Counter[tuple[bytes, bytes]] = field(default_factory=Counter)
    """By trace and span id."""
    gateways: defaultdict[bytes, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The senders of each trace."""
    events: Counter[str] = field(default_factory=Counter)
    """By prediction id."""
    series: dict[tuple[Any, ...], tuple[str, int]] = field(default_factory=dict)
    """The sender and the time of the last point of each series."""
    by_sender: Counter[str] = field(default_factory=Counter)
    """Spans by sender."""
    out_of_order: int = 0
    moved: int = 0

    def take(self, path: str, body: bytes) -> None:
        """Reads one request."""
        sender = path.split("/")[1]
        if path.endswith("/v1/traces"):
            self._take_traces(sender, ExportTraceServiceRequest.FromString(body))
        elif path.endswith("/v1/logs"):
            self._take_logs(ExportLogsServiceRequest.FromString(body))
        else:
            self._take_metrics(sender, ExportMetricsServiceRequest.FromString(body))

    def _take_traces(self, sender: str, request: ExportTraceServiceRequest) -> None:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.spans[span.trace_id, span.span_id] += 1
                    self.gateways[span.trace_id].add(sender)
                    self.by_sender[sender] += 1

    def _take_logs(self, request: ExportLogsServiceRequest) -> None:
        for resource in request.resource_logs:
            for scope in resource.scope_logs:
                for record in scope.log_records:
                    found = [each.value.string_value for each in record.attributes if each.key == "ml.prediction.id"]
                    self.events.update(found)

    def _take_metrics(self, sender: str, request: ExportMetricsServiceRequest) -> None:
        for resource in request.resource_metrics:
            source = _key(resource.resource.attributes)
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in getattr(metric, str(metric.WhichOneof("data"))).data_points:
                        self._take_point((source, metric.name, _key(point.attributes)), sender, point.time_unix_nano)

    def _take_point(self, series: tuple[Any, ...], sender: str, time: int) -> None:
        last = self.series.get(series, (sender, 0))
        self.moved += last[0] != sender
        self.out_of_order += time < last[1]
        self.series[series] = (sender, time)

    def figures(self) -> dict[str, Any]:
        """Returns the counts."""
        spans_of = Counter(trace for trace, _ in self.spans)
        return {
            "spans": len(self.spans),
            "spans_twice": self.spans.total() - len(self.spans),
            "traces": len(spans_of),
            "spans_of_a_trace": dict(sorted(Counter(spans_of.values()).items())),
            "split": sum(len(senders) > 1 for senders in self.gateways.values()),
            "events": len(self.events),
            "events_twice": self.events.total() - len(self.events),
            "series": len(self.series),
            "points_out_of_order": self.out_of_order,
            "series_moved": self.moved,
            "by_sender": dict(sorted(self.by_sender.items())),
        }


def _key(attributes: Iterable[Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((each.key, str(each.value)) for each in attributes))


REPORT = Report()


class Keeping(Handler):
    """Accepts everything; ``GET`` returns the figures so far."""

    disable_nagle_algorithm = True

    def take(self, body: bytes, encoding: str) -> None:
        REQUESTS.append((self.path, body, encoding))

    def do_GET(self) -> None:
        while REQUESTS:
            path, body, encoding = REQUESTS.pop(0)
            REPORT.take(path, gzip.decompress(body) if encoding == "gzip" else body)
        self._answer(json.dumps(REPORT.figures()).encode(), "application/json")


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Keeping)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
