"""A service without any logging configuration sees its warnings as before."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import logging, otel_ml
{setup}
logging.getLogger("svc").warning("seen")
logging.getLogger("svc").info("not seen")
"""


def stderr_with(setup: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CODE.format(setup=setup)], capture_output=True, text=True, timeout=60, check=True
    )
    return done.stderr.split()


def test_warnings_still_reach_stderr() -> None:
    """Our handler on the root logger does not switch off Python's handler of last resort."""
    assert stderr_with("otel_ml.instrument_logging()") == stderr_with("") == ["seen"]


def test_a_service_with_a_handler_sees_each_line_once() -> None:
    """Where another handler prints, nothing is printed twice."""
    assert stderr_with("logging.basicConfig(format='%(message)s'); otel_ml.instrument_logging()") == ["seen"]


def test_own_warnings_still_reach_stderr() -> None:
    """A warning of otel-ml itself is printed too, although it is not exported."""
    warned = "from otel_ml import _guard; otel_ml.instrument_logging(); _guard.warn('own')"
    assert stderr_with(warned) == ["own", "seen"]
