"""The receiver answers as MIT Learn does, row by row of the contract's response table, and fails when it is told to.

Standard library and pytest only: `http.client` shows status, headers and body as they are, with no retry of its own.

    python -m pytest tests/receivers
"""

import base64
import concurrent.futures
import datetime
import email.utils
import hashlib
import hmac
import http.client
import json
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

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


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    """One receiver for all tests that leave it as it was; two of its resources begin alike."""
    folder = tmp_path_factory.mktemp("receiver")
    receiver = Receiver(
        folder, "--resource", "xpro=MITx+6.00", "--resource", "xpro=MITx+6.00.1x", "--resource", "canvas=77-AB"
    )
    yield receiver
    assert receiver.ended(signal.SIGTERM) == 0


@pytest.fixture
def receiver(shared: Receiver) -> Iterator[Receiver]:
    """The shared receiver, healed afterwards."""
    yield shared
    shared.faults()


# The response table -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "payload", "effect"),
    [
        (CONTENT_FILES, CANVAS, "ingest_canvas_course"),
        (CONTENT_FILES, {"source": "mitxonline", "course_readable_id": "r"}, "ingest_edx_run_archive"),
        (CONTENT_FILES, {"source": "xpro", "course_id": None, "course_readable_id": None}, "ingest_edx_run_archive"),
        (CONTENT_FILES, {"source": "xpro", "content_path": "", "time": 1.5, "unknown": []}, "ingest_edx_run_archive"),
        (DELETE, {"source": "xpro"}, "ignored"),
        (DELETE, {"source": "xpro", "course_id": "nobody"}, "unknown"),
        (DELETE + "whatever/follows", {"source": "canvas", "course_id": "7"}, "unknown"),
        (OVS, VIDEO, "stored"),
        (OVS, {"key": "no-stream", "sources": []}, "nothing stored"),
        (OVS, {"video_id": "nobody", "delete": True}, "unknown"),
    ],
)
def test_accepted(receiver: Receiver, path: str, payload: dict[str, Any], effect: str) -> None:
    """200, and the journal says what came of it."""
    answer = receiver.post(path, payload)
    assert (answer.status, answer.allow, answer.json) == (200, OF_THE_VIEW, ACCEPTED)
    assert receiver.last()["effect"] == effect


@pytest.mark.parametrize("path", [CONTENT_FILES, DELETE, OVS])
@pytest.mark.parametrize("body", [b"{", b"", b"invalid json{"])
def test_malformed_json(receiver: Receiver, path: str, body: bytes) -> None:
    """400 in plain words, and `Allow` with POST: the probe of a right secret on a right route."""
    answer = receiver.post(path, body)
    assert (answer.status, answer.allow, answer.body) == (400, OF_THE_VIEW, b"Invalid JSON format")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert receiver.last()["effect"] is None


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({"title": "no key"}, "key"),
        ({"key": "../x"}, "key"),
        ({"key": "k" * 256}, "key"),
        ({"delete": True}, "video_id"),
        ({"delete": True, "video_id": "a/b"}, "video_id"),
        ({"delete": None}, "delete"),
        (VIDEO | {"cta_link": "http://du3yhovcx8dht.cloudfront.net/"}, "cta_link"),
        (VIDEO | {"cta_link": "https://evil.io\\@du3yhovcx8dht.cloudfront.net/"}, "cta_link"),
        (VIDEO | {"cta_link": 7}, "cta_link"),
        (VIDEO | {"sources": [{"src": "https://cloudfront.net.evil.io/a.m3u8"}]}, "sources"),
        (VIDEO | {"sources": "a.m3u8"}, "sources"),
        (VIDEO | {"videothumbnail_set": [{"cloudfront_url": "https://user@d.cloudfront.net/"}]}, "videothumbnail_set"),
        (VIDEO | {"videosubtitle_set": ["en"]}, "videosubtitle_set"),
        (VIDEO | {"collection": {"key": "a b"}}, "collection"),
        (VIDEO | {"collection": [1]}, "collection"),
        ([VIDEO], "non_field_errors"),
        (None, "non_field_errors"),
    ],
)
def test_refused_ovs_payload(receiver: Receiver, payload: Any, field: str) -> None:
    """400 with the field at fault and `error_type`."""
    answer = receiver.post(OVS, payload)
    assert (answer.status, answer.allow, answer.json["error_type"]) == (400, OF_THE_VIEW, "ValidationError")
    assert set(answer.json) == {field, "error_type"}


