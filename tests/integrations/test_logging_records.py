"""Python logging records through the SDK, and beside other handlers."""

from __future__ import annotations

import gc
import logging
import sys
import threading
import uuid

import pytest
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY, attach, detach, set_value
from opentelemetry.instrumentation.logging.handler import LoggingHandler

from otel_ml import _guard, instrument_logging
from otel_ml.integrations.logging._handler import LOGGERS_KEPT, OTelHandler
from otel_ml.integrations.logging._record_conversion import BODY_LIMIT, EXTRA_LIMIT, VALUE_LIMIT


@pytest.fixture(autouse=True)
def no_models_of_other_tests():
    """A model with sensitive columns withholds exceptions as long as it exists; one may wait to be collected."""
    gc.collect()


@pytest.fixture
def logger():
    """A logger of its own, apart from the root; pytest would put its handlers on one that does not propagate."""
    logger = logging.getLogger(f"test.{uuid.uuid4().hex}")
    logger.parent = None
    logger.setLevel(1)
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)


@pytest.fixture
def sent(memory, logger):
    """Instruments the logger; yields what was sent."""
    instrument_logging(logger, logger_provider=memory.logger_provider, prediction_id=lambda: None)
    return memory.logs


def test_a_record_is_sent_completely(memory, logger):
    """A record has body, severity, code position, plain extras, trace id, span id and prediction id."""
    instrument_logging(logger, logger_provider=memory.logger_provider, prediction_id=lambda: "p-1")
    with memory.tracer_provider.get_tracer("t").start_as_current_span("work") as span:
        logger.warning("%s of %d", "three", 7, extra={"order": "A1", "count": 3, "share": 0.5, "ok": True})

    (record,) = memory.logs()
    context = span.get_span_context()
    attributes = dict(record.attributes)
    line = attributes.pop("code.line.number")
    assert (record.body, record.severity_number, record.severity_text) == ("three of 7", SeverityNumber.WARN, "WARN")
    assert (record.trace_id, record.span_id) == (context.trace_id, context.span_id)
    assert attributes == {
        "order": "A1",
        "count": 3,
        "share": 0.5,
        "ok": True,
        "code.file.path": __file__,
        "code.function.name": "test_a_record_is_sent_completely",
        "ml.prediction.id": "p-1",
    }
    assert line > 0
    assert memory.scopes() == [logger.name]


def test_the_id_is_that_of_the_prediction_in_progress(memory, logger):
    """A record logged inside a prediction carries its id, one outside carries none."""
    import otel_ml

    instrument_logging(logger, logger_provider=memory.logger_provider)
    model = otel_ml.Model("m", version="1", events="off")
    logger.info("outside")
    with model.prediction({"a": 1}, id="p-7") as prediction:
        logger.info("inside")
        prediction.set_output(prediction=1)

    assert [record.attributes.get("ml.prediction.id") for record in memory.logs()] == [None, "p-7"]


@pytest.mark.parametrize(
    ("level", "number", "text"),
    [
        (4, SeverityNumber.TRACE, "Level 4"),
        (10, SeverityNumber.DEBUG, "DEBUG"),
        (15, SeverityNumber.DEBUG4, "Level 15"),
        (20, SeverityNumber.INFO, "INFO"),
        (25, SeverityNumber.INFO4, "Level 25"),
        (30, SeverityNumber.WARN, "WARN"),
        (40, SeverityNumber.ERROR, "ERROR"),
        (41, SeverityNumber.ERROR2, "Level 41"),
        (50, SeverityNumber.FATAL, "FATAL"),
        (99, SeverityNumber.FATAL4, "Level 99"),
    ],
)
def test_levels_become_severities(sent, logger, level, number, text):
    """Standard levels and the steps between them follow the data model."""
    logger.log(level, "x")

    assert [(record.severity_number, record.severity_text) for record in sent()] == [(number, text)]


def test_an_exception_is_sent(sent, logger):
    """Type, message and stack trace of a logged exception are attributes."""
    try:
        raise LookupError("gone")
    except LookupError:
        logger.exception("failed")

    (record,) = sent()
    assert (record.body, record.attributes["exception.type"], record.attributes["exception.message"]) == (
        "failed",
        "LookupError",
        "gone",
    )
    assert record.attributes["exception.stacktrace"].endswith("LookupError: gone\n")


class Hostile:
    def __str__(self):
        raise ValueError

    __repr__ = __format__ = __eq__ = __hash__ = __float__ = __str__


