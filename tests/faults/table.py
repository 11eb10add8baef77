"""Runs every fault case and the slow field reports, and prints one table of the results; `make faults` calls it."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

FOLDER = Path(__file__).parent
FIELD = FOLDER.parent / "field"
FIELD_REPORTS = (
    "processes/test_workers_that_fork.py",
    "processes/test_late_patches.py",
    "processes/test_install_beside_a_service.py",
    "logs/test_errors_of_requests.py",
    "references/test_long_tails.py",
)
"""The files with slow tests."""
DEPLOYMENTS = (
    "deployments/test_chart_rendered.py",
    "deployments/test_manifests_run.py",
    "integrations/test_example_replicas.py",
    "pipeline/test_victoria_metrics.py",
)
"""No faults: slow tests that build Helm, VictoriaMetrics and the Collector for gateways, or train models."""
CASES = {
    1: "receiver down, then up, under load",
    2: "tarpit, drips, half answers, hanging lookup and handshake",
    3: "every status with every Retry-After",
    4: "redirects",
    5: "partial success; a body of 1 GiB",
    6: "requests that are too large",
    7: "stored, then dropped",
    8: "overload",
    9: "exit, SIGTERM, SIGINT; scripts, uvicorn, gunicorn",
    10: "SIGKILL; the spool",
    11: "forks while every lock is in use",
    12: "children of multiprocessing",
    13: "asyncio with a blocked receiver",
    14: "the wall clock jumps",
    15: "callbacks that raise, hang or return nonsense; GPUs that fall off",
    16: "bad measurements",
    17: "bad texts and structures",
    18: "the Collector: back end away, killed, full queue, full disk, memory limit, bad sender; two tiers; Kafka",
    19: "names without end",
    20: "header and URL attacks",
    21: "forced sampling, foreign baggage, malformed context",
    22: "secrets in requests",
    23: "bodies, streams, disconnects",
    25: "plug-ins that raise; any argument of any call",
    26: "workers that fork: Celery, billiard, own forks that end by `os._exit`; gevent that patches late",
    27: "errors of requests under every server; older versions of FastAPI",
    28: "the install lines in the environment of an older service",
    29: "the store of ground truth: processes killed in a join, a database that goes away or is killed",
    30: "no fault: the chart by Helm; Collectors, gateways and replicas as their manifests say",
    0: "soak",
}
ELSEWHERE = {24: "attacks on ingest: tests/pipeline"}
SUMS = {"inputs", "requests", "calls", "poison", "forks"}
"""Figures that are summed over the tests of a case; for all others the worst is shown."""
MEASURED = (
    "held_per_s",
    *sorted(SUMS),
    "exceptions",
    "collateral",
    "lost",
    "difference",
    "duplicated",
    "recovery_s",
    "growth_mib",
    "peak_mib",
    "exit_s",
    "hangs",
)
"""Figures that the last table needs: without one it would show 0 for something not measured."""
STORED_AND_DROPPED = 7
"""The case in which a receiver stores without answering: OTLP allows one batch to arrive twice."""


def case_of(name: str, module: str) -> int:
    found = re.match(r"test_case_(\d+)", name)
    if found:
        return int(found[1])
    subject = module.rsplit(".", 1)[-1].split("_")[1]
    fixed = {
        "spool": 10,
        "soak": 0,
        "nvml": 15,
        "sampler": 15,
        "workers": 26,
        "late": 26,
        "errors": 27,
        "long": 19,
        "victoria": 30,
        "install": 28,
        "store": 29,
        "chart": 30,
        "manifests": 30,
        "example": 30,
    }
    return fixed.get(subject, 15)


def run(arguments: list[str], soak: float) -> tuple[ET.Element, list[dict[str, object]]]:
    with tempfile.TemporaryDirectory() as folder:
        report, figures = Path(folder) / "report.xml", Path(folder) / "figures.jsonl"
        folders = [str(FOLDER), *(str(FIELD / name) for name in FIELD_REPORTS)]
        folders += [str(FOLDER.parent / name) for name in DEPLOYMENTS]
        command = [sys.executable, "-m", "pytest", "-q", "-m", "slow or not slow", f"--junitxml={report}", *folders]
        environment = {**os.environ, "FAULT_FIGURES": str(figures), "SOAK_SECONDS": str(soak)}
        subprocess.run([*command, *arguments], env=environment, check=False)
        recorded = [json.loads(line) for line in figures.read_text().splitlines()] if figures.exists() else []
        return ET.parse(report).getroot(), recorded


def worst(recorded: list[dict[str, object]]) -> dict[str, float]:
    merged: dict[str, float] = {}
    for figures in recorded:
        for name, value in figures.items():
            if name in {"case", "test"} or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            merged[name] = merged.get(name, 0) + value if name in SUMS else max(merged.get(name, value), value)
    return merged


def shown(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:,.4g}" for name, value in figures.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--soak", type=float, default=60.0, help="seconds of the soak")
    options, rest = parser.parse_known_args()
    report, recorded = run(rest, options.soak)
    passed: dict[int, int] = defaultdict(int)
    failed: dict[int, list[str]] = defaultdict(list)
    for case in report.iter("testcase"):
        number = case_of(case.get("name", ""), case.get("classname", ""))
        if case.find("failure") is not None or case.find("error") is not None:
            failed[number].append(case.get("name", ""))
        elif case.find("skipped") is None:
            passed[number] += 1
    by_case: dict[int, list[dict[str, object]]] = defaultdict(list)
    for figures in recorded:
        by_case[int(str(figures["case"]))].append(figures)
    print(f"\n{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
    print("| case | injected | survived | figures |\n| --- | --- | --- | --- |")
    for number, what in CASES.items():
        tests = passed[number] + len(failed.get(number, []))
        print(f"| {number or '-'} | {what} | {passed[number]} of {tests} | {shown(worst(by_case[number]))} |")
    for number, what in ELSEWHERE.items():
        print(f"| {number} | {what} | | |")
    print(summary(passed, failed, by_case))
    return 1 if failed else 0


def summary(passed: dict[int, int], failed: dict[int, list[str]], by_case: dict[int, list[dict[str, object]]]) -> str:
    every = [figures for recorded in by_case.values() for figures in recorded]

    def counted(name: str) -> int:
        return sum(1 for figures in every if name in figures)

    def most(name: str) -> float:
        return max((float(str(figures[name])) for figures in every if name in figures), default=0.0)

    def total(name: str, *, only: set[int] | None = None) -> float:
        """Returns the sum of a figure over all tests, or over those of some cases."""
        return sum(float(str(one[name])) for one in every if name in one and (only is None or one["case"] in only))

    others = set(CASES) - {STORED_AND_DROPPED}
    bad = sum(total(name) for name in SUMS - {"forks"})
    lines = {
        "load held without loss": f"{most('held_per_s'):,.0f} predictions a second (span, event and metrics each)",
        "faults survived": f"{sum(passed.values())} of {sum(passed.values()) + sum(map(len, failed.values()))} tests, "
        f"{sum(1 for case in CASES if case and passed[case] and case not in failed)} of {len(CASES) - 1} cases",
        "bad inputs tried": f"{bad:,.0f}, exceptions in user code {total('exceptions'):.0f}, "
        f"other records lost {total('collateral'):.0f}",
        "records lost where none may be": f"{sum(lost_of(figures) for figures in every):,.0f}",
        "ledger against the receiver": f"difference {total('difference'):,.0f} over {counted('difference')} comparisons",
        "records duplicated": f"{total('duplicated', only=others):,.0f}; in case {STORED_AND_DROPPED} (one batch an event) "
        f"{total('duplicated', only={STORED_AND_DROPPED}):,.0f} of {total('sent', only={STORED_AND_DROPPED}):,.0f}",
        "recovery time, worst": f"{most('recovery_s'):.1f} s",
        "peak memory, worst growth": f"{most('growth_mib'):.1f} MiB over the start of a case",
        "peak memory in the soak": f"{most('peak_mib'):.1f} MiB, slope {most('slope_kib_per_h'):,.0f} KiB an hour",
        "worst exit time": f"{most('exit_s'):.1f} s",
        "forks": f"{total('forks'):,.0f}, hangs {total('hangs'):.0f}",
    }
    missing = [name for name in MEASURED if not counted(name)]
    body = "\n".join(f"| {name} | {value} |" for name, value in lines.items())
    return (
        f"\n| figure | value |\n| --- | --- |\n{body}"
        + "".join(f"\nFAILED {n}: {tests}" for n, tests in failed.items())
        + (f"\nNOT MEASURED in this run: {', '.join(missing)}" if missing else "")
    )


def lost_of(figures: dict[str, object]) -> float:
    """Returns losses outside the documented ones: outages and overload without a spool, SIGKILL, an unhandled SIGTERM."""
    if figures["case"] in {1, 2, 8, 10} or figures.get("mode") == "script plain SIGTERM":
        return 0.0
    return float(str(figures.get("lost", 0)))


if __name__ == "__main__":
    sys.exit(main())
