"""The dashboards and their data sources: generated, complete, linked, and every query parsed by its language's own grammar.

Sources: grafana/grafana#57855 and #52026 (a column has another name while only one query answers), #10786 and
kubernetes/ingress-nginx#4190 (a provisioned dashboard with inputs finds no data source), #110805 (a link by a hidden column is
empty), #84146 (links by a column work in tables only), #93072 and #22125 (a link ends at `+`, `&` or `#` of a value),
rhobs/configuration#528 (panels on one place).
The rules are those of grafana/dashboard-linter.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from pathlib import Path
from string import ascii_uppercase

import promql_parser
import pytest
import yaml
from node_packages import installed

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
GRAMMARS = Path(__file__).resolve().parent / "queries"

DASHBOARDS = {
    file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted((GRAFANA / "dashboards").glob("*.json"))
}
TITLES = {
    "fleet": "Fleet",
    "model": "Model",
    "data": "Data quality and drift",
    "performance": "Performance",
    "slo": "SLO",
    "resources": "Resources and GPU",
    "telemetry": "Telemetry health",
}
PANELS = [panel for each in DASHBOARDS.values() for panel in each["panels"] if panel["type"] != "row"]
TARGETS = [(panel, target) for panel in PANELS for target in panel["targets"]]
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS.values(), ids=DASHBOARDS)
SOURCES = {
    source["name"]: source
    for source in yaml.safe_load((GRAFANA / "provisioning/datasources/otel-ml.yaml").read_text())["datasources"]
}


def variables(dashboard):
    return {variable["name"]: variable for variable in dashboard["templating"]["list"]}


def panels_of(dashboard):
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def filled(text):
    """Returns a query as Grafana sends it, with a value for each variable."""
    text = text.replace("$__rate_interval", "5m").replace("$__tags", 'service_name="x"').replace("$window", "1h")
    return re.sub(r"\$\{?\w+(?:\.\w+)*\}?", "x", text)


def tempo_links():
    return SOURCES["Tempo"]["jsonData"]


def promql_queries():
    yield from ((panel["title"], target["expr"]) for panel, target in TARGETS if "legendFormat" in target)
    yield from ((panel["title"], target["expr"]) for panel, target in TARGETS if target.get("format") == "table")
    for dashboard in DASHBOARDS.values():
        yield from ((each["name"], each["target"]["expr"]) for each in dashboard["annotations"]["list"])
    yield from (
        (each["name"], each["query"].replace("$$", "$")) for each in tempo_links()["tracesToMetrics"]["queries"]
    )


def logql_queries():
    # ${__tags} becomes a list of matchers.
    link = tempo_links()["tracesToLogsV2"]["query"].replace("$$", "$").replace("${__tags}", 'service_name="x"')
    return [*(target["expr"] for panel, target in TARGETS if panel["datasource"]["type"] == "loki"), link]


def traceql_queries():
    return [target["query"] for panel, target in TARGETS if panel["datasource"]["type"] == "tempo"]


@pytest.fixture(scope="session")
def grammars():
    """Runs the parser of `queries/parse.js`."""
    installed(GRAMMARS)

    def parse(**queries):
        done = subprocess.run(
            ["node", "parse.js"], cwd=GRAMMARS, input=json.dumps(queries), capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    return parse


def test_dashboards_are_what_the_generator_writes():
    """The JSON is not edited by hand, and the generator was run after its last change."""
    done = subprocess.run([sys.executable, "-B", GRAFANA / "build_dashboards.py", "--check"], capture_output=True)

    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_first_row_is_the_classic_four():
    """The four panels of the course recipe come first."""
    panels = DASHBOARDS["model"]["panels"]
    first, second = [index for index, panel in enumerate(panels) if panel["type"] == "row"][:2]

    assert [panel["title"] for panel in panels[first + 1 : second]] == [
        "Predictions per Second",
        "Prediction Latency (p95)",
        "Prediction Distribution",
        "Error Rate",
    ]


def test_promql_parses():
    """Every PromQL query of the panels, the annotations and the links is valid, types included."""
    queries = list(promql_queries())

    assert len(queries) > 250
    for _, text in queries:
        promql_parser.parse(filled(text))


def test_logql_and_traceql_parse(grammars):
    """Every LogQL and TraceQL query is valid."""
    logql, traceql = map(filled, logql_queries()), map(filled, traceql_queries())

    assert grammars(logql=list(logql), traceql=list(traceql)) == []


def test_the_grammars_notice_errors(grammars):
    """The check above can fail: each of these queries is invalid."""
    wrong = {
        "logql": ['{service.name="x"}', '{service_name="x"', '{service_name="x"} | = "y"'],
        "traceql": ["{ status == }", "{ resource.service.name = }"],
    }

    noticed = {(error["language"], error["query"]) for error in grammars(**wrong)}

    assert noticed == {(language, query) for language, queries in wrong.items() for query in queries}


def test_every_target_was_checked():
    """Every target is of a kind that the tests above cover."""
    checked = {text for _, text in promql_queries()} | {*logql_queries(), *traceql_queries()}

    assert [target for _, target in TARGETS if target.get("expr", target.get("query")) not in checked] == []


def test_panels_are_complete():
    """Each panel has a description, a unit and a data source variable."""
    incomplete = [
        panel["title"]
        for panel in PANELS
        if not panel["title"]
        or not panel["description"]
        or not panel["targets"]
        or not panel["fieldConfig"]["defaults"]["unit"]
        or not re.fullmatch(r"\$\{(datasource|logs|traces)\}", panel["datasource"]["uid"])
    ]

    assert incomplete == []


@each_dashboard
def test_panels_have_their_own_number_and_place(dashboard):
    """No two panels share an id or overlap, none is wider than the page, and no row hides panels or is empty."""
    numbers = [panel["id"] for panel in dashboard["panels"]]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in dashboard["panels"])
        for x, y in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]
    kinds = [panel["type"] for panel in sorted(dashboard["panels"], key=lambda panel: panel["gridPos"]["y"])]

    assert len(numbers) == len(set(numbers))
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    assert (kinds[0], kinds[-1] != "row", ["row", "row"] in [list(pair) for pair in itertools.pairwise(kinds)]) == (
        "row",
        True,
        False,
    )
    assert [panel for panel in dashboard["panels"] if panel.get("collapsed") or panel.get("panels")] == []


def test_queries_of_a_panel_have_their_own_letter():
    """Grafana runs only one of two queries with the same letter."""
    letters = [[target["refId"] for target in panel["targets"]] for panel in PANELS]

    assert [each for each in letters if each != list(ascii_uppercase[: len(each)])] == []


def organized(panel):
    """The names that the transformations of a panel give, or nothing."""
    return next((each["options"] for each in panel["transformations"] if each["id"] == "organize"), None)


def test_a_column_keeps_its_name_while_only_one_query_answers():
    """`Value`, without a letter, is the value of the first query, and each query has a heading of its own."""
    tables = [panel for panel in PANELS if organized(panel)]
    names = [
        [
            organized(panel)["renameByName"][column]
            for column in ("Value", *(f"Value #{x['refId']}" for x in panel["targets"]))
        ]
        for panel in tables
    ]

    assert len(tables) > 10
    assert [each for each in names if each[0] != each[1] or len({*each}) != len(each) - 1] == []


def test_sorted_and_styled_columns_exist():
    """A table is sorted by a column that it has, and no name of an override is misspelt."""
    wrong = []
    for panel in (panel for panel in PANELS if organized(panel)):
        headings = {*organized(panel)["renameByName"].values()}
        used = [each["displayName"] for each in panel["options"].get("sortBy", [])]
        used += [
            each["matcher"]["options"]
            for each in panel["fieldConfig"]["overrides"]
            if each["matcher"]["id"] == "byName"
        ]
        wrong += [(panel["title"], name) for name in used if name not in headings]
        patterns = [
            each["matcher"]["options"]
            for each in panel["fieldConfig"]["overrides"]
            if each["matcher"]["id"] == "byRegexp"
        ]
        wrong += [
            (panel["title"], each) for each in patterns if not any(re.search(each[1:-1], name) for name in headings)
        ]

    assert wrong == []


@each_dashboard
def test_every_variable_is_defined_and_used(dashboard):
    """Every used variable is defined and every defined one is used, apart from Grafana's own."""
    text = json.dumps([dashboard["panels"], dashboard["annotations"], dashboard["templating"]])
    used = set(re.findall(r"\$\{?(?!__)(\w+)", text))

    assert used == set(variables(dashboard))


