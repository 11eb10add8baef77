"""Checks telemetry for `otel-ml doctor`: sends one span, one log record and one collection, and reports on each."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import asdict, dataclass, replace
from time import monotonic, time_ns
from typing import Final, Literal

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import Context

from otel_ml import _guard, _process, semconv
from otel_ml._export.answers import Answer
from otel_ml._export.ledger import Ledger
from otel_ml._export.transport import Transport
from otel_ml._telemetry.configure import Telemetry, decide
from otel_ml._telemetry.delivery import _transports
from otel_ml._telemetry.delivery._outbox import signal_settings
from otel_ml._telemetry.engine import OwnEngine
from otel_ml._telemetry.environment_check import misread_variables, without_effect
from otel_ml._telemetry.ids import RANDOM
from otel_ml._telemetry.metrics.page_probe import is_page_of, page_address
from otel_ml._telemetry.ports import Mode
from otel_ml.config import SIGNALS, Config, Signal, SignalConfig, remarks

State = Literal["taken", "refused", "not_reached", "not_sent", "console", "scraped", "not_exported"]

_CHECK: Final = "otel-ml doctor"
"""Name of the span and body of the log record, so that a back end shows where they come from."""
_LAST_SECONDS: Final = 1.0
_EVERY_TRACE: Final = 2**64
"""Bound of a sampling rule that samples every trace."""
_TEXTS: Final[dict[State, str]] = {
    "taken": "taken by {endpoint} ({protocol})",
    "refused": "refused: {detail} from {endpoint} ({protocol})",
    "not_reached": "not reached: {detail} at {endpoint} ({protocol})",
    "not_sent": "not sent: {detail}",
    "console": "written by the console exporter",
    "scraped": "scraped at {detail}",
    "not_exported": "not exported ({detail})",
}
_BAD_CREDENTIALS: Final = frozenset({"HTTP 401", "HTTP 403", "gRPC UNAUTHENTICATED", "gRPC PERMISSION_DENIED"})
_GOOD: Final[frozenset[State]] = frozenset({"taken", "console", "scraped", "not_exported"})


@dataclass(frozen=True)
class SignalResult:
    """The result for one signal; as text, one line for people."""

    state: State
    endpoint: str
    protocol: str
    detail: str = ""

    def __str__(self) -> str:
        text = _TEXTS[self.state].format(**asdict(self))
        return f"{text}, {self.detail}" if self.state == "taken" and self.detail else text


@dataclass(frozen=True)
class Checked:
    """What the check has found.

    Attributes:
        mode: The mode that `configure` would choose here.
        notes: One line for each fact about the set-up, and for each setting that is probably a mistake.
        misread: One line for each variable whose name or value is not understood.
        outcomes: By signal; empty unless the mode is own.
        ledger: By signal, when the time for the check was over.
    """

    mode: Mode
    notes: list[str]
    misread: list[str]
    outcomes: dict[Signal, SignalResult]
    ledger: dict[str, Ledger]

    @property
    def is_exported(self) -> bool:
        """Whether any signal is exported."""
        return any(outcome.state != "not_exported" for outcome in self.outcomes.values())

    @property
    def is_delivered(self) -> bool:
        """Whether any signal is exported and every such signal was taken."""
        return self.is_exported and all(outcome.state in _GOOD for outcome in self.outcomes.values())

    @property
    def verdict(self) -> str:
        """Why nothing was checked; empty if something was."""
        if self.mode == "guest":
            return "not checked: another SDK exports from this process"
        return "" if self.is_exported else "nothing is exported, so nothing was checked"


def check(config: Config, timeout: float) -> Checked:
    """Checks telemetry in this process; in own mode it sends one record of each signal.

    It uses an engine of its own and leaves the OTel globals as they are. The check itself takes at most ``timeout``
    seconds.

    Raises:
        ConfigError: A setting cannot be honoured.
    """
    mode, why = decide()
    misread, probable_mistakes = misread_variables(os.environ), remarks(config)
    if mode != "own":
        notes = Telemetry(mode, config, None, why).notes()
        return Checked(mode, [*notes, *probable_mistakes], misread, {}, {})
    notes, outcomes, ledger = _check_own(config, timeout)
    notes = [f"mode: {mode}", *notes, *probable_mistakes, *without_effect(os.environ)]
    return Checked(mode, notes, misread, outcomes, ledger)


def _check_own(config: Config, timeout: float) -> tuple[list[str], dict[Signal, SignalResult], dict[str, Ledger]]:
    transports, is_taken = _RecordingTransports(), _is_taken(config)
    engine = OwnEngine(_without_page(config) if is_taken else config, make_transport=transports)
    try:
        is_sampled = _send(engine, timeout)
        ledger = engine.ledger()
        outcomes = {
            signal: _outcome(signal, signal_settings(config, signal), transports, ledger[signal]) for signal in SIGNALS
        }
        if engine.page is not None and outcomes["metrics"].state == "not_exported":
            outcomes["metrics"] = replace(outcomes["metrics"], state="scraped", detail=engine.page.address)
        if not is_sampled and outcomes["traces"].state != "not_exported":
            outcomes["traces"] = _unsampled(engine, outcomes["traces"])
        notes = engine.notes()
        if is_taken:
            state, detail = _other_page(engine, config)
            if state == "scraped" and outcomes["metrics"].state != "not_exported":
                notes.append(f"metrics: scrape page at {detail}")
            else:
                outcomes["metrics"] = replace(outcomes["metrics"], state=state, detail=detail)
        return notes, outcomes, ledger
    finally:
        engine.shutdown(monotonic() + _LAST_SECONDS)


def _without_page(config: Config) -> Config:
    return replace(config, prometheus_port=None, metrics_exporter=",".join(config.metrics.exporters) or "none")


def _is_taken(config: Config) -> bool:
    """Whether the scrape page's port is taken, as it is when the service itself runs here."""
    if not config.prometheus_port:
        return False
    try:
        family = socket.AF_INET6 if ":" in config.prometheus_host else socket.AF_INET
        with socket.create_server((config.prometheus_host, config.prometheus_port), family=family):
            return False
    except OSError as error:
        return error.errno == errno.EADDRINUSE  # the engine reports any other error


