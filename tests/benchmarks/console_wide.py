"""Fills a console's file with a million predictions of 200 models in 300 services, and with records of the largest size.

    .venv/bin/python tests/benchmarks/console_wide.py wide.duckdb
    otel-ml console --database wide.duckdb

`model_0` has 500 features with ten bins each. One trace has 5,000 spans, one span an attribute of 64 Ki characters, one
event the 100 rows of a batch, each with 500 features.
"""

from __future__ import annotations

import sys
import time

from console_data import HOURS, main, write_facts, write_rows

from otel_ml import semconv
from otel_ml.console._options import Options
from otel_ml.console.storage._store import Database

MODELS = 200
SERVICES = 300
FEATURES = 500
SPANS = 5_000
TRACE = f"{0xABC:032x}"
BATCH = "wide-batch"
_EXPORTS = 360
"""Points of each series of the features, one every four minutes."""
_MODEL = f"'model_' || (range % {MODELS})"
_SHOP = f"'shop-' || (i // 20 % {SERVICES - MODELS})"
_MINUTE = 60 * 10**9
_IDENTITY = (
    f"'{semconv.MODEL_NAME}', model, '{semconv.MODEL_VERSION}', '1.0.0', '{semconv.MODEL_ROLE}', 'primary', "
    f"'{semconv.PROFILE_ID}', 'p', '{semconv.FEATURE_NAME}', 'feature_' || feature"
)
_COUNTER = {"kind": "'sum'", "temporality": "2", "monotonic": "true"}
_GAUGE = {"kind": "'gauge'", "temporality": "0", "monotonic": "false"}


def fill(path: str, predictions: int, now_ns: int | None = None) -> None:
    """Writes `predictions` prediction events and what comes with them, the newest now."""
    store = Database.open(Options(database=path))
    cursor = store.cursor()
    end = time.time_ns() if now_ns is None else now_ns
    write_facts(cursor, predictions, end, model=_MODEL, shop=_SHOP)
    _features(cursor, end)
    _counters(cursor, predictions, end)
    _largest(cursor, end)
    store.close()


def _origin(service: str, moment: str = "moment") -> dict[str, str]:
    return {
        "service_name": service, "resource": f"json_object('service.name', {service}, 'service.instance.id', 'slot-0')",
        "scope": "'otel_ml'", "received_ns": moment, "place_ns": moment, "bytes": "300",
    }  # fmt: skip


def _series(name: str, service: str, label: str, **given: str) -> tuple[str, dict[str, str]]:
    return "true", _origin(service) | {
        "key": f"md5(concat_ws('/', '{name}', i, {label}))", "series": f"md5(concat_ws('/', '{name}', {label}))",
        "name": f"'{name}'", "time_ns": "moment", "model": "model", **given,
    }  # fmt: skip


def _features(cursor, end: int) -> None:
    """Values in each bin of `model_0`, and the shares of its reference."""
    start = end - HOURS * 3600 * 10**9
    every = HOURS * 3600 * 10**9 // _EXPORTS
    bins = (
        f"create or replace temp table facts as select export as i, feature, bin, 'model_0' as model, "
        f"{end} - ({{exports}} - 1 - export) * {every} as moment from range({{exports}}) as e(export), "
        f"range({FEATURES}) as f(feature), range(10) as b(bin)"
    )
    attributes = f"json_object({_IDENTITY}, '{semconv.FEATURE_BIN}', '0' || bin || ' bin')"
    common = {"service": "'model-0-api'", "label": "feature, bin", "attributes": attributes, "start_ns": f"{start}"}
    cursor.execute(bins.format(exports=_EXPORTS))
    counted = "i * (10 + case when feature % 50 = 0 then bin else 0 end)"
    write_rows(cursor, "points", [
        _series(semconv.FEATURE_VALUES.name, unit="'{value}'", value=counted, **_COUNTER, **common),
    ])  # fmt: skip
    cursor.execute(bins.format(exports=1))
    write_rows(cursor, "points", [
        _series(semconv.FEATURE_REFERENCE_SHARE.name, unit="'1'", value="0.1", **_GAUGE, **common),
    ])  # fmt: skip
    _, size = _series(
        semconv.FEATURE_REFERENCE_SIZE.name, unit="'1'", value="50000", **_GAUGE,
        **(common | {"attributes": f"json_object({_IDENTITY})", "label": "feature"}),
    )  # fmt: skip
    write_rows(cursor, "points", [("bin = 0", size)])


