"""A real Kafka broker in KRaft mode on loopback, for slow tests; needs Java 17 and Maven."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import build
import stack

TIMEOUT = 180.0
PARTITIONS = 4
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners={protocol}://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL
inter.broker.listener.name={protocol}
log.dirs={folder}/data
num.partitions={partitions}
offsets.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
"""


class Broker:
    """One broker, which can be killed and started again with the same data."""

    def __init__(self, folder: Path, protocol: str = "PLAINTEXT", more: str = "", *users: str) -> None:
        self.port, controller = list(stack.choose_ports("auto", {}).values())[:2]
        self.address = f"127.0.0.1:{self.port}"
        self._folder = folder
        self._settings = folder / "server.properties"
        self._settings.write_text(
            SETTINGS.format(
                port=self.port, controller=controller, protocol=protocol, folder=folder, partitions=PARTITIONS
            )
            + more
        )
        self._libraries = build.build("kafka")
        known = [part for user in users for part in ("--add-scram", user)]
        self._java("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(self._settings), *known).wait()

    def _java(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]
        command += ["-cp", f"{self._libraries}/*", program, *arguments]
        with (self._folder / "broker.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def start(self) -> None:
        """Starts it and waits until it listens."""
        self.process = self._java("kafka.Kafka", str(self._settings))
        until = time.monotonic() + TIMEOUT
        while time.monotonic() < until and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
                return
            except OSError:
                time.sleep(0.1)
        raise RuntimeError(f"the broker did not start:\n{(self._folder / 'broker.log').read_text()[-3000:]}")

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Ends it."""
        self.process.send_signal(how)
        self.process.wait(TIMEOUT)


@contextmanager
def running_broker(folder: Path, protocol: str = "PLAINTEXT", more: str = "", *users: str) -> Iterator[Broker]:
    """Runs a broker until the end of the test."""
    broker = Broker(folder, protocol, more, *users)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
