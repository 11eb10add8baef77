"""The service's own logging configuration works as without us, and records are still sent afterwards."""

from __future__ import annotations

import configparser
import inspect
import io
import json
import logging
import logging.config
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from logging.config import dictConfig
from pathlib import Path

import pytest

from otel_ml import instrument_logging
from otel_ml.integrations.instrumentor import LoggingInstrumentor
from otel_ml.integrations.logging._handler import OTelHandler

PLAIN = {"version": 1, "handlers": {"out": {"class": "logging.StreamHandler"}}, "root": {"handlers": ["out"]}}
FILE = """
[loggers]
keys=root
[handlers]
keys=out
[formatters]
keys=
[logger_root]
level=INFO
handlers=out
[handler_out]
class=StreamHandler
args=()
"""
BASIC = 'logging.basicConfig(level="INFO", format="svc %(message)s")'
DICT = """logging.config.dictConfig({
    "version": 1,
    "formatters": {"plain": {"format": "svc %(message)s"}},
    "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "plain"}},
    "root": {"level": "INFO", "handlers": ["out"]},
})"""
FILED = """logging.config.fileConfig(io.StringIO('''
[loggers]
keys=root
[handlers]
keys=out
[formatters]
keys=plain
[logger_root]
level=INFO
handlers=out
[handler_out]
class=StreamHandler
formatter=plain
args=()
[formatter_plain]
format=svc %(message)s
'''))"""
APP = """
import io, logging, logging.config
{setup}
logging.getLogger("app").info("seen")
"""


def bodies(printed):
    """Returns the bodies that the console exporter printed."""
    decoder, found, rest = json.JSONDecoder(), [], printed.strip()
    while rest:
        record, end = decoder.raw_decode(rest)
        found.append(record["body"])
        rest = rest[end:].lstrip()
    return found


def run(*command, **environment):
    variables = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=True, env={**variables, **environment}
    )


