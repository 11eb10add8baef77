"""Environment variables that have no effect, or another one than they suggest."""

from __future__ import annotations

import pytest

from otel_ml import semconv
from otel_ml._telemetry.environment_check import misread_variables


@pytest.mark.parametrize(
    ("variables", "lines"),
    [
        ({"OTEL_ML_CAPTURE_FEATURE": "all"}, ["OTEL_ML_CAPTURE_FEATURE (did you mean OTEL_ML_CAPTURE_FEATURES?)"]),
        ({"OTEL_ML_": "x"}, ["OTEL_ML_ (no such variable)"]),
        (
            {"OTEL_EXPORTER_OTLP_ENDPONT": "x", "OTEL_TRACE_EXPORTER": "none", "OTEL_SERVICE_NAM": "x"},
            [
                "OTEL_EXPORTER_OTLP_ENDPONT (did you mean OTEL_EXPORTER_OTLP_ENDPOINT?)",
                "OTEL_SERVICE_NAM (did you mean OTEL_SERVICE_NAME?)",
                "OTEL_TRACE_EXPORTER (did you mean OTEL_TRACES_EXPORTER?)",
            ],
        ),
        (  # a Service called otel-ml is no excuse for what is misspelt
            {"OTEL_ML_SERVICE_HOST": "10.0.0.1", "OTEL_ML_PORT_80_TCP": "x", "OTEL_ML_EVENT": "all"},
            ["OTEL_ML_EVENT (did you mean OTEL_ML_EVENTS?)"],
        ),
        (
            {f"OTEL_COLLECTOR_{number:03}": "x" for number in range(100)} | {"OTEL_PROPOGATORS": "x"},
            ["OTEL_PROPOGATORS (did you mean OTEL_PROPAGATORS?)"],
        ),
        (  # what other components know
            {
                "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS": "x",
                "OTEL_EXPORTER_JAEGER_ENDPOINT": "x",
                "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "x",
                "OTEL_SEMCONV_STABILITY_OPT_IN": "http",
                "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "x",
                "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT": "x",
                "OTEL_COLLECTOR_IMAGE": "x",
                "OTEL_CONFIG_FILE": "x",
                "OTEL_PYTHON_LOG_LEVEL": "info",
                "OTEL_LOG_LEVEL": "info",
            },
            [],
        ),
        ({"OTEL_SDK_DISABLED": "yes"}, ["OTEL_SDK_DISABLED='yes' (use true or false; it counts as false)"]),
        ({"OTEL_SDK_DISABLED": " True "}, []),
        (  # what Kubernetes sets for a Service called otel-ml-console
            {
                "OTEL_ML_CONSOLE_SERVICE_HOST": "10.0.0.1",
                "OTEL_ML_CONSOLE_SERVICE_PORT": "4318",
                "OTEL_ML_CONSOLE_PORT_4318_TCP_ADDR": "10.0.0.1",
            },
            [],
        ),
        ({"OTEL_ML_\x1b[2J\n\udcff": "x"}, ["OTEL_ML_\ufffd[2J \ufffd (no such variable)"]),
        ({f"OTEL_ML_{'Y' * 99_999}": "x"}, [f"OTEL_ML_{'Y' * 32}... (no such variable)"]),
        (
            {f"OTEL_ML_{number:03}": "x" for number in range(300)},
            [
                *(f"OTEL_ML_{number:03} (no such variable)" for number in range(20)),
                "280 more names that begin with OTEL_ML_",
            ],
        ),
        ({"OTEL_ML_SAMPLER": "maybe"}, ["OTEL_ML_SAMPLER='maybe' (use on or off; it counts as on)"]),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
            ["OTEL_TRACES_SAMPLER_ARG='2' (use a share from 0 to 1; it counts as 1)"],
        ),
        (
            {"OTEL_TRACES_SAMPLER": "ParentBased_TraceIdRatio", "OTEL_TRACES_SAMPLER_ARG": "nan"},
            ["OTEL_TRACES_SAMPLER_ARG='nan' (use a share from 0 to 1; it counts as 1)"],
        ),
        ({"OTEL_TRACES_SAMPLER_ARG": "2", "OTEL_ML_SAMPLER": " Off ", "OTEL_ML_SAMPLER_BUDGET": "0.02"}, []),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1", "OTEL_ML_SAMPLER": "1"}, []),
        ({"OTEL_ML_CACHE": "x", "OTEL_ML_UID": "1", "OTEL_ML_SAMPLER": ""}, []),
    ],
)
def test_misread_variables_are_named(variables: dict[str, str], lines: list[str]) -> None:
    """Unknown and misspelt names, and values that do not mean what they suggest."""
    assert misread_variables(variables) == lines


def test_every_variable_of_semconv_is_known() -> None:
    """No variable that `semconv` names is called unknown."""
    ours = {value: "" for name, value in vars(semconv).items() if name.startswith("ENV_")}

    assert ours
    assert misread_variables(ours) == []
