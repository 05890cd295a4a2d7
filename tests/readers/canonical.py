"""The text Postgres shows for a value, rebuilt from the typed value an Iceberg reader returns.

Nothing here is shared with the engine under test: the rules are those of the server's own output functions
(`numeric_out`, `float8out`, `timestamptz_out`, `array_out`, …) under the session settings that `source.py` makes,
written a second time. A value for which the two texts are equal is stored exactly.
"""

import decimal
import json
import math
import re
import struct

import pyarrow as pa
import pyarrow.compute as pc

MICROSECONDS_A_DAY = 86_400_000_000
DAYS_FROM_YEAR_ONE_TO_1970 = 719_162
# What array_out quotes: its delimiter is added by `list_texts`. The blanks are those of `array_isspace`.
QUOTED_IN_ARRAY = r'["\\{}\s]'


class Unknown(Exception):
    """A type of the lake for which no text is known; the reader must not guess."""


def texts(values: pa.Array, delimiter: str = ",") -> list:
    """The canonical text of every value, None for NULL.

    `delimiter` is what separates the elements of an array of the source's element type (`;` for box).
    """
    if isinstance(values, pa.ExtensionArray):
        return uuid_texts(values.storage) if "uuid" in str(values.type) else texts(values.storage)
    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return values.to_pylist()
    if pa.types.is_boolean(kind):
        return [None if v is None else "t" if v else "f" for v in values.to_pylist()]
    if pa.types.is_integer(kind):
        return pc.cast(values, pa.string()).to_pylist()
    if pa.types.is_decimal(kind):
        return [None if v is None else decimal_text(v) for v in values.to_pylist()]
    if pa.types.is_floating(kind):
        widths = {32: ("<f", "<I", 6), 64: ("<d", "<Q", 15)}
        shortest = pc.cast(values, pa.string()).to_pylist()
        return [
            None if v is None else float_text(v, digits, *widths[kind.bit_width])
            for v, digits in zip(values.to_pylist(), shortest)
        ]
    if pa.types.is_date32(kind):
        return [None if v is None else date_text(v) for v in pc.cast(values, pa.int32()).to_pylist()]
    if pa.types.is_timestamp(kind):
        in_microseconds = pc.cast(values, pa.timestamp("us", tz=kind.tz))
        suffix = "" if kind.tz is None else "+00"
        return [
            None if v is None else timestamp_text(v, suffix)
            for v in pc.cast(in_microseconds, pa.int64()).to_pylist()
        ]
    if pa.types.is_time64(kind):
        in_microseconds = pc.cast(values, pa.time64("us"))
        return [None if v is None else time_text(v) for v in pc.cast(in_microseconds, pa.int64()).to_pylist()]
    if pa.types.is_fixed_size_binary(kind) and kind.byte_width == 16:
        return uuid_texts(values)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return [None if v is None else "\\x" + v.hex() for v in values.to_pylist()]
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return list_texts(values, delimiter)
    raise Unknown(f"no canonical text for the lake's type {kind}")


def uuid_texts(values: pa.Array) -> list:
    """`uuid_out` of 16 bytes."""
    shown = []
    for value in values.to_pylist():
        if value is None:
            shown.append(None)
        else:
            digits = value.hex()
            shown.append(f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}")
    return shown


def decimal_text(value: decimal.Decimal) -> str:
    """`numeric_out`: all digits of the scale, never an exponent."""
    return format(value, "f")


def float_text(value: float, shortest: str, as_float: str, as_bits: str, fixed_below: int) -> str:
    """`float4out`/`float8out` with `extra_float_digits` above 0: shortest digits that read back the same bits.

    The server writes the value out in full while the exponent is at least -4 and below `fixed_below` (15 for
    double precision, 6 for real). `shortest` is any text with the shortest digits; `as_float` and `as_bits` are the
    formats of `struct` for the type.
    """
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    sign, digits, exponent = decimal.Decimal(shortest).as_tuple()
    minus = "-" if sign else ""
    figures = "".join(map(str, digits)).lstrip("0")
    if not figures:
        return minus + "0"
    stripped = figures.rstrip("0")
    exponent += len(figures) - len(stripped)
    if exponent > 0:
        stripped, exponent = inside_interval(abs(value), stripped, exponent, as_float, as_bits)
    scientific = exponent + len(stripped) - 1
    if -4 <= scientific < fixed_below:
        if exponent >= 0:
            return minus + stripped + "0" * exponent
        if scientific >= 0:
            return minus + stripped[: scientific + 1] + "." + stripped[scientific + 1 :]
        return minus + "0." + "0" * (-scientific - 1) + stripped
    mantissa = stripped if len(stripped) == 1 else stripped[0] + "." + stripped[1:]
    return f"{minus}{mantissa}e{'-' if scientific < 0 else '+'}{abs(scientific):02d}"


