"""`track` works over everything that may stand under a decorator, and shows frameworks the user's function.

Sources: DataDog/dd-trace-py#3577 (a decorator over `@classmethod`), litl/backoff#200 and
digma-ai/opentelemetry-instrumentation-digma#36 (over `@staticmethod`, called by an instance), mgedmin/profilehooks#25 and
matrix-org/synapse#13545 (over a cache, whose own methods are gone then), fastapi/fastapi#5065,
Minibrams/fastapi-decorators#7 and bytedance/deer-flow#3151 (postponed annotations that a framework looks for in the
module of the wrapper).
"""

from __future__ import annotations

import abc
import asyncio
import copy
import functools
import inspect
import json
import operator
import pickle
import typing
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

import otel_ml
from otel_ml.config import ConfigError
from otel_ml.testing import InMemoryTelemetry

if TYPE_CHECKING:
    from elsewhere import Missing  # type: ignore[import-not-found]

R = {"prediction": 1, "probability": 0.9}
ROW = {"a": 1.0}


@pytest.fixture(params=["own", "guest"])
def kit(request: pytest.FixtureRequest) -> Iterator[InMemoryTelemetry]:
    with InMemoryTelemetry(request.param, events="all") as telemetry:
        yield telemetry


def make_model() -> otel_ml.Model:
    return otel_ml.Model("decorated", task="binary", capture_features="all")


def rows(kit: InMemoryTelemetry) -> list[Any]:
    """Returns the features of all predictions."""
    return [json.loads(event["body"]).get("features") for event in kit.events("ml.prediction")]


class Base(abc.ABC):
    @abc.abstractmethod
    def required(self, features: Any) -> Any: ...


def make_service() -> Any:
    """Returns a class whose methods are tracked under every kind of descriptor. It holds its model, and nothing holds it."""
    model = make_model()

    class Service(Base):
        factor = 2

        @model.track
        @classmethod
        def by_class(cls, features: Any) -> Any:
            return {**R, "factor": cls.factor}

        @classmethod
        @model.track
        def by_class_inside(cls, features: Any) -> Any:
            return {**R, "factor": cls.factor}

        @model.track()
        @staticmethod
        def static(features: Any) -> Any:
            return {**R, "factor": 2}

        @model.track(features="features")
        @classmethod
        async def later(cls, context: Any, features: Any) -> Any:
            return {**R, "factor": cls.factor}

        @model.track
        @functools.lru_cache  # noqa: B019
        def cached(self, features: Any) -> Any:
            return {**R, "factor": self.factor}

        @model.track
        @functools.singledispatchmethod
        def dispatched(self, features: Any) -> Any:
            return {**R, "factor": self.factor}

        @dispatched.register
        def _(self, features: int) -> Any:
            return R

        def _scaled(self, factor: int, features: Any) -> Any:
            return {**R, "factor": factor}

        half = model.track(functools.partialmethod(_scaled, 2))  # type: ignore[type-var]

        @model.track
        def required(self, features: Any) -> Any:
            return {**R, "factor": self.factor}

    return Service


EXPECTED = {**R, "factor": 2}
METHODS = ["by_class", "by_class_inside", "static", "dispatched", "half", "required"]


@pytest.mark.parametrize("name", METHODS)
def test_methods_of_every_kind_are_predictions(kit: InMemoryTelemetry, name: str) -> None:
    """Called by an instance, positionally and by keyword, each is one prediction with its row."""
    method = getattr(make_service()(), name)

    assert method(ROW) == EXPECTED
    if name != "dispatched":  # it dispatches by its first positional argument
        assert method(features=ROW) == EXPECTED
    assert rows(kit) == [ROW] * (1 if name == "dispatched" else 2)


def test_a_cache_keeps_its_methods(kit: InMemoryTelemetry) -> None:
    """A cached function or method can be cleared and asked for its counts through the decorator."""
    service = make_service()()

    @make_model().track
    @functools.lru_cache
    def predict(age: float) -> Any:
        return R

    predict(1.0), predict(1.0), service.cached(1.0)
    assert (predict.cache_info().hits, service.cached.cache_info().misses) == (1, 1)
    for cached in (predict, service.cached):
        cached.cache_clear()
        assert cached.cache_info().currsize == 0
        with pytest.raises(AttributeError, match="no_such"):
            cached.no_such()
    assert not hasattr(make_model().track(service.required), "__code__")


