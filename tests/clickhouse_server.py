"""ClickHouse for tests: the engine of `chdb` in a process of its own, behind as much of ClickHouse's HTTP as the
Collector's exporter and `clickhouse-connect` use.

The engine runs every statement; here are only the framing, the compression and the format of the answers.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PASSWORD = "a-password-of-the-tests"
_CHECKSUM, _HEAD, _LZ4, _NONE = 16, 9, 0x82, 0x02
_BLOCK_INFO = bytes([1, 0, 2, 255, 255, 255, 255, 0])


class Server:
    """A running server.

    Args:
        address: Its base address.
    """

    def __init__(self, address: str) -> None:
        self.address = address

    def url(self, database: str = "otel") -> str:
        """The URL of a store."""
        place = self.address.removeprefix("http://")
        return f"clickhouse://default:{PASSWORD}@{place}/{database}"

    def execute(self, statement: str, database: str = "otel") -> str:
        """Runs one statement; returns its rows as lines of JSON."""
        headers = {"X-ClickHouse-User": "default", "X-ClickHouse-Key": PASSWORD}
        query = urllib.parse.urlencode({"database": database, "default_format": "JSONEachRow"})
        request = urllib.request.Request(f"{self.address}/?{query}", statement.encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read().decode()

    def rows(self, statement: str, database: str = "otel") -> list[dict[str, object]]:
        """Runs a query; returns its rows."""
        return [json.loads(line) for line in self.execute(statement, database).splitlines()]

    def script(self, path: Path, database: str = "otel") -> None:
        """Runs the statements of a file."""
        for statement in path.read_text(encoding="utf-8").split(";\n"):
            if statement.strip():
                self.execute(statement, database)


@contextmanager
def running_server(folder: Path, port: int = 0) -> Iterator[Server]:
    """Runs a server on loopback, with what it stores in a folder."""
    command = [sys.executable, __file__, str(folder), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Server(process.stdout.readline().strip())
        finally:
            process.terminate()
            process.wait(90)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    session: object
    one_at_a_time = threading.Lock()
    folder: Path

    def do_GET(self) -> None:
        self._answer(200, b"Ok.\n")

    def do_POST(self) -> None:
        body = self._body()
        options = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
        if options.get("decompress") == "1":
            body = decompress(body)
        statement = options.get("query", "")
        if not statement:
            statement, body = body.decode(), b""
        user, password = self._credentials(options)
        status = 200
        try:
            if (user, password) != ("default", PASSWORD):
                raise PermissionError(f"Code: 516. DB::Exception: {user}: Authentication failed.")
            with self.one_at_a_time:
                found = self._run(statement.strip().rstrip(";"), body, options)
        except Exception as error:
            status, found = 403 if isinstance(error, PermissionError) else 500, str(error).encode()
        self._answer(status, compress(found) if options.get("compress") == "1" and found else found)

    def _credentials(self, options: dict[str, str]) -> tuple[str, str]:
        import base64

        given = self.headers.get("Authorization", "")
        if given.startswith("Basic "):
            user, _, password = base64.b64decode(given[6:]).decode().partition(":")
            return user, password
        user = self.headers.get("X-ClickHouse-User") or options.get("user", "default")
        return user, self.headers.get("X-ClickHouse-Key") or options.get("password", "")

    def _run(self, statement: str, body: bytes, options: dict[str, str]) -> bytes:
        query = self.session.query
        if options.get("database"):
            query(f"USE `{options['database']}`")
        if statement.upper().startswith("INSERT") and body:
            settings = {
                name: value for name, value in options.items() if name.startswith(("max_partitions", "throw_on"))
            }
            return self._insert(statement, body, settings)
        wanted = "Native" if statement.endswith("FORMAT Native") else options.get("default_format", "TabSeparated")
        statement = statement.removesuffix("FORMAT Native")
        for name, value in options.items():
            if name.startswith("param_"):
                query(f"SET {name} = {json.dumps(value)}".replace('"', "'"))
        if wanted == "Native" and "clickhouse-go" in self.headers["User-Agent"]:
            return _native_with_info(json.loads(query(statement, "JSON").bytes() or b"null"))
        return query(statement, wanted).bytes()

    def _insert(self, statement: str, body: bytes, settings: dict[str, str]) -> bytes:
        head, _, ending = statement.rpartition(" FORMAT ")
        head = head if head and ending else statement
        head = head.rpartition(" VALUES")[0] or head
        with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".native") as file:
            file.write(body)
            file.flush()
            columns = head[head.index("(") + 1 : head.rindex(")")]
            ending = "".join(f" SETTINGS {name} = {value}" for name, value in settings.items())
            self.session.query(f"{head} SELECT {columns} FROM file('{file.name}', Native){ending}")
        return b""

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status != 200:
            self.send_header("X-ClickHouse-Exception-Code", "1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


def decompress(data: bytes) -> bytes:
    """Takes the compressed blocks of ClickHouse's protocol apart."""
    import lz4.block

    parts, at = [], 0
    while at < len(data):
        method, size, whole = struct.unpack_from("<BII", data, at + _CHECKSUM)
        start = at + _CHECKSUM + _HEAD
        end = at + _CHECKSUM + size
        parts.append(
            lz4.block.decompress(data[start:end], uncompressed_size=whole) if method == _LZ4 else data[start:end]
        )
        at = end
    return b"".join(parts)


def compress(data: bytes) -> bytes:
    """Puts data into one block without compression, with the checksum that the client verifies."""
    from clickhouse_cityhash.cityhash import CityHash128

    block = struct.pack("<BII", _NONE, _HEAD + len(data), len(data)) + data
    checksum = CityHash128(block)
    return struct.pack("<QQ", checksum >> 64, checksum & (1 << 64) - 1) + block


def _native_with_info(found: dict[str, object] | None) -> bytes:
    """Returns a result as one block of a server that knows the client's version: `chdb` writes the older form."""
    if not found:
        return b""
    columns, rows = found["meta"], found["data"]
    written = [_BLOCK_INFO, _varint(len(columns)), _varint(len(rows))]
    for column in columns:
        name, kind = column["name"], column["type"]
        written += [_text(name), _text(kind), b"\0"]
        written += [struct.pack("<I", row[name]) if kind == "UInt32" else _text(row[name]) for row in rows]
    return b"".join(written)


def _varint(number: int) -> bytes:
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])


def _text(text: str) -> bytes:
    encoded = text.encode()
    return _varint(len(encoded)) + encoded


def main() -> None:
    """Serves until the process is ended."""
    from chdb.session import Session

    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    _Handler.folder = folder
    _Handler.session = Session(str(folder / "data"))
    with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), _Handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
