"""What the guide says about testing a service is true.

Source: the tests of EdwinWenink/udacity-ml-fastapi, which found no page about it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "otel_ml" / "GUIDE.md"
SERVICE = """
from fastapi import FastAPI
import otel_ml

fraud = otel_ml.Model("fraud_detector", version="1.0.0", task="binary")
app = FastAPI()
otel_ml.instrument_fastapi(app)


@app.post("/predict")
@fraud.track
def predict(features: dict[str, float]) -> dict:
    return {"prediction": 1, "probability": 0.93}
"""


def test_the_example_of_the_guide_passes(tmp_path: Path) -> None:
    """The test that the guide shows runs as it is, with no other set-up."""
    section = GUIDE.read_text(encoding="utf-8").partition("## Testing a service")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```python\n(.*?)^```", section, flags=re.DOTALL | re.MULTILINE)
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "test_service.py").write_text(blocks[0])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith(("OTEL_", "PYTEST_"))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (len(blocks), done.returncode) == (1, 0), done.stdout
    assert "1 passed" in done.stdout
