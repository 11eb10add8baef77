"""Reads the predictions back from Prometheus, VictoriaLogs and Jaeger by their own query APIs and compares them.

    python deploy/local/verify.py --dashboards deploy/grafana/dashboards

It checks that metric, events and traces hold the same number of predictions; that one exemplar of a Prometheus bucket
leads to its trace in Jaeger and from there to its event in VictoriaLogs; that every recording rule and every PromQL
query of the dashboards returns data. It prints what the rules have found: segments that are worse than the rest, the
estimate before labels, and which version is better. PROMETHEUS_URL, VICTORIA_LOGS_URL and JAEGER_URL name the
servers. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from server_apis import Servers

# The names of otel_ml/semconv/, in the form that each server knows them by.
PREDICTION_EVENT = "ml.prediction"
PREDICTION_ID = "ml.prediction.id"
PREDICTIONS = "ml_predictions_total"
DURATION_BUCKET = "ml_prediction_duration_seconds_bucket"
OUTCOMES = "ml_eval_outcomes_total"
PREDICTED, ACTUAL = "ml_eval_predicted", "ml_eval_actual"
LOST = '{__name__=~"otelml_export_(dropped|rejected)_total|otelcol_exporter_(send|enqueue)_failed_.*_total"}'
FIGURE = "ml_eval_figure"
IDENTITY = ("ml_model_name", "ml_model_version", "ml_model_role")
SERVICE = ("job", "deployment_environment_name", "k8s_cluster_name", "k8s_namespace_name", "team")
"""The labels that tell models apart; a service without one of them has no such label."""
NEEDS_DAYS = (
    r"ml_eval_figure_(days|days_left|decay|judged|trend)|^Figures of Each Day$|^Trend of the Figures$|"
    r"^Days until the Limit$|ml_feature_reference_(share|values|weight|size|psi)|smoothed_reference|_before|"
    r"previous_version|ml_alert_reference|ml_model_age:days|^Model Age$|"
    r"slo:ml_.*(:|rate)[13]d$"
)
"""Rules and panels about days, last week, an earlier version, or a setting; promtool has their tests."""
NOT_SERVED = (
    r"^GPU |^Ranking$|^Exact Match|class_outcomes|hamming_loss|figure_few|ml_pair_(baseline_)?(labels|right):|"
    r"ml_pair_error|^Difference in Errors$|^Verdict on Each Challenger$|:gone$|:steady15m$|"
    r"^service:(hw|container)_|^Container Memory$|^CPU Throttling$|"
    r"^Traces Kept|^Reasons to Keep|^Traces before Their|^Dropped before|"
    r"^Refused at the Collector$"
)
"""About a GPU, limits of a container, gateways, tasks that are not served, a canary with ids of its own, a regression
with a canary, what is gone, lost or refused, and what has not lasted for 15 minutes."""

NEEDS_HOURS = "slo:ml_error_budget_remaining:30d"
"""What is left of a budget is computed by whole hours: a rule, a panel, and one column of a table."""

DASHBOARDS = Path(__file__).resolve().parent.parent / "grafana" / "dashboards"
INTERVALS = {"__rate_interval": "5m", "__interval": "15s", "__range": "15m", "__range_s": "900"}
POLL_SECONDS = 2.0


class VerificationError(Exception):
    """Something is missing, with one line that says what."""


@dataclass(frozen=True)
class Counts:
    """What each server holds; `accuracy` is None while no label has arrived."""

    predictions: int
    traces: int
    events: int
    metric_predictions: int
    labels: int
    accuracy: float | None
    lost: int

    @property
    def agree(self) -> bool:
        counted = {self.predictions, self.traces, self.events, self.metric_predictions}
        return len(counted) == 1 and self.predictions > 0


def read_counts(servers: Servers) -> Counts:
    """Reads what the three servers hold now."""
    events = servers.logsql(
        f'_time:1d event_name:="{PREDICTION_EVENT}" | stats count() as events, count_uniq(trace_id, span_id) as ids'
    )
    outcomes = servers.promql(f"sum by ({PREDICTED}, {ACTUAL}) ({OUTCOMES})")
    labels = sum(float(series["value"][1]) for series in outcomes)
    correct = sum(
        float(series["value"][1])
        for series in outcomes
        if series["metric"].get(PREDICTED) == series["metric"].get(ACTUAL)
    )
    return Counts(
        predictions=int(events[0]["ids"]) if events else 0,
        traces=len(servers.prediction_traces()),
        events=int(events[0]["events"]) if events else 0,
        metric_predictions=int(servers.value(f"sum({PREDICTIONS})")),
        labels=int(labels),
        accuracy=round(correct / labels, 4) if labels else None,
        lost=int(servers.value(f"sum({LOST})")),
    )


def stable_counts(servers: Servers, timeout: float) -> Counts:
    """Returns the counts once they agree and no longer change, or the last ones seen when time is up."""
    deadline = time.monotonic() + timeout
    previous: Counts | None = None
    while True:
        counts = read_counts(servers)
        if (counts.agree and counts == previous) or time.monotonic() > deadline:
            return counts
        if counts != previous:
            _say(f"waiting for the pipeline to drain: {json.dumps(asdict(counts))}")
        previous = counts
        time.sleep(POLL_SECONDS)


def follow_exemplar(servers: Servers) -> str:
    """Goes from the newest exemplar of a bucket to its trace and to its event; returns the prediction's id."""
    exemplars = servers.exemplars(DURATION_BUCKET)
    if not exemplars:
        raise VerificationError(f"Prometheus holds no exemplar of {DURATION_BUCKET}")
    labels = exemplars[-1]["labels"]
    trace_id, span_id = labels["trace_id"], labels["span_id"]
    spans = [span for span in servers.trace(trace_id) if span["spanID"] == span_id]
    if not spans:
        raise VerificationError(f"Jaeger does not hold span {span_id} of trace {trace_id}, to which an exemplar points")
    tags = {tag["key"]: tag["value"] for tag in spans[0]["tags"]}
    events = servers.logsql(f'_time:1d event_name:="{PREDICTION_EVENT}" trace_id:="{trace_id}" span_id:="{span_id}"')
    if not events:
        raise VerificationError(f"VictoriaLogs does not hold the event of trace {trace_id}")
    if events[0].get(PREDICTION_ID) != tags.get(PREDICTION_ID):
        raise VerificationError(f"span and event of trace {trace_id} disagree about {PREDICTION_ID}")
    _say(f"exemplar -> trace {trace_id} -> event of prediction {tags[PREDICTION_ID]}")
    return str(tags[PREDICTION_ID])