@pytest.mark.parametrize("path", [CONTENT_FILES, DELETE])
@pytest.mark.parametrize(
    "payload",
    [
        {"content_path": "no source"},
        {"source": "edxorg"},
        {"source": "Canvas"},
        {"source": "xpro", "content_path": None},
        {"source": "xpro", "course_id": True},
        {"source": "xpro", "course_id": ["a"]},
        [CANVAS],
        None,
    ],
)
def test_refused_content_files_payload(receiver: Receiver, path: str, payload: Any) -> None:
    """405 from the error handler, with nothing of the reason."""
    answer = receiver.post(path, payload)
    assert (answer.status, answer.allow, answer.json) == (405, OF_THE_HANDLER, NOT_ALLOWED)
    assert receiver.last()["signature_valid"]


@pytest.mark.parametrize("given", [None, "0" * 64, "", "upper", "prefixed"])
def test_bad_signature(receiver: Receiver, given: str | None) -> None:
    """The same 405: absent, wrong, empty, in capitals, with a prefix."""
    body = json.dumps(CANVAS).encode()
    forms = {"upper": signature(body).upper(), "prefixed": f"sha256={signature(body)}"}
    headers = {} if given is None else {"X-MITLearn-Signature": forms.get(given, given)}
    answer = receiver.request("POST", CONTENT_FILES, body, headers)
    assert (answer.status, answer.allow, answer.json) == (405, OF_THE_HANDLER, NOT_ALLOWED)
    assert receiver.last()["signature_valid"] is False


@pytest.mark.parametrize("path", [RESOURCES, CONTENT_FILES[:-1], OVS[:-1], "/api/v1/nothing/", "/"])
def test_missing_route(receiver: Receiver, path: str) -> None:
    """The same 405 where there is no such route, or its slash is missing."""
    answer = receiver.post(path, CANVAS)
    assert (answer.status, answer.allow, answer.json) == (405, OF_THE_HANDLER, NOT_ALLOWED)
    assert receiver.last()["path"] == path


@pytest.mark.parametrize(("size", "status"), [(2_621_440, 200), (2_621_441, 405), (3_000_000, 405)])
def test_body_limit(receiver: Receiver, size: int, status: int) -> None:
    """The same 405 for a body over 2.5 MiB; exactly 2.5 MiB passes."""
    body = b'{"source":"canvas","content_path":"' + b"x" * (size - 37) + b'"}'
    assert len(body) == size
    answer = receiver.post(CONTENT_FILES, body)
    assert (answer.status, answer.allow) == (status, OF_THE_VIEW if status == 200 else OF_THE_HANDLER)
    assert answer.json == (ACCEPTED if status == 200 else NOT_ALLOWED)
    entry = receiver.last()
    assert entry["signature_valid"]
    assert base64.b64decode(entry["body_base64"]) == body


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", [CONTENT_FILES, DELETE, OVS])
def test_other_method_on_a_route(receiver: Receiver, method: str, path: str) -> None:
    """405, `Allow: POST`, no body, no signature asked for."""
    answer = receiver.request(method, path)
    assert (answer.status, answer.allow, answer.body) == (405, {"POST"}, b"")


def test_get_on_an_unknown_route(receiver: Receiver) -> None:
    """404 with `error_type`; and a route without its slash redirects a GET, though not a POST."""
    answer = receiver.request("GET", RESOURCES)
    assert (answer.status, answer.allow, answer.json["error_type"]) == (404, OF_THE_HANDLER, "Http404")
    answer = receiver.request("GET", CONTENT_FILES[:-1])
    assert (answer.status, answer.headers["Location"]) == (301, CONTENT_FILES)


