"""The table of `make faults` has every slow test, each in the row of its case."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("fault_table", TESTS / "faults" / "table.py")
table = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(table)
MARK = re.compile(r"^(@|pytestmark = )pytest\.mark\.slow", re.MULTILINE)


def test_every_slow_test_is_run():
    """A file with a slow test is one of the faults or is named in the lists of the table."""
    slow = {path for path in TESTS.rglob("test_*.py") if MARK.search(path.read_text(encoding="utf-8"))}
    named = {table.FIELD / name for name in table.FIELD_REPORTS} | {TESTS / name for name in table.DEPLOYMENTS}
    assert {path for path in slow if path.parent != table.FOLDER} == named


@pytest.mark.parametrize(
    ("name", "module", "case"),
    [
        ("test_case_18_kafka_and_back_ends_go_away", "tests.faults.test_kafka_faults", 18),
        ("test_a_million_categories_have_one_small_filter", "tests.field.references.test_long_tails", 19),
        ("test_series_are_those_of_prometheus", "tests.pipeline.test_victoria_metrics", 30),
        ("test_the_soak", "tests.faults.test_soak_faults", 0),
    ],
)
def test_a_test_has_the_row_of_its_case(name, module, case):
    """The name of a test has the number of its case, or its file stands for one."""
    assert table.case_of(name, module) == case
