"""`otel-ml demo`: a real model behind FastAPI, real traffic, late labels, and the console to look at it all."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from otel_ml.cli._arguments import add_json, number, whole
from otel_ml.cli._bundled_files import packaged
from otel_ml.cli._terminal import CommandError, progress

_EXTRAS: Final = {
    "fastapi": "fastapi",
    "uvicorn": "console",
    "duckdb": "console",
    "sqlalchemy": "ground-truth",
    "pandas": "quality",
    "pyarrow": "quality",
}
_OTHER_PACKAGES: Final = ("sklearn", "httpx")
_STORED_SECONDS: Final = 60.0
"""Time for the last telemetry to reach the store."""
_END_SECONDS: Final = 30.0
"""Time for a process to send what it still has."""
_READY_SECONDS: Final = 300.0
"""Training included, on a machine that is busy with other work."""
_DRIFT_SECONDS: Final = 40.0
"""Time until a column changes."""
_DRIFT_LABEL_DELAY: Final = 10.0
"""Seconds until a label, so that predictions without one can be looked at."""
_PROGRESS_SECONDS: Final = 10.0
"""Longest wait without a line of progress."""


def define(parser: argparse.ArgumentParser) -> None:
    """Adds description and arguments."""
    parser.description = (
        "Trains a classifier on census data, serves it with FastAPI, replays real people as requests and opens the "
        "console. With --seconds it ends by itself and prints what the console's store holds as JSON; the exit code "
        "is 0 if the store holds all that was sent, else 1."
    )
    parser.epilog = "example: otel-ml demo --seconds 45"
    parser.add_argument(
        "--seconds", type=number(0.001), help="send traffic for this long, then end (default: until Ctrl-C)"
    )
    parser.add_argument("--rate", type=number(0.001), default=40.0, help="predictions a second (default: %(default)g)")
    parser.add_argument(
        "--drift", action="store_true", help="change a column upstream, so that the predictions go wrong"
    )
    for flag, port, what in (("--port", 8000, "service"), ("--console-port", 4318, "console")):
        parser.add_argument(
            flag, type=whole(1, 65535), default=port, help=f"port of the {what}, or the next free one (default: {port})"
        )
    parser.add_argument("--folder", type=Path, help="work folder, emptied first (default: in the user's cache)")
    add_json(parser, "the addresses")


def run(arguments: argparse.Namespace) -> int:
    """Runs the demo; 0 if everything that was sent was read back from the store."""
    demo = Demo(arguments)
    endings = [signal.SIGTERM, signal.SIGINT]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # not under nohup
        endings.append(signal.SIGHUP)
    _interrupt_once(*endings)
    try:
        return demo.run()
    except KeyboardInterrupt:
        _say("stopping")
        return 130
    finally:
        demo.stop()


def _interrupt_once(*signals: signal.Signals) -> None:
    """Lets the first of the signals raise KeyboardInterrupt; a second one would cut short the end of the processes."""

    def interrupt(*_: object) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in signals:
        signal.signal(each, interrupt)


class Demo:
    """The processes of one demo, all on loopback."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.example = _example()
        _check_installed()
        self.as_json: bool = arguments.json
        self.seconds: float | None = arguments.seconds
        self.rate: float = arguments.rate
        self.drifts: bool = arguments.drift
        self.folder = _work_folder(arguments.folder)
        self.service_port = _free_port(arguments.port)
        self.console_port = _free_port(arguments.console_port, taken=self.service_port)
        self.console_url = f"http://127.0.0.1:{self.console_port}"
        self.service_url = f"http://127.0.0.1:{self.service_port}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def run(self) -> int:
        """Starts everything, sends the traffic, and compares what was sent with what was stored."""
        began = time.monotonic()
        _say("starting the console")
        self._start("console", "-m", "otel_ml", "console", "--host", "127.0.0.1", "--port", str(self.console_port),
                    "--database", str(self.folder / "console.duckdb"))  # fmt: skip
        self._wait("console", f"{self.console_url}/api/status")
        _say("training the model on the census of 2015 and starting the service")
        self._start("service", "-m", "uvicorn", "app:app", "--app-dir", str(self.example), "--host", "127.0.0.1",
                    "--port", str(self.service_port), "--log-level", "warning")  # fmt: skip
        self._wait("service", f"{self.service_url}/healthz", pid_key="pid")
        _say(f"ready after {time.monotonic() - began:.0f} s")
        if self.as_json:
            print(json.dumps({"console": self.console_url, "service": self.service_url}), flush=True)
        else:
            performance = f"{self.console_url}/performance?model=employment"
            print(f"\n  console      {self.console_url}\n  performance  {performance}", flush=True)
            print(f"  service      {self.service_url}/docs\n", flush=True)
        sent = self._traffic()
        if sent is None:
            return 0
        self._end("service")
        return self._account(sent)

    def stop(self) -> None:
        """Ends what still runs; the console last, so that it receives the last telemetry of the service."""
        for name in ("traffic", "service", "console"):
            self._end(name)

    def _traffic(self) -> dict[str, int] | None:
        options = [] if self.seconds is None else ["--seconds", str(self.seconds)]
        if self.drifts:
            options += ["--drift", str(_DRIFT_SECONDS), "--label-delay", str(_DRIFT_LABEL_DELAY)]
        command = [sys.executable, str(self.example / "replay.py"), "--url", self.service_url, "--rate", str(self.rate)]
        process = subprocess.Popen(  # noqa: S603 - our own example
            [*command, *options], env=self._environment(), stdout=subprocess.PIPE
        )
        self.processes["traffic"] = process
        _say("replaying people of 2016 to 2018" + ("" if self.seconds else "; Ctrl-C ends"))
        if self.drifts:
            _say(f"in {_DRIFT_SECONDS:.0f} s a column arrives in new codes, and many predictions go wrong: open "
                 f"{self.console_url} and follow what needs attention")  # fmt: skip
        try:
            output, _ = process.communicate()
        except KeyboardInterrupt:
            _say("stopping")
            return None
        if process.returncode != 0:
            raise CommandError(f"the traffic ended with status {process.returncode}; see {self.folder}/service.log")
        return dict(json.loads(output.splitlines()[-1]))

    def _account(self, sent: dict[str, int]) -> int:
        """Reads what the store holds until it is complete or the time is over."""
        deadline = time.monotonic() + _STORED_SECONDS
        expected = {"predictions": sent["rows"], "metric_predictions": sent["rows"]}
        expected |= {"traces": sent["sent"], "events": sent["sent"]}
        while True:
            summary = _get(f"{self.console_url}/api/summary") or {}
            stored = {key: int(summary.get(key) or 0) for key in expected}
            complete = stored == expected
            if (complete and (summary.get("labels") or 0) >= sent["labels"]) or time.monotonic() > deadline:
                break
            time.sleep(0.5)
        lost = max(0, *(count - stored[key] for key, count in expected.items()))
        verdict = {
            **stored,
            "labels": int(summary.get("labels") or 0),
            "accuracy": summary.get("accuracy"),
            "lost": lost,
        }
        print(json.dumps(verdict), flush=True)
        return 0 if complete and lost == 0 else 1

    def _start(self, name: str, *arguments: str) -> None:
        log = (self.folder / f"{name}.log").open("wb")
        self.processes[name] = subprocess.Popen(  # noqa: S603 - our own modules
            [sys.executable, *arguments],
            env=self._environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only this process, which ends the others in order
        )
        log.close()

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.console_url,
            "OTEL_METRIC_EXPORT_INTERVAL": os.environ.get("OTEL_METRIC_EXPORT_INTERVAL", "5000"),
            "EXAMPLE_FOLDER": str(self.folder / "example"),
            "PYTHONUNBUFFERED": "1",
        }

    def _wait(self, name: str, url: str, pid_key: str | None = None) -> None:
        began = shown_at = time.monotonic()
        while time.monotonic() - began < _READY_SECONDS:
            if time.monotonic() - shown_at >= _PROGRESS_SECONDS:
                shown_at = time.monotonic()
                _say(f"the {name} is still starting, {shown_at - began:.0f} s")
            if self.processes[name].poll() is not None:
                raise CommandError(f"the {name} ended: {_last_line(self.folder / f'{name}.log')}")
            answer = _get(url)
            if answer is not None and (pid_key is None or answer.get(pid_key) == self.processes[name].pid):
                return
            time.sleep(0.2)
        raise CommandError(
            f"the {name} did not answer within {_READY_SECONDS:.0f} s; see {self.folder / f'{name}.log'}"
        )

    def _end(self, name: str) -> None:
        process = self.processes.get(name)
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _example() -> Path:
    folder = packaged("examples/fastapi_service")
    if folder is None:
        raise CommandError("the example is not part of this installation; run it from a checkout with make demo")
    return folder


