"""Takes Alertmanager's notifications on loopback and prints one line for each alert.

    python deploy/local/webhook.py --port 9095

The path of a request is the receiver: POST /payments-page.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Notice:
    """One alert in one notification."""

    receiver: str
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    started: str
    at: float

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    def line(self) -> str:
        where = " ".join(self.labels[name] for name in ("job", "ml_model_name", "exporter") if name in self.labels)
        return f"{self.receiver}: {self.status} {self.name} {where}: {self.annotations.get('summary', '')}"


def read_notices(receiver: str, body: dict[str, Any], at: float) -> list[Notice]:
    """The alerts of one notification."""
    return [
        Notice(receiver, alert["status"], alert["labels"], alert["annotations"], alert["startsAt"], at)
        for alert in body["alerts"]
    ]


class _Handler(BaseHTTPRequestHandler):
    take: Callable[[list[Notice]], None]

    def do_GET(self) -> None:
        """Answers a health check."""
        self._answer(200)

    def do_POST(self) -> None:
        """Takes one notification."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            notices = read_notices(self.path.strip("/"), json.loads(body), time.time())
        except (ValueError, KeyError, TypeError) as error:
            print(f"webhook: no notification: {error!r}", file=sys.stderr, flush=True)
            self._answer(400)
            return
        type(self).take(notices)
        self._answer(200)

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Logs nothing: the notices are the output."""


@contextmanager
def webhook(take: Callable[[list[Notice]], None], port: int = 0) -> Iterator[str]:
    """Serves on loopback, by default on a free port; yields the address."""
    handler = type("Handler", (_Handler,), {"take": staticmethod(take)})
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9095, help="on 127.0.0.1 (default: %(default)s)")
    options = parser.parse_args(arguments)

    def show(notices: list[Notice]) -> None:
        for notice in notices:
            print(notice.line(), flush=True)

    try:
        with webhook(show, options.port):
            threading.Event().wait()
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        print(f"webhook: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
