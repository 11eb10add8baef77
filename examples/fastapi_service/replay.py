"""Replays real people of 2016 to 2018 as requests; their labels follow later by prediction id.

    python replay.py --url http://127.0.0.1:8000 --seconds 45

The last line of the output is JSON: how many predictions were answered, how many failed, how many labels were sent.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import sys
import time
from collections import deque
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pandas as pd
from train import LABEL, feature_names

DATA = Path(__file__).parent / "data" / "replay.parquet"
LABEL_BATCH = 50


class Replay:
    """A client that sends at a steady rate, with a queue of labels that are not due yet."""

    def __init__(self, client: httpx.Client, *, rate: float, label_delay: float) -> None:
        self.client = client
        self.period = 1.0 / rate
        self.label_delay = label_delay
        self.waiting: deque[tuple[float, str, int]] = deque()
        self.counts = {"sent": 0, "failed": 0, "labels": 0}
        self.stopped = False

    def stop(self, number: int = 0, frame: FrameType | None = None) -> None:  # noqa: ARG002
        """Ends the traffic after the request in flight; a signal handler."""
        self.stopped = True

    def run(self, rows: Any, seconds: float | None) -> dict[str, int]:
        """Sends requests until the time is over or `stop` is called, then the remaining labels."""
        began = due = shown = time.monotonic()
        for features, label in rows:
            now = time.monotonic()
            if self.stopped or (seconds is not None and now - began >= seconds):
                break
            time.sleep(max(0.0, due - now))
            due = max(due + self.period, now - 1.0)
            self.predict(features, label)
            self.send_labels(before=time.monotonic() - self.label_delay)
            if now - shown >= 5:
                shown = now
                print(f"{now - began:5.0f} s  {self.counts}", file=sys.stderr, flush=True)
        self.send_labels(before=float("inf"))
        return self.counts

    def predict(self, features: dict[str, float], label: int) -> None:
        """Sends one request; keeps its prediction id until the label is due."""
        try:
            answer = self.client.post("/predict", json=features)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            self.counts["failed"] += 1
            if self.counts["failed"] <= 3:
                print(f"request failed: {error}", file=sys.stderr)
            return
        self.counts["sent"] += 1
        self.waiting.append((time.monotonic(), answer.headers["x-prediction-id"], label))

    def send_labels(self, before: float) -> None:
        """Sends the labels of predictions made before this moment, in batches."""
        ready = sum(1 for item in self.waiting if item[0] <= before)
        if ready < LABEL_BATCH and before != float("inf"):
            return
        while self.waiting and ready > 0:
            batch = [self.waiting.popleft() for _ in range(min(LABEL_BATCH, ready))]
            ready -= len(batch)
            body = [{"prediction_id": item[1], "label": item[2]} for item in batch]
            self.client.post("/labels", json=body).raise_for_status()
            self.counts["labels"] += len(batch)


def main() -> int:
    """Runs the replay from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the service (default: %(default)s)")
    parser.add_argument("--seconds", type=float, help="end after this long (default: until Ctrl-C)")
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second (default: %(default)s)")
    parser.add_argument("--label-delay", type=float, default=5.0, help="seconds until a label (default: %(default)s)")
    given = parser.parse_args()
    frame = pd.read_parquet(DATA)
    people = zip(
        frame[feature_names(frame)].astype(float).to_dict("records"), frame[LABEL].astype(int).tolist(), strict=True
    )
    with httpx.Client(base_url=given.url, timeout=10.0) as client:
        replay = Replay(client, rate=given.rate, label_delay=given.label_delay)
        signal.signal(signal.SIGTERM, replay.stop)
        signal.signal(signal.SIGINT, replay.stop)
        counts = replay.run(itertools.cycle(people), given.seconds)
    print(json.dumps(counts))
    return 0 if counts["failed"] == 0 and counts["sent"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
