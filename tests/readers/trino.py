"""Trino as a reader of the lake: what its HTTP protocol shows of a table's rows, as Arrow.

The variable OL_TRINO names a server and the catalog of it in which the lake's tables are: `http://127.0.0.1:8080/ol`.
Rows come as JSON in which most values are texts; the table's own Arrow schema says what each of them is.
"""

import base64
import decimal
import json
import os
import re
import time
import urllib.error
import urllib.request
import uuid

import pyarrow as pa

PLACE = "OL_TRINO"
TRIES = 5
BATCH_ROWS = 20_000
DATE = re.compile(r"([+-]?\d+)-(\d\d)-(\d\d)")
TIME = re.compile(r"(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})\d*)?")
MICROSECONDS_A_DAY = 86_400_000_000


class TrinoFailed(Exception):
    """What Trino says of a table that it cannot read."""


class Trino:
    """A catalog of a running server."""

    def __init__(self):
        place = os.environ.get(PLACE)
        if not place:
            raise TrinoFailed(f"{PLACE} does not say where a server and its catalog are")
        self.server, self.catalog = place.rsplit("/", 1)

    def batches(self, namespace: str, raw_table: str, schema: pa.Schema):
        """Arrow batches of the table, its columns in the order of the schema."""
        kinds = [plain(field.type) for field in schema]
        parsers = [parser(kind) for kind in kinds]
        columns = ", ".join(quoted(field.name) for field in schema)
        pending = []
        for rows in self.pages(f"SELECT {columns} FROM {quoted(self.catalog)}.{quoted(namespace)}.{quoted(raw_table)}"):
            pending += rows
            if len(pending) >= BATCH_ROWS:
                yield batch(pending, kinds, parsers)
                pending = []
        if pending:
            yield batch(pending, kinds, parsers)

    def pages(self, sql: str):
        """The rows of a query, page by page, each value as the protocol's JSON has it."""
        page = self.asked(f"{self.server}/v1/statement", sql.encode())
        while True:
            if "error" in page:
                raise TrinoFailed(f"{page['error'].get('errorName')}: {page['error'].get('message')}")
            yield page.get("data") or []
            if "nextUri" not in page:
                return
            page = self.asked(page["nextUri"])

    def asked(self, address: str, body: bytes | None = None) -> dict:
        """One request; a server that is busy says so and is asked again."""
        headers = {"X-Trino-User": "readers", "X-Trino-Time-Zone": "UTC"}
        # Without it a client is taken for an old one that knows milliseconds alone.
        headers["X-Trino-Client-Capabilities"] = "PARAMETRIC_DATETIME"
        for attempt in range(TRIES):
            try:
                request = urllib.request.Request(address, body, headers)
                with urllib.request.urlopen(request, timeout=120) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code not in (429, 502, 503, 504) or attempt == TRIES - 1:
                    raise
            time.sleep(0.2)
        raise AssertionError("the last try returns or raises")

    def version(self) -> str:
        """The server's version."""
        return self.asked(f"{self.server}/v1/info")["nodeVersion"]["version"]


def quoted(name: str) -> str:
    """A name as SQL takes any."""
    return '"' + name.replace('"', '""') + '"'


def batch(rows: list, kinds: list, parsers: list) -> pa.RecordBatch:
    """Rows of JSON values as a batch, its columns named by their places."""
    arrays = [
        pa.array([None if row[place] is None else parse(row[place]) for row in rows], kind)
        for place, (kind, parse) in enumerate(zip(kinds, parsers))
    ]
    return pa.RecordBatch.from_arrays(arrays, names=[f"c{place}" for place in range(len(kinds))])


def plain(kind: pa.DataType) -> pa.DataType:
    """The type with its storage instead of an extension, at any depth."""
    if isinstance(kind, pa.BaseExtensionType):
        return kind.storage_type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(plain(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(plain(kind.key_type), plain(kind.item_type))
    return kind


def parser(kind: pa.DataType):
    """What makes of a JSON value one that Arrow takes for the type; an unknown type must not be guessed."""
    types = pa.types
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_string(kind) or types.is_large_string(kind):
        return lambda value: value
    if types.is_floating(kind):
        return float  # NaN and the infinities are texts
    if types.is_decimal(kind):
        return decimal.Decimal
    if types.is_date32(kind):
        return days
    if types.is_time64(kind):
        return microseconds
    if types.is_timestamp(kind):
        return instant
    if types.is_fixed_size_binary(kind) and kind.byte_width == 16:
        return lambda value: uuid.UUID(value).bytes
    if types.is_binary(kind) or types.is_large_binary(kind):
        return base64.b64decode
    if types.is_list(kind):
        element = optional(kind.value_type)
        return lambda values: [element(value) for value in values]
    if types.is_map(kind):
        key, item = parser(kind.key_type), optional(kind.item_type)
        return lambda pairs: [(key(name), item(value)) for name, value in pairs.items()]
    raise TrinoFailed(f"a value of Trino for the type {kind} is not known")


def optional(kind: pa.DataType):
    """The same for values that may be NULL."""
    parse = parser(kind)
    return lambda value: None if value is None else parse(value)


def days(text: str) -> int:
    """Days since 1970-01-01 of a proleptic Gregorian date of any year."""
    year, month, day = map(int, DATE.fullmatch(text).groups())
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def microseconds(text: str) -> int:
    """Microseconds since midnight."""
    hour, minute, second, fraction = TIME.fullmatch(text).groups()
    return ((int(hour) * 60 + int(minute)) * 60 + int(second)) * 1_000_000 + int((fraction or "0").ljust(6, "0"))


def instant(text: str) -> int:
    """Microseconds since the epoch of `DATE TIME`, with or without the name of UTC."""
    date, time_of_day = text.removesuffix(" UTC").split(" ")
    return days(date) * MICROSECONDS_A_DAY + microseconds(time_of_day)
