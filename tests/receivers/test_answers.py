"""The receiver answers as MIT Learn does, row by row of the contract's response table."""

import base64
import json
from typing import Any

import pytest
from client import (
    ACCEPTED,
    CANVAS,
    CONTENT_FILES,
    DELETE,
    NOT_ALLOWED,
    OF_THE_HANDLER,
    OF_THE_VIEW,
    OVS,
    RESOURCES,
    SECRET,
    VIDEO,
    Receiver,
    assert_server_error,
    signature,
)


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
