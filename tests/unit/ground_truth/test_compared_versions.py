"""What is said of two versions beside the verdict: scores, spelling, and which two are compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from otel_ml._figures import versions
from otel_ml._logged_prediction import LoggedPrediction
from otel_ml.ground_truth._pairs import baseline_order
from otel_ml.ground_truth._records import Pair, Settled, StoredLabel
from otel_ml.ground_truth.exact._versions import PairRows, SideRow, SideRows, compare
from otel_ml.ground_truth.live._label_counts import LabelCounts
from otel_ml.ground_truth.storage._comparison import Served, choose

RNG = np.random.default_rng(19)


def row(
    predicted: str | None = None, label: str | None = None, score: float | None = None, task: str = "binary"
) -> SideRow:
    return SideRow(task, None, predicted, score, None, label, None)


def sides(*rows: list[SideRow]) -> tuple[SideRows, SideRows]:
    made = SideRows(), SideRows()
    for side, each in zip(made, rows, strict=True):
        side.add(each)
    return made


@pytest.mark.parametrize("decimals", [1, 12])
def test_scores_are_compared_as_scipy_does(decimals: int) -> None:
    """The Kolmogorov-Smirnov distance, also with many equal scores; PSI is near that of the same tenths."""
    one, other = (np.round(RNG.beta(2, shape, 3000), decimals) for shape in (3, 4))
    found = compare(
        sides(*([row("1", score=float(each)) for each in part] for part in (one, other))), PairRows(), [], None
    )
    assert found["score_ks"] == pytest.approx(stats.ks_2samp(one, other).statistic, abs=1e-12)
    assert found["score_ks"] > found["score_ks_noise"]
    edges = np.unique(np.sort(one)[[len(one) * step // 10 for step in range(1, 10)]])
    p, q = (np.bincount(np.searchsorted(edges[edges > one.min()], part, "right")) / 3000 for part in (other, one))
    assert found["score_psi"] == pytest.approx(((p - q) * np.log(p / q)).sum(), rel=0.05)
    assert found["score_psi"] > found["score_psi_noise"]


def test_equal_scores_are_at_distance_zero() -> None:
    """One score alone has a bin alone; without scores nothing is said."""
    same = compare(sides([row("1", score=0.5)] * 5, [row("1", score=0.5)] * 9), PairRows(), [], None)
    assert (same["score_ks"], same["score_psi"]) == (0, 0)
    none = compare(sides([row("1")], [row("1")]), PairRows(), [], None)
    assert (none["score_ks"], none["score_psi"], none["verdict"]) == (None, None, versions.NOT_ENOUGH)


def test_labels_in_other_words_are_named() -> None:
    """A version whose classes no label has is not simply worse: a note says of which side it is."""
    found = compare(sides([row("yes", "yes")] * 3, [row("Y", "yes")] * 3), PairRows(), [], None)
    [note] = found["notes"]
    assert note.startswith("challenger: the predicted classes (Y) and the labels (yes) have no class in common")


def test_sets_of_classes_are_right_as_a_whole() -> None:
    """Of a multilabel model the exact match is compared."""
    pairs = PairRows()
    pairs.add([(row("[a]", "[a]", task="multilabel"), row("[b]", "[a]", task="multilabel"))] * 4)
    found = compare(
        sides([row("[a]", "[a]", task="multilabel")] * 4, [row("[b]", "[a]", task="multilabel")] * 4), pairs, [], None
    )
    assert (found["figure"], found["difference"], found["outcomes"]["only_baseline"]) == ("exact_match", -1.0, 4)


def test_the_baseline_is_the_earliest_primary() -> None:
    """Primary before canary before shadow, and 1.9 before 1.10."""
    names = [("2", "shadow"), ("1.10", "primary"), ("1.9", "primary"), ("3", "canary"), ("beta", "primary")]
    assert sorted(names, key=lambda each: baseline_order(*each)) == [
        ("beta", "primary"),
        ("1.9", "primary"),
        ("1.10", "primary"),
        ("3", "canary"),
        ("2", "shadow"),
    ]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ((None, "2"), ("1/primary", "2/canary")),
        ((None, "shadow"), ("1/primary", "3/shadow")),
        (("3", "2/canary"), ("3/shadow", "2/canary")),
        ((None, "1/primary"), ("2/canary", "1/primary")),
        ((None, "a/b"), "'a/b' is none of the versions in this window: 1/primary, 2/canary, 3/shadow"),
        (("2", "canary"), "2/canary cannot be compared with itself"),
    ],
)
def test_versions_are_found_by_version_role_or_both(
    named: tuple[str | None, str | None], expected: tuple[str, str] | str
) -> None:
    """A name that fits none or several lists what there is."""
    served = [
        Served(version, role, 5, 0.0, 1.0) for version, role in (("1", "primary"), ("2", "canary"), ("3", "shadow"))
    ]
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected):
            choose(served, *named)
    else:
        assert tuple(map(str, choose(served, *named))) == expected


def test_one_version_alone_is_compared_with_nothing() -> None:
    """A window with one version says so, instead of asking for a challenger."""
    with pytest.raises(ValueError, match="only 1/primary predicted in this window"):
        choose([Served("1", "primary", 5, 0.0, 1.0)], None, None)


def test_a_few_shared_ids_of_many_labels_are_not_the_comparison() -> None:
    """With less than half of the labels in pairs, all labels are compared."""
    right, wrong = row("1", "1"), row("0", "1")
    pairs = PairRows()
    pairs.add([(right, wrong)] * 49)
    few = compare(sides([right] * 200, [right] * 51 + [wrong] * 49), pairs, [], None)
    pairs.add([(right, wrong)])
    half = compare(sides([right] * 200, [right] * 50 + [wrong] * 50), pairs, [], None)
    assert (few["test"], half["test"]) == ("two proportions", "McNemar")


def test_baselines_beyond_ten_are_counted_together(emitted: Any) -> None:
    """A challenger that outlives many versions of the primary has a bound on its series."""
    counts = LabelCounts(emitted.meter)
    made = LoggedPrediction("a", "m", "1", "primary", "binary", None, 0.0, "1", None, None, 0, 0, False)
    label = StoredLabel("a", "1", None, 1.0)
    settled = [Settled("matched", made._replace(version=str(each)), label) for each in range(13)]
    shadow = Settled("matched", made._replace(version="x", role="shadow"), label)
    counts.count_pairs([Pair(one, shadow) for one in settled])
    found = {key[4:]: value for key, value in emitted.metrics().items() if key[0] == "ml.pair.outcomes" and value}
    assert found == {
        **{(str(each), "primary", "both"): 1 for each in range(10)},
        ("__other__", "__other__", "both"): 3,
    }
