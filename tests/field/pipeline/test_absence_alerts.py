"""A series ends for many reasons. Alerts about what is gone are silent in the ordinary life of a service, and last as long as an outage.

Sources: constructorfabric/insight#3285, JiRaska/open-bank-oss#3333 and pyrra-dev/pyrra#820 (alerts on absent call counters fire at deploys
and for idle services); prometheus/prometheus#17482 (an alert about an instance that is gone resolves by itself); cloudflare/pint#966
(series that come and go keep an alert pending); prometheus-operator/kube-prometheus#1416 (a federated replica doubles each series);
starkware-libs/sequencer#14115 (restarts under new names); prometheus/prometheus#14102 (a
series whose label changes is another one); grafana/mimir#3999 and giantswarm/prometheus-meta-operator#505 (what leaves discovery has no `up`);
helm/charts#21371 and kubernetes/node-problem-detector#1176 (an autoscaler takes nodes away).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import promtool
import pytest

GROUPS = {"operation": "otel-ml-operation", "liveness": "otel-ml-liveness"}
ALERTS = {
    "liveness": "otel-ml-liveness-alerts",
    "telemetry": "otel-ml-telemetry",
}
HOURS = 8


def active(instance: str, values: str, model: str = "fraud", version: str = "1", **labels: str) -> dict[str, str]:
    """Calls in progress in one process, which it exports from its start to its end."""
    return series("ml_prediction_active", values, instance=instance, **of_model(model, version), **labels)


def held(instance: str, values: str, model: str = "fraud", version: str = "1", **labels: str) -> dict[str, str]:
    """1 while a process holds the model; 0 in its last export if it shuts down cleanly."""
    return series("ml_model_processes", values, instance=instance, **of_model(model, version), **labels)


def of_model(model: str, version: str) -> dict[str, str]:
    return {"ml_model_name": model, "ml_model_version": version, "ml_model_role": "primary"}


def series(name: str, values: str, job: str = "api", **labels: str) -> dict[str, str]:
    pairs = ", ".join(f'{key}="{text}"' for key, text in {"job": job, **labels}.items())
    return {"series": f"{name}{{{pairs}}}", "values": values}


def ending(
    instance: str, start: int, minutes: int, model: str = "fraud", version: str = "1", **labels: str
) -> list[Any]:
    """A process that starts at a minute and shuts down cleanly."""
    before = f"_x{start} " if start else ""
    return [
        active(instance, f"{before}0x{minutes}", model, version, **labels),
        held(instance, f"{before}1x{minutes - 1} 0", model, version, **labels),
    ]


def collector(values: str, instance: str = "c", **labels: str) -> dict[str, str]:
    return series("otelcol_process_uptime_seconds_total", values, job="otelcol", instance=instance, **labels)


def scraped(instance: str, start: int, minutes: int) -> list[Any]:
    """A process with a page, which ends in order: nothing scrapes its last export, and discovery lists it no longer."""
    before = f"_x{start} " if start else ""
    return [
        active(instance, f"{before}0x{minutes}"),
        held(instance, f"{before}1x{minutes}"),
        series("up", f"{before}1x{minutes}", instance=instance),
    ]


def crash_loop(what: Any, values: str) -> list[Any]:
    """Fourteen short lives under new names from minute 61 on, and one that lasts."""
    return [
        *(what(f"{values}x1", f"_x{start} ", f"k{start}") for start in range(61, 89, 2)),
        what(f"{values}x380", "_x90 ", "z"),
    ]


GAP = "0x60 _x120 0x500"
"""Two hours without Prometheus."""
ORDINARY: dict[str, list[dict[str, str]]] = {
    "a first start": [active("a", "_x60 0x600")],
    "a rollout in a quiet hour, by call counters": [
        series("ml_prediction_duration_seconds_count", "0+100x60", instance="old", **of_model("fraud", "1")),
        series("ml_predictions_total", "_x60 0x600", instance="new", ml_prediction_class="1", **of_model("fraud", "2")),
        active("old", "0x60"),
        active("new", "_x60 0x600", version="2"),
    ],
    "a rollout that starts again": [*ending("a", 0, 60), *ending("b", 0, 60), active("c", "_x64 0x600"), active("d", "_x64 0x600")],
    "a rolling update with one more replica": [
        *ending("a", 0, 60), *ending("b", 0, 80), *ending("c", 55, 500), *ending("d", 75, 500),
    ],
    "a version that is taken back": [*ending("a", 0, 600), *ending("b", 60, 30, version="2")],
    "scaling down": [*ending("a", 0, 600), *ending("b", 0, 120), *ending("c", 0, 130)],
    "scaling down to none": [*ending("a", 0, 60), *ending("b", 0, 61)],
    "a replica that was killed and replaced": [active("a", "0x600"), active("b", "0x60"), active("c", "_x62 0x600")],
    "a job": [*ending("a", 30, 1), *ending("b", 400, 20)],
    "workers that take turns": [*ending("a", 0, 10), *ending("b", 5, 10), *ending("c", 10, 600)],
    "another name in order": [*ending("a", 0, 60), active("b", "_x61 0x600", "fraud_v2")],
    "another name, and the old process was killed": [active("a", "0x60"), active("b", "_x58 0x600", "fraud_v2")],
    "nobody calls at night": [
        series("ml_prediction_duration_seconds_count", "0+60x300 18000x400", instance="a", **of_model("fraud", "1")),
        active("a", "1x300 0x400"),
    ],
    "one call every hour": [
        series("ml_prediction_duration_seconds_count", "0x60 1x60 2x60 3x600", instance="a", **of_model("fraud", "1")),
        active("a", "0x600"),
    ],
    "a shadow that was killed": [series("ml_prediction_active", "0x60", instance="a", ml_model_name="fraud", ml_model_role="shadow")],
    "a canary that ends": [
        *ending("a", 0, 470),
        series("ml_prediction_active", "_x60 0x60", instance="c", ml_model_name="fraud", ml_model_role="canary"),
        series("ml_model_processes", "_x60 1x59 0", instance="c", ml_model_name="fraud", ml_model_role="canary"),
    ],
    "replicas that come and go with the load": [
        *ending("a", 0, 470), *(each for n in range(10) for each in ending(f"h{n}", 30 * n, 20 + n)),
    ],
    "a process that gets another label": [
        active("a", "0x60"), held("a", "1x60"), active("a", "_x61 0x410", team="risk"), held("a", "_x61 1x410", team="risk"),
    ],
    "one of two Prometheus that are federated": [
        active("a", "0x470", prometheus_replica="0"), active("a", "0x60", prometheus_replica="1"),
        held("a", "1x470", prometheus_replica="0"), held("a", "1x60", prometheus_replica="1"),
    ],
    "a crash loop that ends": [
        active("a", "0x470"), active("b", "0x60"),
        *crash_loop(lambda values, start, name: active(name, start + values), "0"),
    ],
    "a slow rollout": [
        *(each for n in range(4) for each in ending(f"o{n}", 0, 60 + 10 * n)),
        *(each for n in range(4) for each in ending(f"n{n}", 55 + 10 * n, 420)),
    ],
    "pages that are scraped, and scale down to none": [*scraped("a", 0, 60), *scraped("b", 0, 63)],
    "pages that are scraped, and come and go": [*scraped("a", 0, 480), *scraped("b", 0, 60), *scraped("c", 100, 60)],
    "a sampler inside a service, which ends": [
        *ending("a", 0, 60), series("otelml_sampler_interval_seconds", "15x60", instance="a"),
    ],
    "nodes that an autoscaler takes away": [
        series("otelml_sampler_interval_seconds", "15x470", instance="m"),
        *(series("otelml_sampler_interval_seconds", f"15x{60 + 20 * n} 0", instance=f"n{n}") for n in range(3)),
    ],
    "the only node, which is shut down and comes back": [series("otelml_sampler_interval_seconds", "15x60 0 _x200 15x200", instance="n")],
}  # fmt: skip


def own_job(life: str, inputs: list[dict[str, str]]) -> list[dict[str, str]]:
    return [each | {"series": each["series"].replace('job="api"', f'job="{life}"')} for each in inputs]


def alerts_are(folder: Path, inputs: list[dict[str, str]], wanted: dict[tuple[int, str], list[str]]) -> None:
    """Fails unless these alerts, and no others, fire at these minutes, of the services that a matcher selects."""
    by = "count by (alertname, severity, ml_model_name, k8s_cluster_name)"
    cases = [
        {
            "eval_time": f"{minute}m",
            "expr": f'{by} (ALERTS{{alertstate="firing", job=~"{job}"}})',
            "exp_samples": [{"labels": f"{{{each}}}", "value": 1} for each in alerts],
        }
        for (minute, job), alerts in wanted.items()
    ]
    test = {"interval": "1m", "input_series": inputs, "promql_expr_test": cases}
    assert promtool.run(folder, [test], GROUPS, alerts=ALERTS, interval="1m") == ""


def test_nothing_alerts_in_the_ordinary_life_of_a_service(tmp_path: Path) -> None:
    """No alert fires at any time when replicas, versions, names, jobs and calls come and go as they do."""
    inputs = [each for life, inputs in ORDINARY.items() for each in own_job(life, inputs)]

    alerts_are(tmp_path, inputs, {(minute, life): [] for life in ORDINARY for minute in range(5, 60 * HOURS, 5)})


GONE = 'alertname="ModelNotServing", severity="critical", ml_model_name="fraud"'
HANGS = 'alertname="ModelNotServing", severity="warning", ml_model_name="fraud"'
FEWER = 'alertname="ModelReplicaLost", severity="warning", ml_model_name="fraud"'
BLIND, SOME = 'alertname="CollectorDown", severity="critical"', 'alertname="CollectorDown", severity="warning"'
SAMPLER = 'alertname="SamplerDown", severity="warning"'
EU, US = {"k8s_cluster_name": "eu"}, {"k8s_cluster_name": "us"}
OUTAGES: dict[str, tuple[list[dict[str, str]], dict[int, list[str]]]] = {
    "all replicas were killed, and one comes back": (
        [active("a", "0x60"), active("b", "0x60"), active("c", "_x600 0x100"), held("a", "1x60")],
        {60: [], 75: [GONE], 300: [GONE], 595: [GONE], 601: []},
    ),
    "killed within its first hour": ([active("a", "0x10"), held("a", "1x10")], {10: [], 22: [GONE], 700: [GONE]}),
    "started again in the same place and killed": (
        [active("a", "0x60 _x1 0x60"), held("a", "1x59 0 _x1 1x60")], {60: [], 120: [], 140: [GONE]},
    ),
    "one model of a service that goes on": (
        [active("a", "0x60"), active("b", "0x600", "other")], {60: [], 75: [GONE], 600: [GONE]},
    ),
    "one of three replicas": (
        [active("a", "0x600"), active("b", "0x60"), *ending("c", 0, 200), held("a", "1x600"), held("b", "1x60")],
        {60: [], 80: [FEWER], 300: [FEWER], 470: []},
    ),
    "one that was killed hours before the service ended": (
        [active("b", "0x30"), *ending("a", 0, 400)],
        {60: [FEWER], 390: [FEWER], 410: [], 470: []},
    ),
    "a page that does not answer": (
        [active("a", "0x60"), held("a", "1x60"), series("up", "1x60 0x400", instance="a")], {60: [], 75: [GONE], 400: [GONE]},
    ),
    "a page that does not answer, and then leaves discovery": (
        [active("a", "0x60"), held("a", "1x60"), series("up", "1x60 0x2", instance="a")],
        {60: [], 75: [GONE], 400: [GONE]},
    ),
    "one of two namespaces, in which the processes have the same names": (
        [active("a", "0x60", k8s_namespace_name="one"), active("a", "0x470", k8s_namespace_name="two")],
        {60: [], 75: [GONE], 400: [GONE]},
    ),
    "calls that hang": (
        [
            series("ml_prediction_duration_seconds_count", "0+60x60 3600x200", instance="a", **of_model("fraud", "1")),
            active("a", "1x60 4x200"),
        ],
        {60: [], 80: [HANGS], 200: [HANGS]},
    ),
    "a node with its sampler": (
        [
            series("otelml_sampler_interval_seconds", "15x60", job="api", instance="n"),
            series("otelml_sampler_interval_seconds", "15x600", job="api", instance="m"),
        ],
        {60: [], 90: [SAMPLER], 300: [SAMPLER]},
    ),
    "a node that is lost, after another one was taken away": (
        [
            series("otelml_sampler_interval_seconds", "15x30 0", job="api", instance="l"),
            series("otelml_sampler_interval_seconds", "15x60", job="api", instance="n"),
            series("otelml_sampler_interval_seconds", "15x600", job="api", instance="m"),
        ],
        {60: [], 90: [SAMPLER], 300: [SAMPLER]},
    ),
}  # fmt: skip


BEHIND_A_COLLECTOR: dict[str, tuple[list[dict[str, str]], dict[int, list[str]]]] = {
    "all replicas of one cluster": (
        [active("a", "0x60", **EU), active("b", "0x600", **US), collector("0+60x600", **EU)],
        {75: [f'{GONE}, k8s_cluster_name="eu"']},
    ),
    "the Collector of one cluster": (
        [
            active("a", "0x60 _x240 0x100", **EU), active("b", "0x400", **US),
            collector("0+60x60 _x240 0+60x100", **EU), collector("0+60x400", "d", **US),
        ],
        {60: [], 90: [f'{BLIND}, k8s_cluster_name="eu"'], 299: [f'{BLIND}, k8s_cluster_name="eu"'], 305: [], 390: []},
    ),
    "the only Collector, which does not say where it runs": (
        [active("a", "0x60", **EU), collector("0+60x60")], {90: [BLIND], 700: [BLIND]},
    ),
    "one of two Collectors": ([collector("0+60x60"), collector("0+60x600", "d")], {60: [], 90: [SOME], 400: [SOME]}),
    "everything was away, and comes back": (
        [
        active("a", GAP), active("b", GAP), held("a", GAP.replace("0x", "1x")), collector("0+60x60 _x120 10800+60x500"),
        series("otelcol_exporter_send_failed_log_records_total", "7x60 _x120 7x500", job="otelcol", exporter="logs"),
        series("otelml_export_dropped_total", "7x60 _x120 7x500", otelml_signal="logs", otelml_drop_reason="queue_full"),
        series("otelml_sampler_interval_seconds", GAP.replace("0x", "15x"), job="api", instance="n"),
    ],
        {60: [], 90: [BLIND], 185: [], 190: [], 200: [], 240: [], 400: []},
    ),
    "one of two Prometheus that are federated": (
        [collector("0+60x600", prometheus_replica="0"), collector("0+60x60", prometheus_replica="1")], {70: [], 90: [], 300: []},
    ),
    "a Collector gets the name of its cluster": (
        [collector("0+60x60"), collector("_x62 0+60x400", "d", **EU), active("a", "0x460")], {70: [], 90: [], 300: []},
    ),
    "a Collector whose crash loop ends": (
        [collector("0+60x60"), *crash_loop(lambda values, start, name: collector(start + values, name), "0+60")],
        {90: [], 110: [], 300: []},
    ),
    "a Collector restarts under another name": (
        [collector("0+60x60"), collector("_x61 0+60x600", "d"), active("a", "0x600")],
        {60: [], 70: [], 90: [], 300: []},
    ),
}  # fmt: skip


def test_an_outage_alerts_until_it_ends(tmp_path: Path) -> None:
    """What was cut off alerts, as one alert, for as long as it is gone or the bound that the runbook states."""
    inputs = [each for life, (inputs, _) in OUTAGES.items() for each in own_job(life, inputs)]
    wanted = {(minute, life): alerts for life, (_, times) in OUTAGES.items() for minute, alerts in times.items()}

    alerts_are(tmp_path, inputs, wanted)


@pytest.mark.parametrize("case", BEHIND_A_COLLECTOR)
def test_without_a_collector_only_that_alerts(tmp_path: Path, case: str) -> None:
    """While nothing arrives from a cluster, CollectorDown fires and nothing that follows from it, and later nothing at all."""
    inputs, times = BEHIND_A_COLLECTOR[case]

    alerts_are(tmp_path, inputs, {(minute, ".*"): alerts for minute, alerts in times.items()})
