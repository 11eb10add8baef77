"""Runs the Collector, Prometheus, Alertmanager, VictoriaLogs, Jaeger and the console as local processes on loopback.

    python deploy/local/stack.py                             all processes, until Ctrl-C
    python deploy/local/stack.py --ports auto collector prometheus
    STACK_SECONDS=60 python deploy/local/stack.py \\
        --process "service=exec python -m uvicorn app:app --port $SERVICE_PORT" \\
        --traffic "python replay.py" --verify "python deploy/local/verify.py"

Missing servers are built first. Their output goes to stack.log in the work folder (STACK_DIR, by default below
${OTEL_ML_CACHE:-~/.cache/otel-ml}/stack), so that standard output holds only the addresses and the verdict. Each
run starts with empty servers and trains the example again.
With STACK_SECONDS the traffic runs for that long, then the verification; exit status 0 means that all of it passed.
Every port is <NAME>_PORT below and can be set in the environment.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shlex
import shutil
import signal
import socket
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import build
import shortened
from supervise import VERDICT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TextIO

    from honcho.printer import Message

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SUPERVISOR = "stack"
DEFAULT_PORTS = {
    "COLLECTOR_GRPC_PORT": 4317,
    "COLLECTOR_HTTP_PORT": 4318,
    "COLLECTOR_HEALTH_PORT": 13133,
    "PROMETHEUS_PORT": 9090,
    "ALERTMANAGER_PORT": 9093,
    "WEBHOOK_PORT": 9095,
    "VICTORIA_LOGS_PORT": 9428,
    "JAEGER_QUERY_PORT": 16686,
    "JAEGER_QUERY_GRPC_PORT": 16685,
    "JAEGER_ADMIN_PORT": 14269,
    "JAEGER_OTLP_GRPC_PORT": 14317,
    "JAEGER_OTLP_HTTP_PORT": 14319,
    "JAEGER_GRPC_PORT": 14250,
    "JAEGER_HTTP_PORT": 14268,
    "JAEGER_AGENT_PORT": 5778,
    "JAEGER_COMPACT_PORT": 6831,
    "JAEGER_BINARY_PORT": 6832,
    "JAEGER_ZIPKIN_PORT": 5775,
    "CONSOLE_PORT": 14318,
    "SERVICE_PORT": 8000,
}
DATA = ("prometheus", "alertmanager", "victoria-logs", "queue", "example")
SERVERS = ("collector", "prometheus", "alertmanager", "victoria-logs", "jaeger")


class StackError(Exception):
    """Something is missing or in use, with one line that says what to do."""


class StackPrinter:
    """Writes the supervisor's lines to the terminal and all others, with the process's name, to a log file."""

    def __init__(self, terminal: TextIO, log: TextIO) -> None:
        self.width = 0
        self._terminal = terminal
        self._log = log

    def write(self, message: Message) -> None:
        text = message.data.decode("utf-8", "replace") if isinstance(message.data, bytes) else message.data
        for line in text.splitlines():
            if message.name == SUPERVISOR:
                self._show(line)
            else:
                moment = message.time.strftime("%H:%M:%S")
                print(f"{moment} {message.name.ljust(self.width)} | {line}", file=self._log, flush=True)

    def _show(self, line: str) -> None:
        """Prints a line. A terminal or pipe that is gone ends the run, as Ctrl-C does, and leaves no process behind."""
        try:
            print(line, file=self._terminal, flush=True)
        except OSError:
            os.kill(os.getpid(), signal.SIGTERM)


def choose_ports(mode: str, environment: Mapping[str, str]) -> dict[str, int]:
    """The port of each listener: the environment's, else the default plus an offset, or a free one with `auto`."""
    taken = {name: environment.get(name) for name in DEFAULT_PORTS}
    if mode != "auto":
        try:
            offset = int(mode)
            return {name: int(taken[name] or default + offset) for name, default in DEFAULT_PORTS.items()}
        except ValueError as error:
            raise StackError(f"ports must be numbers, and --ports `auto` or an offset: {error}") from None
    return {name: int(taken[name] or reserve_port()) for name in DEFAULT_PORTS}


def reserve_port() -> int:
    """A free port that is kept for its server: a socket stays bound to it until this process ends.

    The socket does not listen. So a server that sets SO_REUSEADDR, as servers do, gets the port all the same, but no
    process that asks for any port.
    """
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    port = int(holder.getsockname()[1])
    holder.detach()
    return port


def refuse_taken_ports(ports: Mapping[str, int]) -> None:
    """Refuses ports that are in use: one clear line now instead of a process that fails with a message in a log."""
    for name, port in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OverflowError:
                raise StackError(f"{name} is {port}: ports are 0 to 65535") from None
            except OSError:
                raise StackError(
                    f"port {port} is in use: set {name}, or use --ports auto or --ports OFFSET "
                    "(make stack STACK_PORTS=auto)"
                ) from None


