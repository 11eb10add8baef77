"""`otel-ml rules`: writes rules and alerts, and the rules that follow from a file of thresholds."""

from __future__ import annotations

import json

import pytest

from otel_ml.cli import main

OWN = """
limits: {error_ratio: 0.02}
objectives: {quality: 0.9}
overrides:
  - for: {team: search, model: [ads.v1, rank]}
    limits: {latency_seconds: 0.2, psi: off, segment_points: off, fairness_ratio: off}
    objectives: {latency_seconds: 1, latency: off}
    reference: last_week
  - for: {model: 'a "quoted" one', feature: age}
    limits: {psi: 0.5}
"""


def written(tmp_path, text=OWN):
    """Writes the rules of a file of thresholds; returns each expression by its record."""
    own = tmp_path / "own.yaml"
    own.write_text(text)
    assert main(["rules", "--thresholds", str(own), "--output", str(tmp_path / "out")]) == 0
    yaml = pytest.importorskip("yaml")
    return {
        rule["record"]: rule["expr"]
        for file in (tmp_path / "out" / "rules").glob("*.yaml")
        for group in yaml.safe_load(file.read_text())["groups"]
        for rule in group["rules"]
    }


def test_a_file_of_thresholds_decides(tmp_path):
    """The first override that matches comes first, then the value of all; `off` is no limit."""
    found = written(tmp_path)

    def values(record):
        return [line.split(" * group by")[0].removeprefix("or ") for line in found[record].splitlines()]

    assert values("model:ml_prediction_errors:limit") == ["0.02"]
    assert values("model:ml_prediction_duration_seconds:limit") == ["0.2", "0.5"]
    assert values("feature:ml_feature_psi:limit") == ["Inf", "0.5", "0.2"]
    assert values("model:ml_segment_points:limit") == ["Inf", "0.05"]
    assert values("model:ml_segment_selection_ratio:limit") == ["0", "0.8"], "no rate is below 0"
    assert '{team="search", ml_model_name=~"ads\\\\.v1|rank"}' in found["feature:ml_feature_psi:limit"]
    assert 'ml_model_name="a \\"quoted\\" one", ml_feature_name="age"' in found["feature:ml_feature_psi:limit"]
    assert 'le=~"1([.]0)?", team="search"' in found["slo:ml_bad_events:rate5m"]
    assert 'ml_slo="quality"' in found["slo:ml_objective:ratio"]
    assert found["model:ml_alert_reference:info"].startswith(
        'label_replace(model:ml_feature_reference:info{team="search"'
    )


def test_the_operator_gets_the_same_rules(tmp_path, capsys):
    """`--kubernetes` prints one object a file, with the groups of the file and the limits of one's own."""
    yaml = pytest.importorskip("yaml")
    expected = written(tmp_path)
    capsys.readouterr()

    assert main(["rules", "--thresholds", str(tmp_path / "own.yaml"), "--kubernetes"]) == 0
    objects = list(yaml.safe_load_all(capsys.readouterr().out))

    names = [each["metadata"]["name"] for each in objects]
    groups = [
        group
        for each in objects
        if each["metadata"]["name"].startswith("otel-ml-rules-")
        for group in each["spec"]["groups"]
    ]
    assert len(names) == len(set(names)) == len([*(tmp_path / "out").rglob("*.yaml")])
    assert {each["kind"] for each in objects} == {"PrometheusRule"}
    assert {rule["record"]: rule["expr"] for group in groups for rule in group["rules"]} == expected


def test_all_objectives_can_be_off(tmp_path):
    """Without an objective there are no rules about objectives."""
    found = written(tmp_path, "objectives: {errors: off, latency: off}")

    assert [record for record in found if record.startswith("slo:")] == []