@each_dashboard
def test_variables_are_the_promised_ones(dashboard):
    """Each dashboard chooses by place, team, service and model; those with figures of single processes by instance as well."""
    names = set(variables(dashboard))
    of_processes = {"version", "instance"} if dashboard["title"] not in ("Fleet", "SLO") else set()

    assert {"datasource", "environment", "cluster", "namespace", "team", "job", "model"} | of_processes <= names


@each_dashboard
def test_labels_may_be_absent(dashboard):
    """*All* also selects series without the label; of the services it is all that hold the chosen model, if not stated otherwise."""
    wanted = {"job": ".*"} if dashboard["title"] not in ("Resources and GPU", "Telemetry health") else {"job": None}
    labels = [each for each in variables(dashboard).values() if each["type"] == "query" and each["includeAll"]]
    found = {each["name"]: each.get("allValue") for each in labels if each["name"] != "service"}

    assert found == dict.fromkeys(found, ".*") | wanted


@each_dashboard
def test_a_variable_depends_on_none_that_follows(dashboard):
    """Each variable is narrowed by those before it only: two that narrow each other never load."""
    names = [*variables(dashboard)]
    late = [
        (name, used)
        for place, name in enumerate(names)
        for used in re.findall(r"\$(\w+)", variables(dashboard)[name].get("definition", ""))
        if used not in names[:place]
    ]

    assert late == []