@pytest.mark.parametrize("method", ["HEAD", "PUT", "DELETE"])
def test_other_method_on_an_unknown_route(receiver: Receiver, method: str) -> None:
    """405 from the error handler, HEAD included."""
    answer = receiver.request(method, RESOURCES)
    assert (answer.status, answer.allow) == (405, OF_THE_HANDLER)


@pytest.mark.parametrize("body", [b'{"source":"\xff"}', b"1" * 5000], ids=["invalid UTF-8", "5000 digits"])
@pytest.mark.parametrize("path", [CONTENT_FILES, OVS])
def test_body_that_json_loads_does_not_call_malformed(receiver: Receiver, path: str, body: bytes) -> None:
    """500 where `json.loads` raises something else than JSONDecodeError."""
    assert_server_error(receiver.post(path, body))


def test_signature_that_is_not_ascii(receiver: Receiver) -> None:
    """500, from the comparison of the signatures."""
    assert_server_error(receiver.post(CONTENT_FILES, CANVAS, X_MITLearn_Signature="é" * 64))
    assert receiver.last()["signature_valid"] is False


@pytest.mark.parametrize(
    "broken",
    [
        {"sources": None},
        {"videothumbnail_set": None},
        {"videosubtitle_set": None},
        {"title": None},
        {"title": "t" * 257},
        {"created_at": "yesterday"},
        {"duration": "long"},
        {"collection": {"key": "c", "title": None}},
    ],
)
def test_loader_blows_up_on_what_validation_lets_pass(receiver: Receiver, broken: dict[str, Any]) -> None:
    """500 on a payload that is valid and yet no video."""
    assert_server_error(receiver.post(OVS, VIDEO | broken))


def test_delete_by_prefix(receiver: Receiver) -> None:
    """500 when several ids start so; otherwise any case matches, and Canvas adds a dash."""
    assert_server_error(receiver.post(DELETE, {"source": "xpro", "course_id": "MITx+6.00"}))
    for payload, effect in [
        ({"source": "xpro", "course_id": "mitx+6.00.1"}, "deleted"),
        ({"source": "canvas", "course_id": "7"}, "unknown"),
        ({"source": "canvas", "course_id": 77}, "deleted"),
    ]:
        assert receiver.post(DELETE, payload).status == 200
        assert receiver.last()["effect"] == effect


def test_video_is_stored_and_deleted(receiver: Receiver) -> None:
    """A delete of a known id is told from one of an unknown id, in the journal only."""
    receiver.post(OVS, VIDEO)
    assert receiver.last()["video_id"] == "vid_abc123"
    for effect in ("deleted", "unknown"):
        assert receiver.post(OVS, {"video_id": "vid_abc123", "delete": True}).json == ACCEPTED
        assert (receiver.last()["effect"], receiver.last()["video_id"]) == (effect, "vid_abc123")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
def test_content_type_does_not_matter(receiver: Receiver, content_type: str) -> None:
    """The body is read as JSON, whatever it says it is."""
    assert receiver.post(CONTENT_FILES, CANVAS, Content_Type=content_type).status == 200


def test_accept_matters(receiver: Receiver) -> None:
    """A type that DRF cannot render is 406, on the handler as well; HTML gets pages instead of JSON."""
    for secret, allow in ((SECRET, OF_THE_VIEW), ("wrong", OF_THE_HANDLER)):
        answer = receiver.post(CONTENT_FILES, CANVAS, secret=secret, Accept="application/xml")
        assert (answer.status, answer.allow, answer.json["error_type"]) == (406, allow, "NotAcceptable")
    answer = receiver.post(CONTENT_FILES, CANVAS, Accept="text/html")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def assert_server_error(answer: Answer) -> None:
    """Django's own 500: a page, and no `Allow`."""
    assert (answer.status, answer.allow) == (500, None)
    assert b"Server Error (500)" in answer.body


# The journal --------------------------------------------------------------------------------------------------------


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


