"""The recording rules give the figures of segments that Python gives for the same counts, to 1e-9."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import promtool
import pytest
from segment_counts import RULES, Column, Segment

from otel_ml._figures.segments import SegmentOutcomes

RNG = np.random.default_rng(17)


def binary(size: int, accuracy: float = 0.9, positives: float = 0.3) -> Segment:
    """A segment of a binary model, with labels for all predictions."""
    truth = RNG.random(size) < positives
    predicted = np.where(RNG.random(size) < accuracy, truth, ~truth)
    cells = ((predicted & truth), (predicted & ~truth), (~predicted & truth), (~predicted & ~truth))
    scores = RNG.multinomial(size, RNG.dirichlet(np.full(10, 0.5)))
    return Segment(
        SegmentOutcomes(*(int(cell.sum()) for cell in cells)),
        predicted={"1": int(predicted.sum()), "0": int((~predicted).sum())},
        failed=int(RNG.binomial(size, 0.02)),
        scores=tuple(scores.tolist()),
    )


def regression(size: int, scale: float = 1.0) -> Segment:
    return Segment(errors=scale * RNG.lognormal(0, 0.7, size), predicted={"": size}, failed=int(size > 20))


def multiclass(size: int) -> Segment:
    wrong = int(RNG.binomial(size, 0.2))
    return Segment(right=(size - wrong, wrong), predicted={"": size})


def random_column(number: int, kind: object) -> Column:
    """A column of two to fourteen segments of any size."""
    sizes = (10 ** RNG.uniform(0, 4, RNG.integers(2, 15))).astype(int)
    made = [kind(int(size)) for size in sizes]  # type: ignore[operator]
    names = [f"value {place}" for place in range(len(sizes) - 2)] + ["__other__", "__missing__"]
    return Column(f"random {number}", dict(zip(names, made, strict=True)), has_reset=bool(number % 2))


def edges() -> Iterable[Column]:
    """Segments that are empty, alone, certain, or have failed throughout."""
    none = Segment(SegmentOutcomes(), predicted={"1": 0, "0": 0}, scores=(0,) * 10)
    right = Segment(SegmentOutcomes(tp=50, tn=50), predicted={"1": 50, "0": 50}, scores=(0,) * 9 + (100,))
    wrong = Segment(SegmentOutcomes(fp=50, fn=50), predicted={"1": 50, "0": 50}, scores=(100,) + (0,) * 9)
    denied = Segment(SegmentOutcomes(fn=20, tn=80), predicted={"0": 100}, scores=(50, 50) + (0,) * 8)
    yield Column("alone", {"north": binary(100)})
    yield Column("new segment", {"north": binary(100), "south": none})
    yield Column("without any", {"north": none, "south": none})
    yield Column("all right", {"north": right, "south": right})
    yield Column("all wrong in one", {"north": right, "south": wrong, "west": right})
    yield Column("never selected", {"north": right, "south": denied})
    yield Column("nowhere selected", {"north": denied, "south": denied})
    yield Column("without positives", {"north": right, "south": Segment(SegmentOutcomes(tn=90, fp=10))})
    yield Column("29 labels", {"north": binary(5000), "south": binary(29, 0.1)})
    yield Column("30 labels", {"north": binary(5000), "south": binary(30, 0.1)})
    yield Column("a rest of 29", {"north": binary(5000, 0.5), "south": binary(29, 1.0)})
    yield Column("failed", {"north": Segment(predicted={"": 400}), "south": Segment(failed=40)})
    rates = {"north": (4500, 10_000), "west": (5000, 10_000), "south": (28, 29)}
    yield Column(
        "the highest has 29",
        {name: Segment(predicted={"1": count, "0": of - count}) for name, (count, of) in rates.items()},
    )
    yield Column("no errors", {"north": Segment(errors=np.zeros(50)), "south": Segment(errors=np.zeros(50))})
    yield Column("few errors", {"north": regression(9), "south": regression(500)})
    yield Column("ten errors", {"north": regression(10), "south": regression(500)})
    yield Column("constant errors", {"north": Segment(errors=np.ones(50)), "south": Segment(errors=np.full(50, 3.0))})
    yield Column("no labels yet", {"north": regression(100), "south": Segment(errors=np.zeros(0), predicted={"": 9})})


def right(wrong: int, of: int = 100_000) -> Segment:
    return Segment(right=(of - wrong, wrong), predicted={"": of - wrong}, failed=wrong)


def limits() -> Iterable[Column]:
    """Segments just beyond and just within what is of practical size."""
    for gap in (4990, 5010):
        yield Column(f"{gap} of 100,000", {"north": right(10_000), "south": right(10_000 + gap)})
    for more in (1.19, 1.21):
        errors = RNG.uniform(1, 2, 5000)
        yield Column(f"{more} times", {"north": Segment(errors=errors), "south": Segment(errors=more * errors)})
    for rate in (3990, 4010):
        rates = {"north": 5000, "south": rate}
        yield Column(
            f"{rate} of 5,000",
            {name: Segment(predicted={"1": count, "0": 10_000 - count}) for name, count in rates.items()},
        )


def test_the_limits_of_practical_size_are_as_stated(tmp_path: Path) -> None:
    """5 points of a share, a fifth of a mean error and four fifths of a rate divide what alerts from what does not."""
    columns = [*limits()]
    found = [bool(column.worse() or column.unfair()) for column in columns]
    assert found == [False, True, False, True, True, False]
    assert check(tmp_path, columns) == ""


def check(folder: Path, columns: Iterable[Column]) -> str:
    tests = [promtool.compared(column.series(), [*column.wanted()]) for column in columns]
    return promtool.run(folder, tests, RULES)


def test_the_rules_compare_segments_as_python_does(tmp_path: Path) -> None:
    """Every figure of random segments, its distance from the rest and the verdict are the same, by the hour and the day."""
    kinds = (binary, regression, multiclass)
    assert check(tmp_path, [random_column(number, kinds[number % 3]) for number in range(9)]) == ""


def test_segments_without_rows_give_no_figure_and_no_division_by_zero(tmp_path: Path) -> None:
    """New, empty, certain and single segments give the right figure or none, and never NaN.

    Sources: dssg/aequitas#104 (a group without positive predictions), Trusted-AI/AIF360#307 (a rate without a denominator).
    """
    assert check(tmp_path, edges()) == ""
    undefined = [
        "segment:ml_gap_z",
        "segment:ml_selection_ratio",
        "segment:ml_score_shift",
        "segment:ml_score_shift_noise",
    ]
    test = {
        "interval": "1m",
        "input_series": [sample.as_input() for column in edges() for sample in column.series()],
        "promql_expr_test": [
            {"eval_time": "60m", "expr": f"{name}:1h != {name}:1h or abs({name}:1h) > 1e99", "exp_samples": []}
            for name in undefined
        ],
    }
    assert promtool.run(tmp_path, [test], RULES) == ""


def test_a_class_that_a_binary_model_should_not_have_harms_no_other_rate(tmp_path: Path) -> None:
    """With a third class, the rates of the two classes that are predicted most are complete."""
    third = Segment(predicted={"1": 40, "0": 50, "__other__": 10})
    column = Column("three classes", {"north": third, "south": third, "west": Segment(predicted={"0": 80})})
    wanted = {'{ml_prediction_class="1"}': 0.0, '{ml_prediction_class="0"}': 0.5}
    test = {
        "interval": "1m",
        "input_series": [sample.as_input() for sample in column.series()],
        "promql_expr_test": [
            {
                "eval_time": "60m",
                "expr": f"sum by (ml_prediction_class) (segment:ml_selection_ratio:1h{labels})",
                "exp_samples": [{"labels": labels, "value": value}],
            }
            for labels, value in wanted.items()
        ],
    }
    assert promtool.run(tmp_path, [test], RULES) == ""


@pytest.mark.parametrize("record", ["segment:ml_gap_z", "segment:ml_score_shift_noise", "segment:ml_selection_ratio"])
def test_the_comparison_of_segments_notices_a_difference(tmp_path: Path, record: str) -> None:
    """The comparison notices a figure that differs in the eighth digit."""
    column = random_column(1, binary)
    wanted = [*column.wanted()]
    at = next(at for at, sample in enumerate(wanted) if sample.labels["record"] == record)
    wanted[at] = wanted[at]._replace(value=wanted[at].value + 1e-8 * (1 + abs(wanted[at].value)))
    assert "FAILED" in promtool.run(tmp_path, [promtool.compared(column.series(), wanted)], RULES)
