"""The zoo of BSON: documents with every type and adversarial values, as bytes, made by PyMongo or by hand.

By hand is what no driver writes any more, or never did: names that occur twice, text that is not UTF-8, old types. For those
the expected canonical text is written out, after the examples of the specification ("MongoDB Extended JSON (v2)").
"""

import dataclasses
import datetime
import struct

import bson
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

OID = ObjectId("0123456789abcdef01234567")


@dataclasses.dataclass
class Entry:
    """A document's bytes; its canonical text where PyMongo cannot tell it."""

    raw: bytes
    text: str | None = None


def element(kind: int, name: bytes, value: bytes = b"") -> bytes:
    """One element."""
    return bytes([kind]) + name + b"\0" + value


def text_value(value: bytes) -> bytes:
    """A string as a value."""
    return struct.pack("<i", len(value) + 1) + value + b"\0"


def by_hand(key: str, *elements: bytes) -> bytes:
    """A document with this key and these elements."""
    body = element(2, b"_id", text_value(key.encode())) + b"".join(elements)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def nested(depth: int):
    """Documents in documents."""
    inner = {"end": 1}
    for _ in range(depth):
        inner = {"a": [inner]}
    return inner


def made() -> list:
    """What PyMongo can write and read back."""
    doubles = [0.0, -0.0, 1.5, 0.1, 1e300, 5e-324, 1.7976931348623157e308, float("inf"), float("-inf"), float("nan"), 2.0**53]
    longs = [0, -1, 2**31, -(2**31) - 1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]
    moments = [0, -1, 1, 253_402_300_799_999, 253_402_300_800_000, -62_135_596_800_000, -62_135_596_800_001, 2**63 - 1, -(2**63)]
    decimals = ["0", "-0", "1.50", "1E+3", "NaN", "Infinity", "-Infinity", "9.999999999999999999999999999999999E+6144",
                "1E-6176", "0E+6111", "123456789012345678901234567890.1234", "0.000001", "1E-7"]
    texts = ["", "plain", "é", "\U0001f600", "\0", "a\0b", '"\\/\b\f\n\r\t', "\u2028", "\ufeff", "NaN", "null", "x" * 70_000]
    blobs = [Binary(b"", kind) for kind in (0, 1, 2, 5, 128)] + [Binary(bytes(range(256)), 0), Binary(b"\1\2", 2)]
    uuids = [Binary(bytes(range(16)), 4), Binary(bytes(range(16)), 3)]
    documents = []
    for field, values in [
        ("double", doubles), ("long", [Int64(it) for it in longs]), ("int", [0, -1, 2**31 - 1, -(2**31)]),
        ("date", [DatetimeMS(it) for it in moments]), ("decimal", [Decimal128(it) for it in decimals]),
        ("text", texts), ("blob", blobs), ("uuid", uuids), ("flag", [True, False]), ("oid", [OID, ObjectId(b"\0" * 12)]),
        ("regex", [Regex("^a/\"b\\.*$", "imx"), Regex("", "")]),
        ("code", [Code("function(){}"), Code("x", {"y": Int64(1), "z": {"a": None}})]),
        ("stamp", [Timestamp(0, 0), Timestamp(2**32 - 1, 2**32 - 1)]),
        ("least", [MinKey()]), ("greatest", [MaxKey()]), ("nothing", [None]),
        ("list", [[], [1, "a", None, [2.0, Int64(3)], {}], [DatetimeMS(1)]]),
        ("inner", [{}, {"": {"": ""}}, {"a.b": 1, "$c": 2, "d$": 3}, nested(45), {"ref": DBRef("users", OID)}]),
    ]:
        documents += [{"_id": f"{field} {number}", field: value} for number, value in enumerate(values)]
    mixed = [1, Int64(2**62), 1.5, "text", True, None, OID, DatetimeMS(0), DatetimeMS(2**62), [1], {"a": 1}, Binary(b"x"),
             Decimal128("1.0"), Timestamp(1, 2), MinKey(), Regex("a"), -0.0, float("nan")]
    documents += [{"_id": f"mixed {number}", "mixed": value} for number, value in enumerate(mixed)]
    numbers = [1, Int64(2**53 + 1), 2.5, Int64(-5), float("nan"), Int64(-(2**53))]
    documents += [{"_id": f"number {number}", "number": value} for number, value in enumerate(numbers)]
    keys = [OID, str(OID), 7, Int64(7000), 7.5, "7", True, "true", None, "null", '{"$oid":"x"}', '"', "[", "", {"a": 1, "b": 2},
            DatetimeMS(5), Binary(b"k"), Decimal128("7.10"), Timestamp(1, 1), MinKey(), MaxKey(), Binary(bytes(16), 4), "é", " "]
    documents += [{"_id": key, "key": True} for key in keys]
    documents += [
        {"_id": "names", "": 1, "a.b": 2, "$set": 3, "with space": 4, 'quote"': 5, "é": 6, "new\nline": 7, "Case": 8, "case": 9,
         "_ol_position": 10, "x" * 300: 11},
        {"_id": "wide", **{f"wide_{number:03}": number for number in range(600)}},
        {"_id": "large", "text": "ü" * 3_000_000, "list": list(range(100_000))},
        {"_id": "only a key"},
    ]
    return documents


def entries() -> list:
    """All documents of the zoo."""
    found = [Entry(bson.encode(document)) for document in made()]
    number = struct.pack("<i", 1)
    found += [
        Entry(by_hand("twice", element(16, b"int", number), element(2, b"int", text_value(b"b"))),
              '{"_id":"twice","int":{"$numberInt":"1"},"int":"b"}'),
        Entry(by_hand("undefined", element(6, b"old")), '{"_id":"undefined","old":{"$undefined":true}}'),
        Entry(by_hand("symbol", element(14, b"old", text_value(b"s"))), '{"_id":"symbol","old":{"$symbol":"s"}}'),
        Entry(by_hand("pointer", element(12, b"old", text_value(b"db.users") + OID.binary)),
              '{"_id":"pointer","old":{"$dbPointer":{"$ref":"db.users","$id":{"$oid":"0123456789abcdef01234567"}}}}'),
        # The coefficient is too large for 34 digits, which makes it zero.
        Entry(by_hand("decimal", element(19, b"decimal", b"\xff" * 14 + struct.pack("<H", 0x6C0F))), None),
        Entry(by_hand("not utf-8", element(2, b"text", text_value(b"a\xff"))), ""),
        Entry(by_hand("not a name", element(16, b"\xff", number)), ""),
    ]
    return found


def moment(milliseconds: int):
    """The instant, if it is in the years that readers of a lake show."""
    if not -62_135_596_800_000 <= milliseconds <= 253_402_300_799_999:
        return None
    return datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC) + datetime.timedelta(milliseconds=milliseconds)