# Standard Webhooks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"webhook_signature": "v1,AAAA v1a,BBBB {good}"}, True),
        ({"webhook_signature": "v1,AAAA"}, False),
        ({"webhook_signature": "v2{good}"}, False),
        ({"webhook_id": "msg_2"}, False),
        ({"webhook_timestamp": "soon"}, False),
        ({"webhook_signature": ""}, False),
        ({"age": 290}, True),
        ({"age": -290}, True),
        ({"age": 310}, False),
        ({"age": -310}, False),
    ],
)
def test_standard_signature(receiver: Receiver, change: dict[str, Any], expected: bool) -> None:
    """A plain secret keys with its own bytes; one of several signatures is enough; five minutes either way pass."""
    body = json.dumps(CANVAS, separators=(",", ":")).encode()
    headers = standard(body, SECRET.encode(), at=time.time() - change.get("age", 0))
    changed = {
        name: text.replace("{good}", headers["webhook_signature"]) for name, text in change.items() if name != "age"
    }
    assert receiver.post(CONTENT_FILES, CANVAS, **(headers | changed)).status == 200
    entry = receiver.last()
    assert entry["standard_valid"] is expected, entry["standard_refusal"]
    assert (entry["standard_refusal"] is None) is expected


def test_no_standard_headers(receiver: Receiver) -> None:
    """A request without them is neither valid nor invalid."""
    receiver.post(CONTENT_FILES, CANVAS)
    assert receiver.last()["standard_valid"] is None


def test_standard_secret_with_prefix(tmp_path: pathlib.Path) -> None:
    """What follows `whsec_` is base64; Learn's own header keeps to the whole text. Vector of the specification."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    receiver = Receiver(tmp_path, secret=secret)
    body = json.dumps(CANVAS, separators=(",", ":")).encode()
    receiver.post(CONTENT_FILES, CANVAS, secret=secret, **standard(body, base64.b64decode(secret[6:])))
    assert (receiver.last()["standard_valid"], receiver.last()["signature_valid"]) == (True, True)
    receiver.post(CONTENT_FILES, CANVAS, secret=secret, **standard(body, secret.encode()))
    assert receiver.last()["standard_valid"] is False
    assert receiver.ended() == 0


def test_specification_vector(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature that Standard Webhooks prints as its example."""
    monkeypatch.syspath_prepend(str(PROGRAM.parent))
    from learn import signatures

    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert signatures.standard_refusal(secret, b'{"test": 2432232314}', headers, now=1614265331) is None


# Faults -------------------------------------------------------------------------------------------------------------


def test_status_fault(receiver: Receiver) -> None:
    """The next POSTs, and only POSTs, are answered so; then it is well again."""
    assert receiver.faults("status:503:2") == ["status:503:2"]
    assert receiver.post(CONTENT_FILES, CANVAS).status == 503
    assert (receiver.last()["status"], receiver.last()["faults"]) == (503, ["status:503"])
    assert (receiver.last()["effect"], receiver.last()["signature_valid"]) == (None, True)
    assert receiver.request("GET", CONTENT_FILES).status == 405
    assert [receiver.post(CONTENT_FILES, CANVAS).status for _ in range(2)] == [503, 200]


def test_retry_after(receiver: Receiver) -> None:
    """`Retry-After` in seconds, and as a date at least so far ahead."""
    receiver.faults("status:429:1:retry-after=1", "status:503:1:retry-after-date=5", "status:429:1")
    answer = receiver.post(CONTENT_FILES, CANVAS)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
    asked = time.time()
    answer = receiver.post(CONTENT_FILES, CANVAS)
    instant = email.utils.parsedate_to_datetime(answer.headers["Retry-After"])
    assert answer.status == 503 and answer.headers["Retry-After"].endswith("GMT")
    assert asked + 5 <= instant.timestamp() < asked + 10
    assert receiver.post(CONTENT_FILES, CANVAS).headers["Retry-After"] is None


