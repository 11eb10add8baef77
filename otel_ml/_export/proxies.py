"""The proxy and the certificate authorities of an address, from the variables that `requests` reads as well."""

from __future__ import annotations

import base64
import ipaddress
import os
import sys
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

from otel_ml import _guard

_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_SYSTEMS: Final = frozenset({"darwin", "win32"})
"""Platforms whose system settings may name a proxy."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Proxy(NamedTuple):
    """A proxy that speaks plain HTTP."""

    host: str
    port: int
    authorization: str | None
    """The value of Proxy-Authorization."""

    @property
    def address(self) -> str:
        """Host and port, for messages."""
        return f"{self.host}:{self.port}"


class ProxyError(OSError):
    """A proxy did not open a tunnel; the message says what it answered."""


def find_proxy(url: str) -> Proxy | None:
    """Returns the proxy that HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY name for an address.

    Loopback never has one. A proxy that does not speak HTTP is not used, and one line says so.
    """
    parts = urlsplit(url)
    if not _may_have_proxy() or _is_loopback(parts.hostname or "localhost"):
        return None
    from urllib.request import getproxies, proxy_bypass

    port = parts.port or _DEFAULT_PORTS[parts.scheme]
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or proxy_bypass(f"{parts.hostname}:{port}"):
        return None
    proxy = _guard.attempt(_parse, found)
    if proxy is None:
        _warn_of_unusable(parts.scheme)
    return proxy


def ca_bundle() -> str | None:
    """Returns the file or folder of certificate authorities that the environment names."""
    for variable in _BUNDLES:
        path = os.environ.get(variable, "").strip()
        if path and Path(path).exists():
            return path
        if path:
            _guard.warn_once(variable, f"otel-ml: {variable} is not used: {path!r} does not exist")
    return None


def _may_have_proxy() -> bool:
    return sys.platform in _SYSTEMS or any(name.lower().endswith("_proxy") for name in os.environ)


def _is_loopback(host: str) -> bool:
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _parse(text: str) -> Proxy:
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme != "http" or parts.hostname is None:
        raise ValueError
    return Proxy(parts.hostname, parts.port or _DEFAULT_PORTS["http"], _authorization(parts))


def _authorization(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(user.encode()).decode('ascii')}"


def _warn_of_unusable(scheme: str) -> None:
    _guard.warn_once(
        f"proxy {scheme}",
        f"otel-ml: the proxy in {scheme.upper()}_PROXY or ALL_PROXY is not used: its URL must begin with http://. "
        "Name such a proxy, or add the receiver to NO_PROXY",
    )
