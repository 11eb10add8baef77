"""Variables of the specification and of OpenTelemetry for Python: what otel-ml does with each."""

from __future__ import annotations

from typing import Final

HONOURED: Final = {
    "OTEL_SDK_DISABLED": "`true` turns telemetry off; ids and the header `x-prediction-id` stay.",
    "OTEL_CONFIG_FILE": "The SDK configures itself; otel-ml uses its providers (guest mode).",
    "OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "The resource.",
    "OTEL_TRACES_EXPORTER, OTEL_LOGS_EXPORTER": "`otlp` (default), `console`, `none`.",
    "OTEL_METRICS_EXPORTER": "`otlp` (default), `console`, `prometheus` (the scrape page), `none`.",
    "OTEL_EXPORTER_OTLP_ENDPOINT, _PROTOCOL, _HEADERS, _TIMEOUT, _COMPRESSION, _CERTIFICATE, _CLIENT_KEY, "
    "_CLIENT_CERTIFICATE, _INSECURE": "For all signals or, as in `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, for one. "
    "Protocols are `http/protobuf` and `grpc`; a timeout is in seconds, as in the SDK for Python.",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "`cumulative` (default), `delta`, `lowmemory`.",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "For instruments other than ours.",
    "OTEL_METRIC_EXPORT_INTERVAL": "Milliseconds.",
    "OTEL_METRICS_EXEMPLAR_FILTER": "`trace_based` (default), `always_on`, `always_off`.",
    "OTEL_EXPORTER_PROMETHEUS_HOST": "Address of the scrape page, `127.0.0.1` by default. `0.0.0.0` opens it to the "
    "network, without a password.",
    "OTEL_EXPORTER_PROMETHEUS_PORT": "Port of the scrape page that `OTEL_METRICS_EXPORTER=prometheus` opens, 9464 by "
    "default; `OTEL_ML_PROMETHEUS_PORT` wins.",
    "OTEL_BSP_SCHEDULE_DELAY": "Milliseconds that a span or a log record waits at most before it is sent.",
    "OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BLRP_MAX_QUEUE_SIZE": "Spans, and log records, of other instrumentation in a queue.",
    "OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG, OTEL_PYTHON_ID_GENERATOR": "As in the SDK, for our spans too.",
    "OTEL_PROPAGATORS": "As in the API.",
    "OTEL_ATTRIBUTE_COUNT_LIMIT, OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT, the same with OTEL_SPAN_ and OTEL_LOGRECORD_, "
    "OTEL_SPAN_EVENT_COUNT_LIMIT, OTEL_SPAN_LINK_COUNT_LIMIT, OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT, "
    "OTEL_LINK_ATTRIBUTE_COUNT_LIMIT": "For every span and log record, ours and others'. The oldest of what is too "
    "much is dropped, and counted in OTLP. The body of an event has no limit.",
    "OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN": "`logs`: the exception of a prediction is the event "
    "`ml.prediction.exception` instead of a span event; `logs/dup`: both.",
    "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS, OTEL_PYTHON_EXCLUDED_URLS": "Patterns, separated by commas, of URLs that "
    "`instrument_fastapi` does not observe, beside its `excluded_paths`.",
}
"""Variables that are read, and their effect."""
WITHOUT_EFFECT: Final = {
    "OTEL_BSP_EXPORT_TIMEOUT": "`OTEL_EXPORTER_OTLP_TIMEOUT` ends a request.",
    "OTEL_BLRP_EXPORT_TIMEOUT": "`OTEL_EXPORTER_OTLP_TIMEOUT` ends a request.",
    "OTEL_METRIC_EXPORT_TIMEOUT": "`OTEL_EXPORTER_OTLP_TIMEOUT` ends a request.",
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "Batches are sized in bytes.",
    "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "Batches are sized in bytes.",
    "OTEL_BLRP_SCHEDULE_DELAY": "`OTEL_BSP_SCHEDULE_DELAY` is for spans and log records.",
    "OTEL_LOG_LEVEL": "Set the level of Python's logger `otel_ml`.",
    "OTEL_EXPORTER_ZIPKIN_ENDPOINT": "There is no exporter for Zipkin.",
    "OTEL_EXPORTER_ZIPKIN_TIMEOUT": "There is no exporter for Zipkin.",
    "OTEL_PYTHON_TRACER_CONFIGURATOR": "Own mode has no configurators.",
    "OTEL_PYTHON_METER_CONFIGURATOR": "Own mode has no configurators.",
    "OTEL_PYTHON_LOGGER_CONFIGURATOR": "Own mode has no configurators.",
    **{
        f"OTEL_PYTHON_EXPORTER_OTLP_{protocol}_{signal}CREDENTIAL_PROVIDER": "`OTEL_EXPORTER_OTLP_HEADERS` "
        "authenticates."
        for protocol in ("HTTP", "GRPC")
        for signal in ("", "TRACES_", "METRICS_", "LOGS_")
    },
}
"""Variables of the SDK that have no effect in own mode, and what there is instead; a line at the start names them."""
REQUESTS_WITHOUT_EFFECT: Final = (
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS",
    "OTEL_PYTHON_INSTRUMENTATION_HTTP_CAPTURE_ALL_METHODS",
    "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS",
)
"""Variables of other instrumentations of HTTP servers that have no effect on ours; `instrument_fastapi` says so."""
