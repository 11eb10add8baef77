"""Replays real people of 2016 to 2018 as requests; their labels follow later by prediction id. With --patients every
fourth request is one of a patient, to the regression; with --drift one column changes, see `drift.py`.

    python replay.py --url http://127.0.0.1:8000 --seconds 45

Three things happen on the way. Every request is mirrored to the canary, under the same prediction id: the canary is
worse. From the 150th person on, those who have moved within the state (MIG 3) come with a default value in one column
(RELP 17): this segment goes bad, and the whole hardly shows it. From the 600th person on the people are between 55 and
70, who are harder to predict: the estimate falls before their labels come.

The last line of the output is JSON: how many predictions were answered and of how many rows, how many requests the
service refused as it should, how many failed, how many labels were sent.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pandas as pd
from drift import Item, drifting
from train import LABEL, REPLAYED_FROM, feature_names, patients

DATA = Path(__file__).parent / "data" / "replay.parquet"
LABEL_BATCH = 50
MOVED = 3
"""The code of those who have moved within the state, in the column MIG."""
DEFAULT = 17
"""What their column RELP has from the person `DEFAULT_FROM` on."""
DEFAULT_FROM = 150
OLDER = (55, 70)
"""The age of the people from the person `OLDER_FROM` on."""
OLDER_FROM = 600


class Replay:
    """A client that sends at a steady rate, with a queue of labels that are not due yet."""

    def __init__(self, client: httpx.Client, *, rate: float, label_delay: float) -> None:
        self.client = client
        self.period = 1.0 / rate
        self.label_delay = label_delay
        self.waiting: deque[tuple[float, str, float]] = deque()
        self.counts = {"sent": 0, "rows": 0, "refused": 0, "failed": 0, "labels": 0}
        self.stopped = False

    def stop(self, number: int = 0, frame: FrameType | None = None) -> None:  # noqa: ARG002
        """Ends the traffic after the request in flight; a signal handler."""
        self.stopped = True

    def run(self, rows: Any, seconds: float | None) -> dict[str, int]:
        """Sends requests until the time is over or `stop` is called, then the remaining labels."""
        began = due = shown = time.monotonic()
        for path, body, label in rows:
            now = time.monotonic()
            if self.stopped or (seconds is not None and now - began >= seconds):
                break
            time.sleep(max(0.0, due - now))
            due = max(due + self.period, now - 1.0)
            self.predict(path, body, label)
            self.send_labels(before=time.monotonic() - self.label_delay)
            if now - shown >= 5:
                shown = now
                print(f"{now - began:5.0f} s  {self.counts}", file=sys.stderr, flush=True)
        self.send_labels(before=float("inf"))
        return self.counts

    def predict(self, path: str, body: Any, label: Any) -> None:
        """Sends one request; keeps its prediction id, or those of the rows of a batch, until the label is due."""
        try:
            answer = self.client.post(path, json=body)
            if label is None and answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
                self.counts["refused"] += 1
                return
            answer.raise_for_status()
        except httpx.HTTPError as error:
            self.fail(error)
            return
        prediction_id, now = answer.headers["x-prediction-id"], time.monotonic()
        labels = {f"{prediction_id}.{row}": each for row, each in enumerate(label)} if isinstance(label, list) else {}
        self.waiting += [(now, of, each) for of, each in (labels or {prediction_id: label}).items()]
        self.counts["sent"] += 1
        self.counts["rows"] += len(labels) or 1
        if path == "/predict":
            self.mirror(body, prediction_id)

    def mirror(self, features: dict[str, float], prediction_id: str) -> None:
        """Sends the request to the canary too, as a service mesh does that mirrors traffic."""
        try:
            self.client.post("/canary", json=features, headers={"x-prediction-id": prediction_id}).raise_for_status()
        except httpx.HTTPError as error:
            self.fail(error)
        else:
            self.counts["sent"] += 1
            self.counts["rows"] += 1

    def fail(self, error: httpx.HTTPError) -> None:
        """Counts a request that failed; the first few are printed."""
        self.counts["failed"] += 1
        if self.counts["failed"] <= 3:
            print(f"request failed: {error}", file=sys.stderr)

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


def people() -> Iterator[Item]:
    """Yields path, features and label of one person after another, from the beginning again after the last."""
    frame = pd.read_parquet(DATA)
    older = frame[frame["AGEP"].between(*OLDER)]
    every = itertools.islice(cycled(frame), OLDER_FROM)
    for number, (path, features, label) in enumerate(itertools.chain(every, cycled(older))):
        has_moved = features["MIG"] == MOVED
        yield path, {**features, "RELP": DEFAULT} if has_moved and number >= DEFAULT_FROM else features, label


def cycled(frame: pd.DataFrame) -> Iterator[Item]:
    """Yields the people of a table as they are, again and again."""
    features = frame[feature_names(frame)].astype(float).to_dict("records")
    return itertools.cycle(zip(itertools.repeat("/predict"), features, frame[LABEL].astype(int).tolist()))


def mixed(others: Iterator[Item]) -> Iterator[Item]:
    """Yields a patient after each three of the others."""
    frame = patients()[REPLAYED_FROM:]
    features = frame.drop(columns="target").to_dict("records")
    for patient in itertools.cycle(zip(itertools.repeat("/progression"), features, frame["target"].tolist())):
        yield from itertools.islice(others, 3)
        yield patient


def main() -> int:
    """Runs the replay from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the service (default: %(default)s)")
    parser.add_argument("--seconds", type=float, help="end after this long (default: until Ctrl-C)")
    parser.add_argument(
        "--rate", type=float, default=40.0, help="requests a second without the mirrored ones (default: %(default)s)"
    )
    parser.add_argument("--label-delay", type=float, default=5.0, help="seconds until a label (default: %(default)s)")
    parser.add_argument("--patients", action="store_true", help="also send patients to the regression")
    parser.add_argument(
        "--drift", type=float, metavar="SECONDS", help="instead of the three things, a column changes after this long"
    )
    given = parser.parse_args()
    rows = people() if given.drift is None else drifting(cycled(pd.read_parquet(DATA)), given.drift)
    rows = mixed(rows) if given.patients else rows
    with httpx.Client(base_url=given.url, timeout=60.0) as client:
        replay = Replay(client, rate=given.rate, label_delay=given.label_delay)
        signal.signal(signal.SIGTERM, replay.stop)
        signal.signal(signal.SIGINT, replay.stop)
        counts = replay.run(rows, given.seconds)
    print(json.dumps(counts))
    return 0 if counts["failed"] == 0 and counts["sent"] > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
