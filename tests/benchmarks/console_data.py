"""Fills a console's file with a million predictions of several models, and all that comes with them.

    .venv/bin/python tests/benchmarks/console_data.py million.duckdb --predictions 1000000
    otel-ml console --database million.duckdb --max-rows 5000000

The rows are written by SQL into the tables of the console, in a minute instead of the five that OTLP would take.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable

from otel_ml import semconv
from otel_ml.console._options import Options
from otel_ml.console.storage._store import Database
from otel_ml.console.storage._tables import columns

HOURS = 24
_CHUNK = 250_000

# a number in 0..1 that depends on the row only; `salt` makes independent ones
_RANDOM = "((hash(range * 16 + {salt}) % 1000003) / 1000003.0)"
_MODEL = (
    "case when range % 10 < 5 then 'fraud_detector' when range % 10 < 7 then 'churn' when range % 10 < 9 then 'demand' "
    "else 'batch_scorer' end"
)
_MODELS = """
select range as i,
    {model} as model,
    {end} - ({total} - range) * {step} as moment,
    {r0} as r0, {r1} as r1, {r2} as r2, {r3} as r3
from range({first}, {last})
"""
_FACTS = """
select *,
    case when model = 'fraud_detector' and i % 100 >= 90 then '1.1.0' when model = 'churn' then '3.2.0' else '1.0.0' end
        as version,
    case when model = 'fraud_detector' and i % 100 >= 90 then 'canary' else 'primary' end as role,
    r3 < 0.004 as failed,
    md5('trace' || i) as trace, substr(md5('server' || i), 1, 16) as server, substr(md5('predict' || i), 1, 16) as own,
    0.002 + 0.02 * r1 * r1 + case when r2 > 0.99 then 0.2 else 0 end as took,
    model || '-' || i as id,
    case model when 'churn' then ['stay', 'leave', 'upgrade'][1 + (i % 3)] when 'fraud_detector'
        then case when r0 > 0.8 then '1' else '0' end end as class,
    json_object('service.name', replace(model, '_', '-') || '-api', 'service.instance.id', 'slot-' || (i % 4)) as resource,
    replace(model, '_', '-') || '-api' as service, {shop} as shop
from models
"""
_FEATURES = (
    "json_object('amount', round(exp(8 * r1), 2), 'age', 18 + (i % 60), 'country', ['DE', 'FR', 'US', 'IN'][1 + (i % 4)], "
    "'channel', ['web', 'app', 'branch'][1 + (i % 3)], 'score_bureau', case when r2 < 0.05 then null else round(700 * r2) end)"
)
_BODY = f"""
case when failed then '{{}}'
    when model = 'batch_scorer' then json_object('rows', [json_object('features',
        json_object('age', 18 + (i + x) % 60, 'amount', x), 'prediction', ((i + x) % 2)::varchar, 'score', r0)
        for x in range(5)])
    else json_object('features', {_FEATURES}, 'prediction', coalesce(class, round(r0 * 1000, 1)::varchar), 'score', r0)
