"""Compares inputs and outputs with the training reference, by counts that add up over replicas."""

from __future__ import annotations

from otel_ml._distances import jensen_shannon_distance, psi, psi_noise
from otel_ml._verdicts import PSI_LIMIT
from otel_ml.quality._column_names import ColumnNames, column_key
from otel_ml.quality._drift import DriftScan, FeatureDrift
from otel_ml.quality._feature import Feature, ProfileError
from otel_ml.quality._files import DataFileError, read_batches, read_columns
from otel_ml.quality._instruments import FeatureInstruments
from otel_ml.quality._monitor import FeatureMonitor
from otel_ml.quality._profile import ReferenceProfile
from otel_ml.quality._schema import Column, Schema

__all__ = [
    "PSI_LIMIT",
    "Column",
    "ColumnNames",
    "DataFileError",
    "DriftScan",
    "Feature",
    "FeatureDrift",
    "FeatureInstruments",
    "FeatureMonitor",
    "ProfileError",
    "ReferenceProfile",
    "Schema",
    "column_key",
    "jensen_shannon_distance",
    "psi",
    "psi_noise",
    "read_batches",
    "read_columns",
]