def inside_interval(value: float, figures: str, exponent: int, as_float: str, as_bits: str) -> tuple:
    """The shortest figures that lie strictly inside the interval that reads back as `value`.

    Other printers take a number half-way between two floats when reading it rounds to the right one; the server does
    not. Only a large number has so short a neighbour: below it the figures are already exact.
    """
    (bits,) = struct.unpack(as_bits, struct.pack(as_float, value))
    exact = int(value)
    halfway = set()
    for neighbour in (bits - 1, bits + 1):
        (other,) = struct.unpack(as_float, struct.pack(as_bits, neighbour))
        if not math.isinf(other):
            halfway.add(exact + int(other))
    while 2 * int(figures) * 10**exponent in halfway:
        mantissa, power = f"{decimal.Decimal(exact):.{len(figures)}e}".split("e")
        figures = mantissa.replace(".", "")
        exponent = int(power) - len(figures) + 1
    stripped = figures.rstrip("0")
    return stripped, exponent + len(figures) - len(stripped)


def year_month_day(days: int) -> tuple:
    """The proleptic Gregorian date of `days` since 1970-01-01; year 0 is 1 BC."""
    shifted = days + DAYS_FROM_YEAR_ONE_TO_1970 + 306
    era, day_of_era = divmod(shifted, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * month_from_march + 2) // 5 + 1
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    return year_of_era + era * 400 + (month <= 2), month, day


def date_and_era(days: int) -> tuple:
    """`YYYY-MM-DD` and the suffix of the era, as the server writes them."""
    year, month, day = year_month_day(days)
    if year > 0:
        return f"{year:04d}-{month:02d}-{day:02d}", ""
    return f"{1 - year:04d}-{month:02d}-{day:02d}", " BC"


def date_text(days: int) -> str:
    """`date_out` in ISO style."""
    date, era = date_and_era(days)
    return date + era


def time_text(microseconds: int) -> str:
    """`time_out`: the fraction without trailing zeros, and none where it is zero."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    shown = f"{hour:02d}:{minute:02d}:{second:02d}"
    return shown if fraction == 0 else f"{shown}.{fraction:06d}".rstrip("0")


def timestamp_text(microseconds: int, suffix: str) -> str:
    """`timestamp_out`/`timestamptz_out` in ISO style; `suffix` is the offset, which precedes the era."""
    days, of_day = divmod(microseconds, MICROSECONDS_A_DAY)
    date, era = date_and_era(days)
    return f"{date} {time_text(of_day)}{suffix}{era}"


def elements(delimiter: str):
    """How `array_out` writes an element, as a function of its text."""
    needs_quotes = re.compile(QUOTED_IN_ARRAY.replace("]", re.escape(delimiter) + "]"), re.ASCII)

    def element(shown) -> str:
        if shown is None:
            return "NULL"
        if shown == "" or shown.lower() == "null" or needs_quotes.search(shown):
            return '"' + shown.replace("\\", "\\\\").replace('"', '\\"') + '"'
        return shown

    return element


def list_texts(values: pa.Array, delimiter: str) -> list:
    """`array_out` of one-dimensional arrays that start at 1."""
    element = elements(delimiter)
    offsets = values.offsets.to_pylist()
    first, last = offsets[0], offsets[-1]
    written = [element(shown) for shown in texts(values.values.slice(first, last - first), delimiter)]
    return [
        "{" + delimiter.join(written[start - first : end - first]) + "}" if valid else None
        for start, end, valid in zip(offsets, offsets[1:], values.is_valid().to_pylist())
    ]


def json_array_texts(values: list, delimiter: str) -> list:
    """`array_out` of arrays that the lake keeps as JSON text, which its contract says of several dimensions."""
    element = elements(delimiter)

    def written(node) -> str:
        if isinstance(node, list):
            return "{" + delimiter.join(map(written, node)) + "}"
        if isinstance(node, dict):
            raise Unknown("no canonical text for an object in an array of several dimensions")
        return element(("f", "t")[node] if isinstance(node, bool) else node)

    def literal(text):
        if text is None or not text.startswith("["):
            return text
        try:
            return written(json.loads(text, parse_int=str, parse_float=str))
        except json.JSONDecodeError:
            return text  # an array literal with its bounds: [0:1]={…}

    return [literal(text) for text in values]
