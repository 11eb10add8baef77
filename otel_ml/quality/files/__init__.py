"""Reads data files of any usual format as columns of values, in batches."""

from __future__ import annotations

from otel_ml.quality.files._csv import CsvFormat
from otel_ml.quality.files._errors import DataFileError
from otel_ml.quality.files._sources import DataFiles, RowBatch
from otel_ml.quality.files._text_cells import NumberCells, TextCells
from otel_ml.quality.files._training import TrainingData, read_training

__all__ = [
    "CsvFormat",
    "DataFileError",
    "DataFiles",
    "NumberCells",
    "RowBatch",
    "TextCells",
    "TrainingData",
    "read_training",
]
