"""The rules and routes of a short run: those of deploy/ with all times divided, and nothing else changed."""

from __future__ import annotations

import copy
import subprocess
from pathlib import Path
from typing import Any

import promql_parser
import promtool
import pytest
import shortened
import yaml
from alert_faults import ALSO, Fault, Inbox, complaints_about
from fault_servers import RUNBOOK
from pipeline_servers import PROMETHEUS, ROOT
from webhook import Notice, read_notices


@pytest.mark.parametrize(
    ("expression", "short"),
    [
        ("rate(a_total[5m])", "rate(a_total[5000ms])"),
        ("max_over_time(a[1h:1m])", "max_over_time(a[60000ms:1000ms])"),
        ("avg_over_time(a[1h30m:])", "avg_over_time(a[90000ms:])"),
        ("a offset 15m > 300", "a offset 15000ms > 300"),
        ('a{b="07 [25, 32)"} * 300 >= 20', 'a{b="07 [25, 32)"} * 300 >= 20'),
        ("increase(a[30d] offset -1w)", "increase(a[43200000ms] offset -10080000ms)"),
    ],
)
def test_windows_steps_and_offsets_are_divided(expression: str, short: str) -> None:
    """A sixtieth of every time in a query; numbers that are not times stay as they are."""
    assert shortened.shorten_expression(expression, 60) == short
    assert shortened.shorten_expression(expression, 1) == expression
    promql_parser.parse(short)


def test_every_rule_is_valid_and_every_time_is_divided(tmp_path: Path) -> None:
    """promtool accepts the rules of a short run, and no time in them is that of the original."""
    shortened.write_prometheus(tmp_path, {"alertmanager": "127.0.0.1:9093"}, factor=60)
    files = sorted((tmp_path).glob("*/*.yaml"))
    originals = [file for kind in ("rules", "alerts") for file in sorted((PROMETHEUS / kind).glob("*.yaml"))]
    assert {file.name for file in files} == {file.name for file in originals}
    subprocess.run([promtool.binary(), "check", "rules", *map(str, files)], check=True, stdout=subprocess.DEVNULL)
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    assert [found[0] for found in shortened.RANGE.finditer(text) if "ms" not in found[0]] == []
    groups = [group for file in files for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]]
    waits = {rule["for"] for group in groups for rule in group["rules"] if "for" in rule}
    assert waits != set()
    assert {wait for wait in waits if not wait.endswith("ms")} == set()


def test_prometheus_and_alertmanager_keep_the_rest(tmp_path: Path) -> None:
    """Only times, addresses and receivers differ from the files of deploy/; without an Alertmanager none is named."""
    shipped = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    addresses = {"prometheus": "127.0.0.1:2", "alertmanager": "127.0.0.1:1"}
    full = yaml.safe_load(shortened.write_prometheus(tmp_path, addresses).read_text(encoding="utf-8"))
    alone = yaml.safe_load(shortened.write_prometheus(tmp_path, {}).read_text(encoding="utf-8"))
    expected = copy.deepcopy(shipped)
    expected["rule_files"] = [str(PROMETHEUS / pattern) for pattern in shipped["rule_files"]]
    expected["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": ["127.0.0.1:1"]}]}]
    for job, target in zip(expected["scrape_configs"], ("127.0.0.1:2", "127.0.0.1:1"), strict=True):
        job["static_configs"] = [{"targets": [target]}]
    assert full == expected
    del expected["alerting"]
    assert alone == {**expected, "scrape_configs": []}
    config = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
    routed = yaml.safe_load(config.read_text(encoding="utf-8"))
    written = yaml.safe_load(shortened.write_alertmanager(tmp_path, "http://127.0.0.1:2").read_text(encoding="utf-8"))
    assert (written["route"], written["inhibit_rules"]) == (routed["route"], routed["inhibit_rules"])
    assert {each["name"]: each["webhook_configs"][0]["url"] for each in written["receivers"]} == {
        each["name"]: f"http://127.0.0.1:2/{each['name']}" for each in routed["receivers"]
    }


def notice(status: str, alert: str = "A", job: str = "api", receiver: str = "team", runbook: str = RUNBOOK) -> Notice:
    sent: dict[str, Any] = {"status": status, "labels": {"alertname": alert, "job": job}, "startsAt": "1"}
    sent["annotations"] = {"runbook_url": f"{runbook}#{alert.lower()}"}
    return read_notices(receiver, {"alerts": [sent]}, 0.0)[0]


FIRING, RESOLVED = notice("firing"), notice("resolved")
BUDGET = notice("firing", *next(iter(ALSO)))
WATCHDOG = notice("firing", "Watchdog", receiver="watchdog")


@pytest.mark.parametrize(
    ("notices", "complaints"),
    [
        ([FIRING, RESOLVED], []),
        ([FIRING, RESOLVED, RESOLVED, BUDGET], []),
        ([FIRING], ["A resolved: wanted once at team, came at []"]),
        ([FIRING, FIRING, RESOLVED], ["A firing: wanted once at team, came at ['team', 'team']"]),
        ([notice("firing", receiver="x"), RESOLVED], ["A firing: wanted once at team, came at ['x']"]),
        ([FIRING, notice("resolved", runbook="")], ["A: no address of its entry in the runbook"]),
        ([FIRING, RESOLVED, notice("firing", "B")], ["not asked for: team: firing B api: "]),
        ([FIRING, RESOLVED, notice("firing", job="web")], ["not asked for: team: firing A web: "]),
        ([FIRING, RESOLVED, notice("firing", "Watchdog")], ["not asked for: team: firing Watchdog api: "]),
    ],
)
def test_an_alert_counts_if_it_arrives_once_and_resolves(notices: list[Notice], complaints: list[str]) -> None:
    """A run complains of what is missing, repeated, at another receiver, or unexpected."""
    fault = Fault("a fault", "A", "api", "team", begin=lambda: None, end=lambda: None)
    assert complaints_about([fault], Inbox([*notices, WATCHDOG])) == complaints
    assert "Watchdog: it has not come" in complaints_about([fault], Inbox(notices))
