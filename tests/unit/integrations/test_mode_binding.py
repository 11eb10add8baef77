"""The tracer and the request metrics of the mode in force."""

from __future__ import annotations

from types import SimpleNamespace

from otel_ml._telemetry import ports
from otel_ml.integrations.fastapi._mode_binding import ModeBinding


def test_the_binding_follows_the_mode():
    """Tracer and instruments come from the engine in force and are looked up again when it changes."""
    created = []

    class Meter:
        def create_histogram(self, name, *args, **kwargs):
            created.append(name)

        create_up_down_counter = create_histogram

    engine = SimpleNamespace(tracer=lambda name: f"tracer of {name}", meter=lambda name: Meter(), requests=None)
    binding = ModeBinding()
    binding.refresh()
    ports.enter(ports.State("own", engine))

    assert (binding.mode, binding.refresh(), binding.refresh(), binding.mode) == ("guest", True, False, "own")
    assert binding.tracer == "tracer of otel_ml"
    assert created == ["http.server.request.duration", "http.server.active_requests"]