def test_the_dashboards_are_those_of_the_set():
    """The seven dashboards, with stable addresses, in the classic form: file provisioning refuses newer ones."""
    forms = {
        name: {
            key: each.get(key)
            for key in ("uid", "title", "schemaVersion", "editable", "apiVersion", "spec", "__inputs")
        }
        for name, each in DASHBOARDS.items()
    }

    assert forms == {
        name: {
            "uid": f"otel-ml-{name}",
            "title": title,
            "schemaVersion": 42,
            "editable": False,
            "apiVersion": None,
            "spec": None,
            "__inputs": None,
        }
        for name, title in TITLES.items()
    }


@each_dashboard
def test_each_dashboard_leads_to_all_others(dashboard):
    """Links on top go to every other dashboard with time and selection; the one to the fleet shows all models again."""
    links = {link["url"]: (link["title"], link["keepTime"], link["includeVars"]) for link in dashboard["links"]}

    assert links == {
        f"/d/otel-ml-{name}": (title, True, name != "fleet")
        for name, title in TITLES.items()
        if title != dashboard["title"]
    }


def addresses(panel):
    """The links of a panel and of its columns."""
    yield from (link["url"] for link in panel["links"])
    for override in panel["fieldConfig"]["overrides"]:
        for each in override["properties"]:
            if each["id"] == "links":
                yield from (link["url"] for link in each["value"])


@each_dashboard
def test_links_of_panels_lead_to_what_exists(dashboard):
    """A link names a dashboard, its variables and those of this one, and columns that its table shows."""
    wrong = []
    for panel in panels_of(dashboard):
        for url in addresses(panel):
            target = DASHBOARDS[url.split("?")[0].removeprefix("/d/otel-ml-")]
            set_there = {*re.findall(r"var-(\w+)=", url), *re.findall(r"\$\{(\w+):queryparam\}", url)}
            read_here = {*re.findall(r"\$\{(\w+):queryparam\}", url)}
            columns = re.findall(r'__data\.fields\["([^"]+)"\]', url)
            shown = {*organized(panel)["renameByName"].values()} if panel["type"] == "table" else set()
            if not (set_there <= {*variables(target)} and read_here <= {*variables(dashboard)} and {*columns} <= shown):
                wrong.append((panel["title"], url))
            if "${__url_time_range}" not in url or (columns and panel["type"] != "table"):
                wrong.append((panel["title"], url))

    assert wrong == []


def test_links_keep_names_of_any_characters():
    """A model `R&D+1 #2` is selected whole: what Grafana puts into an address by itself is cut at such a character."""
    values = {value for panel in PANELS for url in addresses(panel) for value in re.findall(r"=(\$\{[^}]*\})", url)}
    assert values
    assert [value for value in values if not value.endswith(":percentencode}")] == []


def test_histograms_with_exemplars_show_them():
    """Every course of a histogram that has exemplars shows them, in one query of the panel: each dot links to a trace."""
    with_exemplars = r"(ml_prediction_duration_seconds|ml_prediction_score|http_server_request_duration_seconds)_bucket"
    shown = {
        (panel["title"], sum(bool(target.get("exemplar")) for target in panel["targets"]))
        for panel in PANELS
        if any(re.search(with_exemplars, target.get("expr", "")) for target in panel["targets"])
    }

    assert {title for title, _ in shown} >= {
        "Prediction Latency (p95)",
        "Prediction Distribution",
        "Request Latency (p95)",
    }
    assert [title for title, count in shown if count != 1] == []


