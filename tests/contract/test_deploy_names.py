"""Every name in the rules, alerts, dashboards and data sources exists in otel_ml.semconv, and every query is meaningful."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import promql_parser as promql
import pytest
import yaml

from otel_ml import semconv
from otel_ml._telemetry.environment_check import misread_variables

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"

FOREIGN_SERIES = {
    # Prometheus's own series of firing alerts.
    "ALERTS",
    # Of Prometheus and Alertmanager about themselves.
    "up",
    "prometheus_notifications_errors_total",
    "prometheus_notifications_dropped_total",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_rule_group_last_duration_seconds",
    "prometheus_rule_group_interval_seconds",
    "prometheus_tsdb_head_series",
    "prometheus_tsdb_head_samples_appended_total",
    "prometheus_tsdb_storage_blocks_bytes",
    "alertmanager_notifications_failed_total",
    # The Collector's own metrics; see its documentation.
    "otelcol_process_uptime_seconds_total",
    "otelcol_process_memory_rss_bytes",
    "otelcol_process_cpu_seconds_total",
    "otelcol_exporter_queue_size",
    "otelcol_exporter_queue_capacity",
    "otelcol_file_storage_set_aside",
    "otelcol_processor_tail_sampling_new_trace_id_received_total",
    "otelcol_processor_tail_sampling_global_count_traces_sampled_total",
    "otelcol_processor_tail_sampling_count_traces_sampled_total",
    "otelcol_processor_tail_sampling_sampling_traces_on_memory",
    "otelcol_processor_tail_sampling_early_releases_from_cache_decision_total",
    "otelcol_processor_tail_sampling_sampling_trace_dropped_too_early_total",
    *(
        f"otelcol_{what}_{kind}_total"
        for what in (
            "exporter_sent",
            "exporter_send_failed",
            "exporter_enqueue_failed",
            "receiver_refused",
            "receiver_accepted",
        )
        for kind in ("spans", "metric_points", "log_records")
    ),
    # Counted by the Collector's configuration; see collector/README.md.
    "otelml_collector_refused_total",
}
FOREIGN_LABELS = {
    # Prometheus's own.
    *("job", "instance", "le", "alertname", "alertstate", "alertmanager", "rule_group"),
    # Of our alerts.
    "severity",
    # Alertmanager's.
    *("integration", "reason"),
    # The Collector's.
    *("exporter", "receiver", "data_type", "policy", "sampled"),
    # From our recording rules: the digits of a score bin, a tenth of the scores, the bin before it is merged.
    # and what an objective is about.
    *("tens", "ones", "calibration_bin", "raw", "ml_slo"),
    # From a query of a dashboard: the days behind a trend.
    "days",
}
LOKI_LABELS = {"trace_id", "span_id", "severity_text", "detected_level"}
TEMPO_INTRINSICS = {"status", "name", "kind", "span:duration", "error"}
RUNBOOK = '{{ or $externalLabels.runbook "deploy/runbook.md" }}#'
ALIVE = {"count", "group", "count_over_time", "last_over_time"}
"""Functions that check that a counter exists, not its value."""
RATES = {"rate", "irate", "increase", "resets"}
EXPORT_INTERVAL = timedelta(seconds=60)


class Query(NamedTuple):
    """One PromQL expression and where it is used."""

    place: str
    text: str


def rules(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((DEPLOY / "prometheus" / folder).glob("*.yaml")):
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                yield file.name, rule


def dashboards() -> list[dict[str, Any]]:
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted((DEPLOY / "grafana/dashboards").glob("*"))]


def targets(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields title and query of each panel on a data source of this kind."""
    for dashboard in dashboards():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                if target["datasource"]["type"] == kind:
                    yield panel["title"], target


def datasources() -> dict[str, dict[str, Any]]:
    (file,) = (DEPLOY / "grafana" / "provisioning" / "datasources").glob("*.yaml")
    found = yaml.safe_load(file.read_text(encoding="utf-8").replace("$$", "$"))["datasources"]
    return {source["type"]: source for source in found}


def filled(text: str) -> list[str]:
    """Returns the queries that Grafana makes from one with variables."""
    text = text.replace("$__rate_interval", "5m").replace("$__tags", 'service_name="x"')
    return [re.sub(r"\$\w+", "x", text.replace("$window", window)) for window in ("1h", "24h")]


def rule_queries() -> list[Query]:
    return [
        Query(f"{file} {rule.get('record') or rule['alert']}", rule["expr"])
        for folder in ("rules", "alerts")
        for file, rule in rules(folder)
    ]


def named(selector: str) -> list[str]:
    """A selector for each name of one that has a matcher of names."""
    names = re.search(r'__name__=~"([^"]*)"(?:, )?', selector)
    return [name + selector.replace(names[0], "") for name in names[1].split("|")] if names else [selector]


