"""The retry rule of every export: which answers are worth another attempt, and how long to wait before it.

Source: OTLP specification 1.9, "OTLP/HTTP Response" and "OTLP/gRPC Response".
"""

from __future__ import annotations

import random
import re
import time
from typing import Final

HTTP_STATUSES: Final = frozenset({429, 502, 503, 504})
"""Every other failure is final."""
GRPC_CODES: Final = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"})
"""Every other failure is final, but for RESOURCE_EXHAUSTED when the receiver says how long to wait."""
FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 5.0
"""Seconds. The queue must hold what is produced until the first attempt after an outage."""
LONGEST_WAIT: Final = 300.0
"""Seconds. A longer wait that a receiver asks for is cut to it: one wrong answer must not silence a signal."""
_FLOOR: Final = 0.1
"""Share of our own pause that is kept when the receiver asks for a shorter one, so that a zero is no tight loop."""
_JITTER: Final = random.SystemRandom()
"""Has no state that a forked child could share with its parent."""


def pause(attempt: int, asked: float | None = None, *, first: float = FIRST_PAUSE) -> float:
    """Returns the seconds before the next attempt: exponential, with jitter, or what the receiver asked for.

    Args:
        attempt: Retries so far.
        asked: What `read_retry_after` gave.
        first: The pause before the first retry.
    """
    own = min(first * 2.0 ** min(attempt, 16), LONGEST_PAUSE) * _JITTER.uniform(0.8, 1.2)
    return own if asked is None else max(asked, own * _FLOOR)


def read_retry_after(text: str | None) -> float | None:
    """Reads a Retry-After header, in seconds or as a date; None if it is missing or malformed."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]+", text.strip()):
        return bounded(float(text))
    from email.utils import parsedate_to_datetime

    try:
        return bounded(parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def bounded(seconds: float) -> float:
    """Limits a wait that a receiver asks for."""
    return min(max(0.0, seconds), LONGEST_WAIT)