def _counters(cursor, predictions: int, end: int) -> None:
    """Predictions, reference and outcomes of every model."""
    start = end - HOURS * 3600 * 10**9
    cursor.execute(
        f"create or replace temp table facts as select export as i, 'model_' || number as model, "
        f"{end} - (143 - export) * {10 * _MINUTE} as moment from range(144) as e(export), range({MODELS}) as n(number)"
    )
    attributes = f"json_object('{semconv.MODEL_NAME}', model, '{semconv.MODEL_VERSION}', '1.0.0', '{semconv.MODEL_ROLE}', 'primary'"
    service = "replace(model, '_', '-') || '-api'"
    share = f"i * {predictions} / 144.0 / {MODELS}"
    write_rows(cursor, "points", [
        _series(semconv.PREDICTIONS.name, service, "model", unit="'{prediction}'", value=share, **_COUNTER,
                attributes=f"{attributes})", start_ns=f"{start}"),
        *(
            _series(semconv.EVAL_OUTCOMES.name, service, f"model, {predicted}{actual}", unit="'{prediction}'",
                    value=f"{share} * {part}", **_COUNTER, start_ns=f"{start}",
                    attributes=f"{attributes}, '{semconv.EVAL_PREDICTED}', '{predicted}', "
                    f"'{semconv.EVAL_ACTUAL}', '{actual}')")
            for predicted, actual, part in (("1", "1", 0.15), ("1", "0", 0.05), ("0", "1", 0.05), ("0", "0", 0.75))
        ),
    ])  # fmt: skip


def _largest(cursor, end: int) -> None:
    moment = f"{end - 10 * _MINUTE}"
    origin = _origin("'model-0-api'", moment)
    cursor.execute(f"create or replace temp table facts as select range as i from range({SPANS})")
    write_rows(cursor, "spans", [
        ("true", origin | {
            "key": "md5('large' || i)", "trace_id": f"'{TRACE}'", "span_id": "printf('%016x', i + 1)",
            "parent_span_id": "case when i > 0 then printf('%016x', (i - 1) // 5 + 1) end", "name": "'step ' || i",
            "kind": "1", "start_ns": f"{moment} + i * 1000000", "end_ns": f"{moment} + i * 1000000 + 9000000",
            "status": "0", "attributes": "case when i = 0 then json_object('text', repeat('x', 65536)) else '{}' end",
            "events": "'[]'", "links": "'[]'", "is_entry": "i = 0",
        }),
    ])  # fmt: skip
    names = [f"'feature_{number}', {number}" for number in range(FEATURES)]
    rows = f"[json_object('features', json_object({', '.join(names)}), 'prediction', '1', 'score', 0.5) for x in range(100)]"
    write_rows(cursor, "predictions", [
        ("i = 0", origin | {
            "key": "md5('batch')", "time_ns": moment, "event_name": f"'{semconv.PREDICTION_EVENT}'",
            "severity_number": "9", "severity_text": "'INFO'", "body": f"json_object('rows', {rows})",
            "attributes": f"json_object('{semconv.PREDICTION_ID}', '{BATCH}')", "prediction_id": f"'{BATCH}'",
            "trace_id": f"'{TRACE}'", "span_id": "'0000000000000001'", "model": "'model_0'", "version": "'1.0.0'",
            "role": "'primary'", "duration": "5.0", "batch_size": "100", "failed": "false",
        }),
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(__doc__, fill))
