"""`otel-ml doctor` forecasts how many series a model has in Prometheus: compared with a run."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from forecast_service import FEATURES, SEGMENTS
from pipeline_servers import PROMETHEUS, eventually, prometheus, promql, write_rules

from otel_ml.cli._doctor.series import expected_series

FEATURE_FLAGS = "exemplar-storage,created-timestamp-zero-ingestion"
HERE = Path(__file__).resolve().parent


def count(address: str, matcher: str) -> int:
    found = promql(address, f'count({{job="forecast",__name__{matcher}"}})')
    return int(found[0]["value"][1]) if found else 0


def settled(address: str) -> int:
    """The number of recorded series when it no longer grows: rules of rules are an evaluation later."""
    numbers: list[int] = []

    def stays() -> int:
        numbers.append(count(address, '=~".*:.*'))
        time.sleep(0.5)
        return numbers[-1] if numbers[-6:] == [numbers[-1]] * 6 else 0

    found: int = eventually(stays, timeout=300)
    return found


@pytest.mark.timeout(900)
def test_the_forecast_is_what_a_run_has(tmp_path: Path) -> None:
    """The series of a process and of the recording rules are those of the forecast, which has room for further segments."""
    series = expected_series(FEATURES, SEGMENTS)
    raw = series["per_model_and_process"] + series["more_with_labels"]["binary"]
    raw += series["more_with_estimate"]["binary"]
    recorded = series["recorded_per_model"] + series["recorded_more_with_labels"]
    recorded += series["recorded_more_with_segments"]
    names = [file.stem for file in (PROMETHEUS / "rules").glob("*.yaml")]
    config = write_rules(tmp_path, *names, windows=r"\d+[mhd]")
    with prometheus(tmp_path, config, FEATURE_FLAGS) as address:
        environment = {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{address}/api/v1/otlp/v1/metrics",
            "OTEL_METRIC_EXPORT_INTERVAL": "3600000",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_ML_INSTANCE_DIR": str(tmp_path / "slots"),
        }
        command = [sys.executable, str(HERE / "forecast_service.py"), f"sqlite:///{tmp_path}/labels.db"]
        subprocess.run(command, env=environment, check=True, timeout=60)
        eventually(lambda: count(address, '!~".*:.*') >= raw)
        assert count(address, '!~".*:.*') <= raw + series["more_with_segments"]
        eventually(lambda: count(address, '=~".*:.*') >= 0.99 * recorded, timeout=300)
        assert settled(address) == pytest.approx(recorded, rel=0.01)