def _check_installed() -> None:
    missing = [name for name in (*_EXTRAS, *_OTHER_PACKAGES) if find_spec(name) is None]
    if missing:
        extras = ",".join(sorted({_EXTRAS[name] for name in missing if name in _EXTRAS})) or "console"
        others = " ".join({"sklearn": "scikit-learn"}.get(name, name) for name in missing if name in _OTHER_PACKAGES)
        raise CommandError(f"missing {', '.join(missing)}; remedy: pip install 'otel-ml[{extras}]' {others}".rstrip())


def _work_folder(given: Path | None) -> Path:
    cache = Path(os.environ.get("OTEL_ML_CACHE") or Path.home() / ".cache" / "otel-ml")
    folder = given or cache / "demo"
    marker = folder / "otel-ml-demo"
    try:
        if folder.exists() and any(folder.iterdir()) and not marker.exists():
            raise CommandError(f"{folder} is not empty and not a folder of the demo; choose another one with --folder")
        if _is_running(marker):
            raise CommandError(f"another demo uses {folder}; choose another folder with --folder")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        marker.write_text(str(os.getpid()))
    except OSError as error:
        raise CommandError(f"cannot use the folder {folder}: {error.strerror}") from None
    return folder


def _is_running(marker: Path) -> bool:
    """Whether the process that wrote the marker still exists."""
    try:
        os.kill(int(marker.read_text()), 0)
    except (OSError, ValueError):
        return False
    return True


def _free_port(wanted: int, taken: int = 0) -> int:
    for port in (*range(wanted, wanted + 20), 0):
        if port == taken:
            continue
        with socket.socket() as probe:
            if os.name == "posix":
                # connections of a demo that just ended do not make its port a taken one
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise CommandError(f"no free port near {wanted}")


def _get(url: str) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - always loopback
            return dict(json.load(answer))
    except (urllib.error.URLError, OSError, ValueError):
        return None


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"no output in {log}"


def _say(line: str) -> None:
    progress(f"== {line}")
