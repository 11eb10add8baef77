"""`otel-ml sampler`: the resource sampler as a process of its own, or one reading of this machine."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from otel_ml.cli._arguments import add_json, number, whole
from otel_ml.cli._sampler_reading import as_json, as_table
from otel_ml.cli._terminal import CommandError, say

if TYPE_CHECKING:
    from otel_ml.config import Config
    from otel_ml.resource_sampler import ResourceSampler, Source

_EPILOG: Final = """\
examples:
  otel-ml sampler --once                                     one reading of this machine, as a table
  otel-ml sampler --endpoint http://localhost:4318           the whole machine, every 10 seconds, over OTLP
  otel-ml sampler --mode sidecar --pid 7 --interval 5        in a pod, beside the service; ends with that process
  otel-ml sampler --mode sidecar --name gunicorn             the same; finds the process again after a restart
  otel-ml sampler --host-root /host                          in a DaemonSet that mounts the host's root at /host
"""
_MODES: Final = ("node", "sidecar", "process")
_SERVICE: Final = "otel-ml-sampler"
_CONFIG_FILE: Final = "OTEL_CONFIG_FILE"
_SHARES_AFTER: Final = 0.25
"""Seconds between the two readings of `--once`; shares of CPU time are their difference."""


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = (
        "Reads CPU, memory, disk, network, container limits and NVIDIA GPUs and exports them over OTLP until SIGTERM, "
        "SIGHUP or Ctrl-C, then ends with 0; OTEL_* variables are honoured. A figure that cannot be read is left out, "
        "never 0. --once and --json end with 1 if nothing could be read."
    )
    parser.epilog = _EPILOG
    _define_target(parser)
    _define_readings(parser)
    parser.add_argument("--service-name", metavar="NAME", help=f"default: OTEL_SERVICE_NAME, else {_SERVICE}")
    parser.add_argument("--endpoint", metavar="URL", help="OTLP receiver; default: OTEL_EXPORTER_OTLP_ENDPOINT")
    parser.add_argument("--once", action="store_true", help="print one reading as a table and end")
    add_json(parser, "one reading")


def _define_target(parser: argparse.ArgumentParser) -> None:
    """Adds what is read, and how often."""
    parser.add_argument(
        "--mode",
        choices=_MODES,
        default=_MODES[0],
        help="node: everything; sidecar: the pod's network, a process, container, GPUs; "
        "process: a process, container, GPUs (default: %(default)s)",
    )
    parser.add_argument(
        "--interval",
        type=number(0.05, 86400, "seconds"),
        default=10.0,
        metavar="SECONDS",
        help="time between two readings (default: %(default)g)",
    )
    watched = parser.add_mutually_exclusive_group()
    watched.add_argument(
        "--pid", type=whole(1, 2**31 - 1), help="the process to read instead of the sampler itself; ends with it"
    )
    watched.add_argument(
        "--name", type=_name, help="the same by its name in /proc/<pid>/comm; found again after a restart"
    )


def _define_readings(parser: argparse.ArgumentParser) -> None:
    """Adds what a reading contains and may cost."""
    parser.add_argument("--budget", type=float, metavar="SHARE", help="of one core; above it the interval is stretched")
    parser.add_argument("--per-cpu", action="store_true", help="the host's CPU times for each CPU instead of their sum")
    parser.add_argument(
        "--mount",
        action="append",
        metavar="POINT",
        help="a mount point to report instead of all local file systems, as of a network one; may be repeated",
    )
    parser.add_argument(
        "--host-root",
        metavar="FOLDER",
        help="in a container: where the host's root is mounted; mode node reads its proc and sys",
    )
    parser.add_argument("--gpm", action="store_true", help="SM, tensor and memory activity of GPUs, Hopper and later")
    parser.add_argument(
        "--pss",
        action="store_true",
        help="the process's proportional memory, once a minute; reading it pauses the process",
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints one reading, or exports until a signal ends it; 1 if the one reading is empty."""
    try:
        if arguments.once or arguments.json:
            return _read_once(arguments)
        return _serve(arguments)
    except ValueError as error:
        raise CommandError(error) from error


def _name(text: str) -> str:
    # with an empty variable in a manifest the sampler would read itself instead of the service
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def _say(line: str) -> None:
    say("otel-ml sampler", line)


def _show_transitions() -> None:
    """Shows the log lines of level INFO about sources that appear and disappear."""
    import logging

    log = logging.getLogger("otel_ml")
    if not log.hasHandlers():
        log.addHandler(logging.StreamHandler())
        log.setLevel(logging.INFO)