class HostileError(Exception):
    def __str__(self):
        raise ValueError


class Text(str):
    __slots__ = ()

    def __getitem__(self, key):
        raise ValueError


@pytest.mark.parametrize(
    ("message", "args", "extra", "body"),
    [
        ("%d", ("not a number",), {}, "%d"),
        ("%s %s", ("one",), {}, "%s %s"),
        ("%s", (Hostile(),), {}, "%s"),
        (Hostile(), (), {}, "Hostile"),
        ("x", (), {"bad": Hostile(), "none": None, "huge": 2**70, "nan": float("nan")}, "x"),
        ("a\ud800b\x00c\r\nd\te", (), {}, "a\ufffdb\ufffdc\nd\te"),
        ("y" * 10_000_000, (), {}, "y" * BODY_LIMIT),
    ],
)
def test_a_hostile_record_harms_nothing(sent, logger, message, args, extra, body):
    """Whatever is logged: nothing is raised, and what is sent can be encoded."""
    logger.info(message, *args, extra=extra)
    logger.info("next")

    first, second = sent()
    assert (first.body, second.body) == (body, "next")
    assert set(first.attributes) == {"code.file.path", "code.function.name", "code.line.number"}
    first.body.encode()


def test_a_hostile_exception_harms_nothing(sent, logger):
    """An exception without a text is sent with its type."""
    try:
        raise HostileError
    except HostileError:
        logger.exception("failed")

    (record,) = sent()
    assert (record.attributes["exception.type"], "exception.message" in record.attributes) == (
        f"{__name__}.HostileError",
        False,
    )


def test_extras_are_bounded(sent, logger):
    """Many extras, long values and long names are cut."""
    logger.info("x", extra={f"{'k' * 200}{index}": "v" * 100_000 for index in range(3)})
    logger.info("x", extra={f"key{index}": index for index in range(1000)})

    first, second = sent()
    assert first.attributes["k" * 128] == "v" * VALUE_LIMIT
    assert sum(key.startswith("key") for key in second.attributes) == EXTRA_LIMIT


def test_scopes_are_bounded(memory, logger):
    """An unbounded number of loggers does not create an unbounded number of scopes."""
    handler = OTelHandler(logger_provider=memory.logger_provider, prediction_id=lambda: None)
    for index in range(LOGGERS_KEPT + 5):
        handler.handle(logging.makeLogRecord({"name": f"scope.{index}", "msg": "x", "levelno": 20}))

    assert len(set(memory.scopes())) == LOGGERS_KEPT + 1
    assert memory.scopes()[-1] == "otel_ml"


def test_a_second_call_changes_nothing(memory, logger):
    """Instrumenting a logger twice, by object or by name, sends one record."""
    instrument_logging(logger, logger_provider=memory.logger_provider, prediction_id=lambda: None)
    instrument_logging(logger.name)
    logger.info("x")

    assert [record.body for record in memory.logs()] == ["x"]


def test_a_logger_and_its_child_send_once(memory, logger):
    """Handlers on a logger and on one below it send a record once."""
    child = logger.getChild("child")
    for target in (logger, child):
        instrument_logging(target, logger_provider=memory.logger_provider, prediction_id=lambda: None)
    child.info("x")
    child.info("y")

    assert [record.body for record in memory.logs()] == ["x", "y"]


def test_undo_removes_the_handler(memory, logger):
    """After undo nothing is sent, and the logger has its former handlers."""
    undo = instrument_logging(logger, logger_provider=memory.logger_provider)
    undo()
    undo()
    logger.info("x")

    assert (memory.logs(), logger.handlers) == ([], [])


def test_the_level_is_kept(memory, logger):
    """Records below the level are not sent; the logger's own level is unchanged."""
    instrument_logging(logger, logging.ERROR, logger_provider=memory.logger_provider, prediction_id=lambda: None)
    logger.warning("x")
    logger.error("y")

    assert ([record.body for record in memory.logs()], logger.level) == (["y"], 1)


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_beside_a_handler_of_contrib_a_record_is_sent_once(memory, logger, first, caplog):
    """Contrib's handler sends; ours adds the prediction id to the record, in either order."""
    theirs = LoggingHandler(logger_provider=memory.logger_provider)
    undo = None
    if first == "theirs":
        logger.addHandler(theirs)
    undo = instrument_logging(logger, logger_provider=memory.logger_provider, prediction_id=lambda: "p-1")
    if first == "ours":
        logger.addHandler(theirs)
    logger.info("x")
    logger.info("y")

    assert [(record.body, record.attributes["ml.prediction.id"]) for record in memory.logs()] == [
        ("x", "p-1"),
        ("y", "p-1"),
    ]
    assert caplog.messages == []
    undo()
    logger.info("z")
    assert [dict(record.attributes) for record in memory.logs()][2:] == [{}]


