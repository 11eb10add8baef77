"""Finds environment variables that have no effect, or not the one that their value suggests."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Final

from otel_ml import _guard, semconv
from otel_ml._values import line
from otel_ml.config import ENV_EXCEPTION_SIGNAL, is_service_link
from otel_ml.semconv import standard_environment

_PREFIX: Final = "OTEL_ML_"
_KNOWN: Final = frozenset(value for name, value in vars(semconv).items() if name.startswith("ENV_"))
_OF_TOOLS: Final = frozenset({"OTEL_ML_CACHE", "OTEL_ML_GID", "OTEL_ML_PYTHON", "OTEL_ML_RUNBOOK", "OTEL_ML_UID"})
"""Read by the demo, the deployments and the Makefile, not by a service."""
_STANDARD: Final = "OTEL_"
_DISABLED: Final = "OTEL_SDK_DISABLED"
_TRUTHS: Final = frozenset({"", "true", "false"})
_NEAR: Final = 0.93
"""About one letter in fifteen."""
_LETTERS: Final = 2
"""Letters that a name may be longer or shorter."""
_COMPARED: Final = 1000
"""Names that are compared; a usual environment has some dozens."""
_WORDS: Final = frozenset({"", "on", "off", "true", "false", "1", "0"})
_SAMPLER: Final = "OTEL_TRACES_SAMPLER"
_SHARE: Final = "OTEL_TRACES_SAMPLER_ARG"
_RATIOS: Final = frozenset({"traceidratio", "parentbased_traceidratio"})
_TABLE: Final = "the table in otel_ml/REFERENCE.md says what to use instead"
_SHOWN: Final = 40
"""Characters of a name or a value that are shown."""
_MANY: Final = 20
"""Unknown names that are listed one by one."""


def misread_variables(environment: Mapping[str, str]) -> list[str]:
    """Returns one line for each such variable. It never shows the value of an unknown one, which may be a secret."""
    known = _KNOWN | _OF_TOOLS
    names = sorted(
        name
        for name in environment
        if name.startswith(_PREFIX) and name not in known and not is_service_link(name, environment)
    )
    lines = [f"{_name(name)} ({_hint(name)})" for name in names[:_MANY]]
    if len(names) > _MANY:
        lines.append(f"{len(names) - _MANY} more names that begin with {_PREFIX}")
    lines += _misspelt(environment)
    disabled = environment.get(_DISABLED, "")
    if disabled.strip().lower() not in _TRUTHS:
        lines.append(f"{_DISABLED}={_shown(disabled)} (use true or false; it counts as false)")
    word = environment.get(semconv.ENV_SAMPLER, "")
    if word.strip().lower() not in _WORDS:
        lines.append(f"{semconv.ENV_SAMPLER}={_shown(word)} (use on or off; it counts as on)")
    signal = environment.get(ENV_EXCEPTION_SIGNAL, "")
    if signal.strip().lower() not in {"", "logs", "logs/dup"}:
        lines.append(f"{ENV_EXCEPTION_SIGNAL}={_shown(signal)} (use logs or logs/dup; exceptions stay on spans)")
    share = environment.get(_SHARE, "")
    if share and environment.get(_SAMPLER, "").lower() in _RATIOS:
        number = _guard.attempt(float, share)
        if number is None or not 0 <= number <= 1:
            lines.append(f"{_SHARE}={_shown(share)} (use a share from 0 to 1; it counts as 1)")
    return lines


def without_effect(environment: Mapping[str, str]) -> list[str]:
    """Returns one line that names the SDK's variables that are set but have no effect in own mode; else none."""
    names = [name for name in standard_environment.WITHOUT_EFFECT if environment.get(name, "").strip()]
    verb = "has" if len(names) == 1 else "have"
    return [f"{', '.join(names)} {verb} no effect: {_TABLE}"] if names else []


def _misspelt(environment: Mapping[str, str]) -> list[str]:
    """Finds misspelt names of OpenTelemetry; names that are not close may belong to a component unknown here."""
    import opentelemetry.environment_variables as of_api
    import opentelemetry.sdk.environment_variables as of_sdk

    known = {name for module in (of_api, of_sdk) for name in vars(module) if name.startswith(_STANDARD)}
    names = [
        name
        for name in environment
        if name.startswith(_STANDARD) and not name.startswith(_PREFIX) and not is_service_link(name, environment)
    ]
    found = []
    for name in sorted(set(names) - known)[:_COMPARED]:
        alike = [other for other in known if abs(len(other) - len(name)) <= _LETTERS]
        near = difflib.get_close_matches(name, alike, n=1, cutoff=_NEAR)
        if near:
            found.append(f"{_name(name)} (did you mean {near[0]}?)")
    return found[:_MANY]


def _hint(name: str) -> str:
    known = {variable.removeprefix(_PREFIX): variable for variable in sorted(_KNOWN)}
    near = difflib.get_close_matches(name[:_SHOWN].removeprefix(_PREFIX).upper(), known, n=1)
    return f"did you mean {known[near[0]]}?" if near else "no such variable"


def _name(name: str) -> str:
    return line(name, _SHOWN) if len(name) <= _SHOWN else f"{line(name, _SHOWN)}..."


def _shown(value: str) -> str:
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}...")
