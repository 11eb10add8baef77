"""The reference page says what the catalogue says."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

import otel_ml
from otel_ml import semconv
from otel_ml.semconv import __main__ as reference

PAGE = Path(otel_ml.__file__).parent / "REFERENCE.md"


def test_the_page_is_up_to_date(capsys, monkeypatch, request):
    """REFERENCE.md is what `python -m otel_ml.semconv` prints."""
    monkeypatch.setattr("sys.argv", ["otel_ml.semconv"])
    monkeypatch.delitem(sys.modules, "otel_ml.semconv.__main__")
    runpy.run_module("otel_ml.semconv", run_name="__main__")
    printed = capsys.readouterr().out
    if request.config.getoption("--update-golden"):
        PAGE.write_text(printed, encoding="utf-8")

    assert PAGE.read_text(encoding="utf-8") == printed


@pytest.mark.parametrize("subject", [*reference._SUBJECTS.values(), semconv.environment], ids=lambda s: s.__name__)
def test_every_name_of_ours_has_a_meaning(subject):
    """Names that no convention explains have a string below them."""
    silent = [
        name.constant
        for name in reference.names(subject)
        if isinstance(name.value, str)
        and not name.meaning
        and (name.value.startswith(("ml.", "otelml.", "OTEL_ML_")) or not reference._is_attribute(name))
    ]

    assert silent == []


def test_every_subject_is_on_the_page():
    """A subject that is added to the catalogue appears on the page."""
    assert {metric.name for metric in semconv.metrics()} <= {
        name.value.name
        for subject in reference._SUBJECTS.values()
        for name in reference.names(subject)
        if isinstance(name.value, semconv.Metric)
    }
