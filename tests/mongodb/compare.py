#!/usr/bin/env python3
"""Compares a collection with its table in the lake, document by document, as PyMongo, PyIceberg and DuckDB see them.

    compare.py (--url URL --database D --collection C | --zoo) --catalog sqlite:PATH --namespace N --table RAW_TABLE

Of every document: the text of `_ol_document` reads back as the very bytes, the key's text is the one that is promised, and
every column holds the value, or is NULL and `_ol_odd` has its text, or has no value to hold. Prints a summary as JSON.
"""

import argparse
import collections
import datetime
import decimal
import json
import math
import sys

import bson
import pyarrow as pa
import pymongo
from bson import Binary, Decimal128, Int64, ObjectId, json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.raw_bson import RawBSONDocument
from bson.son import SON

import zoo
from lake import Lake

OPTIONS = CodecOptions(document_class=SON, datetime_conversion=DatetimeConversion.DATETIME_MS)
CANONICAL = json_util.JSONOptions(
    json_mode=json_util.JSONMode.CANONICAL, document_class=SON, datetime_conversion=DatetimeConversion.DATETIME_MS
)
RELAXED = json_util.JSONOptions(
    json_mode=json_util.JSONMode.RELAXED, document_class=SON, datetime_conversion=DatetimeConversion.DATETIME_MS
)
UNDEFINED = object()


class Different(Exception):
    """What does not agree."""


def main() -> int:
    """Compares, and says what differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url")
    parser.add_argument("--database")
    parser.add_argument("--collection")
    parser.add_argument("--zoo", action="store_true")
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--table", required=True)
    arguments = parser.parse_args()
    found = zoo.entries() if arguments.zoo else collection(arguments)
    lake = Lake(arguments.catalog, arguments.namespace)
    summary = {"documents": len(found)}
    for reader in ("pyiceberg", "duckdb"):
        try:
            summary[reader] = compare(found, lake, reader, arguments.table)
        except Different as different:
            print(f"{reader}: {different}", file=sys.stderr)
            return 1
    print(json.dumps(summary))
    return 0


def collection(arguments) -> list:
    """The documents of a collection, as bytes."""
    client = pymongo.MongoClient(arguments.url, directConnection=True, serverSelectionTimeoutMS=2_000)
    options = CodecOptions(document_class=RawBSONDocument)
    cursor = client[arguments.database].get_collection(arguments.collection, codec_options=options).find()
    return [zoo.Entry(document.raw) for document in cursor]


def compare(entries: list, lake: Lake, reader: str, table: str) -> dict:
    """Compares all rows that a reader sees; counts what was compared."""
    batches = lake.batches(reader, table)
    names = next(batches)
    table = pa.Table.from_batches(list(batches)).rename_columns(names)
    rows = {}
    for row in table.to_pylist():
        if row["_id"] in rows:
            raise Different(f"the key {row['_id']!r} occurs twice")
        rows[row["_id"]] = row
    if len(rows) != len(entries):
        raise Different(f"{len(rows)} rows of {len(entries)} documents")
    counts = collections.Counter()
    for entry in entries:
        compare_document(entry, rows, counts)
    return dict(counts)


def compare_document(entry, rows: dict, counts):
    """One document with its row."""
    pairs = elements(entry.raw)
    key = key_text(pairs["_id"][0])
    if key not in rows:
        raise Different(f"there is no row with the key {key!r}")
    row = rows[key]
    odd = dict(row["_ol_odd"] or [])
    compare_text(entry, row["_ol_document"], odd.pop("_ol_document", None), key)
    counts["documents"] += 1
    for column, stored in row.items():
        if column == "_id" or column.startswith("_ol_"):
            continue
        values = pairs.get(column, [])
        told = odd.pop(column, None)
        if not values or values == [None]:
            expect(stored is None and told is None, key, column, "something where nothing is")
        elif told is not None:
            expect(stored is None, key, column, "a value beside its odd text")
            compare_odd(values, told, key, column)
            counts["odd"] += 1
        else:
            expect(len(values) == 1 and is_same(stored, values[0]), key, column, f"{stored!r} of {values!r:.200}")
            counts["values"] += 1
    expect(not odd, key, str(odd), "odd values of no column")


def expect(is_so: bool, key: str, column: str, what: str):
    """Raises what is wrong."""
    if not is_so:
        raise Different(f"{key!r}, {column!r}: {what}")


def elements(raw: bytes) -> dict:
    """The values of a document by name; a name may have several."""
    found = collections.defaultdict(list)
    start = 4
    while raw[start] != 0:
        end = raw.index(b"\0", start + 1)
        length = value_length(raw, raw[start], end + 1)
        name = raw[start + 1 : end]
        value = raw[end + 1 : end + 1 + length]
        found[name.decode("utf-8", "surrogateescape")].append(decoded(raw[start], value))
        start = end + 1 + length
    return found


def value_length(raw: bytes, kind: int, start: int) -> int:
    """How long a value is."""
    fixed = {1: 8, 6: 0, 7: 12, 8: 1, 9: 8, 10: 0, 16: 4, 17: 8, 18: 8, 19: 16, 127: 0, 255: 0}
    if kind in fixed:
        return fixed[kind]
    if kind == 11:
        pattern = raw.index(b"\0", start)
        return raw.index(b"\0", pattern + 1) + 1 - start
    length = int.from_bytes(raw[start : start + 4], "little")
    return length + {2: 4, 13: 4, 14: 4, 5: 5, 12: 16, 3: 0, 4: 0, 15: 0}[kind]


def decoded(kind: int, value: bytes):
    """A value as PyMongo reads it; bytes where it cannot."""
    body = bytes([kind]) + b"v\0" + value
    document = (len(body) + 5).to_bytes(4, "little") + body + b"\0"
    try:
        read = bson.decode(document, codec_options=OPTIONS)["v"]
    except bson.errors.InvalidBSON:
        return value
    if kind == 6:
        return UNDEFINED  # what PyMongo reads as nothing
    return read


def key_text(value) -> str:
    """The text that the contract promises for a key."""
    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, str):
        is_id = len(value) == 24 and all(character in "0123456789abcdef" for character in value)
        if is_id or value[:1] in ("{", "[", '"') or value in ("true", "false", "null"):
            return json.dumps(value, ensure_ascii=False)
        return value
    return json_util.dumps(value, json_options=CANONICAL, separators=(",", ":"))


def compare_text(entry, text, odd, key: str):
    """The document's text reads back as the document."""
    if entry.text == "":
        expect(text is None and odd == "\\x" + entry.raw.hex(), key, "_ol_document", "not the bytes")
    elif entry.text is not None:
        expect(text == entry.text and odd is None, key, "_ol_document", f"{text!r} instead of {entry.text!r}")
    else:
        expect(odd is None and text is not None, key, "_ol_document", "no text")
        read = bson.encode(json_util.loads(text, json_options=CANONICAL), codec_options=OPTIONS)
        same = read == entry.raw or is_same_but_for_noise(read, entry.raw)
        expect(same, key, "_ol_document", f"the text is that of another document: {text:.200}")