def process_environment(ports: Mapping[str, int], folder: Path, names: Sequence[str]) -> dict[str, str]:
    """What the lines of the Procfile, the Collector's configuration, the service and the checks read."""
    loopback = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    console = ["--config", str(ROOT / "collector" / "console.yaml")] if "console" in names else []
    # Not the bare name: Jaeger would read COLLECTOR as a setting that hides all of its collector's own.
    binaries = {name.upper().replace("-", "_") + "_BINARY": str(build.build(name)) for name in SERVERS if name in names}
    return {
        # Metrics of a service under trial appear within seconds; a value from the environment wins.
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
        "OTEL_ML_RUNBOOK": str(ROOT / "deploy" / "runbook.md"),
        **os.environ,
        **{name: str(port) for name, port in ports.items()},
        **binaries,
        "ROOT": str(ROOT),
        "PYTHON": sys.executable,
        "STACK_DIR": str(folder),
        "STACK_PROCESSES": " ".join(names),
        "COLLECTOR_EXTRA": shlex.join(console),
        "PROMETHEUS_URL": loopback["PROMETHEUS_PORT"],
        "VICTORIA_LOGS_URL": loopback["VICTORIA_LOGS_PORT"],
        "JAEGER_URL": loopback["JAEGER_QUERY_PORT"],
        "CONSOLE_URL": loopback["CONSOLE_PORT"],
        "SERVICE_URL": loopback["SERVICE_PORT"],
        "PROMETHEUS_OTLP_ENDPOINT": loopback["PROMETHEUS_PORT"] + "/api/v1/otlp",
        "LOKI_OTLP_ENDPOINT": loopback["VICTORIA_LOGS_PORT"] + "/insert/opentelemetry",
        "TEMPO_OTLP_ENDPOINT": loopback["JAEGER_OTLP_HTTP_PORT"],
        "CONSOLE_OTLP_ENDPOINT": loopback["CONSOLE_PORT"],
        "OTELCOL_QUEUE_DIR": str(folder / "queue"),
        "OTELCOL_INSTANCE_ID": "stack",
        "OTELCOL_GRPC_PORT": str(ports["COLLECTOR_GRPC_PORT"]),
        "OTELCOL_HTTP_PORT": str(ports["COLLECTOR_HTTP_PORT"]),
        "OTELCOL_HEALTH_PORT": str(ports["COLLECTOR_HEALTH_PORT"]),
        "OTEL_EXPORTER_OTLP_ENDPOINT": loopback["COLLECTOR_HTTP_PORT"],
    }


def chosen_processes(names: Sequence[str], extra: Sequence[str]) -> dict[str, str]:
    """Name and command of each process: the requested ones of the Procfile, then those of --process."""
    from honcho.environ import parse_procfile

    known = dict(parse_procfile((HERE / "Procfile").read_text(encoding="utf-8")).processes)
    for name in names:
        if name not in known:
            raise StackError(f"unknown process {name!r}; the Procfile has {', '.join(known)}")
    chosen = {name: command for name, command in known.items() if not names or name in names}
    for entry in extra:
        name, separator, command = entry.partition("=")
        if not separator or not name.isidentifier() or name in known:
            raise StackError(f"--process must be NAME=COMMAND with a new name, not {entry!r}")
        chosen[name] = command
    return chosen


@contextmanager
def emptied(folder: Path) -> Iterator[None]:
    """Locks the work folder for this run and removes the data of earlier ones.

    Jaeger keeps traces in memory only: servers that kept more than Jaeger could never agree with it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"another stack runs in {folder}: set STACK_DIR to another folder") from None
        for name in DATA:
            shutil.rmtree(folder / name, ignore_errors=True)
        for file in (folder / VERDICT, *folder.glob("console.duckdb*")):
            file.unlink(missing_ok=True)
        yield


def run(options: argparse.Namespace) -> int:
    """Starts everything; waits for the supervisor's verdict, the end of a process, or Ctrl-C."""
    from honcho.manager import Manager

    processes = chosen_processes(options.names, options.process)
    ports = choose_ports(options.ports, os.environ)
    refuse_taken_ports(ports)
    folder = Path(os.environ.get("STACK_DIR") or build.cache_directory() / "stack").absolute()
    environment = process_environment(ports, folder, list(processes))
    environment |= {"STACK_TRAFFIC": options.traffic, "STACK_VERIFY": options.verify}
    verdict, log_file = folder / VERDICT, folder / "stack.log"
    with emptied(folder), log_file.open("w", encoding="utf-8") as log:
        scraped = [name for name in ("prometheus", "alertmanager") if name in processes]
        shortened.write_prometheus(folder, {name: f"127.0.0.1:{ports[f'{name.upper()}_PORT']}" for name in scraped})
        shortened.write_alertmanager(folder, f"http://127.0.0.1:{ports['WEBHOOK_PORT']}")
        manager = Manager(StackPrinter(sys.stdout, log))
        for name, command in processes.items():
            manager.add_process(name, command, env=environment, cwd=str(ROOT))
        supervisor = shlex.join([sys.executable, str(HERE / "supervise.py")])
        manager.add_process(SUPERVISOR, f"exec {supervisor}", env=environment, cwd=str(ROOT))
        # A terminal that closes: the manager handles SIGTERM.
        signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        manager.loop()
    if verdict.exists():
        return int(verdict.read_text())
    if manager.returncode in (130, 143):
        return 0 if "STACK_SECONDS" not in os.environ else int(manager.returncode)
    print(f"stack: a process ended too early; the last lines of {log_file}:", file=sys.stderr)
    print("".join(log_file.read_text(encoding="utf-8").splitlines(keepends=True)[-20:]), file=sys.stderr)
    return int(manager.returncode or 1)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="processes of the Procfile (default: all)")
    parser.add_argument("--ports", default="0", help="`auto` for free ports, or a number added to each default")
    parser.add_argument("--process", action="append", default=[], metavar="NAME=COMMAND", help="one more process")
    parser.add_argument("--traffic", default="", metavar="COMMAND", help="run for STACK_SECONDS, then stopped")
    parser.add_argument("--verify", default="", metavar="COMMAND", help="run after STACK_SECONDS; decides")
    try:
        return run(parser.parse_args(arguments))
    except ModuleNotFoundError as error:
        print(f"stack: {error.name} is missing: pip install 'honcho>=2'", file=sys.stderr)
    except (StackError, build.BuildError, OSError) as error:
        print(f"stack: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
