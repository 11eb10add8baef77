"""A small service whose model works until a line on standard input says otherwise; alert_faults.py starts it.

    OTEL_SERVICE_NAME=scoring python deploy/local/faulty_service.py

The lines: `well`, `slow` (600 ms a prediction), `failing` (each one raises), `without income` (the column goes away).
It makes 20 predictions a second, and ends with its standard input.
"""

from __future__ import annotations

import os
import sys
import threading
import time

import otel_ml

PERIOD = 0.05
SLOW_SECONDS = 0.6
WELL = "well"


def rows() -> dict[str, list[float]]:
    """The training data: two columns, the same distribution as in `row`."""
    return {name: [row(number)[name] for number in range(1000)] for name in ("age", "income")}


def row(number: int) -> dict[str, float]:
    """One row; a thousand of them in turn."""
    return {"age": 18.0 + number * 7 % 60, "income": 1000.0 + number * 37 % 100}


class Service:
    """One model, and what is wrong with it now."""

    def __init__(self, name: str) -> None:
        self.state = WELL
        self.number = 0
        profile = otel_ml.ReferenceProfile.fit(rows())
        self.model = otel_ml.Model(name, version="1", task="binary", classes=["0", "1"], profile=profile)

    def predict(self) -> None:
        """Makes one prediction in the present state."""
        self.number += 1
        features = row(self.number)
        if self.state == "without income":
            del features["income"]
        with self.model.prediction(features) as prediction:
            if self.state == "slow":
                time.sleep(SLOW_SECONDS)
            if self.state == "failing":
                raise RuntimeError("the model file is damaged")
            prediction.set_output(prediction=self.number % 2, score=0.4 + 0.2 * (self.number % 2))

    def listen(self) -> None:
        """Takes the state from standard input until it ends."""
        for line in sys.stdin:
            self.state = line.strip()
        self.state = ""

    def run(self) -> None:
        """Predicts until standard input ends."""
        while self.state:
            try:
                self.predict()
            except RuntimeError:
                pass  # the caller would get an error
            time.sleep(PERIOD)


def main() -> int:
    """Runs the service."""
    telemetry = otel_ml.configure(service_name=os.environ.get("OTEL_SERVICE_NAME", "scoring"))
    service = Service(os.environ.get("OTEL_SERVICE_NAME", "scoring"))
    threading.Thread(target=service.listen, daemon=True).start()
    service.run()
    telemetry.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