def test_our_own_lines_are_not_sent(memory, logger):
    """Lines of the guard, and lines logged during export, do not become telemetry."""
    target = logging.getLogger("otel_ml")
    undo = instrument_logging(target, logger_provider=memory.logger_provider, prediction_id=lambda: None)
    try:
        _guard.warn("ours")
        target.warning("theirs")
        for key in ("suppress_instrumentation", _SUPPRESS_INSTRUMENTATION_KEY):
            token = attach(set_value(key, True))
            target.warning("while exporting")
            detach(token)
    finally:
        undo()

    assert [record.body for record in memory.logs()] == ["theirs"]


def test_lines_of_the_sdk_are_not_sent(memory):
    """The SDK's own lines are not sent: on a broken pipeline each would cause another one."""
    target = logging.getLogger("opentelemetry.sdk.test")
    undo = instrument_logging(target, logger_provider=memory.logger_provider, prediction_id=lambda: None)
    target.error("x")
    undo()

    assert memory.logs() == []


def test_logging_while_a_record_is_sent_does_not_recurse(memory, logger):
    """A processor that logs causes no further record."""

    class Chatty:
        def on_emit(self, log_record):
            logger.info("again")

        def shutdown(self):
            pass

        def force_flush(self, timeout_millis=0):
            return True

    memory.logger_provider.add_log_record_processor(Chatty())
    instrument_logging(logger, logger_provider=memory.logger_provider, prediction_id=lambda: None)
    logger.info("once")

    assert [record.body for record in memory.logs()] == ["once"]


def test_a_pipeline_that_raises_is_counted(memory, logger):
    """An exception in a processor does not reach the code that logs."""

    class Broken:
        def on_emit(self, log_record):
            raise OSError

        def shutdown(self):
            pass

        def force_flush(self, timeout_millis=0):
            return True

    memory.logger_provider.add_log_record_processor(Broken())
    instrument_logging(logger, logger_provider=memory.logger_provider, prediction_id=lambda: None)
    logger.info("x")

    assert _guard.counts() == {"logging.emit": 1}


def test_records_of_many_threads_all_arrive(memory, logger):
    """Many threads at once: every record, each with its own span."""
    instrument_logging(logger, logger_provider=memory.logger_provider, prediction_id=lambda: None)
    tracer = memory.tracer_provider.get_tracer("t")
    expected = []

    def work(index):
        with tracer.start_as_current_span(str(index)) as span:
            expected.append((str(index), span.get_span_context().span_id))
            logger.info("%d", index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted((record.body, record.span_id) for record in memory.logs()) == sorted(expected)


def test_logged_objects_are_not_held(memory, logger):
    """We keep no logged object alive."""
    instrument_logging(logger, logger_provider=memory.logger_provider, prediction_id=lambda: None)

    class Thing:
        pass

    thing = Thing()
    before = sys.getrefcount(thing)
    logger.info("%s", thing, extra={"thing": thing})

    assert sys.getrefcount(thing) == before


def test_the_root_logger_is_the_default(memory):
    """Without an argument the root logger is instrumented; it keeps its level and its other handlers."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    undo = instrument_logging(logger_provider=memory.logger_provider, prediction_id=lambda: None)
    logging.getLogger("anywhere").warning("x")
    undo()

    assert ([record.body for record in memory.logs()], root.handlers, root.level) == (["x"], before, level)


def test_a_filter_on_the_handler_applies(memory, logger):
    """A record that a filter refuses is not sent."""
    instrument_logging(logger, logger_provider=memory.logger_provider, prediction_id=lambda: None)
    logger.handlers[-1].addFilter(lambda record: record.msg != "no")
    logger.info("no")
    logger.info("yes")

    assert [record.body for record in memory.logs()] == ["yes"]


def test_exc_info_without_an_exception_is_nothing(sent, logger):
    """`exc_info=True` outside of a handler adds no exception."""
    logger.info("x", exc_info=True)  # noqa: LOG014

    assert [set(record.attributes) for record in sent()] == [
        {"code.file.path", "code.function.name", "code.line.number"}
    ]