def test_the_defaults_are_a_file_of_thresholds(tmp_path, capsys):
    """What `--defaults` prints, given back, changes nothing but the first line."""
    assert main(["rules", "--json"]) == 0
    shipped = json.loads(capsys.readouterr().out)
    assert main(["rules", "--defaults"]) == 0
    own = tmp_path / "own.yaml"
    own.write_text(capsys.readouterr().out)
    assert main(["rules", "--thresholds", str(own), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)

    assert {name: text.partition("\n")[2] for name, text in made.items()} == {
        name: text.partition("\n")[2] for name, text in shipped.items()
    }


def test_an_update_does_not_reset_the_limits(tmp_path, capsys):
    """Rules that follow from a file of the user are not replaced by those of the defaults; the message names the file."""
    written(tmp_path)
    limits = tmp_path / "out" / "rules" / "limits.yaml"
    before = limits.read_text()
    capsys.readouterr()

    assert main(["rules", "--output", str(tmp_path / "out")]) == 2
    assert f"{limits} follows from {tmp_path / 'own.yaml'}: add --thresholds" in capsys.readouterr().err
    assert limits.read_text() == before


def test_the_file_of_the_user_is_named_as_it_was_given(tmp_path, capsys, monkeypatch):
    """The message about an update names a path that leads out of the folder as it was given."""
    (tmp_path / "own.yaml").write_text(OWN)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert main(["rules", "--thresholds", "../own.yaml", "--output", "out"]) == 0
    capsys.readouterr()

    assert main(["rules", "--output", "out"]) == 2
    assert "follows from ../own.yaml: add --thresholds" in capsys.readouterr().err


def test_the_next_step_holds_wherever_prometheus_reads_it(tmp_path, capsys, monkeypatch):
    """Prometheus resolves a relative path from its own configuration: the pattern to add is absolute, and only of rules."""
    monkeypatch.chdir(tmp_path)

    assert main(["rules", "--output", "my rules"]) == 0
    said = capsys.readouterr().err
    assert f"rule_files: ['{tmp_path}/my rules/rules/*.yaml', '{tmp_path}/my rules/alerts/*.yaml']" in said
    assert "promtool check rules 'my rules'/rules/*.yaml 'my rules'/alerts/*.yaml" in said


WRONG = {
    "limits: {latency: 0.2}": "limits: 'latency' is not known; did you mean latency_seconds?",
    "limits: {error_ratio: 5}": "limits.error_ratio: 5 is not a number from 1e-06 to 1, or off",
    "limits: {error_ratio: 1 %}": "limits.error_ratio: '1 %' is not a number",
    "limits: {error_ratio: .nan}": "limits.error_ratio: nan is not a number",
    "limits: {least_calls: off}": "limits.least_calls: False is not a number from 1 to 1000000000",
    "limits: [0.5]": "limits: expected names with values",
    "0.5": "the file: expected names with values",
    "threshold: {}": "the file: 'threshold' is not known",
    "objectives: {errors: 99.9}": "objectives.errors: 99.9 is not a number from 0.84 to 0.999999, or off",
    "objectives: {latency_seconds: 0.3}": "objectives.latency_seconds: 0.3 is not a bucket bound; use one of 0.001,",
    "reference: 7": "reference: expected profile, last_week, previous_version, or the name of a saved window",
    "overrides: {model: ads}": "overrides: expected a list",
    "overrides: [{limits: {psi: 1}}]": "overrides[0].for: name at least one of job, environment",
    "overrides: [{for: {models: ads}}]": "overrides[0].for: 'models' is not known; did you mean model?",
    "overrides: [{for: {version: 1.10}}]": "overrides[0].for.version: 1.1 is not a text or a list of texts; put values in",
    "overrides: [{for: {model: []}}]": "overrides[0].for.model: [] is not a text or a list of texts",
    "overrides: [{for: {feature: age}, limits: {score_ks: 1}}]": "overrides[0].for.feature: only psi and finding_share can",
    "overrides: [{for: {role: canary}, objectives: {errors: 0.9}}]": "overrides[0].for.role: objectives are of a model in",
    "overrides: [{for: {team: a, model: b}, limits: {gpu_celsius: 90}}]": "overrides[0].for.model: gpu_celsius is of no model",
    "objectives: {error_tolerance: 3}": "objectives.error_tolerance: 3 is not a bin bound; use 2.51189 or 3.16228",
    "overrides: [{for: {model: b}, objectives: {error_tolerance: off}}]": "overrides[0].objectives.error_tolerance: expected a",
    "limits: {latency_seconds: 500}": "limits.latency_seconds: 500 s can never be exceeded, since the histogram ends at 10 s;",
    "overrides: [{for: {team: a}, limits: {latency_seconds: 10}}]": "overrides[0].limits.latency_seconds: 10 s can never be",
    "overrides: [{for: {team: a}}]": "overrides[0]: sets nothing; add limits, objectives or reference",
    "limits:\n  psi: 0.1\n  psi: 5": "line 3: 'psi' is there twice",
    "limits: {psi: 1}\nreference: last_week\nlimits: {}": "line 3: 'limits' is there twice",
    "overrides: [{for: {team: a, team: b}, limits: {psi: 1}}]": "line 1: 'team' is there twice",
    "limits: {psi: 1": "line 1: expected ',' or '}'",
    "\ud800": "not a text file in UTF-8",
}


@pytest.mark.parametrize(("text", "message"), WRONG.items(), ids=WRONG.values())
def test_a_wrong_file_is_one_line(tmp_path, capsys, text, message):
    """A wrong file of thresholds is exit code 2, one line that names the place, and nothing is written."""
    own = tmp_path / "own.yaml"
    own.write_bytes(text.encode("utf-8", "surrogatepass"))

    assert main(["rules", "--thresholds", str(own), "--output", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"otel-ml rules: {own}: {message}")
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
