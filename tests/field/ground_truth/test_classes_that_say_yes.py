"""Labels as the files of customers have them: Yes and No, or words of which nobody can tell the positive one.

The labels of bylenz/mlops-churn-fintech are `Yes` and `No`: with a column of predicted classes the profile had no AUC and no
calibration, and the precision in training was a mean over both classes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from otel_ml.cli import main
from otel_ml.quality import ReferenceProfile

SCORES = np.random.default_rng(1).random(1_000)
IS_TRUE = np.random.default_rng(2).random(1_000) < SCORES


def churn(negative: str, positive: str) -> pd.DataFrame:
    predicted = np.where(SCORES > 0.5, positive, negative)
    columns = {"score": SCORES, "predicted": predicted, "churn": np.where(IS_TRUE, positive, negative)}
    frame: pd.DataFrame = pd.DataFrame(columns)
    return frame


@pytest.mark.parametrize(
    "pair", [("no", "yes"), ("No", "Yes"), ("NO", "YES"), ("n", "y"), ("N", "Y"), ("FALSE", "TRUE")]
)
@pytest.mark.parametrize("prediction", ["predicted", None])
def test_yes_is_the_positive_class_in_any_case(pair: tuple[str, str], prediction: str | None) -> None:
    """The figures are those of 0 and 1, with AUC and calibration."""
    found = ReferenceProfile.fit(churn(*pair), score="score", label="churn", prediction=prediction)
    numbers = ReferenceProfile.fit(churn("0", "1"), score="score", label="churn", prediction=prediction)
    assert (found.performance, numbers.performance is None) == (numbers.performance, False)
    assert found.calibration is not None
    assert found.calibration.classes == pair


def test_a_score_of_an_unknown_class_is_said() -> None:
    """There are figures of the predicted classes, and a warning says why there are none of the score."""
    with pytest.warns(UserWarning, match="which class it is the probability of is not known"):
        found = ReferenceProfile.fit(churn("stays", "leaves"), score="score", label="churn", prediction="predicted")
    assert found.performance is not None
    assert set(found.performance.figures) == {"accuracy", "precision", "recall", "f1"}
    assert found.calibration is None


def test_the_command_names_the_positive_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--positive` gives what `score={class: column}` gives; without it the command says what is missing."""
    data, output = tmp_path / "churn.csv", tmp_path / "profile.json"
    frame = churn("stays", "leaves")
    frame.to_csv(data, index=False)
    command = ["profile", "--data", str(data), "--output", str(output), "--label", "churn", "--prediction", "predicted"]
    assert main([*command, "--score", "score"]) == 0
    assert "--positive" in capsys.readouterr().out
    assert main([*command, "--score", "score", "--positive", "leaves"]) == 0
    assert "not known" not in capsys.readouterr().out
    expected = ReferenceProfile.fit(frame, score={"leaves": "score"}, label="churn", prediction="predicted")
    assert ReferenceProfile.load(output).calibration == expected.calibration
    assert main([*command, "--positive", "leaves"]) == 2
    assert "give --score" in capsys.readouterr().err
