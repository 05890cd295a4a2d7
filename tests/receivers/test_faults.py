"""The receiver fails when it is told to."""

import email.utils
import http.client
import json
import time

import pytest
from client import CANVAS, CONTENT_FILES, OVS, VIDEO, Receiver, assert_server_error


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
