"""Writes the configuration of Prometheus and Alertmanager for local processes, with all times divided by a factor.

With factor 1 the times are those of deploy/prometheus and deploy/alertmanager. With factor 60 an hour becomes a minute:
`for`, the intervals of rule groups, every window `[5m]` and every `offset 15m` become a sixtieth. Limits that are not
times (500 ms of latency, 20 calls, 300 rows) stay as they are.
Alertmanager keeps its routes and inhibitions; each receiver becomes a webhook at WEBHOOK/<receiver>.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).resolve().parent.parent
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000, "y": 31_536_000_000}
DURATION = r"(?:\d+(?:ms|[smhdwy]))+"
RANGE = re.compile(rf"\[(?P<range>{DURATION})(?P<colon>:?)(?P<step>{DURATION})?\]")
OFFSET = re.compile(rf"\boffset (?P<offset>-?)(?P<duration>{DURATION})")
GROUP_TIMES = ("interval", "query_offset")
RULE_TIMES = ("for", "keep_firing_for")
ROUTE_TIMES = ("group_wait", "group_interval", "repeat_interval")


def shorten(duration: str, factor: int) -> str:
    """A duration of Prometheus divided by the factor, at least a millisecond; unchanged by the factor 1."""
    if factor == 1:
        return duration
    parts = re.findall(r"(\d+)(ms|[smhdwy])", duration)
    return f"{max(1, sum(int(number) * UNITS[unit] for number, unit in parts) // factor)}ms"


def shorten_expression(expression: str, factor: int) -> str:
    """A PromQL expression with all windows, steps and offsets divided by the factor."""

    def window(match: re.Match[str]) -> str:
        step = shorten(match["step"], factor) if match["step"] else ""
        return f"[{shorten(match['range'], factor)}{match['colon']}{step}]"

    def offset(match: re.Match[str]) -> str:
        return f"offset {match['offset']}{shorten(match['duration'], factor)}"

    return OFFSET.sub(offset, RANGE.sub(window, expression))


def _shorten_keys(mapping: dict[str, Any], names: tuple[str, ...], factor: int) -> None:
    for name in names:
        if name in mapping:
            mapping[name] = shorten(str(mapping[name]), factor)


def shorten_rules(content: dict[str, Any], factor: int) -> dict[str, Any]:
    """A rule file with all times divided by the factor."""
    for group in content["groups"]:
        _shorten_keys(group, GROUP_TIMES, factor)
        for rule in group["rules"]:
            _shorten_keys(rule, RULE_TIMES, factor)
            rule["expr"] = shorten_expression(str(rule["expr"]), factor)
    return content


def write_prometheus(folder: Path, addresses: Mapping[str, str], factor: int = 1) -> Path:
    """Writes prometheus.yml with its rules into the folder.

    `addresses` has the HOST:PORT of `prometheus` and of `alertmanager`, which are scraped. Without an Alertmanager,
    alerts go nowhere.
    """
    source = DEPLOY / "prometheus"
    content = yaml.safe_load((source / "prometheus.yml").read_text(encoding="utf-8"))
    patterns = content["rule_files"]
    content["rule_files"] = [str(source / pattern) for pattern in patterns]
    if factor != 1:
        content["rule_files"] = [str(folder / pattern) for pattern in patterns]
        for file in (file for pattern in patterns for file in sorted(source.glob(pattern))):
            rules = shorten_rules(yaml.safe_load(file.read_text(encoding="utf-8")), factor)
            target = folder / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(yaml.safe_dump(rules, sort_keys=False), encoding="utf-8")
    _shorten_keys(content["global"], ("evaluation_interval", "scrape_interval"), factor)
    _set_addresses(content, addresses)
    return _write(folder / "prometheus.yml", content)


def _set_addresses(content: dict[str, Any], addresses: Mapping[str, str]) -> None:
    """Names the servers; one without an address is neither scraped nor sent to."""
    jobs = [job for job in content["scrape_configs"] if job["job_name"] in addresses]
    content["scrape_configs"] = [{**job, "static_configs": [{"targets": [addresses[job["job_name"]]]}]} for job in jobs]
    alerting = content.pop("alerting")
    if "alertmanager" in addresses:
        alerting["alertmanagers"] = [{"static_configs": [{"targets": [addresses["alertmanager"]]}]}]
        content["alerting"] = alerting


def write_alertmanager(folder: Path, webhook: str, factor: int = 1) -> Path:
    """Writes alertmanager.yml into the folder, with the receivers of the original behind one webhook."""
    source = DEPLOY / "alertmanager"
    content = yaml.safe_load((source / "alertmanager.yml").read_text(encoding="utf-8"))
    content["templates"] = [str(source / pattern) for pattern in content["templates"]]
    content["receivers"] = [
        {"name": receiver["name"], "webhook_configs": [{"url": f"{webhook}/{receiver['name']}", "send_resolved": True}]}
        for receiver in content["receivers"]
    ]
    routes = [content["route"]]
    while routes:
        route = routes.pop()
        _shorten_keys(route, ROUTE_TIMES, factor)
        routes += route.get("routes", [])
    return _write(folder / "alertmanager.yml", content)


def _write(file: Path, content: dict[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return file