end"""


def fill(path: str, predictions: int, now_ns: int | None = None) -> None:
    """Writes the rows of `predictions` prediction events, the newest now."""
    store = Database.open(Options(database=path))
    cursor = store.cursor()
    end = time.time_ns() if now_ns is None else now_ns
    write_facts(cursor, predictions, end)
    _points(cursor, predictions, end)
    store.close()


def write_facts(cursor, predictions: int, end: int, *, model: str = _MODEL, shop: str = "'shop'") -> None:
    """Writes events, labels, spans and log lines; model and the service without a model are SQL expressions."""
    step = HOURS * 3600 * 10**9 // predictions
    for first in range(0, predictions, _CHUNK):
        last = min(predictions, first + _CHUNK)
        numbers = {f"r{salt}": _RANDOM.format(salt=salt) for salt in range(4)}
        models = _MODELS.format(model=model, end=end, total=predictions, step=step, first=first, last=last, **numbers)
        facts = _FACTS.format(shop=shop)
        cursor.execute(f"create or replace temp table facts as with models as ({models}) {facts}")
        for table, rows in _TABLES.items():
            write_rows(cursor, table, rows)


def write_rows(cursor, table: str, variants: list[tuple[str, dict[str, str]]]) -> None:
    for where, given in variants:
        values = ", ".join(given.get(name, "null") for name in columns(table))
        cursor.execute(f"insert into {table} select {values} from facts where {where}")


def _origin(size: str) -> dict[str, str]:
    return {
        "service_name": "service", "resource": "resource", "scope": "'otel_ml'",
        "received_ns": "moment + 50000000", "place_ns": "moment", "bytes": size,
    }  # fmt: skip


def _attributes(**more: str) -> str:
    named = {
        semconv.MODEL_NAME: "model", semconv.MODEL_VERSION: "version", semconv.MODEL_ROLE: "role",
        semconv.PREDICTION_ID: "id",
    } | {name.replace("__", "."): value for name, value in more.items()}  # fmt: skip
    return "json_object(" + ", ".join(f"'{name}', {value}" for name, value in named.items()) + ")"


_LOG = {"trace_id": "trace", "span_id": "own", "attributes": _attributes()}
_IDENTITY = {"model": "model", "version": "version", "role": "role", "prediction_id": "id"}
_HTTP = "json_object('http.request.method', 'POST', 'http.route', '/predict', 'http.response.status_code', {status})"
_SPAN = {
    "trace_id": "trace",
    "events": "'[]'",
    "status": "0",
    "start_ns": "moment",
    "end_ns": "moment + (took * 1e9)::bigint",
}
_SERVER = (
    _SPAN
    | {"key": "md5('server' || i)", "span_id": "server", "kind": "2", "is_entry": "true", "name": "'POST /predict'"}
    | _origin("300")
)
_TABLES: dict[str, list[tuple[str, dict[str, str]]]] = {
    "predictions": [
        ("true", _LOG | _IDENTITY | _origin("700") | {
            "key": "md5('prediction' || i)", "time_ns": "moment", "event_name": f"'{semconv.PREDICTION_EVENT}'",
            "severity_number": "case when failed then 17 else 9 end",
            "severity_text": "case when failed then 'ERROR' else 'INFO' end", "body": _BODY,
            "predicted_class": "case when not failed then class end",
            "value": "case when model = 'demand' then round(r0 * 1000, 1) end",
            "score": "case when not failed and model <> 'demand' then r0 end", "duration": "took",
            "batch_size": "case when model = 'batch_scorer' then 5 end",
            "error_type": "case when failed then ['ValueError', 'TimeoutError'][1 + (i % 2)] end", "failed": "failed",
        }),
    ],
    "labels": [
        ("r2 < 0.7 and not failed and class is not null", _LOG | _IDENTITY | _origin("400") | {
            "key": "md5('label' || i)", "time_ns": "moment + 3600000000000", "event_name": f"'{semconv.LABEL_EVENT}'",
            "severity_number": "9", "severity_text": "'INFO'", "body": "''",
            "label": "case when r1 < 0.9 then class else 'other' end", "correct": "r1 < 0.9",
        }),
    ],
    "spans": [
        ("true", _SERVER | {"attributes": _HTTP.format(status="case when failed then 500 else 200 end")}),
        ("true", _SPAN | _origin("400") | {
            "key": "md5('own' || i)", "span_id": "own", "parent_span_id": "server", "kind": "1", "is_entry": "false", "name": "'predict ' || model",
            "status": "case when failed then 2 else 0 end", "attributes": _attributes(), "prediction_id": "id",
        }),
        # calls that a schema refused, and a service without a model
        ("i % 50 = 7", _SERVER | {
            "key": "md5('422' || i)", "trace_id": "md5('refused' || i)", "attributes": _HTTP.format(status="422"),
        }),
        ("i % 20 = 3", _SERVER | {
            "key": "md5('cart' || i)", "trace_id": "md5('shop' || i)", "name": "'GET /cart'", "service_name": "shop",
            "resource": "json_object('service.name', shop)", "attributes": _HTTP.format(status="200"),
        }),
    ],
    "logs": [
        ("i % 4 = 0", _LOG | _origin("300") | {
            "key": "md5('log' || i)", "time_ns": "moment", "body": "'scoring customer ' || i",
            "severity_number": "case when i % 100 = 0 then 17 when i % 40 = 0 then 13 else 9 end",
            "severity_text": "case when i % 100 = 0 then 'ERROR' when i % 40 = 0 then 'WARN' else 'INFO' end",
        }),
    ],
}  # fmt: skip
_COUNTER = {"kind": "'sum'", "temporality": "2", "monotonic": "true"}
_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]


def _points(cursor, predictions: int, end: int) -> None:
    """Two replicas of each model, and a sampler, that export once a minute."""
    minutes = HOURS * 60
    share = f"{predictions} / {minutes} / 8.0"
    identity = f"json_object('{semconv.MODEL_NAME}', model, '{semconv.MODEL_VERSION}', '1.0.0', '{semconv.MODEL_ROLE}', 'primary'"
    detail = json.dumps({"bounds": _BOUNDS, "buckets": [7] * (len(_BOUNDS) + 1)})
    cursor.execute(
        "create or replace temp table facts as "
        f"select minute as i, replica, model, {end} - ({minutes} - minute) * 60000000000 as moment, "
        "replace(model, '_', '-') || '-api' as service, 'slot-' || replica as instance, "
        "json_object('service.name', replace(model, '_', '-') || '-api', 'service.instance.id', 'slot-' || replica) as resource "
        f"from range({minutes}) as m(minute), range(2) as r(replica), "
        "unnest(['fraud_detector', 'churn', 'demand', 'batch_scorer']) as names(model)"
    )
    base = _origin("300") | {
        "start_ns": f"{end - HOURS * 3600 * 10**9}", "time_ns": "moment", "attributes": identity + ")", "model": "model",
    }  # fmt: skip

    def series(name: str, unit: str, **given: str) -> tuple[str, dict[str, str]]:
        where = given.pop("where", "true")
        label = given.pop("label", "''")
        own = f"md5(concat_ws('/', '{name}', model, replica, {label}))"
        return where, base | {
            "key": f"md5(concat_ws('/', '{name}', model, replica, i, {label}))", "series": own, "name": f"'{name}'",
            "unit": f"'{unit}'", **given,
        }  # fmt: skip

    rows = [
        series(semconv.PREDICTIONS.name, "{prediction}", **_COUNTER, value=f"i * {share}"),
        series(
            semconv.PREDICTION_DURATION.name, "s", kind="'histogram'", temporality="2", monotonic="false",
            observations=f"(i * {share})::bigint", sum=f"i * {share} * 0.01", detail=f"'{detail}'",
        ),
        *(
            series(
                semconv.FEATURE_VALUES.name, "{value}", **_COUNTER, label=f"'{feature}{part}'", value=f"i * {share} / 8",
                attributes=f"{identity}, '{semconv.PROFILE_ID}', 'p', '{semconv.FEATURE_NAME}', '{feature}', "
                f"'{semconv.FEATURE_BIN}', '{part:02d} bin')",
            )
            for feature in ("amount", "age", "country", "channel")
            for part in range(8)
        ),
        *(
            series(
                metric.name, "1", kind="'gauge'", temporality="0", monotonic="false", label=f"'{feature}{part}'",
                value=value, attributes=f"{identity}, '{semconv.PROFILE_ID}', 'p', '{semconv.FEATURE_NAME}', '{feature}', "
                f"'{semconv.FEATURE_BIN}', '{part:02d} bin')",
            )
            for feature in ("amount", "age", "country", "channel")
            for part in range(8)
            for metric, value in (
                (semconv.FEATURE_REFERENCE_SHARE, f"{0.125 if feature != 'amount' else (part + 1) / 36}"),
                *([(semconv.FEATURE_REFERENCE_SIZE, "50000")] if part == 0 else []),
            )
        ),
        *(
            series(
                semconv.EVAL_OUTCOMES.name, "{prediction}", **_COUNTER, label=f"'{predicted}{actual}'",
                where="model = 'fraud_detector'", value=f"i * {share} * {part}",
                attributes=f"{identity}, '{semconv.EVAL_PREDICTED}', '{predicted}', '{semconv.EVAL_ACTUAL}', '{actual}')",
            )
            for predicted, actual, part in (("1", "1", 0.15), ("1", "0", 0.05), ("0", "1", 0.05), ("0", "0", 0.75))
        ),
        *(
            series(name, unit, kind="'gauge'", temporality="0", monotonic="false", model="null", attributes="'{}'",
                   value=f"{level} + {level} * sin(i / 60.0) / 2")
            for name, unit, level in (
                ("system.memory.usage", "By", "8e9"), ("process.memory.usage", "By", "4e8"),
                ("system.cpu.utilization", "1", "0.4"),
            )
        ),
        series("system.network.io", "By", **_COUNTER, model="null", attributes="'{}'", value="i * 1e6"),
        *(
            series(
                name, "{record}", **_COUNTER, model="null", value=value, label=f"'{signal}'",
                attributes=f"json_object('{semconv.SIGNAL}', '{signal}')",
            )
            for signal in ("traces", "metrics", "logs")
            for name, value in (
                (semconv.EXPORT_PRODUCED.name, "i * 100"), (semconv.EXPORT_DELIVERED.name, "i * 100 - 3"),
                (semconv.EXPORT_DROPPED.name, "3"),
            )
        ),
    ]  # fmt: skip
    write_rows(cursor, "points", rows)


def main(doc: str | None, fill: Callable[[str, int], None]) -> int:
    """The command line of a module that fills a file."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--predictions", type=int, default=1_000_000)
    arguments = parser.parse_args()
    began = time.monotonic()
    fill(arguments.file, arguments.predictions)
    print(f"{arguments.predictions:,} predictions in {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(__doc__, fill))
