"""The token of a console: read from a file or a variable, or made."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from typing import TYPE_CHECKING, Final

from otel_ml import semconv
from otel_ml.console._options import ConsoleError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FORM: Final = re.compile(r"[A-Za-z0-9._~+/=-]{16,512}")
"""What a bearer token may have (RFC 6750): the same text works in a header and in `OTEL_EXPORTER_OTLP_HEADERS`."""
_EXPECTED: Final = "expected one line of 16 to 512 letters, digits and . _ ~ + / = -"


def read_token(file: Path | None, environment: Mapping[str, str]) -> str | None:
    """Returns the token in a file, else that in the environment, else None.

    Raises:
        ConsoleError: The file cannot be read, or the text is no token.
    """
    if file is not None:
        try:
            return _checked(file.read_text(encoding="utf-8-sig"), f"--token-file {file}")
        except OSError as error:
            raise ConsoleError(f"--token-file {file}: {error.strerror or error}") from error
        except UnicodeDecodeError as error:
            raise ConsoleError(f"--token-file {file}: {_EXPECTED}") from error
    text = environment.get(semconv.ENV_CONSOLE_TOKEN, "")
    return _checked(text, semconv.ENV_CONSOLE_TOKEN) if text.strip() else None


def make_token(file: Path) -> bool:
    """Writes a new token to a file that does not exist; False if it does.

    Raises:
        ConsoleError: The file cannot be written.
    """
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as made:
            made.write(secrets.token_urlsafe(32) + "\n")
    except FileExistsError:
        return False
    except OSError as error:
        raise ConsoleError(f"--token-file {file}: {error.strerror or error}") from error
    return True


class Token:
    """Compares texts with the token in constant time, and signs with it."""

    def __init__(self, token: str) -> None:
        self._digest = _digest(token)

    def is_token(self, text: str) -> bool:
        """Whether a text is the token."""
        return hmac.compare_digest(_digest(text), self._digest)

    def is_bearer(self, authorization: str) -> bool:
        """Whether the header `Authorization` has the token."""
        scheme, _, text = authorization.partition(" ")
        return scheme.lower() == "bearer" and self.is_token(text.strip())

    def sign(self, text: str) -> str:
        """Returns what nobody without the token can make of a text."""
        return hmac.digest(self._digest, text.encode("utf-8"), "sha256").hex()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def _checked(text: str, source: str) -> str:
    token = text.strip()
    if _FORM.fullmatch(token) is None:
        raise ConsoleError(f"{source}: {_EXPECTED}")
    return token
