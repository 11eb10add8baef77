"""Our own warnings reach somebody in every logging set-up, once, and never end in an error of `logging`.

Sources: EdwinWenink/udacity-ml-fastapi (a plain uvicorn service: no line at all), open-telemetry/opentelemetry-python#2594
(a handler that only exports silences everything), PostHog/posthog#65369 and pytest-dev/pytest#5577, #5282 and #5743 (a
line at exit goes to a captured stream that is closed).
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest
from reserved_ports import free_port

SETUPS = {
    "no logging at all": "otel_ml.configure()",
    "our handler alone": "otel_ml.configure(); otel_ml.instrument_logging()",
    "our handler by configure": "otel_ml.configure(logging=True)",
    "our handler on its own logger": "otel_ml.configure(); otel_ml.instrument_logging('otel_ml')",
    "basicConfig first": "logging.basicConfig(); otel_ml.configure(logging=True)",
    "basicConfig afterwards": "otel_ml.configure(logging=True); logging.basicConfig()",
    "dictConfig that disables other loggers": """
        otel_ml.configure(logging=True)
        logging.config.dictConfig({"version": 1, "handlers": {"h": {"class": "logging.StreamHandler"}},
                                   "root": {"handlers": ["h"]}})
        """,
    "dictConfig for another logger": """
        otel_ml.configure(logging=True)
        logging.config.dictConfig({"version": 1, "handlers": {"h": {"class": "logging.StreamHandler"}},
                                   "loggers": {"service": {"handlers": ["h"]}}})
        """,
    "uvicorn's": """
        from uvicorn.config import LOGGING_CONFIG
        otel_ml.configure(logging=True)
        logging.config.dictConfig(LOGGING_CONFIG)
        """,
    "an SDK handler alone": """
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.instrumentation.logging.handler import LoggingHandler
        logging.getLogger().addHandler(LoggingHandler(logger_provider=LoggerProvider()))
        otel_ml.configure()
        """,
    "a stream that is closed later": """
        captured = io.StringIO()
        logging.basicConfig(stream=captured)
        otel_ml.configure(logging=True)
        captured.close()
        """,
    "a closed stderr that was put in its place": """
        otel_ml.configure(logging=True)
        sys.stderr = io.StringIO()
        sys.stderr.close()
        """,
}


def run(setup: str, rest: str = "") -> str:
    """Runs a service whose receiver is away; returns what is on its stderr."""
    port = free_port()
    lines = ["import io, logging, logging.config, sys", "import otel_ml", textwrap.dedent(setup), textwrap.dedent(rest)]
    lines.append(
        textwrap.dedent("""
        m = otel_ml.Model("m1", task="regression")
        m.track(lambda x: object())({"a": 1})
        otel_ml.configure().force_flush()
        """)
    )
    environment = {
        **{name: text for name, text in os.environ.items() if not name.startswith("OTEL_")},
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
    }
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stderr


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
def test_each_line_reaches_somebody_once(setup):
    """Whatever the service does with its logging, what we have to say is read, and read once."""
    written = run(setup)

    counts = {text: written.count(text) for text in ("cannot export", "never reached", "m1", "Logging error")}
    assert counts == {"cannot export": 1, "never reached": 1, "m1": counts["m1"], "Logging error": 0}, written
    assert counts["m1"] >= 1


@pytest.mark.parametrize(
    "silence",
    [
        "logging.getLogger('otel_ml').setLevel(logging.CRITICAL)",
        "logging.disable(logging.CRITICAL)",
        "logging.getLogger('otel_ml').addHandler(logging.NullHandler()); logging.getLogger('otel_ml').propagate = False",
        "logging.getLogger('otel_ml').addFilter(lambda record: False)",
        "logging.lastResort = None",
    ],
)
def test_a_service_can_silence_us(silence):
    """The usual ways to silence a library work."""
    assert run("otel_ml.configure(logging=True)", silence) == ""


def test_a_handler_that_raises_takes_the_line_from_nobody_else():
    """A broken handler of the service is counted, and the next one has the line."""
    broken = """
        class Broken(logging.Handler):
            def handle(self, record):
                raise ArithmeticError
        logging.getLogger().addHandler(Broken())
        logging.getLogger().addHandler(logging.StreamHandler())
        """

    assert run("otel_ml.configure()", broken).count("cannot export") == 1
