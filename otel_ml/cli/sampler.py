"""`otel-ml sampler`: the resource sampler as a process of its own, or one reading of this machine."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from otel_ml.cli._sampler_reading import as_json, as_table

if TYPE_CHECKING:
    from otel_ml.config import Config
    from otel_ml.resource_sampler import ResourceSampler, Source

_EPILOG: Final = """\
examples:
  otel-ml sampler --once                                     what can be read here, as a table
  otel-ml sampler --endpoint http://localhost:4318           the whole machine, every 10 seconds, over OTLP
  otel-ml sampler --mode sidecar --pid 7 --interval 5        in a pod, beside the service; ends with that process
  otel-ml sampler --mode sidecar --name gunicorn             the same; finds the process again when it was restarted
"""
_MODES: Final = ("node", "sidecar", "process")
_SERVICE: Final = "otel-ml-sampler"
_CONFIG_FILE: Final = "OTEL_CONFIG_FILE"
_SHARES_AFTER: Final = 0.25
"""Seconds between the two readings of `--once`; shares of CPU time are their difference."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the sub-command."""
    parser = subparsers.add_parser(
        "sampler",
        help="read CPU, memory, disk, network and GPUs and export them",
        description="Reads CPU, memory, disk, network, container limits and NVIDIA GPUs and exports them over OTLP "
        "until SIGTERM, SIGHUP or Ctrl-C, with status 0; OTEL_* variables are honoured. What cannot be read is left "
        "out, never 0.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--mode",
        choices=_MODES,
        default=_MODES[0],
        help="node: everything; sidecar: the pod's network, a process, container, GPUs; "
        "process: a process, container, GPUs (default: %(default)s)",
    )
    parser.add_argument("--interval", type=_seconds, default=10.0, metavar="SECONDS", help="default: %(default)g")
    watched = parser.add_mutually_exclusive_group()
    watched.add_argument("--pid", type=int, help="the process to read in place of the sampler itself; ends with it")
    watched.add_argument(
        "--name", type=_name, help="the same by its name in /proc/<pid>/comm; found again when it was restarted"
    )
    parser.add_argument("--budget", type=float, metavar="SHARE", help="of one core; above it the interval is stretched")
    parser.add_argument("--per-cpu", action="store_true", help="the host's CPU times of each CPU in place of their sum")
    parser.add_argument("--gpm", action="store_true", help="SM, tensor and memory activity of GPUs, Hopper and later")
    parser.add_argument(
        "--pss", action="store_true", help="the process's proportional memory, once a minute; holds it up"
    )
    parser.add_argument("--service-name", metavar="NAME", help=f"default: OTEL_SERVICE_NAME, else {_SERVICE}")
    parser.add_argument("--endpoint", metavar="URL", help="OTLP receiver; default: OTEL_EXPORTER_OTLP_ENDPOINT")
    parser.add_argument("--once", action="store_true", help="print one reading as a table and end")
    parser.add_argument("--json", action="store_true", help="print one reading as JSON and end")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the sub-command; bad input is one line on standard error and status 2."""
    try:
        if arguments.once or arguments.json:
            return _read_once(arguments)
        return _serve(arguments)
    except ValueError as error:
        print(f"otel-ml sampler: {error}", file=sys.stderr)
        return 2


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.05 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds from 0.05 to 86400")
    return value


def _name(text: str) -> str:
    # an empty variable in a manifest must not have the sampler read itself in the service's place
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def _say(line: str) -> None:
    """One line for whoever reads standard error; nobody may, or a full disk may lie behind it."""
    try:
        sys.stderr.write(f"otel-ml sampler: {line}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # full, closed, or none at all
        pass


def _show_transitions() -> None:
    """What comes and goes is said at level INFO, which nobody shows unless a program asks for it."""
    import logging

    log = logging.getLogger("otel_ml")
    if not log.hasHandlers():
        log.addHandler(logging.StreamHandler())
        log.setLevel(logging.INFO)


def _serve(arguments: argparse.Namespace) -> int:
    from otel_ml.config import ENV_METRIC_INTERVAL, ENV_SERVICE_NAME, Config
    from otel_ml.resource_sampler import is_off

    # the sampler itself first: a wrong option ends here, before anything is set up
    sampler, watched = _sampler(arguments)
    if is_off():
        # no error: a sidecar that ends with one is started again and again
        _say("metrics or the sampler are switched off by the environment: there is nothing to do")
        return 0
    name = arguments.service_name or os.environ.get(ENV_SERVICE_NAME) or _SERVICE
    settings: dict[str, Any] = {"service_name": name, "resource_attributes": _host_name()}
    if arguments.endpoint is not None:
        settings["endpoint"] = arguments.endpoint
    if not os.environ.get(ENV_METRIC_INTERVAL):
        settings["metric_export_interval"] = arguments.interval
    config = Config(**settings)
    if _is_for_nobody(config):
        _say("OTEL_METRICS_EXPORTER is none: there is nothing to do")
        return 0
    _show_transitions()
    stop = _stop_signal()

    def ended() -> bool:
        return arguments.pid is not None and watched is not None and watched() is None

    why = _why_stock(config)
    _say(
        f"{arguments.mode} mode, every {arguments.interval:g} s, "
        f"to {config.metrics.endpoint}{f' through the SDK ({why})' if why else ''}; Ctrl-C ends it"
    )
    if why:
        _through_sdk(sampler, settings, stop, ended)
    else:
        _directly(sampler, config, stop, ended)
    if ended():
        _say(f"process {arguments.pid} has ended, so the sampler ends too")
    return 0


def _stop_signal() -> threading.Event:
    """Set by SIGTERM, Ctrl-C or a terminal that is closed, unless nohup has that ignored."""
    stop = threading.Event()
    numbers = [signal.SIGTERM, signal.SIGINT]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    for number in numbers:
        signal.signal(number, lambda *_: stop.set())
    return stop


def _sampler(arguments: argparse.Namespace) -> tuple[ResourceSampler, Callable[[], int | None] | None]:
    """The sampler that was asked for, and what tells the process that it watches."""
    from otel_ml.resource_sampler import ResourceSampler, sources_of, watched

    sources: tuple[Source, ...] = sources_of(
        arguments.mode,
        pid=watched(name=arguments.name) if arguments.name else arguments.pid,
        utilization=arguments.once or arguments.json,
        per_cpu=arguments.per_cpu,
        pss=arguments.pss,
        gpm=arguments.gpm,
        children=bool(arguments.name or arguments.pid),  # the sampler itself has none
        elect=False,
    )
    return ResourceSampler(arguments.interval, sources=sources, budget=arguments.budget), watched(arguments.pid)


def _host_name() -> dict[str, str]:
    """The host's name as an attribute, unless the environment gives one."""
    import socket

    from otel_ml import semconv
    from otel_ml.config import ENV_RESOURCE_ATTRIBUTES

    is_given = f"{semconv.HOST_NAME}=" in os.environ.get(ENV_RESOURCE_ATTRIBUTES, "")
    return {} if is_given else {semconv.HOST_NAME: socket.gethostname()}