def is_same_but_for_noise(read: bytes, raw: bytes) -> bool:
    """Whether only the coefficient of a decimal that has none differs: too large a one is zero."""
    mine, its = bson.decode(read, codec_options=OPTIONS), bson.decode(raw, codec_options=OPTIONS)
    same = [name for name in mine if mine[name] == its.get(name) or str(mine[name]) == str(its.get(name))]
    return len(same) == len(mine) == len(its)


def compare_odd(values: list, told: str, key: str, column: str):
    """The text beside a column is the value's."""
    if told.startswith("\\x"):
        expect(values[0] if isinstance(values[0], bytes) else False, key, column, "bytes of a value that has text")
        expect(values[0].hex() == told[2:], key, column, "not the value's bytes")
        return
    read = json_util.loads(f'{{"v": {told}}}', json_options=CANONICAL)["v"]
    expected = values if len(values) > 1 else values[0]
    same = bson.encode({"v": read}, codec_options=OPTIONS) == bson.encode({"v": expected}, codec_options=OPTIONS)
    expect(same, key, column, f"{told!r:.200} instead of {expected!r:.200}")


def is_same(stored, value) -> bool:
    """Whether a column's value is a document's."""
    if value is UNDEFINED:
        return stored == '{"$undefined":true}'
    if isinstance(stored, str):
        return stored == shown(value) or is_same_json(stored, value)
    if isinstance(stored, bool) or isinstance(value, bool):
        return stored is value
    if isinstance(stored, datetime.datetime):
        return isinstance(value, DatetimeMS) and zoo.moment(int(value)) == stored
    if isinstance(stored, bytes):
        return bytes(value) == stored
    if isinstance(stored, float):
        same_sign = isinstance(value, Int64 | int) or math.copysign(1, stored) == math.copysign(1, value)
        return (math.isnan(stored) and math.isnan(value)) or (stored == value and same_sign)
    if isinstance(stored, int):
        return stored == value and not (isinstance(value, float) and math.copysign(1, value) < 0 and value == 0)
    if isinstance(stored, decimal.Decimal):
        exact = value.to_decimal() if isinstance(value, Decimal128) else decimal.Decimal(int(value))
        return stored == exact
    return False


def shown(value) -> str:
    """A value as the contract shows it in a column of text."""
    if isinstance(value, str | ObjectId | Decimal128):
        return str(value)
    if isinstance(value, DatetimeMS) and (at := zoo.moment(int(value))):
        return at.strftime("%Y-%m-%dT%H:%M:%S.").zfill(20) + f"{at.microsecond // 1000:03}Z"
    return ""


def is_same_json(stored: str, value) -> bool:
    """Whether a text is the relaxed extended JSON of a value."""
    if isinstance(value, float) and not math.isfinite(value):
        return stored == {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}[str(value)]
    try:
        read = json_util.loads(f'{{"v": {stored}}}', json_options=RELAXED)["v"]
    except (ValueError, TypeError):
        return False
    text = json_util.dumps({"v": value}, json_options=RELAXED)
    expected = json_util.loads(text, json_options=RELAXED)["v"]
    return bson.encode({"v": read}, codec_options=OPTIONS) == bson.encode({"v": expected}, codec_options=OPTIONS)


if __name__ == "__main__":
    sys.exit(main())
