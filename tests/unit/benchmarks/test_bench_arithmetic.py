"""What the benchmarks reckon from their runs: percentiles, paired ratios, verdicts, the table's cells."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from arithmetic import above, paired_ratio, percentile  # noqa: E402  (found by the line above)
from programs import PROGRAMS, Results, flat  # noqa: E402
from report import as_json, cells, markdown, number, peers  # noqa: E402
from rows import BESIDE, LABELS, ROWS  # noqa: E402
from run import wanted  # noqa: E402
from sampler import quietest as quietest_tick  # noqa: E402
from verdicts import Figure, Line, Row, judge  # noqa: E402

ROW = Row(
    "cpu",
    "everything",
    "us",
    Figure("loop", "ours", "cpu_us"),
    Figure("loop", "peer", "cpu_us"),
    gate=0.5,
    aim=0.3,
)
FLOORED = Row(
    "latency",
    "added",
    "ms",
    Figure("loop", "ours", "p99_us"),
    base=Figure("loop", "bare", "p99_us"),
    gate=0.3,
    judged="value",
    scale=0.001,
)


def results(**rounds: list[float]) -> Results:
    """One figure of some contenders."""
    return Results(
        {"loop": {name: [{"cpu_us": value, "p99_us": value} for value in values] for name, values in rounds.items()}}
    )


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.0, 1)])
def test_a_percentile_is_a_value_that_was_seen(share: float, expected: float) -> None:
    """A percentile is the nearest rank: of 1 to 100 the 99th is 99."""
    assert percentile(list(range(100, 0, -1)), share) == expected


def test_the_quietest_turn_stands_for_a_round() -> None:
    """A turn that something else disturbed is not ours to answer for; a round that was cut short counts as far as it went."""
    turns = PROGRAMS["paced"].slices or 0
    values = [9.0] * (turns - 1) + [2.0] + [5.0] * turns + [7.0]
    found = Results({"paced": {"ours": [{"p99_us": value} for value in values]}})

    assert Figure("paced", "ours", "p99_us", is_quietest=True).seen(found) == [2.0, 5.0, 7.0]
    assert Figure("paced", "ours", "p99_us").seen(found) == values


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    """A round in which the whole machine was slow changes both sides and so no ratio."""
    assert paired_ratio([1.0, 30.0, 3.0], [10.0, 100.0, 10.0]) == 0.3


def test_a_round_without_a_peer_is_the_worst_for_us() -> None:
    """One slice in which noise hides the peer's cost moves the median upwards by one place."""
    assert paired_ratio([2.0, 3.0, 4.0, 9.0], [10.0, -1.0, 10.0, 10.0]) == pytest.approx(0.65)


@pytest.mark.parametrize("peers", [[], [0.0], [-1.0]])
def test_there_is_no_ratio_to_nothing(peers: list[float]) -> None:
    """A missing figure of the peer, or one that is not above 0, gives an error and no number."""
    with pytest.raises(ValueError, match="no ratio"):
        paired_ratio([1.0], peers)


def test_the_base_of_the_same_round_is_subtracted() -> None:
    """Figures of different rounds are never combined."""
    assert above([5.0, 9.0], [1.0, 2.0]) == [4.0, 7.0]


def test_numbers_are_found_at_any_depth() -> None:
    """Other programs' JSON is read by path; texts and truth values are no figures."""
    assert flat({"cost": {"ours": {"cpu": 1}}, "rows": [{"x": 2.5}], "name": "n", "ok": True}) == {
        "cost/ours/cpu": 1.0,
        "rows/0/x": 2.5,
    }


@pytest.mark.parametrize(
    ("ours", "verdict"), [([2.0, 2.0, 2.0], "yes, aim too"), ([4.0, 4.0, 9.0], "yes"), ([6.0, 4.0, 6.0], "NO")]
)
def test_the_ratio_decides_about_gate_and_aim(ours: list[float], verdict: str) -> None:
    """The median of the paired ratios is compared with both."""
    assert judge(ROW, results(ours=ours, peer=[10.0, 10.0, 10.0])).kept == verdict


def test_an_own_figure_is_judged_above_its_base() -> None:
    """Latency added is ours less the bare function's, in the row's unit."""
    line = judge(FLOORED, results(ours=[250.0], bare=[50.0]))

    assert line == Line(FLOORED, 0.2, None, None, "yes", "")


def test_what_was_not_run_is_neither_kept_nor_missed() -> None:
    """The row states that its peer could not be run."""
    seen = results(ours=[1.0])
    seen.unavailable["loop/peer"] = "not installed"

    assert judge(ROW, seen) == Line(ROW, 1.0, None, None, "not run", "not installed")


