"""The receiver `ol-webhook listen`, and a witness in front of it.

The witness hands every request on as it came and keeps it. So what a test counts is what went over the wire, not what
the program under test says of itself; and the receiver still checks the signatures.
"""

import contextlib
import dataclasses
import hashlib
import hmac
import http.client
import http.server
import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterator

SECRET = "a-secret-of-the-tests"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


@dataclasses.dataclass(frozen=True)
class Exchange:
    """A request and the status it was answered with."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    status: int

    @property
    def document(self) -> dict:
        """The body."""
        return json.loads(self.body)

    @property
    def message_id(self) -> str:
        """What stays the same over all attempts of one message."""
        return self.headers["webhook-id"]

    @property
    def is_signed(self) -> bool:
        """Signed as Learn wants it."""
        expected = hmac.new(SECRET.encode(), self.body, hashlib.sha256).hexdigest()
        return self.headers.get("x-mitlearn-signature") == expected


class Witness(http.server.ThreadingHTTPServer):
    """Hands requests on to an address and keeps them."""

    daemon_threads = True

    def __init__(self, upstream: str):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.exchanges: list[Exchange] = []

    @property
    def url(self) -> str:
        """Where requests go."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def attempts(self) -> list[Exchange]:
        """The deliveries: a request with a whole document. A probe of the receiver carries half a one."""
        return [exchange for exchange in self.exchanges if exchange.method == "POST" and _is_document(exchange.body)]

    def environment(self, outbox: str, **more: str) -> dict[str, str]:
        """What `ol-webhook` needs to deliver here."""
        return {
            "MIT_LEARN_BASE_URL": self.url,
            "MIT_LEARN_WEBHOOK_SECRET": SECRET,
            "OL_OUTBOX": outbox,
            "OL_WEBHOOK__EGRESS__ALLOW_PRIVATE": "true",
            **more,
        }


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Witness

    def _hand_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        connection = http.client.HTTPConnection(self.server.upstream, timeout=30)
        with contextlib.closing(connection):
            connection.putrequest(self.command, self.path, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            answer = response.read()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.exchanges.append(Exchange(self.command, self.path, headers, body, response.status))
        self.send_response_only(response.status, response.reason)
        for name, value in response.getheaders():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_HEAD = do_OPTIONS = _hand_on

    def log_message(self, *_: object) -> None:
        """The test says what was wrong; nobody reads a log of requests."""


def _is_document(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False


@contextlib.contextmanager
def receiver(binary: str, *faults: str) -> Iterator[Witness]:
    """A receiver with these faults, behind a witness."""
    command = [binary, "listen", "--address", "127.0.0.1:0", "--output", "json"]
    for fault in faults:
        command += ["--fault", fault]
    environment = {**os.environ, "MIT_LEARN_WEBHOOK_SECRET": SECRET}
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    lines: queue.Queue[str] = queue.Queue()
    said: list[str] = []
    # Both streams are read to their end: a full pipe would stop the receiver.
    readers = [
        threading.Thread(target=lambda: [lines.put(line) for line in process.stdout], daemon=True),
        threading.Thread(target=lambda: said.extend(process.stderr), daemon=True),
    ]
    for reader in readers:
        reader.start()
    try:
        try:
            address = json.loads(lines.get(timeout=30))["address"]
        except (queue.Empty, ValueError, KeyError) as error:
            raise AssertionError(f"{' '.join(command)} gave no address: {''.join(said)}") from error
        with Witness(address) as witness:
            serving = threading.Thread(target=witness.serve_forever, daemon=True)
            serving.start()
            yield witness
            witness.shutdown()
            serving.join()
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for reader in readers:
            reader.join()
