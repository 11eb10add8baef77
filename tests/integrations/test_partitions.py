"""The recipe for partitions gives the reference and the counts of one process, with Dask's schedulers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from otel_ml import DriftScan, ReferenceProfile

dask = pytest.importorskip("dask")
PATH = Path(__file__).parents[2] / "examples" / "partitions" / "partitions.py"
SPEC = importlib.util.spec_from_file_location("partitions", PATH)
recipe = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(recipe)

RNG = np.random.default_rng(0)
ROWS = 40_000
SCORES = RNG.random(ROWS)
FRAME = pd.DataFrame(
    {
        "amount": RNG.lognormal(3, 1, ROWS),
        "city": RNG.choice(["a", "b", "c"], ROWS),
        "gap": np.where(RNG.random(ROWS) < 0.1, np.nan, RNG.integers(0, 5, ROWS)),
        "score": SCORES,
        "label": (RNG.random(ROWS) < SCORES).astype(int),
    }
)


@pytest.fixture(scope="module")
def whole():
    return ReferenceProfile.fit(FRAME, **recipe.OPTIONS)


@pytest.mark.parametrize(("partitions", "scheduler", "order"), [(1, "sync", 1), (3, "threads", -1), (16, "threads", 1)])
def test_partitions_of_dask_have_the_reference_of_one_process(whole, partitions, scheduler, order):
    """In any number and order, above the number of values that are kept exactly."""
    import dask.dataframe as dd

    with dask.config.set(scheduler=scheduler):
        profile = recipe.fit_dask(dd.from_pandas(FRAME.iloc[::order], npartitions=partitions, sort=False))
    assert (profile, profile.id) == (whole, whole.id)


def test_drift_counts_of_dask_are_those_of_one_process(whole):
    """The comparison and the bytes are the same."""
    import dask.dataframe as dd

    parts = dd.from_pandas(FRAME, npartitions=7).map_partitions(
        lambda part: next(recipe.scan_drift([part], whole)), meta={"scan": object}
    )
    with dask.config.set(scheduler="threads"):
        merged = recipe.merge_drift(parts.compute()["scan"], whole)
    one = DriftScan(whole).add(FRAME, score="score", label="label")
    assert merged.to_bytes() == one.to_bytes()
    assert merged.compare() == one.compare()