def findings(servers: Servers) -> Iterator[str]:
    """Yields one line for each model, segment and version of which the rules have something to say."""
    for labels, value in servers.figures(f'model:ml_estimate_figure:1h{{{FIGURE}="accuracy"}}'):
        real = _figure(servers, "model:ml_eval_figure:1h", labels)
        trained = _figure(servers, "ml_eval_reference", labels)
        yield f"{_model(labels)}: accuracy {real} by labels, {value:.3f} by the estimate, {trained} on the reference"
    for labels, _ in servers.figures(f'segment:ml_worse:current{{{FIGURE}="accuracy"}} == 1'):
        segment = f"{labels['ml_segment_name']} {labels['ml_segment_value']}"
        real = _figure(servers, "segment:ml_accuracy:1h", labels, ("ml_segment_name", "ml_segment_value"))
        yield f"{_model(labels)}: segment {segment} is worse than the rest: accuracy {real}"
    for labels, _ in servers.figures("model:ml_version_verdict == 1"):
        baseline = f"{labels['ml_pair_version']} {labels['ml_pair_role']}"
        yield f"{_model(labels)} against {baseline}: {labels['ml_pair_verdict']}"


def _figure(servers: Servers, name: str, like: dict[str, str], more: tuple[str, ...] = (FIGURE,)) -> str:
    """The value of the series with the same model and the same further labels, as text."""
    matchers = ", ".join(f'{label}="{like.get(label, "")}"' for label in (*SERVICE, *IDENTITY, *more))
    found = servers.figures(f"max({name}{{{matchers}}})")
    return f"{found[0][1]:.3f}" if found else "unknown"


def _model(labels: dict[str, str]) -> str:
    return " ".join(labels[name] for name in IDENTITY)


def variable_values(dashboard: dict[str, Any]) -> dict[str, str]:
    """All values of each variable, as a pattern, and the value of those whose values are not asked for."""
    values = {"__all": ".*"} | INTERVALS
    for variable in dashboard.get("templating", {}).get("list", []):
        current = variable.get("current", {}).get("value")
        fixed = variable["type"] in ("interval", "constant", "textbox", "custom") and isinstance(current, str)
        values[variable["name"]] = current if fixed and current != "$__all" else ".*"
    return values


