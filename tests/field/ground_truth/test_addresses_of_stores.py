"""Addresses of databases as people have them: another name or driver, a slip, or a database that is not UTF-8.

Sources: simonw/db-to-sqlite#34 (hosts give addresses that begin with postgres://), mlflow/mlflow#5148 (the address names
asyncpg), opendatahub-io/models-as-a-service#1124 (the error on a wrong address shows the password), sqlalchemy/sqlalchemy#12500
and psycopg/psycopg#276 (a database without encoding gives bytes for texts).
"""

from __future__ import annotations

import pytest
from postgresql_server import Server

import otel_ml
from otel_ml.ground_truth import StoreError
from otel_ml.testing import InMemoryTelemetry


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "POSTGRESQL+psycopg"])
def test_each_name_of_the_database_means_the_same(scheme: str, postgresql: Server) -> None:
    """Also the name that libpq takes and SQLAlchemy does not, and in capitals."""
    address = postgresql.url(postgresql.new_schema()).partition("://")[2]
    truth = otel_ml.GroundTruth(f"{scheme}://{address}")
    assert truth.record_label("early", 1) == "waiting"
    truth.close()


@pytest.mark.parametrize("driver", ["postgresql+asyncpg", "postgresql+psycopg_async", "postgres+asyncpg"])
def test_a_driver_for_asyncio_is_refused_with_the_one_to_take(driver: str) -> None:
    """Whether it is installed or not: to install it would not help."""
    with pytest.raises(StoreError, match=r"a driver for asyncio, which a store does not use: postgresql\+psycopg://"):
        otel_ml.GroundTruth(f"{driver}://me@127.0.0.1/labels")


def test_a_driver_for_asyncio_of_sqlite_is_refused() -> None:
    """The remedy is the plain address."""
    with pytest.raises(StoreError, match="sqlite.aiosqlite is a driver for asyncio.*: sqlite://"):
        otel_ml.GroundTruth("sqlite+aiosqlite:///labels.db")


@pytest.mark.parametrize(
    "address",
    [
        " postgresql://me:secret@127.0.0.1/labels",
        "postgresql//me:secret@127.0.0.1/labels",
        "postgresql://me:secret@127.0.0.1:port/labels",
        "postgresql://me:secret@127.0.0.1/labels?host=a:1,b:2&host=c",
        "postgresql://me:secret@/labels?host=/nowhere/at/all",
    ],
)
def test_an_error_about_an_address_hides_the_password(address: str) -> None:
    """It is one line, and a `StoreError`, whatever is wrong."""
    with pytest.raises(StoreError, match="127.0.0.1|nowhere") as caught:
        otel_ml.GroundTruth(address)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_without_encoding_keeps_texts(telemetry: InMemoryTelemetry, postgresql: Server) -> None:
    """Ids and classes beyond ASCII come back as they were stored."""
    schema = postgresql.new_schema()
    postgresql.execute(f"CREATE DATABASE {schema} TEMPLATE template0 ENCODING 'SQL_ASCII'")
    truth = otel_ml.GroundTruth(postgresql.url("public").replace("/postgres?", f"/{schema}?"))
    otel_ml.Model("m", "1", ground_truth=truth).record({}, prediction="日本", id="ü")
    assert truth.flush(30)
    assert truth.record_label("ü", "日本") == "matched"
    assert truth.compute_metrics(0, 4e9, model="m")["accuracy"] == 1.0
    truth.close()