def test_rates_follow_the_export_interval():
    """Panels take rates over four exports, whatever interval the data source of another Grafana has (grafana/grafana#107665)."""
    steps = {target.get("interval") for _, target in TARGETS if "$__rate_interval" in target.get("expr", "")}
    ranges = {each for _, target in TARGETS if "expr" in target for each in re.findall(r"\[([^\]]+)\]", target["expr"])}

    assert ranges == {"$__rate_interval"}
    assert steps == {"60s"} == {SOURCES["Prometheus"]["jsonData"]["timeInterval"]}


OF_SERVERS = re.compile(r"^otelcol_")
OF_ALL_PROCESSES = re.compile(r":|^otelcol_|^otelml_collector_|^ALERTS$")
"""A Collector serves a place, not a service. What rules, alerts and Collectors say of a service is about all its processes."""
NO_SERVICE = re.compile(r"^(system|hw|otelml_sampler|otelml_pressure)_|^service:(hw|system|otelcol)_")
"""Of machines: the sampler of a node belongs to no service."""


@each_dashboard
def test_every_query_selects_by_the_variables(dashboard):
    """Every series is selected by service, that of a process by instance as well; machines and Collectors by their place."""
    wrong = []
    found = [(panel, target) for panel in panels_of(dashboard) for target in panel["targets"]]
    for panel, target in found:
        if panel["datasource"]["type"] != "prometheus":
            continue
        for name, matchers in re.findall(r"([a-zA-Z_][\w:]*(?:\$window)?)\{([^}]*)\}", target["expr"]):
            of_service = not (OF_SERVERS.match(name) or NO_SERVICE.match(name))
            wanted = ['job=~"$job"'] if of_service else ['k8s_cluster_name=~"$cluster"']
            if not OF_ALL_PROCESSES.search(name) and "instance" in variables(dashboard):
                wanted.append('instance=~"$instance"')
            wrong += [(panel["title"], name, each) for each in wanted if each not in matchers]

    assert wrong == []


def test_each_dashboard_fits_an_object_of_kubernetes():
    """`kubectl apply` keeps a copy in an annotation of at most 256 KiB (prometheus-operator/kube-prometheus#709)."""
    sizes = {file.stem: file.stat().st_size for file in (GRAFANA / "dashboards").glob("*.json")}

    assert {name: size for name, size in sizes.items() if size > 200_000} == {}


def test_no_panel_counts_the_alert_that_always_fires():
    """Every selection of alerts is by severity or by model: the Watchdog has neither."""
    alerts = {each for _, text in promql_queries() for each in re.findall(r"ALERTS\{([^}]*)\}", text)}

    assert alerts
    assert [each for each in alerts if "severity" not in each and 'ml_model_name!=""' not in each] == []


def test_units_are_known_to_grafana():
    """A misspelt unit is shown as text behind each number."""
    known = {"short", "percentunit", "s", "d", "bytes", "Bps", "celsius", "watt", "suffix: /s"}
    units = {panel["fieldConfig"]["defaults"]["unit"] for panel in PANELS}
    for override in (each for panel in PANELS for each in panel["fieldConfig"]["overrides"]):
        units |= {each["value"] for each in override["properties"] if each["id"] == "unit"}

    assert units - known == set()


def test_links_lead_from_metric_to_trace_to_log_and_back():
    """The uids by which data sources refer to each other exist, and every literal `$` is doubled."""
    links = {
        "exemplar": SOURCES["Prometheus"]["jsonData"]["exemplarTraceIdDestinations"][0]["datasourceUid"],
        "log": SOURCES["Loki"]["jsonData"]["derivedFields"][0]["datasourceUid"],
        "trace to log": tempo_links()["tracesToLogsV2"]["datasourceUid"],
        "trace to metric": tempo_links()["tracesToMetrics"]["datasourceUid"],
    }
    text = (GRAFANA / "provisioning/datasources/otel-ml.yaml").read_text()
    code = "\n".join(line for line in text.splitlines() if not line.strip().startswith("#"))

    assert links == {"exemplar": "tempo", "log": "tempo", "trace to log": "loki", "trace to metric": "prometheus"}
    assert {source["uid"] for source in SOURCES.values()} == {"prometheus", "loki", "tempo", "alertmanager"}
    assert re.findall(r"(?<!\$)\$(?!\$)", code) == []