def dashboard_queries(dashboard: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Title and PromQL of each Prometheus target, rows' panels too, with the variables filled in."""
    values = variable_values(dashboard)
    panels = list(dashboard.get("panels", []))
    while panels:
        panel = panels.pop(0)
        panels.extend(panel.get("panels", []))
        for target in panel.get("targets", []):
            source = (target.get("datasource") or panel.get("datasource") or {}).get("type", "prometheus")
            if source == "prometheus" and target.get("expr"):
                yield str(panel.get("title", "")), fill_in(target["expr"], values)


def fill_in(expression: str, values: dict[str, str]) -> str:
    """Replaces `$name`, `${name}` and `${name:format}`; unknown ones stay, and Prometheus refuses them."""

    def value(match: re.Match[str]) -> str:
        return values.get(match["braced"] or match["plain"], match[0])

    return re.sub(r"\$(?:\{(?P<braced>\w+)(?::\w+)?\}|(?P<plain>\w+))", value, expression)


def empty_queries(servers: Servers, queries: list[tuple[str, str]]) -> list[str]:
    """Returns one line for each query that returns nothing or is refused."""
    empty = []
    for title, query in queries:
        try:
            found = bool(servers.promql(query))
        except urllib.error.HTTPError as error:
            empty.append(f"{title}: refused with {error.code}: {query}")
            continue
        if not found:
            empty.append(f"{title}: no data: {query}")
    return empty


def retried(check: Callable[[], list[str]], timeout: float) -> list[str]:
    """Repeats a check until it has no complaints or time is up; returns its last complaints."""
    deadline = time.monotonic() + timeout
    while True:
        complaints = check()
        if not complaints or time.monotonic() > deadline:
            return complaints
        time.sleep(POLL_SECONDS)


def without_comparison(query: str) -> str:
    """The query without the comparison at its end that leaves only what is wrong."""
    return re.sub(r" (> 0|== 1)$", "", query)


def all_queries(folder: Path) -> list[tuple[str, str]]:
    """Title and PromQL of all dashboards of a folder."""
    files = sorted(folder.glob("*.json"))
    return [each for file in files for each in dashboard_queries(json.loads(file.read_text(encoding="utf-8")))]


def verify(servers: Servers, folder: Path, allow_empty: str, timeout: float) -> tuple[Counts, list[str]]:
    """Runs all checks; no complaints means that everything passed."""
    complaints: list[str] = []
    counts = stable_counts(servers, timeout)
    if not counts.agree:
        complaints.append("the servers disagree about the number of predictions, or hold none")
    if counts.lost:
        complaints.append(f"{counts.lost} records were reported as lost")
    if not counts.labels:
        complaints.append("no label has arrived")
    try:
        follow_exemplar(servers)
    except VerificationError as error:
        complaints.append(str(error))
    may_be_empty = re.compile(allow_empty) if allow_empty else None

    def wanted(names_and_queries: list[tuple[str, str]]) -> list[tuple[str, str]]:
        needed = [each for each in names_and_queries if not (may_be_empty and may_be_empty.search(each[0]))]
        return [(name, without_comparison(query)) for name, query in needed if NEEDS_HOURS not in query]

    rules = [(rule["name"], rule["name"]) for rule in servers.recording_rules()]
    panels = all_queries(folder)
    complaints += retried(lambda: empty_queries(servers, wanted(sorted(set(rules)))), timeout)
    complaints += retried(lambda: empty_queries(servers, wanted(panels)), timeout)
    if not complaints:
        _say(f"{len(wanted(rules))} recording rules and {len(wanted(panels))} dashboard queries return data")
    for line in findings(servers):
        _say(line)
    return counts, complaints


def _say(what: str) -> None:
    print(f"verify: {what}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dashboards", type=Path, default=DASHBOARDS, help="folder of classic Grafana JSON")
    parser.add_argument(
        "--allow-empty",
        default=f"{NOT_SERVED}|{NEEDS_DAYS}",
        metavar="REGEX",
        help="rules and panel titles that may have no data (default: those about a GPU, a container, gateways, tasks "
        "that the example does not serve, and days that have not passed)",
    )
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="for each check to pass")
    options = parser.parse_args(arguments)
    servers = Servers(
        os.environ.get("PROMETHEUS_URL", "http://127.0.0.1:9090"),
        os.environ.get("VICTORIA_LOGS_URL", "http://127.0.0.1:9428"),
        os.environ.get("JAEGER_URL", "http://127.0.0.1:16686"),
    )
    try:
        counts, complaints = verify(servers, options.dashboards, options.allow_empty, options.timeout)
    except (urllib.error.URLError, OSError, ValueError, re.error) as error:
        print(f"verify: cannot check: {error}", file=sys.stderr)
        return 1
    for complaint in complaints:
        _say(f"FAILED: {complaint}")
    print(json.dumps(asdict(counts)), flush=True)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
