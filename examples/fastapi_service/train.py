"""Trains three models and their reference profiles: the employment classifier and its canary from the census data in
this folder, and a regression from scikit-learn's diabetes data.

A profile keeps the performance on rows that the model was not fitted on: only these have a label in the reference.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import otel_ml

DATA = Path(__file__).parent / "data"
LABEL = "employed"
NOT_FEATURES = ("id", "year", "prediction", "predicted_probability", LABEL)
CODES = ("MAR", "RELP", "ESP", "CIT", "MIG", "MIL", "ANC", "RAC1P")
"""Features whose numbers are codes of categories."""

REPLAYED_FROM = 300
"""Patients from here on are the traffic."""


def feature_names(frame: pd.DataFrame) -> list[str]:
    """The 16 features, in the order of the file."""
    return [name for name in frame.columns if name not in NOT_FEATURES]


def train(folder: Path) -> tuple[Path, Path]:
    """Writes ``model.joblib`` and ``profile.json`` into the folder; takes a few seconds."""
    return _train(folder, "model", "profile", HistGradientBoostingClassifier(max_iter=60, random_state=2015))


def train_canary(folder: Path) -> tuple[Path, Path]:
    """Writes ``canary.joblib`` and ``canary.json``: the next version, which is worse, since it hardly learns."""
    stump = HistGradientBoostingClassifier(max_iter=3, max_depth=1, random_state=2015)
    return _train(folder, "canary", "canary", stump)


def _train(folder: Path, name: str, profile_name: str, model: HistGradientBoostingClassifier) -> tuple[Path, Path]:
    """Fits a classifier, and a profile whose performance is that on the rows that it was not fitted on."""
    frame = pd.read_parquet(DATA / "train.parquet")
    features = feature_names(frame)
    fitted = frame.index % 4 != 0
    model.fit(frame.loc[fitted, features], frame.loc[fitted, LABEL])
    reference = frame[[*features, LABEL]].assign(score=model.predict_proba(frame[features])[:, 1])
    reference[LABEL] = reference[LABEL].mask(fitted)
    profile = otel_ml.ReferenceProfile.fit(
        reference, score="score", label=LABEL, categorical=CODES, sensitive=("RAC1P",)
    )
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / f"{name}.joblib", folder / f"{profile_name}.json"
    joblib.dump({"model": model, "features": features}, written[0])
    profile.save(written[1])
    return written


def patients() -> pd.DataFrame:
    """Returns 442 patients in a random order, with the progression of their diabetes a year later in `target`."""
    frame: pd.DataFrame = load_diabetes(scaled=False, as_frame=True).frame
    return frame.sample(frac=1, random_state=2004, ignore_index=True)


def train_progression(folder: Path) -> tuple[Path, Path]:
    """Writes ``progression.joblib`` and ``progression.json``, from the patients that are not replayed."""
    frame = patients()[:REPLAYED_FROM]
    features = frame.columns.drop("target").tolist()
    fitted = frame.index % 3 != 0
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-2, 3, 20)))
    model.fit(frame.loc[fitted, features], frame.loc[fitted, "target"])
    reference = frame.assign(predicted=model.predict(frame[features]), target=frame["target"].mask(fitted))
    profile = otel_ml.ReferenceProfile.fit(
        reference, score="predicted", label="target", task="regression", categorical=("sex",)
    )
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump({"model": model, "features": features}, folder / "progression.joblib")
    profile.save(folder / "progression.json")
    return folder / "progression.joblib", folder / "progression.json"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python train.py --folder model")
    parser.add_argument("--folder", type=Path, default=Path("model"), help="where to write (default: %(default)s)")
    to = parser.parse_args().folder
    for written in (*train(to), *train_canary(to), *train_progression(to)):
        print(written)
