"""Drift against the same window last week and against the previous version: Prometheus and Python agree.

Sources: eth-easl/modyn#418, evidentlyai/evidently#65, evidentlyai/evidently#171.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import promtool

from otel_ml import semconv
from otel_ml._verdicts import WindowCounts, judge
from otel_ml.cli import main
from otel_ml.quality import Feature

RNG = np.random.default_rng(16)
RULES = ("drift_1h", "drift_24h", "references", "verdict")
GROUPS = ["drift-1h", "drift-24h", "previous-version", "references-1h", "references-24h", "alert-reference", "verdict"]
CHOICE = promtool.PROMETHEUS / "rules" / "limits.yaml"
IDENTITY = {"job": "api", "ml_model_name": "fraud", "ml_model_version": "1", "ml_model_role": "primary"}
WEEK = 168
"""Hours."""


class Series(NamedTuple):
    """One input series; the first value is that of minute 0."""

    name: str
    labels: Mapping[str, str]
    values: str

    def as_input(self) -> dict[str, str]:
        pairs = ", ".join(f"{label}={json.dumps(text)}" for label, text in self.labels.items())
        return {"series": f"{self.name}{{{pairs}}}", "values": self.values}


def run(
    folder: Path,
    series: Iterable[Series],
    queries: list[dict[str, Any]],
    choice: Path = CHOICE,
    rules: Sequence[str] = RULES,
    every: int = 1,
) -> str:
    """Evaluates rules and alerts every so many hours; returns promtool's complaints about the queries."""
    test = {"interval": "1m", "input_series": [one.as_input() for one in series], "promql_expr_test": queries}
    content = {
        "rule_files": [
            *(str(promtool.PROMETHEUS / "rules" / f"{name}.yaml") for name in rules),
            str(choice),
            str(promtool.PROMETHEUS / "alerts" / "model.yaml"),
        ],
        "evaluation_interval": f"{every}h",
        "group_eval_order": [f"otel-ml-{group}" for group in ("limits", *GROUPS, "model")],
        "tests": [test],
    }
    file = folder / "references.yaml"
    file.write_text(json.dumps(content), encoding="utf-8")
    command = [promtool.binary(), "test", "rules", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def query(hour: int, expr: str, *answers: float) -> dict[str, Any]:
    """A query of numbers without labels."""
    return {"eval_time": f"{hour}h", "expr": expr, "exp_samples": [{"value": answer} for answer in answers]}


def counter(counts: Iterable[float | None]) -> str:
    """A counter that starts at 0 in each hour and ends it with the count, so that `increase` is exact."""
    return " ".join(["_", *("_x60" if count is None else f"0 _x58 {float(count)!r}" for count in counts)])


def gauge(value: float, hours: Iterable[bool]) -> str:
    """A gauge with one value at the end of some hours."""
    return " ".join(["_", *(f"_x59 {value!r}" if is_there else "_x60" for is_there in hours)])


def feature(name: str, counts: Sequence[int], *, is_category: bool) -> Feature:
    """A feature with these counts in training; the last two bins of a category are other and unseen."""
    plain = tuple(int(count) for count in counts)
    if not is_category:
        labels = tuple(f"{place:02d}" for place in range(len(plain)))
        return Feature(name, "number", labels, plain, 0, tuple(map(float, range(1, len(plain)))))
    names = tuple(f"c{place}" for place in range(len(plain) - 2))
    return Feature(name, "category", (*names, semconv.OTHER, semconv.UNSEEN), plain, 0, categories=names)


def served(trained: Feature, hours: Sequence[Sequence[int] | None], **labels: str) -> Iterator[Series]:
    """The series of a service: the reference of a feature, and its values in each bin in each hour."""
    more = {**IDENTITY, "ml_profile_id": "p", "ml_feature_name": trained.name, **labels}
    reference = labels.get("ml_reference")
    more.pop("ml_reference", None)
    there = [counts is not None for counts in hours]
    of_size = more if reference is None else {**more, "ml_reference": reference}
    for name, counts in trained.windows:
        for label, count in zip(trained.labels, counts, strict=True):
            of_window = {**more, "ml_reference": name, "ml_feature_bin": label}
            yield Series("ml_feature_window_values", of_window, gauge(float(count), there))
    yield Series("ml_feature_reference_size", of_size, gauge(float(trained.size), there))
    for place, (label, share) in enumerate(zip(trained.labels, trained.shares, strict=True)):
        of_bin = {**more, "ml_feature_bin": label}
        yield Series("ml_feature_reference_share_ratio", of_bin, gauge(share, there))
        by_hour = counter(None if counts is None else counts[place] for counts in hours)
        yield Series("ml_feature_values_total", of_bin, by_hour)


def equals(series: str, wanted: float, **labels: str) -> str:
    """A query that answers 1 if the figure of one feature is as wanted."""
    matchers = ", ".join(f'{label}="{text}"' for label, text in labels.items())
    return f"count(abs({series}{{{matchers}}} - {wanted!r}) < 1e-9)"


def judged(reference: Feature, counts: Sequence[int]):
    return judge(reference.reference, WindowCounts(reference.merge_rest([int(count) for count in counts])))


def figures(hour: int, reference: Feature, counts: Sequence[int], **labels: str) -> Iterator[dict[str, Any]]:
    """Queries that the figures in Prometheus are those of Python, by the hour and by the day."""
    found = judged(reference, counts)
    wanted = {"psi": found.psi, "psi_noise": found.psi_noise, "drifted": float("drifted" in found.findings)}
    for window in ("1h", "24h"):
        for name, value in wanted.items():
            series = f"feature:ml_feature_reference_{name}:{window}"
            yield query(hour, equals(series, value, ml_feature_name=reference.name, **labels), 1)


def by_week(*counts: Sequence[int]) -> list[Sequence[int] | None]:
    """Counts of the last hour of each week."""
    return [hour for found in counts for hour in (*[None] * (WEEK - 1), found)]


def random_counts(bins: int, size: int) -> list[int]:
    return RNG.multinomial(size, RNG.dirichlet(np.ones(bins))).tolist()


def test_last_week_and_saved_windows_are_judged_as_python_judges_them(tmp_path):
    """PSI, noise and verdict against the same window last week and a saved one equal those of a profile of that window."""
    series, queries = [], []
    for case in range(8):
        is_category, bins = case % 2 == 1, int(RNG.integers(4, 22))
        may = random_counts(bins, 3000)
        trained = feature(f"f{case}", random_counts(bins, 5000), is_category=is_category)
        trained = replace(trained, windows=(("may", tuple(may)),))
        before = random_counts(bins, int(10 ** RNG.uniform(0, 5)))
        drawn = (np.array(before) + 1) / (sum(before) + bins)
        now = RNG.multinomial(int(10 ** RNG.uniform(1, 5)), drawn).tolist() if case < 5 else random_counts(bins, 900)
        series += served(trained, by_week(before, now))
        last_week = feature(trained.name, before, is_category=is_category)
        queries += figures(2 * WEEK, last_week, now, ml_reference="last_week")
        queries += figures(2 * WEEK, trained, now, ml_reference="training")
        queries += figures(2 * WEEK, feature(trained.name, may, is_category=is_category), now, ml_reference="may")
    found = {case["expr"] for case in queries if "drifted" in case["expr"]}
    assert {each.rpartition("- ")[2][:3] for each in found} == {"0.0", "1.0"}
    assert run(tmp_path, series, queries, every=WEEK) == ""


def test_last_week_gives_the_figures_of_the_command(tmp_path, capsys):
    """`otel-ml drift --reference` of last week's rows gives the PSI and the noise that Prometheus has."""
    names = np.array(["app", "shop", "web"])

    def rows(size: int, shares: Sequence[float], shift: float) -> pd.DataFrame:
        scores = np.clip(RNG.normal(0.5 + shift, 0.2, size), 0, 0.999)
        return pd.DataFrame({"channel": names[RNG.choice(3, size, p=shares)], "score": scores})

    before, now = rows(4000, [0.5, 0.3, 0.2], 0), rows(3000, [0.3, 0.3, 0.4], 0.1)
    for name, frame in (("before", before), ("now", now)):
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    files = ["--reference", str(tmp_path / "before.csv"), "--data", str(tmp_path / "now.csv"), "--score", "score"]
    assert main(["drift", *files, "--json"]) == 0
    told = {each["name"]: each for each in json.loads(capsys.readouterr().out)["features"]}

    def counts(frame: pd.DataFrame) -> dict[str, list[int]]:
        channels = [int((frame["channel"] == name).sum()) for name in names]
        return {
            "channel": [*channels, 0, 0],
            "__prediction__": np.histogram(frame["score"], np.linspace(0, 1, 21))[0].tolist(),
        }

    series, queries = [], []
    for name, found in counts(now).items():
        trained = feature(name, random_counts(len(found), 9000), is_category=name == "channel")
        series += served(trained, by_week(counts(before)[name], found))
        for figure in ("psi", "psi_noise"):
            record = f"feature:ml_feature_reference_{figure}:1h"
            wanted = told[name][figure]
            queries.append(query(2 * WEEK, equals(record, wanted, ml_feature_name=name, ml_reference="last_week"), 1))
    assert run(tmp_path, series, queries, every=WEEK) == ""


def test_the_newest_version_is_compared_with_the_one_before(tmp_path):
    """All that the previous version counted in a week is the reference; a feature with other bins has none."""
    old, older = ([random_counts(5, 400) for _ in range(4)] for _ in range(2))
    now = random_counts(5, 500)
    trained = feature("age", [1000] * 5, is_category=False)
    fewer, more = (feature("income", [1000] * bins, is_category=False) for bins in (4, 5))
    renamed = replace(more, name="debt", labels=(*more.labels[:4], "another"))
    nothing = [None] * 4
    series = [
        *served(trained, [*older, *nothing, None], ml_model_version="0"),
        *served(trained, [*nothing, *old, None], ml_model_version="1"),
        *served(trained, [*nothing, *nothing, now], ml_model_version="2", ml_profile_id="q"),
        *served(more, [*nothing, *old, None], ml_model_version="1"),
        *served(fewer, [*nothing, *nothing, now[:4]], ml_model_version="2", ml_profile_id="q"),
        *served(replace(more, name="debt"), [*nothing, *old, None], ml_model_version="1"),
        *served(renamed, [*nothing, *nothing, now], ml_model_version="2", ml_profile_id="q"),
    ]
    before = feature("age", np.sum(old, axis=0).tolist(), is_category=False)
    queries = [
        *figures(9, before, now, ml_reference="previous_version", ml_model_version="2"),
        query(9, 'count(feature:ml_feature_reference_psi:1h{ml_reference="previous_version"})', 1),
        query(4, 'count(feature:ml_feature_reference_psi:1h{ml_reference="previous_version"})'),
        query(
            8, 'count(feature:ml_feature_reference_psi:1h{ml_reference="previous_version", ml_model_version="1"})', 1
        ),
    ]
    assert run(tmp_path, series, queries) == ""


HOURLY = ("drift_1h", "references", "verdict")
SHIFT = slice(WEEK + 60, WEEK + 66)
"""Hours in which the values really change. Of three evaluations in it, the first makes the alert pending."""


def traffic(weeks: int) -> list[list[int]]:
    """Values of a feature whose law depends on the hour of the day and on the weekend; the SHIFT comes in the second week."""
    counts = []
    for hour in range(weeks * WEEK):
        is_day, is_weekend = 8 <= hour % 24 < 20, hour % WEEK >= 120
        shares = [0.6, 0.3, 0.1] if is_day else [0.2, 0.2, 0.6]
        shares = [0.1, 0.8, 0.1] if is_weekend and is_day else shares
        if SHIFT.start <= hour < SHIFT.stop:
            shares = shares[::-1] if not is_weekend else [0.8, 0.1, 0.1]
        counts.append(RNG.multinomial(3000 if is_day else 800, shares).tolist())
    return counts


def firing(alert: str, model: str, hours: str) -> str:
    return f'sum(count_over_time(ALERTS{{alertname="{alert}", alertstate="firing", ml_model_name="{model}"}}[{hours}]))'


def test_traffic_that_follows_the_clock_alarms_against_training_and_not_against_last_week(tmp_path):
    """A week by night, day and weekend alarms in many hours against training, in none against the week before; a real
    shift alarms, and a model younger than a week does not."""
    hours = traffic(2)
    own = tmp_path / "thresholds.yaml"
    own.write_text("overrides: [{for: {model: [weekly, young]}, reference: last_week}]")
    assert main(["rules", "--thresholds", str(own), "--output", str(tmp_path)]) == 0
    choice = tmp_path / "rules" / "limits.yaml"
    average = np.sum(hours[:WEEK], axis=0).tolist()
    series, queries = [], []
    for name in ("channel", "__prediction__", "__label__"):
        series += served(feature(name, average, is_category=False), hours, ml_model_name="weekly")
    trained = feature("channel", average, is_category=False)
    series += served(trained, hours, ml_model_name="trained")
    series += served(trained, [*[None] * WEEK, *hours[WEEK:]], ml_model_name="young")
    whole, shifted = f"{2 * WEEK}h", f"{SHIFT.stop - SHIFT.start}h"
    queries.append(query(2 * WEEK, f"{firing('FeatureDrift', 'trained', whole)} > bool 50", 1))
    queries.append(query(2 * WEEK, firing("FeatureDrift", "young", whole)))
    for alert in ("FeatureDrift", "PredictionDistributionShift", "LabelDistributionShift"):
        queries += [
            query(2 * WEEK, firing(alert, "weekly", whole), 2),
            query(SHIFT.stop, firing(alert, "weekly", shifted), 2),
        ]
    of_week = 'count(count by (reference) (ALERTS{ml_model_name="weekly", reference="last_week"}))'
    assert run(tmp_path, series, [*queries, query(SHIFT.stop, of_week, 1)], choice, HOURLY, every=2) == ""


def test_a_named_profile_is_named_in_the_series_and_in_the_alert(tmp_path):
    """A profile with a name of its own is the reference of this name; the alerts read it as that of training."""
    trained = feature("age", [1000] * 5, is_category=False)
    hours = [[500, 100, 100, 100, 100]] * 3
    series = [
        *served(trained, hours, ml_reference="may"),
        *served(trained, hours, ml_model_name="other"),
    ]
    drifts = 'count(ALERTS{alertname="FeatureDrift", alertstate="firing", ml_model_name="%s", reference="%s"})'
    queries = [
        query(3, 'count(feature:ml_feature_reference_psi:1h{ml_model_name="fraud", ml_reference="may"})', 1),
        query(3, 'count(feature:ml_feature_reference_psi:1h{ml_model_name="fraud"})', 1),
        query(3, 'count(feature:ml_feature_reference_psi:1h{ml_model_name="other", ml_reference="training"})', 1),
        query(3, drifts % ("fraud", "may"), 1),
        query(3, drifts % ("other", "training"), 1),
    ]
    assert run(tmp_path, series, queries) == ""
