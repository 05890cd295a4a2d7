"""The signature of Standard Webhooks, which the receiver judges beside the one of today."""

import base64
import json
import pathlib
import time
from typing import Any

import pytest
from client import CANVAS, CONTENT_FILES, PROGRAM, SECRET, Receiver, signature, standard


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
