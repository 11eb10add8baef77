"""`track` reads functions whose annotations have no value yet, as any of Python 3.14 may.

Sources: GrahamDumpleton/wrapt#331, boxed/mutmut#463, pytest-dev/pluggy#629 and micheles/decorator#181 (a decorator evaluates
annotations whose names exist only for type checkers, and the import of the module fails); python/cpython#139140 and
huggingface/transformers#44165 (a class keeps no `__annotations__` in its namespace).
"""

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypedDict

import pandas as pd
import pytest

import otel_ml
from otel_ml.prediction.boundary._records import class_names
from otel_ml.prediction.tracking import _track
from otel_ml.testing import InMemoryTelemetry

if TYPE_CHECKING:
    from elsewhere import Row  # type: ignore[import-not-found]  # noqa: TC004 - that is the case

R = {"prediction": 1, "probability": 0.9}
PROFILE = otel_ml.ReferenceProfile.fit(pd.DataFrame({"age": [20.0, 30.0] * 50, "income": [1.5, 2.5] * 50}))
ROW = {"age": 20.0, "income": 1.5}
lazy = pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations are evaluated when the function is defined")


def values(telemetry: InMemoryTelemetry) -> int:
    return sum(point["value"] for point in telemetry.metrics()["ml.feature.values"])


@lazy
def test_a_name_that_only_type_checkers_know(telemetry: InMemoryTelemetry) -> None:
    """The module can be imported, and the features are found by the names of the parameters."""
    model = otel_ml.Model("m", profile=PROFILE)

    @model.track
    def predict(threshold: float, payload: Row) -> Row:
        return R

    assert predict(0.5, ROW) is R
    assert values(telemetry) == 2


@lazy
def test_a_stream_with_such_a_name(telemetry: InMemoryTelemetry) -> None:
    """The same holds for a generator function."""
    model = otel_ml.Model("m", profile=PROFILE)

    @model.track
    def predict(threshold: float, payload: Row) -> Iterator[Any]:
        yield R

    assert list(predict(0.5, ROW)) == [R]
    assert values(telemetry) == 2


def test_annotations_that_cannot_be_evaluated_are_left_alone() -> None:
    """A function whose annotations raise an error keeps them, and nothing is raised where it is decorated."""

    class Lazy:
        def __getattr__(self, name: str) -> Any:
            raise NameError("name 'Row' is not defined")

    wrapped = Lazy()
    _track._resolve_annotations(wrapped)
    assert vars(wrapped) == {}


def test_the_fields_of_a_class_without_annotations_in_its_namespace() -> None:
    """The fields of a TypedDict are those that it requires and those that it allows."""

    class Base(TypedDict):
        age: float

    class Fields(Base, total=False):
        income: float

    for cls in (Base, Fields):
        if "__annotations__" in vars(cls):
            del cls.__annotations__
    assert class_names(Fields).fields == {"age", "income"}