def _other_page(engine: OwnEngine, config: Config) -> tuple[State, str]:
    """Returns the result for metrics when another process has the port of the scrape page."""
    host, port = config.prometheus_host, config.prometheus_port
    if port and is_page_of(str(engine.resource.attributes.get(semconv.SERVICE_NAME)), host, port):
        return "scraped", f"{page_address(host, port)}, where this service runs"
    return "not_sent", f"the scrape page's port {port} is taken, and no page of this service answers there"


class _RecordingTransport:
    """A transport that keeps the last answer."""

    def __init__(self, transport: Transport) -> None:
        self.endpoint = transport.endpoint
        self.answer: Answer | None = None
        self._transport = transport

    def post(self, body: bytes, timeout: float) -> Answer:
        self.answer = self._transport.post(body, timeout)
        return self.answer

    def close(self) -> None:
        self._transport.close()

    def abandon(self) -> None:
        self._transport.abandon()


class _RecordingTransports:
    """Makes the transports of an engine and keeps the first of each signal; later ones replay the spool."""

    def __init__(self) -> None:
        self._transports: dict[Signal, _RecordingTransport] = {}

    def __call__(self, signal: Signal, config: SignalConfig) -> Transport:
        transport = _RecordingTransport(_transports.make_transport(signal, config))
        self._transports.setdefault(signal, transport)
        return transport

    def answer(self, signal: Signal) -> Answer | None:
        return self._transports[signal].answer


def _send(engine: OwnEngine, timeout: float) -> bool:
    """Sends all three signals at the same time; returns whether the span was sampled."""
    deadline = monotonic() + timeout
    collecting = _process.spawn("otel-ml-check", _guard.attempt, engine.meter_provider.force_flush, timeout * 1000)
    span = engine.tracer(semconv.SCOPE).start_span(_CHECK, context=_parent(engine))
    engine.logger_provider.get_logger(semconv.SCOPE).emit(
        timestamp=time_ns(),
        context=trace.set_span_in_context(span),
        severity_number=SeverityNumber.INFO,
        severity_text="INFO",
        body=_CHECK,
    )
    span.end()
    engine.flush_records(deadline)
    if collecting is not None:
        collecting.join(max(0.0, deadline - monotonic()))
    return span.get_span_context().trace_flags.sampled


def _parent(engine: OwnEngine) -> Context:
    """Returns no parent if every trace is sampled, else a sampled one whose id is below the bound of any ratio."""
    rule = engine.sampling_rule
    if rule is not None and rule.bound >= _EVERY_TRACE:
        return Context()
    trace_id = (RANDOM.trace_id() >> 64 | 1) << 64
    sampled = trace.TraceFlags(trace.TraceFlags.SAMPLED)
    context = trace.SpanContext(trace_id, RANDOM.span_id(), is_remote=False, trace_flags=sampled)
    return trace.set_span_in_context(trace.NonRecordingSpan(context), Context())


def _outcome(signal: Signal, settings: SignalConfig, transports: _RecordingTransports, account: Ledger) -> SignalResult:
    outcome = SignalResult("not_exported", settings.address, settings.protocol)
    if not settings.exporters:
        return replace(outcome, detail=f"OTEL_{signal.upper()}_EXPORTER=none")
    if not _transports.has_otlp(settings):
        return replace(outcome, state="console")
    state, detail = _read(transports.answer(signal))
    if account.spooled and state != "taken":
        detail = f"{detail}; {account.spooled} in the spool"
    return replace(outcome, state=state, detail=detail)


def _read(answer: Answer | None) -> tuple[State, str]:
    if answer is None:
        return "not_reached", "no answer in time"
    if answer.kind == "accepted" and not answer.rejected:
        return "taken", answer.detail
    if answer.kind == "accepted":
        return "refused", f"{answer.rejected} of the records"
    if answer.detail in _BAD_CREDENTIALS:
        return "refused", f"{answer.detail} (check the credentials in OTEL_EXPORTER_OTLP_HEADERS)"
    return ("not_reached" if answer.kind == "retry" else "refused"), answer.detail


def _unsampled(engine: OwnEngine, outcome: SignalResult) -> SignalResult:
    """Explains why the span was not sampled: an SDK sampler never samples, or a foreign one decided so."""
    if engine.sampling_rule is not None:
        return replace(outcome, state="not_exported", detail="OTEL_TRACES_SAMPLER samples nothing")
    return replace(outcome, state="not_sent", detail="the sampler did not take the span of the check")
