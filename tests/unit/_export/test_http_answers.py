"""The answer table of OTLP over HTTP."""

from __future__ import annotations

import time
from email.utils import formatdate

import otlp_receiver
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from otlp_receiver import Reply

from otel_ml._export.answers import Answer, read_http_answer
from otel_ml._export.http_response import BODY_BYTES
from otel_ml._export.transport import HttpTransport
from otel_ml.config import Config, ConfigError

receiver = otlp_receiver.receiver


@pytest.mark.parametrize("status", [200, 202, 204])
def test_success_is_2xx(status):
    """Any 2xx takes the request."""
    assert read_http_answer("traces", status, b"") == Answer("accepted")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, "rejected"),
        (307, "rejected"),
        (400, "rejected"),
        (401, "rejected"),
        (404, "rejected"),
        (408, "rejected"),
        (413, "too_large"),
        (429, "retry"),
        (500, "rejected"),
        (502, "retry"),
        (503, "retry"),
        (504, "retry"),
    ],
)
def test_failures_follow_the_specification(status, kind):
    """Only 429, 502, 503 and 504 are tried again."""
    assert read_http_answer("logs", status, b"") == Answer(kind, f"HTTP {status}")


def test_partial_success_is_read():
    """The number of refused records is read from the response."""
    message = ExportMetricsServiceResponse()
    message.partial_success.rejected_data_points = 4

    assert read_http_answer("metrics", 200, message.SerializeToString()) == Answer("accepted", rejected=4)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"partialSuccess": {"rejectedSpans": "3"}}', Answer("accepted", rejected=3)),
        (b'{"partialSuccess": {"rejectedSpans": 3, "errorMessage": "no"}}', Answer("accepted", "with a warning", 3)),
        (b'{"partialSuccess": {"rejectedSpans": "-3"}}', Answer("accepted")),
        (b'{"partialSuccess": null}', Answer("accepted")),
        (b'{"status": "ok"}', Answer("accepted")),
        (b"{}", Answer("accepted")),
        (b"", Answer("accepted")),
        (b"null", Answer("accepted", "with an answer that cannot be read")),
        (b"[" * 60_000, Answer("accepted", "with an answer that cannot be read")),
        (b'{"partialSuccess": {"rejectedSpans": 1e400}}', Answer("accepted", "with an answer that cannot be read")),
        (b"\xff", Answer("accepted", "with an answer that cannot be read")),
    ],
    ids=["text", "number", "negative", "unset", "other", "object", "empty", "null", "deep", "infinite", "binary"],
)
def test_partial_success_is_read_from_json(body, expected):
    """A JSON response with its content type is understood; other JSON changes nothing."""
    assert read_http_answer("traces", 200, body, media_type="Application/JSON; charset=utf-8") == expected


@pytest.mark.parametrize(
    ("body", "kind", "remark"),
    [
        (b"OK", "text/plain", "with an answer that is not OTLP"),
        (b"ok", "text/html; charset=utf-8", "with an answer that is not OTLP"),
        (b"\xff" * 40, "application/x-protobuf", "with an answer that cannot be read"),
        (b"", "text/html", ""),
    ],
    ids=["text", "text as html", "garbage", "empty"],
)
def test_an_unreadable_answer_is_success(body, kind, remark):
    """The status says that the request was taken; the body is worth a remark at most."""
    assert read_http_answer("traces", 200, body, media_type=kind) == Answer("accepted", remark)


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/x-protobuf", "application/json", ""])
@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>Log in", b"\n <html>", b"\xef\xbb\xbf<?xml version='1.0'?>"])
def test_a_web_page_is_no_acceptance(page, kind):
    """A captive portal or a proxy has taken nothing, whatever status and content type its page has."""
    assert read_http_answer("traces", 200, page, media_type=kind) == Answer(
        "rejected", "HTTP 200 and a web page: this is not an OTLP receiver, or a proxy answered"
    )


def test_a_long_page_is_recognised_by_its_beginning(receiver):
    """A page beyond the bytes that are read of an answer is still a page."""
    receiver.script["traces"] = [Reply(body=b"<html>" + b"x" * 2 * BODY_BYTES, headers={"content-type": "text/html"})]
    transport = HttpTransport("traces", Config(endpoint=receiver.url).traces)

    assert transport.post(b"", 5.0).kind == "rejected"
    transport.close()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5", 5.0),
        ("0", 0.0),
        ("9" * 400, 300.0),
        ("-1", None),
        ("nan", None),
        ("1e3", None),
        ("soon", None),
        (formatdate(0, usegmt=True), 0.0),
        ("Mon, 01 Jan 99999 00:00:00 GMT", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, seconds):
    """Both forms of the header are understood; anything else is ignored."""
    assert read_http_answer("traces", 503, b"", text).retry_after == seconds


def test_retry_after_in_the_future():
    """A date is turned into the seconds until then."""
    waits = read_http_answer("traces", 503, b"", formatdate(time.time() + 100, usegmt=True)).retry_after

    assert 90 < waits <= 100


def test_a_refused_connection_is_worth_a_retry():
    """Without a connection the transport returns an answer and does not raise."""
    transport = HttpTransport("traces", Config(endpoint="http://127.0.0.1:9").traces)

    assert transport.post(b"", 2.0) == Answer("retry", "connection refused or host unknown")
    transport.close()


def test_tls_to_a_receiver_without_tls_is_named(receiver):
    """A wrong scheme shows as a TLS failure."""
    transport = HttpTransport("traces", Config(endpoint=receiver.url.replace("http:", "https:")).traces)

    assert transport.post(b"", 2.0) == Answer("retry", "TLS failed")
    transport.close()


@pytest.mark.parametrize("name", ["CERTIFICATE", "CLIENT_KEY", "CLIENT_CERTIFICATE"])
def test_a_missing_certificate_file_is_named_at_once(monkeypatch, tmp_path, name):
    """A wrong path fails before any traffic, by the variable's name."""
    monkeypatch.setenv(f"OTEL_EXPORTER_OTLP_{name}", str(tmp_path / "none.pem"))

    with pytest.raises(ConfigError, match=f"OTEL_EXPORTER_OTLP_{name} names .* correct the path"):
        HttpTransport("traces", Config(endpoint="https://x:1").traces)