def _is_for_nobody(config: Config) -> bool:
    """Whether the environment asks for no exporter, and nothing else would have the metrics."""
    has_file = bool(os.environ.get(_CONFIG_FILE, "").strip())
    return not config.metrics.exporters and config.prometheus_port is None and not has_file


def _why_stock(config: Config) -> str:
    """Which setting only the SDK can honour; empty when there is none."""
    signal_config = config.metrics
    reasons = {
        _CONFIG_FILE: bool(os.environ.get(_CONFIG_FILE, "").strip()),
        "the exporter": signal_config.exporters != ("otlp",),
        "the protocol": signal_config.protocol != "http/protobuf",
        "the temporality": config.metric_temporality != "cumulative",
        "the histograms": config.histogram_aggregation != "explicit_bucket_histogram",
        "the scrape page": config.prometheus_port is not None,
    }
    return ", ".join(reason for reason, holds in reasons.items() if holds)


def _directly(sampler: ResourceSampler, config: Config, stop: threading.Event, ended: Callable[[], bool]) -> None:
    """Without an SDK: a third of the processor time and half of the memory."""
    import gc

    from otel_ml import semconv
    from otel_ml._instance import Instance
    from otel_ml.config import ENV_METRIC_INTERVAL
    from otel_ml.resource_sampler import DirectExport, keep_files_open

    service = "/".join(filter(None, (config.service_namespace, config.service_name)))
    instance = Instance(service, configured=config.instance_id, folder=config.instance_dir)
    resource = {**config.resource_attributes, semconv.SERVICE_INSTANCE_ID: instance.id}
    keep_files_open()
    gc.freeze()  # what was loaded stays; the collector need not look at it again
    every = config.metric_export_interval if os.environ.get(ENV_METRIC_INTERVAL) else 0.0

    def look() -> bool:
        instance.keep()
        return ended()

    DirectExport(sampler, config=config.metrics, resource=resource, every=every).run(stop, look)
    instance.release()


def _through_sdk(
    sampler: ResourceSampler, settings: dict[str, Any], stop: threading.Event, ended: Callable[[], bool]
) -> None:
    from opentelemetry import metrics

    import otel_ml

    telemetry = otel_ml.configure(**settings)
    # the API's placeholder cannot be flushed: nobody has read the file that would configure an SDK
    if os.environ.get(_CONFIG_FILE, "").strip() and not hasattr(metrics.get_meter_provider(), "force_flush"):
        raise ValueError(
            f"{_CONFIG_FILE} is set, but nothing here reads it: start this by opentelemetry-instrument, or unset it"
        )
    sampler.start()
    if not sampler.is_running:
        raise ValueError("there is no meter provider: there is nothing to do")
    while not stop.wait(1.0) and not ended():
        pass
    # flushed before the sampler stops: a stopped sampler has no points
    telemetry.shutdown(timeout=5.0)
    sampler.stop()


def _read_once(arguments: argparse.Namespace) -> int:
    sampler, _ = _sampler(arguments)
    sampler.sample()
    time.sleep(_SHARES_AFTER)
    snapshot = sampler.sample()
    sampler.close()
    text = json.dumps(as_json(snapshot, arguments.mode), indent=2) if arguments.json else as_table(snapshot)
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        _say(f"what was read cannot be written: {error.strerror}")
        return 1
    return 0 if any(part.readings for part in snapshot.sources) else 1
