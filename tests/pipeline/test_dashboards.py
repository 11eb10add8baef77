"""The Model dashboard and its data sources: generated, complete, and every query parsed by its language's own grammar."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from string import ascii_uppercase

import promql_parser
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "deploy" / "grafana"
GRAMMARS = Path(__file__).resolve().parent / "queries"

DASHBOARD = json.loads((GRAFANA / "dashboards" / "model.json").read_text(encoding="utf-8"))
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TARGETS = [(panel, target) for panel in PANELS for target in panel["targets"]]
SOURCES = {
    source["name"]: source
    for source in yaml.safe_load((GRAFANA / "provisioning/datasources/otel-ml.yaml").read_text())["datasources"]
}


def filled(text):
    """Returns a query as Grafana sends it, with a value for each variable."""
    text = text.replace("$__rate_interval", "5m").replace("$__tags", 'service_name="x"').replace("$window", "1h")
    return re.sub(r"\$\{?\w+(?:\.\w+)*\}?", "x", text)


def tempo_links():
    return SOURCES["Tempo"]["jsonData"]


def promql_queries():
    yield from ((panel["title"], target["expr"]) for panel, target in TARGETS if "legendFormat" in target)
    yield from ((panel["title"], target["expr"]) for panel, target in TARGETS if target.get("format") == "table")
    yield from ((each["name"], each["expr"]) for each in DASHBOARD["annotations"]["list"])
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
    """Runs the parser of `queries/parse.js`; its packages are installed on first use."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is not installed: it parses LogQL and TraceQL")
    installed = GRAMMARS / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < (GRAMMARS / "package-lock.json").stat().st_mtime:
        command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(command, cwd=GRAMMARS, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def parse(**queries):
        done = subprocess.run(
            ["node", "parse.js"], cwd=GRAMMARS, input=json.dumps(queries), capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)

    return parse


def test_dashboard_is_what_the_generator_writes():
    """The JSON is not edited by hand, and the generator was run after its last change."""
    done = subprocess.run([sys.executable, "-B", GRAFANA / "build_dashboards.py", "--check"], capture_output=True)

    assert (done.returncode, done.stderr.decode()) == (0, "")


def test_first_row_is_the_classic_four():
    """The four panels of the course recipe come first."""
    first, second = [index for index, panel in enumerate(DASHBOARD["panels"]) if panel["type"] == "row"][:2]

    assert [panel["title"] for panel in DASHBOARD["panels"][first + 1 : second]] == [
        "Predictions per Second",
        "Prediction Latency (p95)",
        "Prediction Distribution",
        "Error Rate",
    ]


def test_promql_parses():
    """Every PromQL query of the panels, the annotations and the links is valid, types included."""
    queries = list(promql_queries())

    assert len(queries) > 40
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


def test_panels_have_their_own_number_and_place():
    """No two panels share an id or overlap, and none is wider than the page."""
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in DASHBOARD["panels"])
        for x, y in itertools.product(
            range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        )
    ]

    assert len(numbers) == len(set(numbers))
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23


def test_queries_of_a_panel_have_their_own_letter():
    """Grafana runs only one of two queries with the same letter."""
    letters = [[target["refId"] for target in panel["targets"]] for panel in PANELS]

    assert [each for each in letters if each != list(ascii_uppercase[: len(each)])] == []


def test_every_variable_is_defined_and_used():
    """Every used variable is defined and every defined one is used, apart from Grafana's own."""
    text = json.dumps([DASHBOARD["panels"], DASHBOARD["annotations"], list(VARIABLES.values())])
    used = set(re.findall(r"\$\{?(?!__)(\w+)", text))

    assert used == set(VARIABLES)


def test_variables_are_the_promised_ones():
    """Service, environment, model, version and role can be selected, and each may be absent."""
    chosen = {name: VARIABLES[name]["allValue"] for name in ("job", "environment", "model", "version", "role")}

    assert chosen == dict.fromkeys(chosen, ".*")


def test_latency_has_exemplars():
    """The latency panel has exemplars that link to traces."""
    shown = {panel["title"] for panel, target in TARGETS if target.get("exemplar")}

    assert shown == {"Prediction Latency (p95)", "Latency"}


def test_rates_follow_the_export_interval():
    """Panels take rates over Grafana's own interval, which follows the export interval."""
    ranges = {each for _, target in TARGETS if "expr" in target for each in re.findall(r"\[([^\]]+)\]", target["expr"])}

    assert ranges == {"$__rate_interval"}


def test_dashboard_is_of_the_classic_form():
    """The JSON has the classic format, since file provisioning refuses newer ones, and a stable uid."""
    form = {key: DASHBOARD.get(key) for key in ("uid", "title", "schemaVersion", "editable", "apiVersion", "spec")}

    assert form == {
        "uid": "otel-ml-model",
        "title": "Model",
        "schemaVersion": 42,
        "editable": False,
        "apiVersion": None,
        "spec": None,
    }


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
