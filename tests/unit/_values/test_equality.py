"""One rule says when two values are the same, whatever type, precision or file they come in."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from otel_ml._values import class_text
from otel_ml._values.equality import find_equal, find_positive, respell


@pytest.mark.parametrize(
    "values",
    [
        [1, 1.0, np.int8(1), np.float32(1), Decimal("1.0"), "1", b"1", " 1\n"],
        [0.3, 0.1 * 3, np.float32(0.3), np.float64(0.3), Decimal("0.3"), "0.3"],
        [0.9, np.float32(0.9), 0.1 * 9],
        [True, np.bool_(True), "True", "True\r\n"],
        [1e-7, np.float32(1e-7)],
        ["yes", " yes", "yes\n", b"yes"],
    ],
)
def test_the_same_value_has_one_text(values):
    """Type, precision and blanks around a text do not matter."""
    assert len({class_text(value) for value in values}) == 1


@pytest.mark.parametrize(
    "values", [["01", 1], [0.1234567, 0.1234568], ["yes", "Yes"], [10**15, 10**15 + 1], ["1e3", 1000], ["", 0]]
)
def test_values_that_differ_stay_apart(values):
    """Codes with leading zeros, seven digits and upper case are kept."""
    assert len({class_text(value) for value in values}) == len(values)


@pytest.mark.parametrize(
    ("text", "values", "equal"),
    [
        ("True", {"0", "1"}, "1"),
        ("false", {"0", "1"}, "0"),
        ("1", {"True", "False"}, "True"),
        ("0.0", {"True", "False"}, "False"),
        ("1.0", {"1", "2"}, "1"),
        ("2", {"1.0", "2.0"}, "2.0"),
        ("2.50", {"2.5"}, "2.5"),
        ("0.12345678901", {"0.1234568"}, "0.1234568"),
        ("0.30000000000000004", {"0.3"}, "0.3"),
        ("True", {"1", "True"}, "True"),
        ("01", {"1"}, None),
        ("yes", {"Yes"}, None),
    ],
)
def test_a_text_means_the_fixed_value_that_is_equal_to_it(text, values, equal):
    """Fixed values are found under the other spellings of a number or a boolean, unless they tell these apart."""
    assert find_equal(text, values) == equal


@pytest.mark.parametrize(
    ("text", "like", "spelled"),
    [
        ("0.000e+00", "True", "False"),
        ("+1", "False", "True"),
        ("2.0", "True", "2"),
        ("+0", "-0.0", "-0.0"),
        ("1", "1.000e+00", "1.000e+00"),
        ("0.70000001", "0.3", "0.7"),
        ("+2", "1.0", "2.0"),
        ("1e+22", "1.0", "10000000000000000000000"),
        ("01", "1", "01"),
        ("a", "1.0", "a"),
    ],
)
def test_a_number_is_spelled_like_another_one(text, like, spelled):
    """However either of them is written; a code stays as it is."""
    assert respell(text, like) == spelled


def test_the_positive_class_is_one_of_the_names():
    """It is the one that is there, also where the other one is written otherwise."""
    assert find_positive(["0", "1.000e+00"]) == "1.000e+00"
    assert find_positive(["-0.0"]) == "1.0"