def test_redirect_fault(receiver: Receiver) -> None:
    """A redirect points back at the receiver, where following it would show."""
    receiver.faults("status:307:1")
    answer = receiver.post(CONTENT_FILES, CANVAS)
    assert (answer.status, answer.headers["Location"]) == (307, "/__redirected__/")


def test_drop_fault(receiver: Receiver) -> None:
    """The request is processed and journaled, and the connection closes without an answer."""
    receiver.faults("drop:2")
    for _ in range(2):
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            receiver.post(CONTENT_FILES, CANVAS)
        entry = receiver.last()
        assert (entry["status"], entry["effect"]) == (200, "ingest_canvas_course")
        assert (entry["answered"], entry["faults"]) == (False, ["drop"])
    assert receiver.post(CONTENT_FILES, CANVAS).status == 200
    assert receiver.last()["answered"]


def test_delay_fault(receiver: Receiver) -> None:
    """A delay holds up one POST and no other, and goes together with a status."""
    receiver.faults("delay:0.5:1", "status:500:1")
    started = time.monotonic()
    assert receiver.post(CONTENT_FILES, CANVAS).status == 500
    assert time.monotonic() - started >= 0.5
    assert receiver.last()["faults"] == ["delay:0.5", "status:500"]
    assert receiver.last()["seconds"] >= 0.5
    assert receiver.post(CONTENT_FILES, CANVAS).status == 200
    assert receiver.last()["seconds"] < 0.5


def test_celery_down(receiver: Receiver) -> None:
    """500 on a valid content_files only: what is refused before, or needs no broker, is as ever."""
    assert receiver.faults("celery-down") == ["celery-down"]
    for _ in range(2):
        assert_server_error(receiver.post(CONTENT_FILES, CANVAS))
        assert receiver.last()["faults"] == ["celery-down"]
    assert receiver.post(CONTENT_FILES, b"{").status == 400
    assert receiver.post(CONTENT_FILES, {"source": "nope"}).status == 405
    assert receiver.post(OVS, VIDEO).status == 200
    assert receiver.faults() == []
    assert receiver.post(CONTENT_FILES, CANVAS).status == 200


def test_loader_error(receiver: Receiver) -> None:
    """500 on the upsert of that video only, as often as asked."""
    receiver.faults("loader-error:vid_abc123:1")
    assert receiver.post(OVS, VIDEO | {"key": "another"}).status == 200
    assert receiver.post(OVS, {"video_id": "vid_abc123", "delete": True}).status == 200
    assert_server_error(receiver.post(OVS, VIDEO))
    assert receiver.last()["faults"] == ["loader-error:vid_abc123"]
    assert receiver.post(OVS, VIDEO).status == 200


def test_control_path(receiver: Receiver) -> None:
    """Faults add up in order, are listed, are refused when they cannot be read, and never enter the journal."""
    before = len(receiver.entries())
    assert receiver.faults("status:503:3") == ["status:503:3"]
    assert receiver.faults("drop", "status:429:2:retry-after=1", clear=False) == [
        "status:503:3", "drop", "status:429:2:retry-after=1",
    ]  # fmt: skip
    assert len(receiver.request("GET", "/__control__/fault").json["faults"]) == 3
    for spec in (
        "status",
        "status:99",
        "status:503:0",
        "drop:x",
        "delay",
        "delay:-1",
        "delay:nan",
        "loader-error",
        "x",
        "drop:1:2",
    ):
        answer = receiver.request("POST", "/__control__/fault", json.dumps({"add": [spec]}).encode())
        assert (answer.status, spec in answer.json["detail"]) == (400, True)
    assert receiver.request("POST", "/__control__/fault", b"{").status == 400
    assert receiver.request("PUT", "/__control__/fault").status == 405
    assert len(receiver.request("GET", "/__control__/fault").json["faults"]) == 3
    assert len(receiver.entries()) == before


# The program --------------------------------------------------------------------------------------------------------


