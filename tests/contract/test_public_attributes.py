"""Every public class shows what is promised and nothing else, and its signatures name public types only."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import sys
import textwrap
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import Span

import otel_ml
from otel_ml import ground_truth, quality, testing
from otel_ml.testing import InMemoryTelemetry

PLACES = ("otel_ml", "otel_ml.config", "otel_ml.ground_truth", "otel_ml.prediction", "otel_ml.quality")
PLACES += ("otel_ml.resource_sampler", "otel_ml.testing")
"""Modules from which a user may import."""
PREDICTION = {"id", "set_output", "span_id", "stage", "trace_id"}
MADE_BY_US = (otel_ml.Prediction, otel_ml.Telemetry)
"""Classes whose constructor is not for users: `Model` and `configure` make them."""
SPAN = {name for name in dir(Span) if not name.startswith("_")} | {"name"}
"""What a span shows: in own mode a prediction is its own span."""

ATTRIBUTES = {
    otel_ml.Config: {field.name for field in dataclasses.fields(otel_ml.Config)},
    otel_ml.ConfigError: set(dir(ValueError)),
    otel_ml.GroundTruth: {
        "account",
        "close",
        "compare_versions",
        "compute_decay",
        "compute_metrics",
        "dropped",
        "estimate_metrics",
        "flush",
        "models",
        "read_outcomes",
        "waiting",
    }
    | {"record_label", "record_labels"}
    | {"drain_first", "log_prediction", "log_rows"},  # what a `PredictionStore` has, and a `RowStore`
    otel_ml.Ledger: {"delivered", "dropped", "folded", "in_flight", "lost", "produced", "rejected", "spooled"},
    otel_ml.Model: {"classes", "name", "role", "task", "trained_at", "version"}
    | {"load", "prediction", "record", "record_error", "track"},
    otel_ml.Prediction: PREDICTION,
    otel_ml.ProfileScan: {"add", "from_bytes", "merge", "profile", "rows", "to_bytes"},
    otel_ml.ReferenceProfile: {"columns", "described", "features", "id", "label", "name", "output", "performance"}
    | {"all_features", "calibration", "compare", "fit", "load", "merge", "rows", "save", "sensitive", "skipped"}
    | {"with_window"},
    otel_ml.ResourceSampler: {"announce_end", "close", "instrument", "interval", "is_running", "observations", "sample"}
    | {"start", "stop", "tick"},
    otel_ml.Schema: {"closed", "columns", "from_profile", "names", "sensitive"},
    otel_ml.Telemetry: {"config", "force_flush", "ledger", "mode", "notes", "shutdown"},
    ground_truth.Account: {*ground_truth.Account._fields, "count", "index"},  # a named tuple
    ground_truth.LoggedModel: {*ground_truth.LoggedModel._fields, "count", "index"},  # a named tuple
    ground_truth.LoggedPrediction: {*ground_truth.LoggedPrediction._fields, "count", "index"},  # a named tuple
    ground_truth.LoggedRows: {field.name for field in dataclasses.fields(ground_truth.LoggedRows)}
    | {"part", "predictions", "take"},
    ground_truth.SegmentFigures: {*dir(dict), "fairness", "notes", "worst"},
    ground_truth.WaitingLabel: {*ground_truth.WaitingLabel._fields, "count", "index"},  # a named tuple
    ground_truth.StoreError: {*dir(RuntimeError), "is_transient"},
    quality.Calibration: {*quality.Calibration._fields, "count", "index"}  # a named tuple
    | {"chance", "chances", "from_content", "from_text", "of_model", "place", "to_text"},
    quality.Column: {field.name for field in dataclasses.fields(quality.Column)} | {"broken_rule", "rules"},
    quality.Comparison: {field.name for field in dataclasses.fields(quality.Comparison)}
    | {"findings", "save", "since", "to_dict", "to_frame"},
    quality.DataFiles: {"batches", "has_text", "index", "names", "paths", "rows"},
    quality.DriftScan: {"add", "by", "compare", "features", "from_bytes", "merge", "profile", "rows", "to_bytes"},
    quality.FeatureDrift: {field.name for field in dataclasses.fields(quality.FeatureDrift)} | {"drifted", "severity"},
    quality.Performance: {field.name for field in dataclasses.fields(quality.Performance)},
    testing.CountingIds: {"prediction_number", "span_id", "trace_id"},
    testing.FixedClock: {"advance", "perf_counter_ns", "time_ns"},
    testing.InMemoryTelemetry: {"events", "flush", "instruments", "ledger", "logs", "metrics", "resource", "spans"}
    | {"clock", "config", "ids", "internal_errors_expected", "mode", "transports"},
}
"""The attributes without underscore of each public class and its objects."""


def public(shown: object) -> set[str]:
    return {name for name in dir(shown) if not name.startswith("_")}


def assigned(cls: type) -> set[str]:
    """The public attributes that the class's own methods and fields set on its objects."""
    if cls is otel_ml.ConfigError:  # it gives its public place as its module, where its source is not
        return public(cls("a message"))
    body = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    targets = [
        node.attr
        for node in ast.walk(body)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self"
    ]
    targets += [field.name for field in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else []
    return {name for name in targets if not name.startswith("_")}


@pytest.mark.parametrize("cls", ATTRIBUTES, ids=lambda cls: cls.__name__)
def test_a_class_shows_what_is_promised(cls: type) -> None:
    """Everything else of it has an underscore."""
    assert public(cls) | assigned(cls) == {name for name in ATTRIBUTES[cls] if not name.startswith("_")}


@pytest.mark.parametrize(("mode", "shown"), [("guest", PREDICTION), ("own", PREDICTION | SPAN)])
def test_a_prediction_shows_what_is_promised(mode: Any, shown: set[str]) -> None:
    """In own mode it is a span besides: what `get_current_span` gives inside it has a span's methods."""
    with InMemoryTelemetry(mode):
        assert public(otel_ml.Model("m").prediction()) == shown
    assert public(otel_ml.current_prediction()) == PREDICTION


def test_a_model_shows_what_is_promised() -> None:
    """Nothing of what a handle needs inside is in the way of its users."""
    assert public(otel_ml.Model("m")) == ATTRIBUTES[otel_ml.Model]


def test_the_table_names_every_public_class() -> None:
    """A new class of the front door or of the test kit gets its row."""
    classes = {
        value
        for place in (otel_ml, testing)
        for name in place.__all__
        if isinstance(value := getattr(place, name), type)
    }

    assert {cls.__name__ for cls in classes - ATTRIBUTES.keys()} == {"MemoryTransport"}


def namespace(module: Any) -> dict[str, Any]:
    """The names of a module, with those that it imports for type checking only."""
    names = dict(vars(module))
    tree = ast.parse(Path(module.__file__).read_text())
    for block in [node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]:
        exec(compile(ast.Module(block.body, []), module.__file__, "exec"), names)
    return names


def hints(function: Any) -> dict[str, Any]:
    function = inspect.unwrap(function)
    return typing.get_type_hints(function, namespace(sys.modules[function.__module__]))


def classes_in(hint: Any) -> Iterator[type]:
    """The classes of ours that a type names, however deep."""
    for part in typing.get_args(hint):
        for inner in part if isinstance(part, list) else [part]:
            yield from classes_in(inner)
    if isinstance(hint, type) and hint.__module__.startswith("otel_ml"):
        yield hint


def signatures(shown: Any) -> Iterator[Any]:
    """The functions that a user of this class or function calls."""
    if inspect.isfunction(shown):
        yield shown
        return
    if shown not in MADE_BY_US:
        yield shown.__init__
    for name in public(shown):
        member = inspect.getattr_static(shown, name)
        member = getattr(member, "fget", None) or getattr(member, "__func__", member)
        if inspect.isfunction(member):
            yield member


def is_importable(cls: type) -> bool:
    return any(getattr(importlib.import_module(place), cls.__name__, None) is cls for place in PLACES)


@pytest.mark.parametrize("name", otel_ml.__all__)
def test_a_signature_names_public_types_only(name: str) -> None:
    """A user can annotate what is passed and what comes back without a private import."""
    named = {
        cls
        for function in signatures(getattr(otel_ml, name))
        if inspect.isfunction(function)
        for hint in hints(function).values()
        for cls in classes_in(hint)
    }

    assert sorted(cls.__qualname__ for cls in named if not is_importable(cls)) == []
