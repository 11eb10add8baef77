"""Compares inputs and outputs with the training reference, by counts that add up over replicas."""

from __future__ import annotations

from otel_ml._distances import jensen_shannon_distance, psi, psi_noise
from otel_ml._figures.data_sets.performance_counts import TASKS
from otel_ml._figures.score_probabilities import Calibration
from otel_ml._verdicts import PSI_LIMIT
from otel_ml.quality._column_names import ColumnNames, column_key
from otel_ml.quality._data_sets import scan_files
from otel_ml.quality._drift_scan import DriftScan
from otel_ml.quality._feature import BINS, Feature, ProfileError
from otel_ml.quality._performance import Performance, describe_unscored
from otel_ml.quality._profile import ReferenceProfile
from otel_ml.quality._profile_content import ProfileContent
from otel_ml.quality._profile_scan import ProfileScan
from otel_ml.quality._schema import Column, Schema
from otel_ml.quality._skipped import describe_skipped
from otel_ml.quality.comparison import BinShare, Comparison, FeatureDrift, Period
from otel_ml.quality.counting._instruments import FeatureInstruments
from otel_ml.quality.counting._missing_rows import MissingRows
from otel_ml.quality.counting._monitor import FeatureMonitor
from otel_ml.quality.descriptors import DescribedColumn
from otel_ml.quality.files import CsvFormat, DataFileError, DataFiles, TrainingData, read_training

__all__ = [
    "BINS",
    "PSI_LIMIT",
    "TASKS",
    "BinShare",
    "Calibration",
    "Column",
    "ColumnNames",
    "Comparison",
    "CsvFormat",
    "DataFileError",
    "DataFiles",
    "DescribedColumn",
    "DriftScan",
    "Feature",
    "FeatureDrift",
    "FeatureInstruments",
    "FeatureMonitor",
    "MissingRows",
    "Performance",
    "Period",
    "ProfileContent",
    "ProfileError",
    "ProfileScan",
    "ReferenceProfile",
    "Schema",
    "TrainingData",
    "column_key",
    "describe_skipped",
    "describe_unscored",
    "jensen_shannon_distance",
    "psi",
    "psi_noise",
    "read_training",
    "scan_files",
]
