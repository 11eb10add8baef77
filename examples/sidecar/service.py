"""A prediction service on the standard library's HTTP server; the sidecar samples its resources."""

from __future__ import annotations

import json
import math
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import otel_ml

telemetry = otel_ml.configure()
churn = otel_ml.Model("churn", version="1.0.0", task="binary", classes=["stay", "leave"])


@churn.track
def predict(features: dict[str, float]) -> dict[str, object]:
    """A logistic regression with hand-made weights; put your own model here."""
    logit = 1.2 - 0.08 * features["months"] + 0.4 * features["complaints"]
    probability = 1 / (1 + math.exp(-min(max(logit, -50.0), 50.0)))
    return {"prediction": "leave" if probability >= 0.5 else "stay", "probability": probability}


class Handler(BaseHTTPRequestHandler):
    """`POST /predict` with ``{"months": 12, "complaints": 1}``."""

    def do_POST(self) -> None:
        try:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            status, answer = 200, predict({"months": float(body["months"]), "complaints": float(body["complaints"])})
        except (ValueError, KeyError, TypeError):
            status, answer = 400, {"error": 'send {"months": 12, "complaints": 1}'}
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Logs nothing: the traces show more."""


def main() -> None:
    """Serves on loopback, on the port given or a free one, until SIGTERM."""
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 0), Handler)
    for number in (signal.SIGTERM, signal.SIGINT):
        # on another thread, since shutdown waits for the loop of this thread
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"serving on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    telemetry.shutdown()


if __name__ == "__main__":
    main()
