"""Breaks real services and a real Collector, and checks that each alert reaches a webhook once and resolves.

    python deploy/local/alert_faults.py

It runs four small services, the Collector, Prometheus and Alertmanager on free ports of loopback, with the rules,
routes and inhibitions of deploy/ and with all times divided by 60: an hour is a minute, `for: 5m` is 5 s. Services
export each second. It takes about two minutes. The last line is JSON; exit status 0 means that all alerts arrived at
the right receiver once, that all resolved, that the Watchdog came, and that no other alert came but the error budgets
that the faults spend.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import build
from fault_servers import RUNBOOK, Pipeline
from stack import StackError
from webhook import Notice, webhook

FACTOR = 60
POLL_SECONDS = 0.2
READY_SECONDS = 90.0
FIRING_SECONDS = 90.0
RESOLVED_SECONDS = 150.0
QUIET_SECONDS = 6.0
"""Longer than `group_interval` divided by the factor: a second message about the same alert would have come."""
ALSO = {("ErrorBudgetBurn", "ranking"), ("ErrorBudgetBurn", "limits")}
"""What follows from failing and from slow calls, and is right: they spend the error budget as well."""
WATCHDOG = "Watchdog"


@dataclass
class Inbox:
    """The notices that have arrived at the webhook."""

    notices: list[Notice] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, notices: list[Notice]) -> None:
        with self.lock:
            self.notices += notices

    def of(self, alert: str, job: str, status: str) -> list[Notice]:
        with self.lock:
            return [n for n in self.notices if (n.name, n.labels.get("job"), n.status) == (alert, job, status)]


@dataclass
class Fault:
    """Something that breaks, how it is repaired, and the alert that must tell somebody."""

    what: str
    alert: str
    job: str
    receiver: str
    begin: Callable[[], None]
    end: Callable[[], None]
    began: float = 0.0
    ended: float = 0.0
    resolved: float = 0.0

    def line(self, inbox: Inbox) -> str:
        fired = inbox.of(self.alert, self.job, "firing")[0].at - self.began
        return (
            f"{self.what}: {self.alert} at {self.receiver} after {fired:.0f} s, "
            f"resolved {self.resolved - self.ended:.0f} s after the repair"
        )


def faults_of(pipeline: Pipeline) -> list[list[Fault]]:
    """The faults; those of one inner list happen at the same time."""
    say, collector, logs = pipeline.say, pipeline.collector, pipeline.logs

    def service(what: str, alert: str, job: str, receiver: str, state: str) -> Fault:
        return Fault(what, alert, job, receiver, lambda: say(job, state), lambda: say(job, "well"))

    at_once = [
        Fault(
            "a killed service",
            "ModelNotServing",
            "cards",
            "payments-page",
            lambda: pipeline.kill("cards"),
            lambda: pipeline.start("cards"),
        ),
        service("a model that fails", "PredictionErrorRate", "ranking", "search-page", "failing"),
        service("a slow model", "HighPredictionLatency", "limits", "payments", "slow"),
        service("a column that goes away", "FeatureMissing", "churn", "platform", "without income"),
        Fault(
            "a log server that refuses",
            "CollectorLosesData",
            "otelcol",
            "platform-page",
            lambda: logs.answer(400),
            lambda: logs.answer(200),
        ),
    ]
    alone = [Fault("a killed Collector", "CollectorDown", "otelcol", "platform-page", collector.kill, collector.start)]
    return [at_once, alone]


def wait(what: str, done: Callable[[], bool], seconds: float) -> bool:
    """True once it is done; False and a line when the time is over."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            _say(f"{what}: not after {seconds:.0f} s")
            return False
        time.sleep(POLL_SECONDS)
    return True


def run_faults(faults: list[Fault], inbox: Inbox) -> None:
    """Begins all faults, repairs each as soon as its alert has arrived, and waits until all have resolved."""
    for fault in faults:
        fault.begin()
        fault.began = time.time()

    def repaired() -> bool:
        for fault in faults:
            if not fault.ended and inbox.of(fault.alert, fault.job, "firing"):
                fault.end()
                fault.ended = time.time()
        return all(fault.ended for fault in faults)

    def resolved() -> bool:
        for fault in faults:
            notices = inbox.of(fault.alert, fault.job, "resolved")
            if notices and not fault.resolved:
                fault.resolved = notices[0].at
                _say(fault.line(inbox))
        return all(fault.resolved for fault in faults if fault.ended)

    wait("alerts", repaired, FIRING_SECONDS)
    wait("resolved alerts", resolved, RESOLVED_SECONDS)
    time.sleep(QUIET_SECONDS)


def complaints_about(faults: list[Fault], inbox: Inbox) -> list[str]:
    """One line for each alert that did not arrive, arrived more than once or elsewhere, or was not asked for.

    Prometheus repeats a resolved alert for 15 minutes, so that a later message of its group can name it again.
    """
    complaints = []
    for fault in faults:
        firing = [notice.receiver for notice in inbox.of(fault.alert, fault.job, "firing")]
        resolved = {(notice.receiver, notice.started) for notice in inbox.of(fault.alert, fault.job, "resolved")}
        for status, receivers in (("firing", firing), ("resolved", [receiver for receiver, _ in resolved])):
            if receivers != [fault.receiver]:
                complaints.append(f"{fault.alert} {status}: wanted once at {fault.receiver}, came at {receivers}")
    expected = ALSO | {(fault.alert, fault.job) for fault in faults}
    notices = [notice for notice in inbox.notices if (notice.name, notice.receiver) != (WATCHDOG, "watchdog")]
    others = {notice.line() for notice in notices if (notice.name, notice.labels.get("job")) not in expected}
    if len(notices) == len(inbox.notices):
        complaints.append(f"{WATCHDOG}: it has not come")
    without = {n.name for n in inbox.notices if n.annotations.get("runbook_url") != f"{RUNBOOK}#{n.name.lower()}"}
    complaints += [f"{name}: no address of its entry in the runbook" for name in sorted(without)]
    return complaints + [f"not asked for: {line}" for line in sorted(others)]


def run(folder: Path) -> int:
    """Runs all faults in one pipeline; returns the exit status."""
    inbox = Inbox()
    with ExitStack() as stack:
        address = stack.enter_context(webhook(inbox.take))
        pipeline = Pipeline(folder, address, FACTOR)
        stack.callback(pipeline.stop_all)
        pipeline.start_all()
        began = time.monotonic()
        if not wait("figures of every service in Prometheus", pipeline.is_ready, READY_SECONDS):
            return 1
        _say(f"everything reports after {time.monotonic() - began:.0f} s; times are divided by {FACTOR}")
        rounds = faults_of(pipeline)
        for faults in rounds:
            run_faults(faults, inbox)
    everything = [fault for faults in rounds for fault in faults]
    complaints = complaints_about(everything, inbox)
    for complaint in complaints:
        _say(f"FAILED: {complaint}")
    arrived = {fault.alert: bool(fault.resolved) for fault in everything}
    print(json.dumps({"alerts": arrived, "complaints": len(complaints)}), flush=True)
    return 1 if complaints else 0


def _say(what: str) -> None:
    print(f"alerts: {what}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs, also after success")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="otel-ml-alerts-"))
    status = 1
    try:
        status = run(folder)
    except (StackError, build.BuildError, OSError) as error:
        _say(f"FAILED: {error}")
    if status or options.keep:
        _say(f"logs: {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
