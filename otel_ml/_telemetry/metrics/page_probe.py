"""Finds out whether a port already serves a scrape page of this service, such as that of another worker."""

from __future__ import annotations

import http.client
from typing import Final

from otel_ml import _guard, _process

_SECONDS: Final = 10.0
"""Seconds that a page may take in all: other workers start and load their models meanwhile."""
_BYTES: Final = 16 * 1024 * 1024
_OURS: Final = b"otelml_"
"""A text that is on each of our scrape pages and on no other page."""
_OK: Final = 200


def page_address(host: str, port: int) -> str:
    """Returns the URL of a scrape page."""
    return f"http://[{host}]:{port}/metrics" if ":" in host else f"http://{host}:{port}/metrics"


def is_page_of(service: str, host: str, port: int) -> bool:
    """Whether the page there carries this service's name; False if it does not answer in time.

    Args:
        service: The `service.name`.
        host: The address of the page.
        port: Its port.
    """
    found: list[bytes] = []

    def read() -> None:
        found.append(_guard.attempt(_page, host, port) or b"")

    # a page that drips would keep the socket's own timeout from expiring
    reader = _process.spawn("otel-ml-page-probe", read)
    if reader is not None:
        reader.join(_SECONDS)
    page = found[0] if found else b""
    return _OURS in page and _label(service) in page


def _page(host: str, port: int) -> bytes:
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        return answer.read(_BYTES) if answer.status == _OK else b""
    finally:
        connection.close()


def _label(service: str) -> bytes:
    """Returns the label as ``target_info`` shows it."""
    escaped = service.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
    return f'service_name="{escaped}"'.encode("utf-8", "replace")
