"""The core can be installed beside whatever a service has already.

Sources: open-telemetry/opentelemetry-python#4563, #2880 and #1355 and a2aproject/a2a-python#198 (an upper bound on
protobuf in an exporter made services uninstallable), digma-ai/opentelemetry-instrumentation-digma#41 (a package that
pinned what only its dependencies use).
"""

from __future__ import annotations

from importlib.metadata import requires

from packaging.requirements import Requirement


def test_no_upper_bound_on_what_services_share() -> None:
    """Only the packages of OpenTelemetry, whose next major version may differ, are bounded from above."""
    bounded = {
        requirement.name
        for requirement in map(Requirement, requires("otel-ml") or [])
        for specifier in requirement.specifier
        if specifier.operator in ("<", "<=", "==", "~=", "!=", "===")
        and not requirement.name.startswith("opentelemetry-")
    }

    assert bounded == set()


def test_the_core_pulls_in_no_framework() -> None:
    """A service that installs the core gets the OpenTelemetry API and SDK, OTLP and psutil, and nothing of the web."""
    core = {
        requirement.name for requirement in map(Requirement, requires("otel-ml") or []) if requirement.marker is None
    }

    assert core == {
        "opentelemetry-api",
        "opentelemetry-sdk",
        "opentelemetry-exporter-otlp-proto-common",
        "opentelemetry-proto",
        "protobuf",
        "psutil",
    }
