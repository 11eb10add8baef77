"""Lines of loggers that do not reach the root logger are exported by one documented line each, and never twice.

Sources: curie-eng/curie#2536, DiamondLightSource/blueapi#1248, Kludex/uvicorn#944 and GitGuardian/ggmcp#189 (uvicorn's
loggers do not propagate), open-webui/open-webui#25767 (traces of loguru have the values of variables),
open-telemetry/opentelemetry-python#3649 (what structlog passes to its formatter becomes an attribute).
"""

from __future__ import annotations

import logging
import logging.config
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import loguru
import pytest
import structlog
from uvicorn.config import LOGGING_CONFIG

import otel_ml
from otel_ml._telemetry import withholding
from otel_ml.integrations.logging import OTelHandler
from otel_ml.testing import InMemoryTelemetry

NAMES = ("uvicorn", "uvicorn.error", "uvicorn.access", "gunicorn.error", "service.apart")


@pytest.fixture(autouse=True)
def loggers_as_before() -> Iterator[None]:
    """Each test finds the loggers without a configuration and leaves them as they were."""
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [([*logger.handlers], logger.propagate, logger.level, logger.disabled) for logger in loggers]
    for logger in loggers:
        logger.handlers[:] = []
        logger.propagate, logger.level, logger.disabled = True, logging.NOTSET, False
    yield
    for logger, (handlers, *state) in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
        logger.propagate, logger.level, logger.disabled = state
    structlog.reset_defaults()


@pytest.fixture
def kit() -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry("own") as kit:
        yield kit


@pytest.fixture
def withheld() -> Iterator[None]:
    withholding.withhold_exceptions()
    yield
    withholding.withhold_exceptions(withheld=False)


def bodies(kit: InMemoryTelemetry) -> list[str]:
    return [record["body"] for record in kit.logs()]


def fails() -> None:
    row = {"age": "inner value"}  # not on the line that raises
    raise LookupError("hidden value" if row else "")


@pytest.mark.parametrize("order", ["uvicorn first", "uvicorn last", "uvicorn twice", "no configuration"])
def test_lines_of_uvicorn_are_exported_once(kit: InMemoryTelemetry, order: str) -> None:
    """`uvicorn app:app` configures its loggers before the application is imported, `uvicorn.run(app)` afterwards."""
    if order in {"uvicorn first", "uvicorn twice"}:
        logging.config.dictConfig(LOGGING_CONFIG)
    undo = otel_ml.instrument_logging()
    if order in {"uvicorn last", "uvicorn twice"}:
        logging.config.dictConfig(LOGGING_CONFIG)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).warning("of %s", name)
    undo()
    logging.getLogger("uvicorn.error").warning("after the undo")

    expected = ["of uvicorn", "of uvicorn.error"]
    assert bodies(kit) == (expected if order != "no configuration" else [*expected, "of uvicorn.access"])
    assert not any(isinstance(each, OTelHandler) for name in NAMES for each in logging.getLogger(name).handlers)


def test_any_logger_apart_has_a_line_of_its_own(kit: InMemoryTelemetry) -> None:
    """A logger that the service keeps apart stays in the process until it is named; a logger is not sent twice."""
    apart = logging.getLogger("service.apart")
    apart.propagate = False
    undo = [otel_ml.instrument_logging()]
    apart.warning("not yet")
    undo += [otel_ml.instrument_logging("service.apart"), otel_ml.instrument_logging("uvicorn.access")]
    apart.warning("named")
    apart.propagate = True
    apart.warning("both")
    logging.getLogger("uvicorn.access").warning("access")
    [each() for each in undo]

    assert bodies(kit) == ["named", "both", "access"]


def test_a_line_is_printed_once_where_nobody_else_shows_it() -> None:
    """Python's last resort prints a line once, also if two of our handlers receive it."""
    program = """
    import logging
    import otel_ml
    otel_ml.instrument_logging()
    otel_ml.instrument_logging("service")
    logging.getLogger("service").warning("once")
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)

    assert done.stderr.splitlines() == ["once"]


@pytest.mark.parametrize("template", [lambda _: "{message}", "{message}", None], ids=["guide", "text", "default"])
@pytest.mark.parametrize("is_withheld", [False, True])
def test_lines_of_loguru(
    kit: InMemoryTelemetry, request: pytest.FixtureRequest, template: Any, is_withheld: bool
) -> None:
    """They have message, values and error; values of variables, which loguru writes into its traces, are left out."""
    if is_withheld:
        request.getfixturevalue("withheld")
    options: dict[str, Any] = {} if template is None else {"format": template}
    number = loguru.logger.add(OTelHandler(), **options)
    with otel_ml.Model("m").prediction() as prediction:
        loguru.logger.bind(user="u").success("hello {}", 5)
        try:
            fails()
        except LookupError:
            loguru.logger.exception("it failed")
    loguru.logger.remove(number)

    hello, failed = [record for record in kit.logs() if not record["event_name"]]
    assert hello["body"].endswith("hello 5")
    assert failed["body"].endswith("it failed")
    assert hello["severity"] == "SUCCESS"
    assert hello["attributes"].get("extra") == (None if is_withheld else {"user": "u"})
    assert hello["attributes"]["ml.prediction.id"] == prediction.id
    assert failed["attributes"]["exception.type"] == "LookupError"
    assert ("hidden value" in repr(failed)) is not is_withheld
    assert "inner value" not in repr(failed)


def configure_structlog(*last: Callable[..., Any]) -> Any:
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, *last],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return structlog.get_logger("service")


STRUCTLOG: dict[str, tuple[Callable[..., Any], ...]] = {
    "as values": (structlog.stdlib.render_to_log_kwargs,),
    "for a formatter": (structlog.stdlib.ProcessorFormatter.wrap_for_formatter,),
    "with the trace as text": (structlog.processors.format_exc_info, structlog.stdlib.render_to_log_kwargs),
    "with the trace as text, for a formatter": (
        structlog.processors.format_exc_info,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ),
}


@pytest.mark.parametrize("last", STRUCTLOG.values(), ids=STRUCTLOG)
@pytest.mark.parametrize("is_withheld", [False, True])
def test_lines_of_structlog(
    kit: InMemoryTelemetry, request: pytest.FixtureRequest, last: Any, is_withheld: bool
) -> None:
    """The event is the body and its values are attributes, in both usual ways to pass them to `logging`."""
    if is_withheld:
        request.getfixturevalue("withheld")
    log = configure_structlog(*last)
    undo = otel_ml.instrument_logging()
    log.warning("hello", user="u", event_count=3)
    try:
        fails()
    except LookupError:
        log.exception("it failed")
    undo()

    hello, failed = kit.logs()
    own = {key: value for key, value in hello["attributes"].items() if not key.startswith("code.")}
    assert (hello["body"], own) == ("hello", {"user": "u", "event_count": 3, "level": "warning"})
    assert failed["body"] == "it failed"
    assert "LookupError" in repr(failed) or is_withheld
    assert ("hidden value" in repr(failed)) is not is_withheld


def test_a_trace_in_the_text_of_a_line_is_withheld(kit: InMemoryTelemetry, withheld: None) -> None:
    """It ends with the message of the error, no matter which code wrote it."""
    import traceback

    undo = otel_ml.instrument_logging()
    try:
        fails()
    except LookupError:
        logging.getLogger("service").error("it failed: %s", traceback.format_exc())
    undo()

    (record,) = kit.logs()
    assert record["body"] == f"it failed: {withholding.WITHHELD}"