def dashboard_queries() -> list[Query]:
    found = [(title, target["expr"]) for title, target in targets("prometheus")]
    for dashboard in dashboards():
        found += [("annotation " + each["name"], each["target"]["expr"]) for each in dashboard["annotations"]["list"]]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
                found += [(f"variable {variable['name']}", f"count by ({label}) ({each})") for each in named(series)]
    found += [
        (each["name"], each["query"]) for each in datasources()["tempo"]["jsonData"]["tracesToMetrics"]["queries"]
    ]
    return [Query(place, text) for place, pattern in found for text in dict.fromkeys(filled(pattern))]


def children(node: Any) -> list[Any]:
    if isinstance(node, promql.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, promql.Call):
        return list(node.args)
    if isinstance(node, promql.MatrixSelector):
        return [node.vector_selector]
    if isinstance(node, promql.AggregateExpr):
        return [node.expr, *([node.param] if node.param is not None else [])]
    return [node.expr] if hasattr(node, "expr") else []


def walk(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Yields each node with all nodes above it, the nearest last."""
    yield node, above
    for child in children(node):
        yield from walk(child, (*above, node))


def operator(node: Any) -> str:
    """Returns the name of the function or aggregation, or an empty text."""
    if isinstance(node, promql.Call):
        return str(node.func.name)
    return str(node.op) if isinstance(node, promql.AggregateExpr) else ""


def labels_of(node: Any) -> set[str]:
    """Returns the labels that one node names."""
    if isinstance(node, promql.VectorSelector):
        return {matcher.name for matcher in node.matchers.matchers}
    if isinstance(node, promql.AggregateExpr):
        return set(node.modifier.labels) if node.modifier else set()
    if isinstance(node, promql.BinaryExpr) and node.modifier:
        matching = re.findall(r"[a-zA-Z_]\w*", str(node.modifier.matching or ""))
        return {*matching, *(node.modifier.group_labels or [])} - {"on", "ignoring"}
    if isinstance(node, promql.Call) and node.func.name == "label_replace":
        return {node.args[1].val, node.args[3].val} - {""}
    return set()


def own_series() -> set[str]:
    found = set()
    for metric in semconv.metrics():
        name = semconv.prometheus_name(metric)
        found |= (
            {f"{name}_{part}" for part in ("bucket", "sum", "count")} if metric.instrument == "histogram" else {name}
        )
    return found


PLACE = {"k8s.cluster.name", "k8s.namespace.name", "team"}
"""Where a service runs and who owns it: resource attributes of the deployment."""


def own_attributes() -> set[str]:
    """Returns our attribute names, with dots."""
    metrics = {metric.name for metric in semconv.metrics()}
    texts = {value for value in vars(semconv).values() if isinstance(value, str)}
    named = {text for text in texts if re.fullmatch(r"[a-z_]+([.][a-z_]+)+", text)}
    # The score is also an attribute, under the name of the metric.
    return (named - metrics) | {semconv.PREDICTION_SCORE_ATTRIBUTE, semconv.PREDICTION_DURATION_ATTRIBUTE} | PLACE


RECORDED = {rule["record"] for _, rule in rules("rules")}
OWN_LABELS = {attribute.replace(".", "_") for attribute in own_attributes()}
QUERIES = [*rule_queries(), *dashboard_queries()]
COUNTERS = {
    name
    for name in (own_series() | FOREIGN_SERIES)
    if name.endswith(("_total", "_bucket", "_count", "_sum")) and name != "system_cpu_logical_count"
    if not name.endswith(("_thread_count", "_descriptor_count"))
}


def complaints_about(check: Any) -> list[str]:
    """Applies `check` to each node of each query; returns its complaints."""
    found = []
    for query in QUERIES:
        for node, above in walk(promql.parse(query.text)):
            complaint = check(node, above)
            if complaint:
                found.append(f"{query.place}: {complaint}")
    return sorted(set(found))


def test_every_series_exists():
    """Every queried series is emitted, recorded, or listed here as another project's."""
    known = own_series() | RECORDED | FOREIGN_SERIES

    def check(node, above):
        return (
            f"unknown series {node.name}" if isinstance(node, promql.VectorSelector) and node.name not in known else ""
        )

    assert complaints_about(check) == []


def test_every_label_exists():
    """Each label in a matcher, a grouping or a join is one of our attributes, or listed here as another project's."""
    known = OWN_LABELS | FOREIGN_LABELS

    assert complaints_about(lambda node, above: ", ".join(sorted(labels_of(node) - known))) == []


def test_counters_are_read_as_rates():
    """No query reads a raw counter: its value depends on when the process started."""

    def check(node, above):
        if not isinstance(node, promql.VectorSelector) or node.name not in COUNTERS:
            return ""
        return "" if any(operator(each) in RATES | ALIVE for each in above) else f"raw counter {node.name}"

    assert complaints_about(check) == []


def test_rates_are_taken_before_sums():
    """No query takes the rate of a sum, which mistakes one replica's restart for a reset of all."""

    def check(node, above):
        if operator(node) not in RATES:
            return ""
        return "" if isinstance(node.args[0], promql.MatrixSelector) else f"{operator(node)} over a subquery"

    assert complaints_about(check) == []


def test_rates_see_four_exports():
    """Every rate spans at least four export intervals; a shorter one flickers or is empty."""

    def check(node, above):
        short = operator(node) in RATES and node.args[0].range < 4 * EXPORT_INTERVAL
        return f"{operator(node)} over {node.args[0].range}" if short else ""

    assert complaints_about(check) == []


def test_quantiles_are_taken_from_rates_by_bucket():
    """Every quantile is taken from the rates of the buckets, with `le` kept, or from such recorded ones."""
    recorded = {rule["record"]: rule["expr"] for _, rule in rules("rules") if ":ml_eval_error_bin:" in rule["record"]}

    def check(node, above):
        if operator(node) != "histogram_quantile":
            return ""
        used = {each.name for each, _ in walk(node.args[1]) if isinstance(each, promql.VectorSelector)}
        totals = [promql.parse(recorded[name]) for name in used & recorded.keys()] or [node.args[1]]
        kept = all(isinstance(each, promql.AggregateExpr) and "le" in each.modifier.labels for each in totals)
        rated = all(any(operator(each) in RATES for each, _ in walk(total)) for total in totals)
        return "" if kept and rated else "quantile without rate or le"

    assert complaints_about(check) == []


def branches(node: Any) -> Iterator[Any]:
    """Yields the operands of the outermost `or`s of an expression, also within an aggregation."""
    if isinstance(node, (promql.ParenExpr, promql.AggregateExpr)):
        yield from branches(node.expr)
    elif isinstance(node, promql.BinaryExpr) and str(node.op) == "or":
        yield from branches(node.lhs)
        yield from branches(node.rhs)
    else:
        yield node


def test_shadow_models_never_alert():
    """The first selector of each alternative, which decides what the alert is about, excludes shadow models."""
    silent = set()
    for _, rule in rules("alerts"):
        for branch in branches(promql.parse(rule["expr"])):
            first = next((node for node, _ in walk(branch) if isinstance(node, promql.VectorSelector)), None)
            if first is None:  # vector(1)
                continue
            about_models = first.name in RECORDED or first.name.startswith("ml_")
            excluded = any(
                str(each.name) == "ml_model_role" and each.value == "shadow" for each in first.matchers.matchers
            )
            if (
                about_models
                and not excluded
                and not first.name.startswith(("serving:", "slo:", "collector:", "sampler:"))
            ):
                silent.add((rule["alert"], first.name))

    assert silent == set()


def test_serving_series_leaves_shadow_models_out():
    """The series behind ModelNotServing and ErrorBudgetBurn exclude shadow models, or read series that do."""
    found = [rule["expr"] for _, rule in rules("rules") if rule["record"].startswith(("serving:", "slo:ml_events:"))]

    assert [expr for expr in found if 'ml_model_role!="shadow"' not in expr and "serving:" not in expr] == []


def test_recorded_names_are_unique():
    """No two rules record the same series."""
    names = [rule["record"] for _, rule in rules("rules")]

    assert sorted(names) == sorted(set(names))


def anchors() -> set[str]:
    text = (DEPLOY / "runbook.md").read_text(encoding="utf-8")
    return {heading.lower() for heading in re.findall(r"^## (\w+)$", text, flags=re.MULTILINE)}


def test_alerts_are_complete():
    """Each alert has a duration or several windows, a severity, a summary, a description and an entry in the runbook.

    The Watchdog, which always fires, has neither a duration nor a severity that somebody is told of.
    """
    incomplete = []
    for file, rule in rules("alerts"):
        always = rule["alert"] == "Watchdog"
        wanted = {
            "for": bool(rule.get("for")) or "slo:ml_burn_rate:" in rule["expr"] or always,
            "severity": rule["labels"].get("severity") in ({"none"} if always else {"critical", "warning"}),
            "summary": bool(rule["annotations"].get("summary")),
            "description": bool(rule["annotations"].get("description")),
            "runbook_url": rule["annotations"].get("runbook_url") == RUNBOOK + rule["alert"].lower(),
            "runbook entry": rule["alert"].lower() in anchors(),
        }
        incomplete += [(file, rule["alert"], what) for what, there in wanted.items() if not there]

    assert incomplete == []


def test_the_runbook_names_panels_that_exist():
    """Each name in italics is a panel, a row, a dashboard or a variable of them, or an alert."""
    text = (DEPLOY / "runbook.md").read_text(encoding="utf-8")
    known = {rule["alert"] for _, rule in rules("alerts")} | {"Status", "Rule health", "Alerts", "Alerting"}
    for dashboard in dashboards():
        known |= {dashboard["title"], *(panel["title"] for panel in dashboard["panels"])}
        known |= {variable.get("label") for variable in dashboard["templating"]["list"]}

    assert set(re.findall(r"(?<!\*)\*([^*\n]+)\*(?!\*)", text.replace("_*_", ""))) - known == set()


def test_runbook_has_no_orphans():
    """Each entry of the runbook belongs to an alert."""
    assert anchors() == {rule["alert"].lower() for _, rule in rules("alerts")}


def test_alert_texts_use_known_labels():
    """Alert texts use only existing labels; a misspelt one would be empty in the page."""
    texts = [text for _, rule in rules("alerts") for text in rule["annotations"].values()]

    used = {label for text in texts for label in re.findall(r"\$labels\.(\w+)", text)}

    assert used - OWN_LABELS - FOREIGN_LABELS == set()


def test_legends_use_known_labels():
    """Panel legends use only existing labels."""
    used = {
        label
        for _, target in targets("prometheus")
        for label in re.findall(r"{{(\w+)}}", target.get("legendFormat", ""))
    }

    assert used - OWN_LABELS - FOREIGN_LABELS == set()


def logql_queries() -> list[str]:
    tempo = datasources()["tempo"]["jsonData"]["tracesToLogsV2"]["query"]
    return [*(target["expr"] for _, target in targets("loki")), tempo]


def test_log_labels_exist():
    """LogQL selects only by our attributes in their underscored form, or by labels that Loki adds."""
    used = {
        name for query in logql_queries() for name in re.findall(r"(?<=[{|,])\s*([a-z]\w*)\s*(?:=~|!~|!=|=|<|>)", query)
    }

    assert used
    assert used - OWN_LABELS - LOKI_LABELS == set()


def test_trace_attributes_exist():
    """TraceQL selects only by our attributes with dots, or by intrinsics of every span."""
    queries = [target["query"] for _, target in targets("tempo")]
    used = {name for query in queries for name in re.findall(r"(?:span|resource)\.([\w.]+)", query)}
    bare = {name for query in queries for name in re.findall(r"(?<![\w.\"$])([a-z]+(?::[a-z]+)?)\s*(?:=|>|<)", query)}

    assert used
    assert (used - own_attributes(), bare - TEMPO_INTRINSICS) == (set(), set())


def test_links_between_sources_use_known_names():
    """Links between data sources use only existing names; a wrong label fails silently in Grafana."""
    tempo = datasources()["tempo"]["jsonData"]
    tags = [*tempo["tracesToLogsV2"]["tags"], *tempo["tracesToMetrics"]["tags"]]

    assert [tag for tag in tags if tag["key"] not in own_attributes()] == []
    assert [tag for tag in tags if tag["value"] != tag["key"].replace(".", "_")] == []


@pytest.mark.parametrize("document", ["runbook.md", "prometheus/README.md", "grafana/README.md"])
def test_documents_name_what_exists(document):
    """Every series that a document names is emitted or recorded; names of limits are settings."""
    text = (DEPLOY / document).read_text(encoding="utf-8")
    settings = set(yaml.safe_load((DEPLOY / "prometheus" / "thresholds.yaml").read_text(encoding="utf-8"))["limits"])
    known = own_series() | RECORDED | FOREIGN_SERIES | OWN_LABELS | FOREIGN_LABELS | settings
    families = r"(?<![\w:.])(?:(?:ml|otelml|otelcol|hw|system|process|container|http)_[a-z0-9_]+)(?![\w*:])"

    named = set(re.findall(families, re.sub(r"\w+_\*_\w+", "", text)))

    assert named - known == set()


def test_pushed_and_scraped_series_have_the_same_attributes_of_the_resource() -> None:
    """Prometheus promotes to labels what the scrape page has as labels."""
    config = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())

    assert tuple(config["otlp"]["promote_resource_attributes"]) == semconv.PROMOTED_RESOURCE_ATTRIBUTES


def test_every_variable_of_a_deployment_is_known() -> None:
    """A service that has the environment of a deployment does not call its variables unknown."""
    root = DEPLOY.parent
    files = [root / "Makefile", *(path for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".json")]
    names = {name for path in files for name in re.findall(r"\bOTEL_ML_[A-Z_]+\b", path.read_text(errors="ignore"))}

    assert "OTEL_ML_RUNBOOK" in names
    assert misread_variables(dict.fromkeys(names, "")) == []