@contextmanager
def bare_root():
    """The root logger as a service finds it; pytest's handlers are restored afterwards."""
    root = logging.getLogger()
    before, level, known = list(root.handlers), root.level, list(logging._handlerList)
    loggers = [logger for logger in root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    disabled = [logger for logger in loggers if logger.disabled]
    root.handlers[:], logging._handlerList[:] = [], []
    root.setLevel(logging.WARNING)
    try:
        yield
    finally:
        instrument_logging()()
        root.handlers[:], logging._handlerList[:] = before, known
        root.setLevel(level)
        for logger in loggers:
            logger.disabled = logger in disabled


def instrumented(memory):
    """The root logger, and our handler on it."""
    instrument_logging(logger_provider=memory.logger_provider, prediction_id=lambda: None)
    root = logging.getLogger()
    return root, root.handlers[-1]


@pytest.mark.parametrize("disabled", ["logging", ""], ids=["alone", "beside contrib"])
@pytest.mark.parametrize("setup", [BASIC, DICT, FILED], ids=["basicConfig", "dictConfig", "fileConfig"])
def test_zero_code_leaves_the_services_configuration_alone(tmp_path, setup, disabled):
    """Under `opentelemetry-instrument` the service prints lines in its format, and each record is sent once."""
    app = tmp_path / "app.py"
    app.write_text(APP.format(setup=setup))
    done = run(
        str(Path(sys.executable).with_name("opentelemetry-instrument")),
        *("--traces_exporter", "none", "--metrics_exporter", "none", "--logs_exporter", "console"),
        *(sys.executable, str(app)),
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=disabled,
    )

    sent = [body for body in bodies(done.stdout) if not body.startswith("otel-ml: ")]
    assert (done.stderr.splitlines(), sent) == (["svc seen"], ["seen"])


@bare_root()
def test_basic_config_after_us_applies(memory):
    """`basicConfig` installs the service's handler and level; ours stays behind it, and the record is sent once."""
    root, ours = instrumented(memory)
    stream = io.StringIO()
    logging.basicConfig(level="INFO", format="svc %(message)s", stream=stream)
    logging.getLogger("app").info("seen")

    assert [type(handler) for handler in root.handlers] == [logging.StreamHandler, OTelHandler]
    assert (stream.getvalue(), [record.body for record in memory.logs()]) == ("svc seen\n", ["seen"])


@bare_root()
def test_basic_config_on_a_configured_root_changes_nothing(memory):
    """If the service has a handler, `basicConfig` does nothing, as without us."""
    root, ours = instrumented(memory)
    own = logging.NullHandler()
    root.addHandler(own)
    logging.basicConfig(level="DEBUG")

    assert (root.handlers, root.level) == ([own, ours], logging.WARNING)


@bare_root()
def test_force_does_not_close_ours(memory):
    """`basicConfig(force=True)` closes the service's handlers only."""
    root = logging.getLogger()
    closed = []

    class Closing(logging.NullHandler):
        def close(self):
            closed.append(self)
            super().close()

    own = Closing()
    root.addHandler(own)
    undo = instrument_logging(logger_provider=memory.logger_provider)
    ours = root.handlers[-1]
    ours.close = lambda: closed.append(ours)
    logging.basicConfig(force=True)
    found = list(root.handlers)
    undo()

    assert (closed, found[1:], type(found[0])) == ([own], [ours], logging.StreamHandler)


@pytest.mark.parametrize("more", [{}, {"disable_existing_loggers": True}, {"disable_existing_loggers": False}])
@bare_root()
def test_dict_config_keeps_ours(memory, more):
    """A configuration that replaces the root's handlers leaves ours behind them, still working."""
    root, ours = instrumented(memory)
    logging.config.dictConfig({**PLAIN, **more})
    root.warning("seen")

    assert [type(handler) for handler in root.handlers] == [logging.StreamHandler, OTelHandler]
    assert [record.body for record in memory.logs()] == ["seen"]


@bare_root()
def test_dict_config_imported_by_name_keeps_ours(memory):
    """`dictConfig` imported by name before us does the same."""
    root, ours = instrumented(memory)
    dictConfig(PLAIN | {"disable_existing_loggers": False})

    assert dictConfig is not logging.config.dictConfig
    assert [type(handler) for handler in root.handlers] == [logging.StreamHandler, OTelHandler]
    assert root.handlers[-1] is ours


@bare_root()
def test_an_incremental_configuration_keeps_ours(memory):
    """Levels change, handlers stay."""
    root, ours = instrumented(memory)
    logging.config.dictConfig({"version": 1, "incremental": True, "root": {"level": "ERROR"}})

    assert (root.handlers, root.level) == ([ours], logging.ERROR)


@bare_root()
def test_file_config_keeps_ours(memory):
    """A configuration file that replaces the root's handlers leaves ours behind them, still working."""
    root, ours = instrumented(memory)
    parser = configparser.ConfigParser()
    parser.read_string(FILE)
    logging.config.fileConfig(parser, disable_existing_loggers=False)
    root.info("seen")

    assert [type(handler) for handler in root.handlers] == [logging.StreamHandler, OTelHandler]
    assert [record.body for record in memory.logs()] == ["seen"]


@bare_root()
def test_ours_on_another_logger_is_kept(memory):
    """Our handlers on a configured logger and on one below it are restored once, and work meanwhile."""
    targets = [logging.getLogger("setup.service"), logging.getLogger("setup.service.part")]
    undos = [instrument_logging(target, logger_provider=memory.logger_provider) for target in targets]
    handlers = [target.handlers[0] for target in targets]
    during = []

    def factory():
        during.extend(list(target.handlers) for target in targets)
        return logging.Formatter()

    configured = {"setup.service": {"level": "INFO", "handlers": ["out"]}}
    logging.config.dictConfig({**PLAIN, "formatters": {"own": {"()": factory}}, "loggers": configured})
    logging.config.dictConfig({"version": 1, "incremental": True})
    found = [list(target.handlers) for target in targets]
    for target in targets:
        target.warning("seen")
    for undo in undos:
        undo()

    assert [type(handler) for handler in found[0]] == [logging.StreamHandler, OTelHandler]
    assert (during, found[0][-1:], found[1]) == ([handlers[:1], handlers[1:]], handlers[:1], handlers[1:])
    assert [record.body for record in memory.logs()] == ["seen", "seen"]


@bare_root()
def test_an_error_of_the_service_passes(memory):
    """An exception of the function passes unchanged, and our handler is restored."""
    root, ours = instrumented(memory)
    raised = KeyError("svc")

    def broken():
        raise raised

    with pytest.raises(ValueError, match="Unable to configure formatter") as caught:
        logging.config.dictConfig({**PLAIN, "formatters": {"broken": {"()": broken}}})
    with pytest.raises(ValueError, match="Unrecognised argument"):
        logging.basicConfig(nonsense=1)

    assert caught.value.__cause__ is raised
    assert root.handlers[-1:] == [ours]


@bare_root()
def test_a_configuration_inside_a_configuration(memory):
    """A factory that configures and instruments itself leaves one handler of ours, restored at the end."""
    root, ours = instrumented(memory)
    during = []

    def factory():
        logging.basicConfig()
        instrument_logging()
        during.append(list(root.handlers))
        return logging.Formatter()

    logging.config.dictConfig({**PLAIN, "formatters": {"own": {"()": factory}}})

    assert [[type(handler) for handler in handlers] for handlers in during] == [[logging.StreamHandler]]
    assert [type(handler) for handler in root.handlers] == [logging.StreamHandler, OTelHandler]
    assert root.handlers[-1] is ours


@bare_root()
def test_an_undo_inside_a_configuration_holds(memory):
    """A handler undone while a configuration runs is not restored."""
    root = logging.getLogger()
    undo = instrument_logging(logger_provider=memory.logger_provider)

    def factory():
        undo()
        return logging.Formatter()

    logging.config.dictConfig({**PLAIN, "formatters": {"own": {"()": factory}}})

    assert [type(handler) for handler in root.handlers] == [logging.StreamHandler]


@bare_root()
def test_a_handler_that_the_service_removed_stays_removed(memory):
    """A handler that the service itself removed is not restored."""
    root = logging.getLogger()
    undo = instrument_logging(logger_provider=memory.logger_provider, prediction_id=lambda: None)
    root.removeHandler(root.handlers[-1])
    logging.basicConfig()

    assert [type(handler) for handler in root.handlers] == [logging.StreamHandler]
    undo()  # or the loggers of uvicorn keep it


@bare_root()
def test_no_lock_is_held_while_the_service_configures(memory):
    """Another thread can instrument and undo while a configuration waits in the service's code."""
    root, ours = instrumented(memory)
    target = logging.getLogger("setup.other")

    def factory():
        def work():
            instrument_logging(target)()
            finished.set()

        finished = threading.Event()
        logging._releaseLock() if hasattr(logging, "_releaseLock") else logging._lock.release()
        try:
            threading.Thread(target=work, daemon=True).start()
            assert finished.wait(240)
        finally:
            logging._acquireLock() if hasattr(logging, "_acquireLock") else logging._lock.acquire()
        return logging.Formatter()

    logging.config.dictConfig({**PLAIN, "formatters": {"own": {"()": factory}}})

    assert root.handlers[-1] is ours


@bare_root()
def test_the_functions_look_as_before(memory):
    """Name, documentation and signature of the functions are kept."""
    instrumented(memory)
    functions = (logging.basicConfig, logging.config.dictConfig, logging.config.fileConfig)

    assert [(function.__name__, str(inspect.signature(function))) for function in functions] == [
        ("basicConfig", "(**kwargs)"),
        ("dictConfig", "(config)"),
        ("fileConfig", "(fname, defaults=None, disable_existing_loggers=True, encoding=None)"),
    ]
    assert "basic configuration" in logging.basicConfig.__doc__


UNDONE = """
import functools, logging, logging.config
from otel_ml import instrument_logging
from otel_ml.integrations.instrumentor import LoggingInstrumentor

def functions():
    config = logging.config
    return [logging.basicConfig, config.dictConfig, config.fileConfig, config.DictConfigurator.configure]

before = functions()
first, second = instrument_logging(), instrument_logging("svc")
wrapped = functions()
again = instrument_logging()
assert functions() == wrapped != before
first()
again()
assert functions() == wrapped
second()
second()
assert functions() == before

instrumentor = LoggingInstrumentor()
instrumentor.instrument()
assert functions() != before
instrumentor.uninstrument()
assert functions() == before

undo = instrument_logging()
below = logging.basicConfig

@functools.wraps(below)
def other(**settings):
    below(**settings)

logging.basicConfig = other
undo()
assert functions() == [other, *before[1:]]
logging.basicConfig()
assert len(logging.root.handlers) == 1
undo = instrument_logging()
logging.basicConfig(force=True)
assert len(logging.root.handlers) == 2
undo()
assert functions() == [other, *before[1:]]
"""


def test_the_functions_are_restored():
    """The last undo restores the functions; one that another library wrapped since stays and passes calls through."""
    assert run(sys.executable, "-c", UNDONE).stderr == ""


@bare_root()
def test_the_instrumentor_keeps_ours_behind_too(memory):
    """A handler installed by the instrumentor stays behind the service's handlers until it is undone."""
    root = logging.getLogger()
    instrumentor = LoggingInstrumentor()
    instrumentor.instrument(logger_provider=memory.logger_provider)
    logging.basicConfig()
    found = [type(handler) for handler in root.handlers]
    instrumentor.uninstrument()

    assert (found, [type(handler) for handler in root.handlers]) == (
        [logging.StreamHandler, OTelHandler],
        [logging.StreamHandler],
    )
