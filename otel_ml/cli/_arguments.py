"""Arguments that several commands share, and the types of their values."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

LARGEST = 1_000_000
"""Bound of a number that has no other."""


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds ``--json``."""
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON")


def add_input(parser: argparse.ArgumentParser, flag: str, what: str) -> None:
    """Adds the required path of a file."""
    parser.add_argument(flag, type=Path, required=True, metavar="FILE", help=what)


def number(least: float, most: float = LARGEST, unit: str = "") -> Callable[[str], float]:
    """The type of an argument that is a finite number in a range.

    Args:
        least: The smallest value that is accepted.
        most: The largest one.
        unit: Unit for the error message, in the plural.
    """

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            what = f"a number of {unit}" if unit else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {what} from {least:.15g} to {most:.15g}")
        return value

    return parse


def whole(least: int, most: int = LARGEST) -> Callable[[str], int]:
    """The type of an argument that is a whole number in a range."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least} to {most}")
        return value

    return parse