def _serve(arguments: argparse.Namespace) -> int:
    from otel_ml.config import ENV_METRIC_INTERVAL, ENV_SERVICE_NAME, Config
    from otel_ml.resource_sampler import is_off

    # first, so that a wrong option is found before anything is set up
    sampler, watched = _sampler(arguments)
    if is_off():
        # not an error: an orchestrator would restart the sidecar again and again
        _say("the environment switches metrics or the sampler off, so there is nothing to do")
        return 0
    name = arguments.service_name or os.environ.get(ENV_SERVICE_NAME) or _SERVICE
    settings: dict[str, Any] = {"service_name": name, "resource_attributes": _host_name()}
    if arguments.endpoint is not None:
        settings["endpoint"] = arguments.endpoint
    if not os.environ.get(ENV_METRIC_INTERVAL):
        settings["metric_export_interval"] = arguments.interval
    config = Config(**settings)
    if _has_no_exporter(config):
        _say("OTEL_METRICS_EXPORTER is none, so there is nothing to do")
        return 0
    _show_transitions()
    stop = _stop_signal()

    def ended() -> bool:
        return arguments.pid is not None and watched is not None and watched() is None

    why = sdk_reason(config)
    _say(
        f"{arguments.mode} mode, every {arguments.interval:g} s, "
        f"to {_destination(config)}{f' through the SDK ({why})' if why else ''}; Ctrl-C ends it"
    )
    if why:
        _through_sdk(sampler, settings, stop, ended)
    else:
        _directly(sampler, config, stop, ended)
    if ended():
        _say(f"process {arguments.pid} has ended, so the sampler ends too")
    return 0


def _stop_signal() -> threading.Event:
    """An event that SIGTERM, Ctrl-C and the end of the terminal set; under nohup the last is ignored."""
    stop = threading.Event()
    signals = [signal.SIGTERM, signal.SIGINT]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signals.append(signal.SIGHUP)
    for each in signals:
        signal.signal(each, lambda *_: stop.set())
    return stop


def _sampler(arguments: argparse.Namespace) -> tuple[ResourceSampler, Callable[[], int | None] | None]:
    """The sampler for these arguments, and a function that returns the id of the watched process."""
    from otel_ml.resource_sampler import ResourceSampler, select_sources, target_process

    proc = "/proc" if arguments.host_root is None else f"{arguments.host_root.rstrip('/')}/proc"
    sources: tuple[Source, ...] = select_sources(
        arguments.mode,
        pid=target_process(name=arguments.name, proc=proc) if arguments.name else arguments.pid,
        utilization=arguments.once or arguments.json,
        per_cpu=arguments.per_cpu,
        pss=arguments.pss,
        gpm=arguments.gpm,
        children=bool(arguments.name or arguments.pid),  # the sampler itself has no children
        elect=False,
        mounts=arguments.mount,
        host_root=arguments.host_root,
    )
    sampler = ResourceSampler(arguments.interval, sources=sources, budget=arguments.budget)
    return sampler, target_process(arguments.pid, proc=proc)


def _host_name() -> dict[str, str]:
    """The host's name as a resource attribute, unless the environment sets one."""
    import socket

    from otel_ml import semconv
    from otel_ml.config import ENV_RESOURCE_ATTRIBUTES

    is_given = f"{semconv.HOST_NAME}=" in os.environ.get(ENV_RESOURCE_ATTRIBUTES, "")
    return {} if is_given else {semconv.HOST_NAME: socket.gethostname()}


def _has_no_exporter(config: Config) -> bool:
    """Whether the metrics would leave by no exporter, scrape page or configuration file."""
    has_file = bool(os.environ.get(_CONFIG_FILE, "").strip())
    return not config.metrics.exporters and config.prometheus_port is None and not has_file


def _destination(config: Config) -> str:
    if config.prometheus_port is not None and not config.metrics.exporters:
        return f"the scrape page on port {config.prometheus_port}"
    return config.metrics.address


def sdk_reason(config: Config) -> str:
    """The settings that only the SDK can honour; empty if there are none."""
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
    import gc

    from otel_ml.config import ENV_METRIC_INTERVAL
    from otel_ml.resource_sampler import export_directly

    gc.freeze()  # the loaded modules stay, so the garbage collector need not scan them again
    every = config.metric_export_interval if os.environ.get(ENV_METRIC_INTERVAL) else 0.0
    export_directly(sampler, config, stop, ended, every=every)


def _through_sdk(
    sampler: ResourceSampler, settings: dict[str, Any], stop: threading.Event, ended: Callable[[], bool]
) -> None:
    from opentelemetry import metrics

    import otel_ml

    telemetry = otel_ml.configure(**settings)
    # the API's placeholder has no force_flush: no SDK has read the configuration file
    if os.environ.get(_CONFIG_FILE, "").strip() and not hasattr(metrics.get_meter_provider(), "force_flush"):
        raise ValueError(
            f"{_CONFIG_FILE} is set, but nothing here reads it: start this with opentelemetry-instrument, or unset it"
        )
    sampler.start()
    if not sampler.is_running:
        raise ValueError("there is no meter provider, so there is nothing to do")
    while not stop.wait(1.0) and not ended():
        pass
    sampler.announce_end()
    # a stopped sampler has no points, so the flush comes first
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
        raise CommandError(f"cannot write the reading: {error.strerror}") from error
    return 0 if any(part.readings for part in snapshot.sources) else 1
