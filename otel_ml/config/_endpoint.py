"""Checks of endpoints and headers; no message shows credentials."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from otel_ml.config._checks import ConfigError, shown
from otel_ml.config._environment import ENV_OTLP


def checked_url(name: str, url: Any, protocol: str) -> str:
    """Returns the URL; raises ConfigError unless it is one that the protocol can use."""
    try:
        parts = urlsplit(url)
        port = parts.port
        is_plain = url.isprintable() and " " not in url
    except (ValueError, TypeError, AttributeError):
        raise ConfigError(f"{name} is {_shown_url(url)}: use a URL such as http://localhost:4318") from None
    if protocol == "grpc" and "://" not in url and is_plain:
        return str(url)
    if not is_plain or parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ConfigError(
            f"{name} is {_shown_url(url)}: use a URL with http:// or https://, such as http://localhost:4318"
        )
    return str(url)


def _shown_url(url: Any) -> str:
    """Returns a URL for a message, without anything before the host, even if it is malformed."""
    if not isinstance(url, str):
        return shown(url)
    scheme, mark, rest = _split(url)
    return shown(f"{scheme}{mark}{rest.rpartition('@')[2]}")


def _split(url: str) -> tuple[str, str, str]:
    scheme, mark, rest = url.partition("://")
    return (scheme, mark, rest) if mark else ("", "", url)


def without_credentials(url: str) -> tuple[str, dict[str, str]]:
    """Returns the URL without user and password, and the header that carries them (RFC 7617)."""
    scheme, mark, rest = _split(url)
    end = next((place for place, sign in enumerate(rest) if sign in "/?#"), len(rest))
    user, at, host = rest[:end].rpartition("@")
    if not at:
        return url, {}
    name, _, password = user.partition(":")
    encoded = base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode("ascii")
    return f"{scheme}{mark}{host}{rest[end:]}", {"authorization": f"Basic {encoded}"}


def checked_headers(headers: Mapping[Any, Any]) -> dict[str, str]:
    """Returns the headers with lower-case names; raises ConfigError for one that HTTP cannot carry."""
    checked: dict[str, str] = {}
    for place, (key, value) in enumerate(headers.items(), 1):
        if not isinstance(key, str) or not isinstance(value, str) or not _is_header(key, value):
            raise ConfigError(f"headers ({ENV_OTLP}HEADERS): entry {place} is not plain text: use key=value text only")
        checked[key.lower()] = value
    return checked


def _is_header(key: str, value: str) -> bool:
    # with other characters every export would fail
    return key.isascii() and (key + value).isprintable() and max(value, default="") <= "\xff"
