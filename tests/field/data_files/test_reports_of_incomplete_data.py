"""A report on data that is not complete has all that can be said, and says what is missing.

Sources: evidentlyai/evidently#257 (no row has label and score), evidentlyai/evidently#1480 (an empty column),
evidentlyai/evidently#1070 (classes that the labels do not have), vllm-project/guidellm#303 (a page that needs a network).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from otel_ml import ReferenceProfile
from otel_ml.cli import main

RNG = np.random.default_rng(0)
ANIMALS = RNG.choice(["cat", "dog"], 1000)
FRAME = pd.DataFrame({"size": RNG.normal(size=1000), "animal": ANIMALS, "guess": ANIMALS})
CASES = {
    "no labels yet": (FRAME.assign(animal=None), "no performance: no row has a label and an output"),
    "no outputs": (FRAME.assign(guess=None), "no performance: no column can be monitored: guess: it has no values"),
    "an empty column": (FRAME.assign(size=np.nan), ""),
    "a class that no label has": (
        FRAME.assign(guess=["giraffe", *ANIMALS[1:]]),
        "no performance: a binary task has two classes, not cat, dog, giraffe",
    ),
    "one row": (FRAME[:1], ""),
}


@pytest.mark.parametrize("case", CASES)
def test_incomplete_data_has_a_report(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Drift is reported without performance, and performance with an empty column; nothing is loaded from elsewhere."""
    frame, said = CASES[case]
    ReferenceProfile.fit(FRAME, label="animal", prediction="guess").save(tmp_path / "p.json")
    frame.to_parquet(tmp_path / "d.parquet")
    command = f"report --profile {tmp_path}/p.json --data {tmp_path}/d.parquet --label animal --prediction guess"
    assert main([*command.split(), "--output", str(tmp_path / "r.html")]) == 0
    page = (tmp_path / "r.html").read_text(encoding="utf-8")

    assert capsys.readouterr().err.strip() == said
    assert ("<h2>Performance</h2>" in page) is not bool(said)
    assert ">size<" in page
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
