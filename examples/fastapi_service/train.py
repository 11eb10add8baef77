"""Trains the employment classifier and its reference profile from the census data in this folder."""

from __future__ import annotations

import argparse
from pathlib import Path

import joblib
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

import otel_ml

DATA = Path(__file__).parent / "data"
LABEL = "employed"
NOT_FEATURES = ("id", "year", "prediction", "predicted_probability", LABEL)
CODES = ("MAR", "RELP", "ESP", "CIT", "MIG", "MIL", "ANC", "RAC1P")
"""Features whose numbers are codes of categories."""


def feature_names(frame: pd.DataFrame) -> list[str]:
    """The 16 features, in the order of the file."""
    return [name for name in frame.columns if name not in NOT_FEATURES]


def train(folder: Path) -> tuple[Path, Path]:
    """Writes ``model.joblib`` and ``profile.json`` into the folder; takes a few seconds."""
    frame = pd.read_parquet(DATA / "train.parquet")
    features = feature_names(frame)
    model = HistGradientBoostingClassifier(max_iter=60, random_state=2015)
    model.fit(frame[features], frame[LABEL])
    reference = frame[[*features, LABEL]].assign(score=model.predict_proba(frame[features])[:, 1])
    profile = otel_ml.ReferenceProfile.fit(
        reference, score="score", label=LABEL, categorical=CODES, sensitive=("RAC1P",)
    )
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump({"model": model, "features": features}, folder / "model.joblib")
    profile.save(folder / "profile.json")
    return folder / "model.joblib", folder / "profile.json"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, epilog="example: python train.py --folder model")
    parser.add_argument("--folder", type=Path, default=Path("model"), help="where to write (default: %(default)s)")
    for written in train(parser.parse_args().folder):
        print(written)
