"""Checks of endpoints and headers; no message shows credentials."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from otel_ml.config._checks import ConfigError, shown
from otel_ml.config._environment import ENV_OTLP, Signal

_GRPC_SCHEMES: Final = frozenset({"dns", "unix", "unix-abstract", "ipv4", "ipv6", "vsock", "xds", "google-c2p"})
"""What gRPC resolves by itself: its name resolution document."""
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A header's name by RFC 9110, section 5.6.2."""
_GRPC_NAME: Final = re.compile(r"[0-9a-z_.\-]+")
"""A header's name by gRPC's document on HTTP/2; those that end in ``-bin`` hold bytes."""


def checked_url(name: str, url: Any, protocol: str) -> str:
    """Returns the URL; raises ConfigError unless it is one that the protocol can use."""
    try:
        parts = urlsplit(url)
        port = parts.port
        is_plain = url.isprintable() and " " not in url
    except (ValueError, TypeError, AttributeError):
        raise ConfigError(f"{name} is {_shown_url(url)}: use a URL such as http://localhost:4318") from None
    if protocol == "grpc" and is_plain and ("://" not in url or parts.scheme in _GRPC_SCHEMES):
        return str(url)
    if not is_plain or parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ConfigError(
            f"{name} is {_shown_url(url)}: use a URL with http:// or https://, such as http://localhost:4318"
        )
    return str(url)


def signal_url(url: str, signal: Signal | None = None) -> str:
    """Returns where requests go: the path of a signal is joined to that of the URL; a fragment is left out."""
    parts = urlsplit(url)
    path = parts.path if signal is None else f"{parts.path.rstrip('/')}/v1/{signal}"
    return urlunsplit(parts._replace(path=path, fragment=""))


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


def checked_headers(headers: Mapping[Any, Any], protocol: str) -> dict[str, str]:
    """Returns the headers with lower-case names.

    Raises:
        ConfigError: The protocol cannot carry a header, so that every export would fail. The message shows neither its
            name nor its value: both may hold a token.
    """
    checked: dict[str, str] = {}
    for place, (key, value) in enumerate(headers.items(), 1):
        setting = f"headers ({ENV_OTLP}HEADERS): entry {place}"
        highest = "\x7e" if protocol == "grpc" else "\xff"
        if not isinstance(value, str) or not value.isprintable() or max(value, default="") > highest:
            raise ConfigError(f"{setting} is not plain text: use key=value text only")
        if not isinstance(key, str) or not _is_name(key, protocol):
            raise ConfigError(f"{setting} has a name that {protocol} cannot carry: {_name_remedy(key)}")
        checked[key.lower()] = value
    return checked


def _is_name(key: str, protocol: str) -> bool:
    if protocol != "grpc":
        return _TOKEN.fullmatch(key) is not None and not key.startswith("'")
    name = key.lower()
    return _GRPC_NAME.fullmatch(name) is not None and not name.endswith("-bin")


def _name_remedy(key: Any) -> str:
    text = key if isinstance(key, str) else ""
    if text[:1] in {"'", '"'}:
        return "remove the quotes around the whole value, which are part of this name"
    if ":" in text:
        return "write name=value, as in authorization=Bearer%20TOKEN, not name: value"
    return "use letters, digits, - and _ only"
