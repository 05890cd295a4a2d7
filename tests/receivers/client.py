"""A receiver that a test has started, and how it is asked.

Standard library only: `http.client` shows status, headers and body as they are, with no retry of its own.
"""

import base64
import hashlib
import hmac
import http.client
import json
import pathlib
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

PROGRAM = pathlib.Path(__file__).with_name("learn_receiver.py")
SECRET = "supersecret"
CONTENT_FILES = "/api/v1/webhooks/content_files/"
DELETE = "/api/v1/webhooks/content_files/delete/"
OVS = "/api/v1/webhooks/ovs_videos/"
RESOURCES = "/api/v1/webhooks/learning_resources/"
OF_THE_VIEW = {"POST", "OPTIONS"}
OF_THE_HANDLER = {"GET", "OPTIONS"}
ACCEPTED = {"status": "success", "message": "Webhook received"}
NOT_ALLOWED = {"detail": 'Method "POST" not allowed.', "error_type": "MethodNotAllowed"}
CANVAS = {"source": "canvas", "content_path": "canvas/course_content/123/abc.imscc", "course_id": 123}
VIDEO = {
    "key": "vid_abc123",
    "title": "A lecture",
    "created_at": "2026-04-28T17:35:42.065326Z",
    "duration": 5.28,
    "sources": [{"src": "https://du3yhovcx8dht.cloudfront.net/transcoded/vid_abc123/video__index.m3u8"}],
    "videothumbnail_set": [{"cloudfront_url": "https://du3yhovcx8dht.cloudfront.net/thumbnails/1.jpg"}],
    "videosubtitle_set": [],
    "collection": {"key": "col_abc", "title": "Lectures", "for_shorts": False},
}


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def allow(self) -> set[str] | None:
        """The methods of `Allow`, whose order DRF does not keep."""
        return set(self.headers["Allow"].split(", ")) if "Allow" in self.headers else None


class Receiver:
    """The program, started with its own journal."""

    def __init__(self, folder: pathlib.Path, *options: str, secret: str | None = SECRET) -> None:
        """Starts it and waits for its port."""
        self.journal = folder / "journal.jsonl"
        command = [sys.executable, str(PROGRAM), "--port", "0", "--journal", str(self.journal), *options]
        command += ["--secret", secret] if secret else []
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdin and self.process.stdout
        self.stdin, self.stdout = self.process.stdin, self.process.stdout
        self.port: int = json.loads(self.stdout.readline())["port"]

    def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        """Sends one request as it is given, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body or None, headers or {})
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())
        finally:
            connection.close()

    def post(self, path: str, payload: Any, secret: str = SECRET, **headers: str) -> Answer:
        """Posts a payload (bytes go as they are) with a good signature."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload, separators=(",", ":")).encode()
        sent = {"Content-Type": "application/json", "X-MITLearn-Signature": signature(body, secret)}
        return self.request("POST", path, body, sent | {name.replace("_", "-"): text for name, text in headers.items()})

    def faults(self, *add: str, clear: bool = True) -> list[str]:
        """Replaces the faults in force, or adds to them."""
        answer = self.request("POST", "/__control__/fault", json.dumps({"clear": clear, "add": add}).encode())
        assert answer.status == 200, answer.body
        return answer.json["faults"]

    def entries(self) -> list[dict[str, Any]]:
        """The journal so far."""
        return [json.loads(line) for line in self.journal.read_text().splitlines()]

    def last(self) -> dict[str, Any]:
        """The journal's last line."""
        return self.entries()[-1]

    def ended(self, by: signal.Signals | None = None) -> int:
        """Ends it by a signal, or by closing its stdin, and returns its exit status."""
        if by is None:
            self.stdin.close()
        else:
            self.process.send_signal(by)
        try:
            return self.process.wait(timeout=10)
        finally:
            self.process.kill()
            self.stdin.close()
            self.stdout.close()


def signature(body: bytes, secret: str = SECRET) -> str:
    """Learn's signature of a body."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def standard(body: bytes, key: bytes, message_id: str = "msg_1", at: float | None = None) -> dict[str, str]:
    """The three headers of Standard Webhooks."""
    timestamp = str(int(time.time() if at is None else at))
    mac = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook_id": message_id,
        "webhook_timestamp": timestamp,
        "webhook_signature": f"v1,{base64.b64encode(mac).decode()}",
    }


def assert_server_error(answer: Answer) -> None:
    """Django's own 500: a page, and no `Allow`."""
    assert (answer.status, answer.allow) == (500, None)
    assert b"Server Error (500)" in answer.body
