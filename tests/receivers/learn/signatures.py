"""The two signatures a request may carry: MIT Learn's own header, and Standard Webhooks.

Learn's: lower-case hexadecimal HMAC-SHA256 over the raw body, keyed with the UTF-8 bytes of the whole secret.
Standard Webhooks: base64 HMAC-SHA256 over `id.timestamp.body`, keyed with what follows `whsec_` decoded from base64, or
with the UTF-8 bytes of a secret that has no such prefix; several signatures may be given and one match is enough.
"""

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Mapping

HEADER = "x-mitlearn-signature"
STANDARD_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")
STANDARD_PREFIX = "whsec_"
TOLERANCE_SECONDS = 300


def matches(secret: str, body: bytes, signature: str) -> bool:
    """Whether the signature is Learn's; raises TypeError when it is not ASCII, as comparing two `str` there does."""
    return hmac.compare_digest(hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(), signature)


def valid(secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    """Whether the headers hold a good Learn signature; never raises."""
    try:
        return HEADER in headers and matches(secret, body, headers[HEADER])
    except TypeError:
        return False


def standard_refusal(secret: str, body: bytes, headers: Mapping[str, str], now: float | None = None) -> str | None:
    """Why the Standard Webhooks headers do not verify, or None when they do."""
    absent = [name for name in STANDARD_HEADERS if not headers.get(name)]
    if absent:
        return f"absent: {', '.join(absent)}"
    message_id, timestamp, signatures = (headers[name] for name in STANDARD_HEADERS)
    if not (timestamp.isascii() and timestamp.isdigit()):
        return "the timestamp is not a whole number of seconds"
    late = (time.time() if now is None else now) - int(timestamp)
    if abs(late) > TOLERANCE_SECONDS:
        return f"the timestamp is {abs(late):.0f} s in the {'past' if late > 0 else 'future'}"
    try:
        key = standard_key(secret)
    except binascii.Error:
        return "the secret's part after whsec_ is not base64"
    message = message_id.encode("latin-1") + b"." + timestamp.encode() + b"." + body
    expected = base64.b64encode(hmac.new(key, message, hashlib.sha256).digest())
    for signature in signatures.split(" "):
        version, _, value = signature.partition(",")
        if version == "v1" and hmac.compare_digest(expected, value.encode("latin-1")):
            return None
    return "no v1 signature matches"


def standard_key(secret: str) -> bytes:
    """The bytes that key a Standard Webhooks signature."""
    if secret.startswith(STANDARD_PREFIX):
        return base64.b64decode(secret[len(STANDARD_PREFIX) :], validate=True)
    return secret.encode()
