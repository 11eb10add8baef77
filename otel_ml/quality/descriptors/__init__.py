"""Describes texts, embeddings and images by a few numbers each, which are counted as ordinary features."""

from __future__ import annotations

from otel_ml.quality.descriptors._described_column import KINDS, DescribedColumn, describe_columns, read_described
from otel_ml.quality.descriptors._embeddings import MOST_DIMENSIONS, find_centroid

__all__ = ["KINDS", "MOST_DIMENSIONS", "DescribedColumn", "describe_columns", "find_centroid", "read_described"]
