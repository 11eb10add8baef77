"""The boundary for user data: kinds, missing values, equality, columns and JSON texts; any value becomes plain."""

from __future__ import annotations

from otel_ml._values.bounded import (
    CLASS_LIMIT,
    EXACT_FLOAT,
    ID_LIMIT,
    NAMES_SHOWN,
    TEXT_LIMIT,
    TRUNCATED,
    Copy,
    attribute,
    block,
    cell,
    class_text,
    few_names,
    id_text,
    line,
    number,
    plain,
    scalar,
    written_number,
)

__all__ = [
    "CLASS_LIMIT",
    "EXACT_FLOAT",
    "ID_LIMIT",
    "NAMES_SHOWN",
    "TEXT_LIMIT",
    "TRUNCATED",
    "Copy",
    "attribute",
    "block",
    "cell",
    "class_text",
    "few_names",
    "id_text",
    "line",
    "number",
    "plain",
    "scalar",
    "written_number",
]
