"""The census data of the example and its reference."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from otel_ml import semconv
from otel_ml.quality import ReferenceProfile

DATA = Path(__file__).parents[3] / "examples" / "fastapi_service" / "data"
IDENTITY = {semconv.MODEL_NAME: "employment", semconv.MODEL_VERSION: "1", semconv.MODEL_ROLE: "primary"}


@pytest.fixture(scope="session")
def train() -> pd.DataFrame:
    """People of 2015: features, score and label."""
    return pd.read_parquet(DATA / "train.parquet").drop(columns=["id", "year", "prediction"])


@pytest.fixture(scope="session")
def replay() -> pd.DataFrame:
    """People of 2016 to 2018."""
    return pd.read_parquet(DATA / "replay.parquet")


@pytest.fixture(scope="session")
def census(train: pd.DataFrame) -> ReferenceProfile:
    """The reference of the census model; race is sensitive."""
    return ReferenceProfile.fit(train, score="predicted_probability", label="employed", sensitive=["RAC1P"])