def test_learning_resources(tmp_path: pathlib.Path) -> None:
    """With the switch the route is there, and judges the least that a resource must say."""
    receiver = Receiver(tmp_path, "--with-learning-resources")
    resource = {"readable_id": "a", "title": "Café", "etl_source": "mit_climate", "resource_type": "document"}
    accepted: list[dict[str, Any]] = [{"resources": [resource]}, {"resources": []}]
    for payload in accepted:
        answer = receiver.post(RESOURCES, payload)
        assert (answer.status, answer.allow, answer.json) == (200, OF_THE_VIEW, ACCEPTED)
    assert receiver.last()["effect"] == "stored"
    refused: list[dict[str, Any]] = [{}, {"resources": {}}, {"resources": [resource | {"etl_source": "edxorg"}]}]
    for payload in refused:
        answer = receiver.post(RESOURCES, payload)
        assert (answer.status, set(answer.json)) == (400, {"resources", "error_type"})
    assert receiver.post(RESOURCES, b"{").body == b"Invalid JSON format"
    assert receiver.post(RESOURCES, {"resources": []}, secret="wrong").status == 405
    assert receiver.request("GET", RESOURCES).allow == {"POST"}
    assert receiver.ended() == 0


def test_secret_rotates_in_mid_flight(tmp_path: pathlib.Path) -> None:
    """The file is read at every request; while it is absent or empty the last secret holds."""
    file = tmp_path / "secret"
    file.write_text("first\n")
    receiver = Receiver(tmp_path, "--secret-file", str(file), secret=None)

    def statuses() -> list[int]:
        """What the first and the second secret get."""
        return [receiver.post(CONTENT_FILES, CANVAS, secret=secret).status for secret in ("first", "second")]

    assert statuses() == [200, 405]
    file.write_text("second")
    assert statuses() == [405, 200]
    file.write_text("")
    assert statuses() == [405, 200]
    file.unlink()
    assert statuses() == [405, 200]
    assert receiver.ended(signal.SIGINT) == 0


def test_ends_at_once_although_a_request_is_delayed(tmp_path: pathlib.Path) -> None:
    """A delay does not hold up the end; faults of the command line are in force from the start."""
    receiver = Receiver(tmp_path, "--fault", "delay:60:1", "--threads", "2")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        pending = pool.submit(receiver.post, CONTENT_FILES, CANVAS)
        time.sleep(0.5)
        started = time.monotonic()
        assert receiver.ended() == 0
        assert time.monotonic() - started < 5
        assert pending.exception(timeout=5) is None or isinstance(
            pending.exception(), (OSError, http.client.HTTPException)
        )


def test_journal_survives_a_kill(tmp_path: pathlib.Path) -> None:
    """What was answered is in the journal after SIGKILL; a torn line is cut off, and the count goes on."""
    receiver = Receiver(tmp_path)
    for _ in range(3):
        receiver.post(CONTENT_FILES, CANVAS)
    assert receiver.ended(signal.SIGKILL) == -signal.SIGKILL
    with receiver.journal.open("a") as file:
        file.write('{"sequence": 4, "at"')
    receiver = Receiver(tmp_path)
    receiver.post(CONTENT_FILES, CANVAS)
    assert [entry["sequence"] for entry in receiver.entries()] == [1, 2, 3, 4]
    assert receiver.ended() == 0


@pytest.mark.parametrize("options", [["--secret", "s", "--fault", "earthquake"], [], ["--secret-file", "/nowhere"]])
def test_refuses_to_start(tmp_path: pathlib.Path, options: list[str]) -> None:
    """A fault that cannot be read, or no secret, is said on stderr and ends it with 2."""
    command = [sys.executable, str(PROGRAM), "--journal", str(tmp_path / "journal"), *options]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.strip()


def test_listens_on_loopback_only(receiver: Receiver) -> None:
    """The one socket it listens on is bound to 127.0.0.1."""
    listening = []
    for table in ("tcp", "tcp6"):
        for line in pathlib.Path(f"/proc/{receiver.process.pid}/net/{table}").read_text().splitlines()[1:]:
            address, port = line.split()[1].rsplit(":", 1)
            if int(port, 16) == receiver.port and line.split()[3] == "0A":
                listening.append(address)
    assert listening == ["0100007F"]
