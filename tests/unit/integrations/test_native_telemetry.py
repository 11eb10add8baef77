"""FastAPI's own telemetry."""

from __future__ import annotations

from otel_ml.integrations.fastapi._native_telemetry import NativeSwitch


def test_an_application_without_native_telemetry_has_nothing_to_suspend():
    """On an older FastAPI the switch does nothing."""
    switch = NativeSwitch(object())
    switch.suspend()
    switch.restore()

    assert switch.has_metrics({"fastapi.telemetry": object()}) is False
