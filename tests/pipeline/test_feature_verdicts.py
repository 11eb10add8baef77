"""The recording rules and Python give the same verdict on every feature, to 1e-9."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import promtool
import pytest

from otel_ml import semconv
from otel_ml._verdicts import Reference, WindowCounts, judge

RNG = np.random.default_rng(20)
EXPECTED = {"missing": 0.02, "invalid": 0.0001}
NUMBER = Reference([0.1] * 10, 5000, {**EXPECTED, "out_of_range": 0.0004})
CATEGORY = Reference([0.5, 0.3, 0.15, 0.05], 5000, {**EXPECTED, "unseen": 0.01})


@dataclass(frozen=True)
class Case:
    """What was counted of one feature."""

    name: str
    reference: Reference
    """Of a category the last bin is that of other and unseen values."""
    bins: tuple[int, ...]
    missing: int = 0
    absent: int = 0
    invalid: int = 0
    unseen: int = 0
    out_of_range: int = 0
    labels: dict[str, str] = field(default_factory=dict)
    declared: bool = True
    """Whether a rule that was not broken is exported."""

    @property
    def is_category(self) -> bool:
        return "unseen" in self.reference.expected or self.unseen > 0

    def judge(self):
        names = (semconv.MISSING, semconv.ABSENT, semconv.INVALID, semconv.UNSEEN_CATEGORIES, semconv.OUT_OF_RANGE)
        window = WindowCounts(self.bins, {name: getattr(self, name) for name in names})
        return judge(self.reference, window), window.rows

    def identity(self):
        model = {"job": "api", "ml_model_name": "m", "ml_model_version": "1", "ml_model_role": "primary"}
        return {**model, "ml_feature_name": self.name, **self.labels}

    def series(self):
        """Yields the reference, and the counts spread over three replicas."""
        identity = self.identity()
        feature = {"ml_profile_id": "p", **identity}
        bins, shares = list(self.bins), list(self.reference.shares)
        names = [f"{position:02d}" for position in range(len(bins))]
        if self.is_category:
            names = [*names[:-1], semconv.OTHER, semconv.UNSEEN]
            bins[-1:] = [bins[-1] - self.unseen, self.unseen]
            shares[-1:] = [0.75 * shares[-1], 0.25 * shares[-1]]
        periodic = {"ml_feature_periodic": "true"} if self.reference.periodic else {}
        gauges = [
            ("ml_feature_reference_size", {**feature, **periodic}, self.reference.size),
            *(
                ("ml_feature_reference_share_ratio", {**feature, "ml_feature_bin": bin_}, share)
                for bin_, share in zip(names, shares, strict=True)
            ),
            *(
                ("ml_feature_expected_share_ratio", {**feature, "ml_feature_finding": finding}, share)
                for finding, share in self.reference.expected.items()
            ),
        ]
        rules = {
            "missing_column": self.absent,
            "type": self.invalid // 3,
            "non_finite": self.invalid - self.invalid // 3,
            "range_low": self.out_of_range // 4,
            "range_high": self.out_of_range - self.out_of_range // 4,
            "null": self.missing - self.absent,
        }
        counters = [
            ("ml_feature_missing_total", identity, self.missing),
            *(
                ("ml_feature_values_total", {**feature, "ml_feature_bin": bin_}, count)
                for bin_, count in zip(names, bins, strict=True)
            ),
            *(
                ("ml_data_violations_total", {**identity, "ml_rule_name": rule}, count)
                for rule, count in rules.items()
                if count or self.declared
            ),
        ]
        for name, labels, value in gauges:
            yield from (promtool.Sample(name, {**labels, "instance": replica}, value) for replica in "abc")
        for name, labels, total in counters:
            for replica, count in zip("abc", RNG.multinomial(total, [0.5, 0.3, 0.2]).tolist(), strict=True):
                yield promtool.Sample(name, {**labels, "instance": replica}, count, is_counter=True)


CLEAN = (100,) * 10
CASES = [
    Case("clean", NUMBER, CLEAN, missing=20),
    Case("exactly the reference", NUMBER, CLEAN, missing=20, invalid=0),
    Case("missing", NUMBER, (0,) * 10, missing=1000),
    Case("some missing", NUMBER, CLEAN, missing=100),
    Case("fewer missing", replace(NUMBER, expected={**EXPECTED, "missing": 0.3}), CLEAN, missing=50),
    Case("absent", NUMBER, (0,) * 10, missing=1000, absent=1000),
    Case("absent in a half", NUMBER, CLEAN, missing=1000, absent=1000),
    Case("invalid", NUMBER, (0,) * 10, invalid=1000),
    Case("one odd value", NUMBER, CLEAN, missing=20, invalid=1),
    Case("unseen flood", CATEGORY, (400, 250, 100, 250), missing=20, unseen=230),
    Case("all unseen", CATEGORY, (0, 0, 0, 1000), unseen=1000),
    Case("long tail", replace(CATEGORY, shares=[0.1, 0.1, 0.8], expected={**EXPECTED, "unseen": 0.23}), (100, 100, 800), missing=20, unseen=225),
    Case("only rare categories", replace(CATEGORY, shares=[1.0]), (1000,), missing=20, unseen=10),
    Case("out of range", NUMBER, (100,) * 9 + (200,), missing=20, out_of_range=110),
    Case("drifted", NUMBER, (500, 300) + (20,) * 8, missing=20),
    Case("drifted, but nearly nothing left", NUMBER, (300,) + (0,) * 9, missing=9000),
    Case("too few", NUMBER, (200,) + (0,) * 9, missing=4),
    Case("one value", NUMBER, (1,) + (0,) * 9),
    Case("periodic", replace(NUMBER, periodic=True), (1000,) + (0,) * 9, missing=20),
    Case("periodic and missing", replace(NUMBER, periodic=True), (0,) * 10, missing=1000),
    Case("empty window", NUMBER, (0,) * 10),
    Case("empty window of a category", CATEGORY, (0,) * 4),
    Case("without expected shares", replace(NUMBER, expected={}), CLEAN, missing=900, invalid=50),
    Case("absent without expected shares", replace(NUMBER, expected={}), (0,) * 10, missing=1000, absent=1000),
    Case("just drifted", replace(NUMBER, shares=[0.5, 0.5]), (719, 281), missing=20),
    Case("just not drifted", replace(NUMBER, shares=[0.5, 0.5]), (715, 285), missing=20),
    Case("just missing", replace(NUMBER, expected={"missing": 1e-4, "invalid": 1e-4}, shares=[0.5, 0.5]), (4944, 4944), missing=112),
    Case("just not missing", replace(NUMBER, expected={"missing": 1e-4, "invalid": 1e-4}, shares=[0.5, 0.5]), (4951, 4950), missing=99),
    Case("just absent", NUMBER, (1,) * 10, missing=990, absent=990),
    Case("just not absent", NUMBER, (1,) * 10, missing=990, absent=989),
    Case("rules that are not declared", NUMBER, CLEAN, missing=20, declared=False),
    Case("many", NUMBER, (10**8,) * 10, missing=2 * 10**7, invalid=10**5),
    Case("nearly all in one bin", replace(NUMBER, shares=[0.995] + [0.0005555] * 8 + [0.000556]), (990,) + (1,) * 8 + (2,), missing=20),
]  # fmt: skip


def random_case(number: int) -> Case:
    """A feature with any number of bins and values, some of them missing, invalid, unseen or out of range."""
    bins, is_category = int(RNG.integers(2, 22)), bool(RNG.integers(2))
    shares = RNG.dirichlet(np.full(bins, 0.7)) * 0.999 + 0.001 / bins
    drawn = shares if RNG.random() < 0.5 else RNG.dirichlet(np.full(bins, 0.7))
    counts = RNG.multinomial(int(10 ** RNG.uniform(0, 6)), drawn)
    expected = {
        "missing": float(RNG.beta(0.5, 5)),
        "invalid": 1e-5,
        ("unseen" if is_category else "out_of_range"): 0.001,
    }
    reference = Reference(shares.tolist(), int(10 ** RNG.uniform(2, 6)), expected)
    total = int(counts.sum())
    missing = int(RNG.binomial(total, RNG.choice([0.0, 0.02, expected["missing"], 0.9])))
    return Case(
        f"random {number}",
        reference,
        tuple(counts.tolist()),
        missing=missing,
        absent=int(RNG.choice([0, missing])),
        invalid=int(RNG.binomial(total, RNG.choice([0.0, 0.001, 0.1]))),
        unseen=int(RNG.binomial(counts[-1], RNG.choice([0.0, 0.05, 1.0]))) if is_category else 0,
        out_of_range=0 if is_category else int(RNG.binomial(total, RNG.choice([0.0, 0.001, 0.1]))),
    )


def check(tmp_path, cases):
    series = [sample for case in cases for sample in case.series()]
    wanted = [
        sample
        for case in cases
        for sample in promtool.expected({**case.identity(), "ml_profile_id": "p"}, *case.judge())
    ]
    return promtool.check(tmp_path, series, wanted)


def test_the_rules_judge_as_python_does(tmp_path):
    """Every figure and every finding of each case is the same in Prometheus and in Python, by the hour and by the day."""
    assert check(tmp_path, CASES) == ""


def test_the_cases_have_every_finding():
    """The comparison above is about every finding, and about features without one."""
    verdicts = {case.name: case.judge()[0].verdict for case in CASES}
    assert {*verdicts.values()} == {*semconv.FINDINGS, "ok", "too_few"}


def test_any_counts_are_judged_alike(tmp_path):
    """Random bins, sizes and counts give the same figures and findings too."""
    assert check(tmp_path, [random_case(number) for number in range(60)]) == ""


def test_two_profiles_of_one_version_are_judged_by_the_rows_of_both(tmp_path):
    """During a rollout missing values carry no profile: both profiles are judged by the missing share of all rows."""
    old = Case("f", replace(NUMBER, expected={"missing": 0.3}), CLEAN, missing=300)
    new = Case("f", replace(NUMBER, expected={"missing": 0.1}), CLEAN, labels={"ml_profile_id": "q"})
    both = replace(old, bins=tuple(2 * count for count in CLEAN))
    wanted = []
    for case, labels in ((old, {"ml_profile_id": "p"}), (new, {})):
        judgement, rows = replace(both, reference=case.reference).judge()
        own, _ = case.judge()
        judgement = replace(judgement, psi=own.psi, psi_noise=own.psi_noise, jensen_shannon=own.jensen_shannon)
        wanted += promtool.expected({**case.identity(), **labels}, judgement, rows)
    series = [
        *old.series(),
        *(
            sample
            for sample in new.series()
            if "ml_profile_id" in sample.labels and not sample.name.startswith(("ml_feature_missing", "ml_data"))
        ),
    ]
    assert promtool.check(tmp_path, series, wanted) == ""


@pytest.mark.parametrize("change", [{"missing": 101}, {"bins": (101,) + (100,) * 9}, {"out_of_range": 1}])
def test_the_comparison_notices_one_value(tmp_path, change):
    """The comparison notices one value more on one side."""
    case = Case("f", NUMBER, CLEAN, missing=100)
    wanted = promtool.expected({**case.identity(), "ml_profile_id": "p"}, *replace(case, **change).judge())
    assert "FAILED" in promtool.check(tmp_path, case.series(), wanted)
