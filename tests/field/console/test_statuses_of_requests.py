"""Statuses of requests by gRPC, and of proxies that send all that they know as text."""

from __future__ import annotations

import grpc
import pytest
from console_feed import span, traces
from opentelemetry.proto.trace.v1.trace_pb2 import Span

GRPC = "rpc.grpc.status_code"
GRPC_NOW = "rpc.response.status_code"


def serve(console, service, statuses):
    """Sends one request for each set of attributes, whose number is its name."""
    sent = []
    for place, attributes in enumerate(statuses):
        own = f"{abs(hash((service, place))) % 2**62:016x}"
        sent.append(span(str(place), trace=own * 2, own=own, attributes=attributes))
        sent[-1].kind = Span.SPAN_KIND_SERVER
    console.feed(traces(*sent, service=service))


def names(console, service, filters):
    """The names of the requests that a filter leaves."""
    return sorted(row["name"] for row in console.get(f"/api/requests?service={service}{filters}")["requests"])


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        ("&status_code=4", "1 10 11 16 3 5 6 7 8 9"),
        ("&status_code=5", "12 13 14 15 2 4"),
        ("&status_code=404", "5"),
        ("&status_code=200", "0"),
        ("&status_code=3", ""),
        ("&status_code=%25", ""),
    ],
)
@pytest.mark.parametrize("form", ["number", "text", "name"])
def test_a_status_of_grpc_is_found_by_its_code_of_http(console, form, filters, left):
    """What a service refuses by gRPC is among the refused requests, by number or name of the status (SigNoz/signoz#1226)."""
    words = [each.name for each in sorted(grpc.StatusCode, key=lambda each: each.value[0])]
    service = f"rpc-{form}"
    statuses = {
        "number": [{GRPC: number} for number in range(17)],
        "text": [{GRPC_NOW: str(number), "z": 1} for number in range(17)],
        "name": [{GRPC_NOW: word} for word in words],
    }
    serve(console, service, statuses[form])
    assert names(console, service, filters) == left.split()


def test_refused_calls_by_grpc_are_counted(console):
    """An error status does not make a missing record a fault of the service (linkerd/linkerd2#3729)."""
    serve(console, "counted", [{GRPC: 5}, {GRPC: 0}, {GRPC: 14}, {GRPC_NOW: "NOT_FOUND"}, {"message": GRPC, "x": 4}])
    (row,) = [each for each in console.get("/api/overview")["services"] if each["service"] == "counted"]
    assert (row["requests"], row["refused"]) == (5, 2)


def test_a_call_by_grpc_over_instrumented_http_has_its_own_status(console):
    """The status of gRPC counts where HTTP has 200 for every call (prometheus-net/prometheus-net#466)."""
    serve(console, "both", [{"http.response.status_code": 200, GRPC: 5}])
    shown = console.send("/requests?service=both").body.decode()
    assert '<span class="code warn">NOT_FOUND</span>' in shown
    assert '<span class="code ">200</span>' not in shown


@pytest.mark.parametrize("name", ["http.response.status_code", "http.status_code"])
def test_a_status_code_may_be_text(console, name):
    """A proxy that sends ``"422"`` has its request refused, not without a status (envoyproxy/envoy#38410)."""
    service = f"proxy-{name}"
    serve(console, service, [{name: "422"}, {name: "503"}, {name: "200"}, {name: "²²²"}, {name: "4" * 5000}])
    rows = {row["name"]: row["status_code"] for row in console.get(f"/api/requests?service={service}")["requests"]}
    assert (rows["0"], rows["1"], rows["2"], rows["3"]) == (422, 503, 200, "²²²")
    shown = console.send(f"/requests?service={service}").body.decode()
    assert '<span class="code warn">422</span>' in shown
    assert '<span class="code bad">503</span>' in shown
    (row,) = [each for each in console.get("/api/overview")["services"] if each["service"] == service]
    assert row["refused"] == 2