def test_what_failed_is_missed() -> None:
    """A program that ends without figures keeps no gate."""
    seen = results(peer=[1.0])
    seen.failed["loop/ours"] = "ValueError"

    assert judge(ROW, seen).kept == "NO"


def test_a_published_figure_is_marked() -> None:
    """A peer that was not run is replaced by its published figure, which the row states; no gate is missed."""
    row = Row("row", "row", "us", ROW.ours, ROW.peer, gate=0.02, published=500.0)

    assert [judge(row, results(ours=[value])) for value in (5.0, 50.0)] == [
        Line(row, 5.0, 500.0, 0.01, "yes, by a published figure", ""),
        Line(row, 50.0, 500.0, 0.1, "no, by a published figure", ""),
    ]


def test_lost_records_are_added_up() -> None:
    """All rounds of a contender together; one that lost nothing is not named."""
    found = Results({"loop": {"ours": [{"lost": 1.0}, {"lost": 2.0}], "peer": [{"lost": 0.0}]}})

    assert found.lost() == {"loop/ours": 3}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (0.00049, "0.00049"),
        (0.00001, "< 0.0001"),
        (0.0314, "0.031"),
        (1.0, "1.00"),
        (26.04, "26.0"),
        (157.2, "157"),
        (40000.0, "40,000"),
    ],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    """Numbers have about three significant digits."""
    assert number(value) == text


def test_a_line_shows_bounds_and_verdict() -> None:
    """The cells of a line are in the order of the table's headers."""
    line = judge(ROW, results(ours=[4.0], peer=[10.0]))

    assert cells(line) == ["everything", "4.00 us", "peer", "10.0 us", "0.400", "<= 0.5 x", "<= 0.3 x", "yes"]


def test_the_table_is_aligned() -> None:
    """The table is readable as text and valid as Markdown."""
    assert markdown(["a", "bb"], [["ccc", "d"]]) == "| a   | bb |\n|-----|----|\n| ccc | d  |"


def test_all_peers_stand_beside_each_other() -> None:
    """A program with three contenders or more has its own table, in the order of the labels, unknown ones last."""
    rounds = [{"cpu_us": 2.0}, {"cpu_us": 4.0}, {"cpu_us": 3.0}]
    found = peers(Results({"loop": {"new": rounds, "logfire": rounds, "bare": [{"p99": 1.0}]}, "row": {"new": rounds}}))

    assert [text.splitlines() for text in found] == [
        [
            "| loop    | cpu_us | p99  |",
            "|---------|--------|------|",
            "| bare    | -      | 1.00 |",
            "| Logfire | 3.00   | -    |",
            "| new     | 3.00   | -    |",
        ]
    ]


def test_json_holds_the_rows_and_the_figures() -> None:
    """The JSON has what the table shows, and each round."""
    seen = results(ours=[4.0], peer=[10.0])
    found = as_json([judge(ROW, seen)], seen)

    assert found["rows"] == [
        {
            "key": "cpu",
            "what": "everything",
            "unit": "us",
            "beside": "peer",
            "gate": 0.5,
            "aim": 0.3,
            "ours": 4.0,
            "peer": 10.0,
            "ratio": 0.4,
            "kept": "yes",
            "note": "",
        }
    ]
    assert found["figures"] == seen.figures


def test_every_row_names_a_program_and_a_label() -> None:
    """A row that nothing measures, or a contender without a name, would be seen in the table only."""
    figures = [figure for row in ROWS for figure in row.figures(full=True)]

    assert {figure.program for figure in figures} <= set(PROGRAMS)
    assert {row.peer.contender for row in ROWS if row.peer} <= set(LABELS)
    assert set(BESIDE) <= set(PROGRAMS)


def test_only_what_the_rows_need_is_run() -> None:
    """`--only` runs two contenders; without `--full` a slow peer is left out."""
    slow = Row("drift", "drift", "s", ROW.ours, Figure("loop", "slow", "cpu_us"), slow=True)

    assert wanted([ROW, slow], full=False, all_peers=False) == {"loop": ["ours", "peer"]}
    assert wanted([slow], full=True, all_peers=False) == {"loop": ["ours", "slow"]}


def test_the_tick_is_that_of_the_quietest_exports():
    """A slow second of the machine is not the sampler's; a tick that was missed does not make the others dearer."""
    spent = [0.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 15.0]
    counts = [0, 1, 2, 3, 4, 5, 6, 7]

    assert quietest_tick(spent, counts) == 1.0
    assert quietest_tick([0.0, 4.0], [0, 2]) == 2.0
