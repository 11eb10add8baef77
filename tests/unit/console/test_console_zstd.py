"""Bodies compressed with zstd, where this Python reads it.

Sources: openobserve/openobserve#13702, open-telemetry/opentelemetry-rust#3083.
"""

from __future__ import annotations

import pytest
from console_feed import PROTOBUF, TRACE, span, traces

from otel_ml.console.receiving import _otlp_http, _zstd
from otel_ml.console.receiving._otlp_http import RefusalError

zstd = pytest.importorskip("backports.zstd")


def test_a_body_of_several_frames_is_stored(console):
    """A Collector with ``compression: zstd`` loses nothing, also if its body has several frames."""
    plain = traces(span()).SerializeToString()
    body = zstd.compress(plain[:9]) + zstd.compress(plain[9:])
    assert console.send("/v1/traces", body, content_type=PROTOBUF, content_encoding="zstd").status == 200
    assert console.ingest.flush(240)
    assert len(console.get(f"/api/traces/{TRACE}")["spans"]) == 1


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (zstd.compress(b"x" * 1000)[:-3], 400, "the zstd body is cut off"),
        (b"not zstd", 400, "the body is not zstd"),
        (zstd.compress(b"\0" * 50_001), 413, "more than 50000 bytes when decompressed"),
        (zstd.compress(b"") * 1001, 400, "more than 1000 members"),
        # a frame that asks for 128 MiB of memory
        (b"\x28\xb5\x2f\xfd\x00\x88" + b"\x01\x00\x00", 400, "the body is not zstd"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(body, status, words):
    """Damage, bombs and frames that want much memory are refused as those of gzip are."""
    with pytest.raises(RefusalError, match=words) as refused:
        _otlp_http.inflate(body, "zstd", 50_000)
    assert refused.value.status == status


@pytest.mark.parametrize(("is_known", "coding", "words"), [
    (False, "zstd", "expected content encoding gzip, deflate or none; zstd needs Python 3.14 or the package backports.zstd"),
    (False, "br", "expected content encoding gzip, deflate or none"),
    (True, "br", "expected content encoding gzip, deflate, zstd or none"),
])  # fmt: skip
def test_an_encoding_that_is_not_known_is_named(monkeypatch, is_known, coding, words):
    """Without a library for zstd the answer says what would read it."""
    monkeypatch.setattr(_zstd, "IS_KNOWN", is_known)
    with pytest.raises(RefusalError) as refused:
        _otlp_http.inflate(b"x", coding, 50_000)
    assert (refused.value.status, refused.value.message) == (415, words)
