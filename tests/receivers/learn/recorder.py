"""The outermost layer: journals every request before its answer leaves, applies faults, serves the control path.

It wraps the Django application rather than being middleware, so that what Django itself refuses is journaled as well,
and so that the bytes it signs and hashes are those that came over the wire.
"""

import base64
import datetime
import hashlib
import http
import io
import json
import pathlib
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from waitress.channel import ClientDisconnected

from learn import signatures
from learn.faults import ANSWERS, BadSpec, Fault, parse
from learn.world import EXCHANGE, Exchange, World

CONTROL = "/__control__/fault"
Environ = dict[str, Any]
Answer = tuple[str, list[tuple[str, str]], bytes]


class Journal:
    """A file of JSON lines in the order of answers; `sequence` is the order of arrival and survives a restart."""

    def __init__(self, path: pathlib.Path) -> None:
        """Opens the file to append, counts on from what it holds, and cuts off a line that a kill left torn."""
        self._lock = threading.Lock()
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]
        self._sequence = max((json.loads(line)["sequence"] for line in whole), default=0)
        self._file = path.open("ab", buffering=0)
        self._file.truncate(sum(map(len, whole)))

    def arrival(self) -> int:
        """The number of the request that has just arrived."""
        with self._lock:
            self._sequence += 1
            return self._sequence

    def write(self, entry: dict[str, Any]) -> None:
        """Appends one line, in one unbuffered write."""
        line = (json.dumps(entry) + "\n").encode()
        with self._lock:
            self._file.write(line)


class Recorder:
    """A WSGI application around Django's."""

    def __init__(self, application: Callable[..., Iterable[bytes]], journal: Journal, world: World) -> None:
        """Records what the application answers, under the world's faults."""
        self._application = application
        self._journal = journal
        self._world = world

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serves one request; raises ClientDisconnected, on which waitress closes without an answer, to drop it."""
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if environ["PATH_INFO"] == CONTROL:
            return sent(self.control(environ, body), environ, start_response)
        answer, dropped = self.recorded(environ, body)
        if dropped:
            raise ClientDisconnected
        return sent(answer, environ, start_response)

    def recorded(self, environ: Environ, body: bytes) -> tuple[Answer, bool]:
        """Answers one request and journals it; returns whether the answer must not be sent."""
        started = time.monotonic()
        entry: dict[str, Any] = {
            "sequence": self._journal.arrival(),
            "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
        exchange = Exchange(self._world.secret())
        posted = environ["REQUEST_METHOD"] == "POST"
        delay = self._world.faults.take("delay") if posted else None
        fault = self._world.faults.take(*ANSWERS) if posted else None
        if delay:
            self._world.stopping.wait(float(delay.argument))
        if fault and fault.kind == "status":
            answer = faulty(fault)
        else:
            answer = self.answered(environ, body, exchange)
        headers = headers_of(environ)
        entry |= {
            "method": environ["REQUEST_METHOD"],
            "path": environ["REQUEST_URI"],
            "status": int(answer[0][:3]),
            "answered": not (fault and fault.kind == "drop"),
            "effect": exchange.effect,
            "faults": [taken.name for taken in (delay, fault) if taken] + exchange.faults,
            "seconds": round(time.monotonic() - started, 6),
            "headers": headers,
            "body_base64": base64.b64encode(body).decode(),
            "body_sha256": hashlib.sha256(body).hexdigest(),
            "signature_valid": signatures.valid(exchange.secret, body, headers),
            **standard_of(exchange.secret, body, headers),
            "webhook_id": headers.get("webhook-id"),
            **entity_of(environ["PATH_INFO"], body),
        }
        self._journal.write(entry)
        return answer, not entry["answered"]

    def answered(self, environ: Environ, body: bytes, exchange: Exchange) -> Answer:
        """Django's answer."""
        started: list[Any] = []
        environ = environ | {"wsgi.input": io.BytesIO(body), EXCHANGE: exchange}
        result = self._application(environ, lambda status, headers, exc_info=None: started.extend([status, headers]))
        try:
            content = b"".join(result)
        finally:
            if hasattr(result, "close"):
                result.close()
        return started[0], started[1], content

    def control(self, environ: Environ, body: bytes) -> Answer:
        """Changes the faults (`{"clear": true, "add": ["status:503:3"]}`), or lists them on a GET."""
        if not environ["REMOTE_ADDR"].startswith("127."):
            return plain(403, {"detail": "the control path is for loopback"})
        if environ["REQUEST_METHOD"] == "GET":
            return plain(200, {"faults": self._world.faults.change(False, [])})
        if environ["REQUEST_METHOD"] != "POST":
            return plain(405, {"detail": "POST changes the faults, GET lists them"})
        try:
            wanted = json.loads(body)
            add = [parse(spec) for spec in wanted.get("add", [])]
        except (BadSpec, ValueError, AttributeError, TypeError) as error:
            return plain(400, {"detail": str(error)})
        return plain(200, {"faults": self._world.faults.change(bool(wanted.get("clear")), add)})


def sent(answer: Answer, environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
    """Hands an answer to the server; a HEAD gets none of its body."""
    status, headers, content = answer
    start_response(status, headers)
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [content]


def plain(status: int, data: dict[str, Any]) -> Answer:
    """An answer in JSON that is none of Django's."""
    content = json.dumps(data).encode()
    reason = http.HTTPStatus(status).phrase if status in http.HTTPStatus._value2member_map_ else "Fault"
    return f"{status} {reason}", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))], content


def faulty(fault: Fault) -> Answer:
    """The answer of a `status` fault; a redirect points back here, so that following it shows in the journal."""
    status, headers, content = plain(int(fault.argument), {"detail": f"fault {fault.name}"})
    retry_after = fault.retry_after_header(datetime.datetime.now(datetime.UTC))
    if retry_after is not None:
        headers.append(("Retry-After", retry_after))
    if status.startswith("3"):
        headers.append(("Location", "/__redirected__/"))
    if status[:3] in ("204", "304"):
        headers, content = [pair for pair in headers if not pair[0].startswith("Content-")], b""
    return status, headers, content


def headers_of(environ: Environ) -> dict[str, str]:
    """The request's headers by lower-case name; several of one name are joined with a comma by the server."""
    names = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}
    names |= {name: name[5:].replace("_", "-").lower() for name in environ if name.startswith("HTTP_")}
    return {header: environ[name] for name, header in sorted(names.items()) if environ.get(name, "") != ""}


def standard_of(secret: str, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
    """Whether the Standard Webhooks headers verify (null when there are none), and why not."""
    if not any(name in headers for name in signatures.STANDARD_HEADERS):
        return {"standard_valid": None, "standard_refusal": None}
    refusal = signatures.standard_refusal(secret, body, headers)
    return {"standard_valid": refusal is None, "standard_refusal": refusal}


def entity_of(path: str, body: bytes) -> dict[str, Any]:
    """Which course or video the body is about, in its own words; null where it does not say."""
    entity: dict[str, Any] = {"course_id": None, "video_id": None}
    try:
        payload = json.loads(body) if "/webhooks/content_files" in path or "/webhooks/ovs_videos" in path else None
    except (ValueError, RecursionError):
        return entity
    if isinstance(payload, dict):
        if "/webhooks/content_files" in path:
            entity["course_id"] = payload.get("course_id")
        else:
            entity["video_id"] = payload.get("video_id", payload.get("key"))
    return {name: worded(value) for name, value in entity.items()}


def worded(value: object) -> str | int | None:
    """A string that any JSON reader takes (no lone surrogate), a whole number, or nothing."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    return value if isinstance(value, int) and not isinstance(value, bool) else None
