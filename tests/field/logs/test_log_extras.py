"""What people pass as ``extra`` arrives with the record, bounded, or a line says that it stays.

Sources: open-telemetry/opentelemetry-python#4421, #3466, #4515 and #4100 (attributes of common types vanish).
"""

from __future__ import annotations

import datetime as dt
import enum
import logging
import uuid
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from otel_ml import ReferenceProfile, _guard, instrument_logging
from otel_ml.testing import InMemoryTelemetry


class Colour(enum.Enum):
    RED = "red"
    ONE = 1


class Level(enum.IntEnum):
    HIGH = 3


class Name(str):  # noqa: SLOT000
    """A text of a library, such as a lazy translation."""


ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
VALUES = {
    "float64": (np.float64(0.5), 0.5),
    "float32": (np.float32(0.5), 0.5),
    "int64": (np.int64(1), 1),
    "bool_": (np.bool_(True), True),
    "str_": (np.str_("a"), "a"),
    "array of one": (np.array(3), 3),
    "Decimal": (Decimal("0.10"), "0.10"),
    "Fraction": (Fraction(1, 3), "1/3"),
    "UUID": (ID, str(ID)),
    "datetime": (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc), "2026-01-02T03:04:05+00:00"),
    "date": (dt.date(2026, 1, 2), "2026-01-02"),
    "Timestamp": (pd.Timestamp("2026-01-02"), "2026-01-02T00:00:00"),
    "timedelta": (dt.timedelta(seconds=90), 90.0),
    "Enum": (Colour.RED, "red"),
    "Enum of a number": (Colour.ONE, "1"),
    "IntEnum": (Level.HIGH, "3"),
    "subclass of str": (Name("x"), "x"),
    "bytes": (b"abc", "abc"),
    "list": ([1, "a", None], [1, "a", None]),
    "tuple": ((1.5, 2), [1.5, 2]),
    "mapping": ({"a": {"b": [1]}}, {"a": {"b": [1]}}),
    "float": (1.5, 1.5),
    "bool": (False, False),
}


@pytest.fixture
def logged():
    """Logs with these extras; returns the attributes that arrived."""
    with InMemoryTelemetry() as telemetry:
        logger = logging.getLogger("field.extras")
        undo = instrument_logging(logger)

        def log(**extra):
            logger.warning("m", extra=extra)
            [record] = [one for one in telemetry.logs() if one["body"] == "m"]
            return {name: value for name, value in record["attributes"].items() if not name.startswith("code.")}

        log.telemetry = telemetry
        yield log
        undo()


@pytest.mark.parametrize(("given", "expected"), VALUES.values(), ids=VALUES)
def test_a_value_that_an_attribute_can_hold_arrives(logged, given, expected):
    """Numbers of any library are numbers, what has a canonical text is text."""
    found = logged(value=given)

    assert found == {"value": expected}
    assert type(found["value"]) is type(expected)


def test_values_left_out_are_named_once_for_each_logger(logged, caplog):
    """An object that no attribute can hold is named, with what can be sent."""
    found = logged(model=object(), ok=1, nothing=None)
    logging.getLogger("field.extras").warning("again", extra={"model": object()})

    assert found == {"ok": 1}
    [line] = [line for line in caplog.messages if "are not sent" in line]
    assert "logger field.extras: these extra values are not sent: model. " in line


def test_structures_are_bounded(logged):
    """However long and deep it is, a record stays small."""
    deep: list = []
    for _ in range(100):
        deep = [deep]
    found = logged(long=list(range(10_000)), deep=deep, text=["x" * 100_000])

    assert len(found["long"]) <= 40
    assert len(str(found["deep"])) < 200
    assert len(found["text"][0]) <= 1024


def test_structures_stay_once_a_column_is_sensitive(logged, caplog):
    """A row in an extra would carry the column past every check; single values are replaced as in any text."""
    import otel_ml

    frame = pd.DataFrame({"country": ["US", "DE"] * 50, "hours": [1.0, 2.0] * 50})
    profile = ReferenceProfile.fit(frame, sensitive=("country",))
    model = otel_ml.Model("m", task="binary", profile=profile, capture_features="all")
    with model.prediction({"country": "CANARY", "hours": 1.0}):
        found = logged(row={"country": "CANARY", "hours": 1.0}, where="in CANARY", n=np.int64(2))

    assert found.keys() - {"ml.prediction.id"} == {"where", "n"}
    assert "CANARY" not in str(found)
    _guard.reset()
