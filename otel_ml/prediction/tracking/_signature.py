"""Decides once, from the signature of a predicting function, which arguments are its features."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from sys import maxsize
from typing import Any, Final

from otel_ml._values.unread import UNREAD
from otel_ml.config import ConfigError
from otel_ml.prediction.boundary._feature_rows import PartialRow
from otel_ml.prediction.tracking._annotations import (
    columns_declared,
    declared_column,
    has_own_type,
    is_injected,
    is_of_framework,
    is_scalar,
    readable_signature,
)
from otel_ml.quality import ColumnNames, column_key

USUAL: Final = (
    *("features", "X", "model_input", "instances", "instance", "inputs", "input", "input_data", "model_inputs"),
    *("feature_vector", "feature_row", "rows", "row", "records", "record", "samples", "sample", "examples", "example"),
    *("data", "payload", "df", "dataframe", "frame", "table", "batch", "items", "item", "x", "body", "raw_data"),
    *("request_body", "request_data", "mini_batch", "event", "message", "observation", "observations"),
)
"""Names of an argument that holds the row or the rows, the surest first."""
NEVER: Final = frozenset(
    map(
        column_key,
        (
            *("self", "cls", "mcs", "context", "ctx", "request", "req", "http_request"),
            *("headers", "header", "response"),
            *("background_tasks", "websocket", "model", "estimator", "predictor", "pipeline", "session", "db"),
            *("logger", "log", "config", "settings", "params", "parameters", "token", "user", "current_user"),
            *("model_context", "content_type", "accept", "timeout", "callback", "metadata", "client", "features_names"),
        ),
    )
)
"""Names of arguments that never hold features: Python, a framework or the service supplies them."""
_FIRST: Final = ("self", "cls", "mcs", "metacls", "_self", "_cls")
_REQUESTS: Final = frozenset(map(column_key, ("request", "req")))
_SCALARS: Final = (int, float, str, bool)
_ABSENT: Final = object()
_NAMED: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter that holds features."""

    position: int
    """Its place among positional arguments; `sys.maxsize` for a keyword."""
    name: str
    key: str
    """Its name in the row."""
    default: Any = _ABSENT

    def take(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Returns its value in a call."""
        return args[self.position] if len(args) > self.position else kwargs.get(self.name, self.default)


@dataclass(frozen=True, slots=True)
class FeatureArguments:
    """Finds the features in the arguments of a call."""

    position: int = maxsize
    """Place of the only argument; `take` finds it when a call passes it elsewhere."""
    arguments: tuple[Argument, ...] = ()
    is_row: bool = False
    """Whether the arguments are the values of one row."""
    takes_rest: bool = False
    """Whether further keywords belong to the row."""
    others: frozenset[str] = frozenset()
    """Parameters that do not belong to the row."""
    unread: frozenset[str] = frozenset()
    """Declared columns that no argument can supply."""
    columns: frozenset[str] = frozenset()
    """The declared columns."""

    def take(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Returns the features of a call; None if it has none."""
        if not self.is_row:
            found = self.arguments[0].take(args, kwargs) if self.arguments else _ABSENT
            if found is not _ABSENT:
                return found
            return self._rest(kwargs, frozenset()) if self.takes_rest else None
        row = {each.key: value for each in self.arguments if (value := each.take(args, kwargs)) is not _ABSENT}
        if self.takes_rest:
            rest = self._rest(kwargs, frozenset(row))
            if not row and type(rest) is not dict:
                return rest
            row |= rest or {}
        if not row:
            return None
        return PartialRow(row, dict.fromkeys(self.unread, UNREAD)) if self.unread else row

    def _rest(self, kwargs: dict[str, Any], taken: frozenset[str]) -> Any:
        """Returns the further keywords as a row, or the one of them that holds the row; None if there are none."""
        rest = {
            name: value
            for name, value in kwargs.items()
            if name not in taken and name not in self.others and (name in self.columns or column_key(name) not in NEVER)
        }
        if not taken and self.columns.isdisjoint(rest):
            for name in USUAL:
                if name in rest and type(rest[name]) not in (*_SCALARS, type(None)):
                    return rest[name]
        return rest or None


def find_features(
    function: Callable[..., Any],
    columns: ColumnNames | None,
    chosen: str | None = None,
    segments: Sequence[str] = (),
) -> FeatureArguments:
    """Decides which arguments are the features.

    In this order: the chosen parameter; the parameters named like declared columns, which form the row; the one whose
    class declares at least half of the columns; one with a usual name; all parameters of a function of scalars, or
    if one is named like a segment column; the first parameter that is not excluded, preferably not a scalar; ``**row``.

    Args:
        function: The predicting function.
        columns: The declared columns of the model.
        chosen: The parameter that the user named.
        segments: The segment columns of the model.

    Raises:
        ConfigError: The function has no such parameter.
    """
    signature = readable_signature(function)
    parameters = [] if signature is None else list(signature.parameters.values())
    if chosen is not None:
        return _chosen(parameters, chosen, is_known=signature is not None)
    if signature is None:
        return FeatureArguments(0, (Argument(0, "features", "features"),))
    return _found(parameters, columns, segments)


def _found(
    parameters: list[inspect.Parameter], columns: ColumnNames | None, segments: Sequence[str]
) -> FeatureArguments:
    rest = next((each.name for each in parameters if each.kind is each.VAR_KEYWORD), None)
    given = [each for each in enumerate(parameters) if _is_given(*each)]
    possible = [each for each in given if _is_possible(each[1])]
    usual = next((each for name in USUAL for each in possible if _is_named(each[1], name)), None)
    row = _columns_of(given, columns)
    if row and (usual is None or columns is None or 2 * len(row) >= len(columns.declared)):
        return _row(row, parameters, rest, columns)
    declaring = _declaring(parameters, columns)
    if declaring is not None:
        return _single(*declaring)
    is_row = len(possible) > 1 and all(is_scalar(each) for _, each in possible)
    if usual is None and columns is None and (is_row or _columns_of(possible, ColumnNames(segments))):
        return _row([(position, each, each.name) for position, each in possible], parameters, None, None)
    if usual is not None or possible:
        return _single(*(usual or next((each for each in possible if not is_scalar(each[1])), possible[0])))
    if any(each.kind is each.VAR_POSITIONAL for each in parameters):
        first = sum(each.kind in _NAMED for each in parameters)
        argument = Argument(first, "features", "features")
        return FeatureArguments(first, (argument,), takes_rest=rest is not None)
    return _row([], parameters, rest, columns) if rest is not None else FeatureArguments()


def _chosen(parameters: list[inspect.Parameter], name: str, *, is_known: bool) -> FeatureArguments:
    for position, each in enumerate(parameters):
        if each.name == name:
            if each.kind is each.VAR_KEYWORD:
                return _row([], parameters, name, None)
            if each.kind is each.VAR_POSITIONAL:
                return FeatureArguments(position, (Argument(position, name, name),))
            return _single(position, each)
    if is_known and not any(each.kind is each.VAR_KEYWORD for each in parameters):
        names = ", ".join(each.name for each in parameters) or "none"
        raise ConfigError(f"features={name!r} is not a parameter of the function; its parameters are: {names}")
    return FeatureArguments(arguments=(Argument(maxsize, name, name),))


def _single(position: int, parameter: inspect.Parameter) -> FeatureArguments:
    argument = _argument(position, parameter, parameter.name)
    return FeatureArguments(argument.position, (argument,))


def _argument(position: int, parameter: inspect.Parameter, key: str) -> Argument:
    default = parameter.default
    if default is parameter.empty or is_of_framework(type(default)):
        default = _ABSENT
    return Argument(position if parameter.kind in _NAMED else maxsize, parameter.name, key, default)


def _row(
    row: list[tuple[int, inspect.Parameter, str]],
    parameters: list[inspect.Parameter],
    rest: str | None,
    columns: ColumnNames | None,
) -> FeatureArguments:
    keys = {key for _, _, key in row}
    others = {each.name for each in parameters}
    unread = frozenset() if rest is not None or columns is None else columns.declared - keys
    return FeatureArguments(
        arguments=tuple(_argument(position, each, key) for position, each, key in row),
        is_row=True,
        takes_rest=rest is not None,
        others=frozenset(others),
        unread=unread,
        columns=frozenset() if columns is None else columns.declared,
    )


def _columns_of(
    possible: Iterable[tuple[int, inspect.Parameter]], columns: ColumnNames | None
) -> list[tuple[int, inspect.Parameter, str]]:
    """Returns the parameters that are declared columns by their name or by an alias, with the column."""
    if columns is None:
        return []
    found: dict[str, tuple[int, inspect.Parameter, str]] = {}
    for position, each in possible:
        name = declared_column(each, columns)
        if name is not None:
            found.setdefault(name, (position, each, name))
    return list(found.values())


def _declaring(
    parameters: list[inspect.Parameter], columns: ColumnNames | None
) -> tuple[int, inspect.Parameter] | None:
    """Returns the parameter whose class declares the most columns, at least half of them; an injected one last."""
    if columns is None:
        return None
    counts = [
        (columns_declared(each, columns), not is_injected(each), -position) for position, each in enumerate(parameters)
    ]
    declaring = [count for count in counts if 2 * count[0] >= len(columns.declared) > 0]
    if not declaring:
        return None
    position = -max(declaring, key=lambda count: (count[1], count[0], count[2]))[2]
    return position, parameters[position]


def _is_given(position: int, parameter: inspect.Parameter) -> bool:
    """Whether the caller passes the parameter, not Python (``self``) or a framework."""
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        return False
    return not (position == 0 and parameter.name in _FIRST) and not is_injected(parameter)


def _is_possible(parameter: inspect.Parameter) -> bool:
    """Whether the name of a parameter that is not a declared column allows it to hold features."""
    key = column_key(parameter.name)
    # A request of a class of the service itself is model input.
    return key not in NEVER or (key in _REQUESTS and has_own_type(parameter))


def _is_named(parameter: inspect.Parameter, name: str) -> bool:
    return parameter.name == name or column_key(parameter.name) == column_key(name)
