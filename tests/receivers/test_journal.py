"""The journal of the receiver: what was asked, byte for byte, whoever asked and how."""

import base64
import concurrent.futures
import datetime
import hashlib
import http.client
import json
import time

import pytest
from client import ACCEPTED, CANVAS, CONTENT_FILES, OVS, Receiver, signature


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"source":"canvas","content_path":"canvas/course_content/123/abc.imscc","course_id":123}',
            "f5742fb1ec88175717ab57cdcba62d6b64f70cb54a2cf26b895499062f3810e2",
        ),
        (
            b'{"video_id":"vid_abc123","delete":true}',
            "ce49e789626217d6ecd77d6ab4474f66812c5a4e31015ac983ad65b7ac4cf20f",
        ),
        (
            b'{"resources":[{"readable_id":"a","title":"Caf\\u00e9"}]}',
            "f60454f1c31c2ba56cca6ff21b6fdf184278a914e61ff15fd84aca7450582e7e",
        ),
    ],
)
def test_reference_vectors(receiver: Receiver, body: bytes, expected: str) -> None:
    """The contract's three vectors verify, on their path or on none."""
    receiver.request("POST", OVS, body, {"X-MITLearn-Signature": expected})
    assert receiver.last()["signature_valid"]


def test_journal_line(receiver: Receiver) -> None:
    """Every field of a line is there and right."""
    body = json.dumps(CANVAS, separators=(",", ":")).encode()
    receiver.post(CONTENT_FILES + "?x=%20y", CANVAS, webhook_id="msg_7", X_Mixed_Case="Kept")
    entries = receiver.entries()
    entry = entries[-1]
    assert entry["sequence"] == entries[-2]["sequence"] + 1
    assert abs(datetime.datetime.fromisoformat(entry["at"]).timestamp() - time.time()) < 60
    assert (entry["method"], entry["path"], entry["status"]) == ("POST", CONTENT_FILES + "?x=%20y", 200)
    assert (entry["course_id"], entry["video_id"], entry["webhook_id"]) == (123, None, "msg_7")
    assert (entry["answered"], entry["faults"], entry["signature_valid"]) == (True, [], True)
    assert base64.b64decode(entry["body_base64"]) == body
    assert entry["body_sha256"] == hashlib.sha256(body).hexdigest()
    assert entry["headers"]["x-mixed-case"] == "Kept"
    assert entry["headers"]["x-mitlearn-signature"] == signature(body)
    assert entry["headers"]["content-type"] == "application/json"
    assert entry["headers"]["content-length"] == str(len(body))


def test_chunked_body(receiver: Receiver) -> None:
    """A body without a length is journaled, and signed, whole."""
    body = json.dumps(CANVAS).encode()
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=30)
    headers = {"X-MITLearn-Signature": signature(body), "Transfer-Encoding": "chunked"}
    connection.request("POST", CONTENT_FILES, iter([body[:9], body[9:]]), headers, encode_chunked=True)
    assert connection.getresponse().status == 200
    connection.close()
    assert base64.b64decode(receiver.last()["body_base64"]) == body


def test_keep_alive_and_many_at_once(receiver: Receiver) -> None:
    """One connection serves many requests, several connections serve at once, and no line is lost or torn."""
    before = len(receiver.entries())

    def many(worker: int) -> int:
        """Sends fifty on one connection."""
        connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=30)
        body = json.dumps(CANVAS | {"course_id": worker}).encode()
        for _ in range(50):
            connection.request("POST", CONTENT_FILES, body, {"X-MITLearn-Signature": signature(body)})
            response = connection.getresponse()
            assert response.version == 11 and not response.will_close
            assert (response.status, json.loads(response.read())) == (200, ACCEPTED)
        connection.close()
        return 50

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(many, range(6))) == 300
    entries = receiver.entries()[before:]
    assert sorted(entry["course_id"] for entry in entries) == sorted(list(range(6)) * 50)
    assert len({entry["sequence"] for entry in entries}) == 300