@pytest.mark.parametrize("name", ["by_class", "by_class_inside", "static"])
def test_methods_without_an_instance_are_called_by_the_class(kit: InMemoryTelemetry, name: str) -> None:
    """A subclass is the class of its classmethods."""
    service = make_service()
    derived = type("Derived", (service,), {"factor": 3})

    assert getattr(service, name)(ROW) == EXPECTED
    assert getattr(derived, name)(ROW)["factor"] == (2 if name == "static" else 3)
    assert rows(kit) == [ROW] * 2


def test_a_coroutine_under_classmethod(kit: InMemoryTelemetry) -> None:
    """`track(features=...)` looks through the descriptor, too."""
    assert asyncio.run(make_service().later({"b": 1}, ROW)) == EXPECTED
    assert rows(kit) == [ROW]


def test_a_function_in_a_cache_is_bound_to_its_instance(kit: InMemoryTelemetry) -> None:
    """A callable that binds as a method keeps doing so under the decorator."""
    assert make_service()().cached(1.0) == EXPECTED
    assert len(kit.events("ml.prediction")) == 1


def test_properties_are_predictions_as_well(kit: InMemoryTelemetry) -> None:
    """A property and a cached property are computed as one prediction each time that they run."""

    model = make_model()

    class Applicant:
        @model.track
        @property
        def risk(self) -> Any:
            return R

        @model.track
        @functools.cached_property
        def kept(self) -> Any:
            return R

    applicant = Applicant()

    assert (applicant.risk, applicant.kept, applicant.kept) == (R, R, R)
    assert len(kit.events("ml.prediction")) == 2


def test_what_is_no_function_is_refused_at_once() -> None:
    """A value under the decorator fails at decoration, not at the first call."""
    with pytest.raises(ConfigError, match="track decorates a function or a method, not a value of type 'int'"):
        make_model().track(3)  # type: ignore[type-var]


class Row(BaseModel):
    a: float


def endpoint(features: Row, *, limit: int | None = None) -> dict[str, Any]:
    """Predicts."""
    return R


class Endpoint:
    def __call__(self, features: Row) -> dict[str, Any]:
        return R

    async def method(self, features: Row) -> dict[str, Any]:
        return R


def test_a_framework_reads_the_users_annotations() -> None:
    """Annotations that are texts are resolved in the user's module, whatever module the framework looks in."""
    tracked = make_model().track(endpoint)
    signature = inspect.signature(tracked)

    assert signature == inspect.signature(endpoint, eval_str=True)
    assert signature.parameters["features"].annotation is Row
    assert tracked.__annotations__ == typing.get_type_hints(endpoint)
    assert typing.get_type_hints(tracked) == typing.get_type_hints(endpoint)
    assert (tracked.__name__, tracked.__doc__, tracked.__module__) == ("endpoint", "Predicts.", __name__)


@pytest.mark.parametrize("given", [Endpoint(), Endpoint().method, functools.partial(endpoint, limit=3)])
def test_so_do_methods_and_callable_objects(given: Any) -> None:
    """A bound method, an object with `__call__` and a partial function have resolved annotations."""
    tracked: Any = make_model().track(given)

    assert inspect.signature(tracked).parameters["features"].annotation is Row
    assert tracked.__name__ == getattr(given, "__name__", type(given).__name__)


def test_what_cannot_be_resolved_stays_as_it_is() -> None:
    """One unknown name does not keep the others from being resolved."""

    def predict(features: Row, other: Missing) -> Missing:
        return R

    found = inspect.signature(make_model().track(predict))

    assert [each.annotation for each in found.parameters.values()] == [Row, "Missing"]
    assert found.return_annotation == "Missing"


def test_a_wrapper_without_texts_is_left_alone() -> None:
    """A function whose annotations are no texts keeps its very annotations."""

    def predict(features, other=1):  # noqa: ANN001, ANN202
        return R

    assert make_model().track(predict).__annotations__ == {}
    assert "__signature__" not in make_model().track(predict).__dict__


def test_a_descriptor_can_be_copied_and_pickled(kit: InMemoryTelemetry) -> None:
    """A class from `__main__` is pickled by value, with the descriptors in it."""
    descriptor = otel_ml.Model("m", "1").track(functools.partialmethod(operator.getitem, 2))  # type: ignore[type-var]

    for made in (copy.copy(descriptor), pickle.loads(pickle.dumps(descriptor))):
        assert made.args == (2,)
