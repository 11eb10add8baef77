"""The answer to OTLP/gRPC at the port of OTLP/HTTP: a status of gRPC that says where it goes.

Without it a sender logs that it cannot parse HTTP/2. It tries again either way, so nothing is lost by the mistake.
"""

from __future__ import annotations

from typing import Final

BEGIN: Final = b"PRI * HTTP/2.0"
"""How a connection begins whose client knows that it wants HTTP/2, as gRPC does."""
_PREFACE: Final = 24
"""Bytes before the first frame of a client."""
_HEAD: Final = 9
"""Bytes before the content of a frame: length, type, flags, stream."""
_MOST: Final = 64 << 10
"""Bytes of a connection that are looked at; the call begins long before."""
_HEADERS, _SETTINGS, _GOAWAY = 1, 4, 7
_ACK: Final = 1
_ENDS: Final = 1 | 4
"""Flags of headers: the last of the stream, and complete."""
_STATUS_200: Final = b"\x88"
"""`:status 200` in the table that HTTP/2 has for headers."""
_UNAVAILABLE: Final = "14"
"""Status of gRPC after which a sender keeps its records."""


class NoGrpc:
    """Answers the first call of one connection."""

    def __init__(self, grpc_port: int | None) -> None:
        elsewhere = "" if grpc_port is None else f"; OTLP/gRPC is received at port {grpc_port}"
        self._message = f"this port receives OTLP over HTTP (OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf){elsewhere}"
        self._received = bytearray()
        self._place = _PREFACE
        self._is_answered = False

    def receive(self, data: bytes) -> bytes:
        """Returns what is sent after these bytes, of a connection that began with `BEGIN`."""
        answer = b"" if self._received else _frame(_SETTINGS)
        if self._is_answered or len(self._received) > _MOST:
            return answer
        self._received += data
        while not self._is_answered and len(self._received) >= self._place + _HEAD:
            head = self._received[self._place : self._place + _HEAD]
            self._place += _HEAD + int.from_bytes(head[:3], "big")
            stream = int.from_bytes(head[5:], "big")
            if head[3] == _SETTINGS and not head[4] & _ACK:
                answer += _frame(_SETTINGS, _ACK)
            elif head[3] == _HEADERS:
                answer += _frame(_HEADERS, _ENDS, stream, self._headers())
                answer += _frame(_GOAWAY, 0, 0, head[5:] + bytes(4))
                self._is_answered = True
        return answer

    def _headers(self) -> bytes:
        pairs = {"content-type": "application/grpc", "grpc-status": _UNAVAILABLE, "grpc-message": self._message}
        return _STATUS_200 + b"".join(b"\x00" + _text(name) + _text(value) for name, value in pairs.items())


def _text(plain: str) -> bytes:
    """A text in the form of HPACK, shorter than 127 + 128 bytes."""
    data = plain.encode("ascii")
    rest = len(data) - 127
    return (bytes([len(data)]) if rest < 0 else bytes([127, rest])) + data


def _frame(kind: int, flags: int = 0, stream: int = 0, content: bytes | bytearray = b"") -> bytes:
    return len(content).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + content
