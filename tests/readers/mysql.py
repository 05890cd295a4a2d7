"""A MySQL or MariaDB source as it shows itself, read through the server's own client program.

Every value is asked for as hexadecimal digits of the server's text of it, so nothing depends on how a client prints
text, NULL or bytes. What the lake's readers say of a typed value (`canonical.py`) has one form for all sources; the
texts of this server are brought into it here, and only those of values that the lake can hold.
"""

import datetime
import decimal
import itertools
import os
import subprocess
import urllib.parse

import pyarrow as pa

import canonical
from source import CHUNK_BYTES, CHUNK_ROWS, Column

SETTINGS = (
    "SET SESSION time_zone = '+00:00', sql_mode = '', character_set_client = utf8mb4, character_set_results = utf8mb4, "
    "collation_connection = utf8mb4_bin, sql_select_limit = 18446744073709551615"
    "/*M! , max_statement_time = 0 */ /*!80000 , max_execution_time = 0 */"  # MariaDB reads the first, MySQL the second.
)
BYTES = {"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "vector"}
SPATIAL = {
    "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
    "geometrycollection", "geomcollection",
}  # fmt: skip
TEXTS = {"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "json"}
WHOLE = {"tinyint", "smallint", "mediumint", "int", "bigint", "year", "bit"}
HAS_SRID = 0x20000000


def quoted(name: str) -> str:
    """An identifier."""
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """A string, under an empty sql_mode."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


class MysqlSource:
    """A MySQL or MariaDB database."""

    def __init__(self, url: str):
        parsed = urllib.parse.urlparse(url)
        self.database = urllib.parse.unquote(parsed.path.lstrip("/"))
        self.command = [
            "mariadb", "--no-defaults", "--ssl", "--quick", "--batch", "--skip-column-names",
            "--max-allowed-packet=1G", "--default-character-set=utf8mb4", f"--init-command={SETTINGS}",
            f"--host={parsed.hostname}", f"--port={parsed.port or 3306}",
            f"--user={urllib.parse.unquote(parsed.username)}",
        ]  # fmt: skip
        self.environment = dict(os.environ, MYSQL_PWD=urllib.parse.unquote(parsed.password or ""))

    def lines(self, query: str):
        """Rows of `query`, whose fields must be hexadecimal digits or NULL."""
        process = subprocess.Popen(
            [*self.command, "--execute", query],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment, bufsize=1 << 20,
        )  # fmt: skip
        for line in process.stdout:
            yield line.rstrip(b"\n").decode()
        complaint = process.stderr.read().decode()
        if process.wait() != 0:
            raise RuntimeError(f"mariadb failed: {complaint.strip()}")

    def columns(self, schema: str, table: str) -> list:
        """The columns of a relation, in order."""
        of = f"WHERE TABLE_SCHEMA = {literal(self.named(schema))} AND TABLE_NAME = {literal(table)}"

        def asked(fields: str, view: str, further: str = "") -> list:
            query = f"SELECT {fields} FROM information_schema.{view} {of} {further}"
            return [[text(field) for field in line.split("\t")] for line in self.lines(query)]

        key = asked("HEX(COLUMN_NAME)", "STATISTICS", "AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX")
        places = {name: place for place, (name,) in enumerate(key, 1)}
        columns = asked("HEX(COLUMN_NAME), HEX(DATA_TYPE)", "COLUMNS", "ORDER BY ORDINAL_POSITION")
        return [Column(name, kind, False, ",", places.get(name, 0)) for name, kind in columns]

    def chunks(self, schema: str, table: str, columns: list):
        """The rows of a relation, chunk by chunk: the count of rows and a list of texts a column."""
        selected = ", ".join(map(expression, columns)) or "'00'"
        lines = self.lines(f"SELECT {selected} FROM {quoted(self.named(schema))}.{quoted(table)}")
        while True:
            chunk, size = [], 0
            for line in itertools.islice(lines, CHUNK_ROWS):
                chunk.append(line.split("\t"))
                size += len(line)
                if size > CHUNK_BYTES:
                    break
            if not chunk:
                return
            yield len(chunk), [shown(column, fields) for column, fields in zip(columns, zip(*chunk))]

    def named(self, schema: str) -> str:
        """The database of a table; a unit that names none means the URL's."""
        return self.database if schema == "public" else schema


def expression(column: Column) -> str:
    """How a column's value is asked for."""
    name, kind = quoted(column.name), column.type_name
    if kind in BYTES:
        return f"HEX({name})"
    if kind in SPATIAL:
        # MySQL would turn the axes of a geographic system around, which EWKB has as they are stored: longitude first.
        return f"CONCAT(LPAD(HEX(ST_SRID({name})), 8, '0'), HEX(ST_AsWKB({name} /*!80000 , 'axis-order=long-lat' */)))"
    if kind in TEXTS:
        return f"HEX(CONVERT({name} USING utf8mb4))"
    if kind in ("float", "double"):
        # A product with a double is one, and is printed with all its digits; by MySQL's CAST with so many as 22 characters hold.
        number = f"{name} * 1e0"
        return f"HEX(CAST(/*M! {number} */ /*!80000 IF({name} IS NULL, NULL, JSON_EXTRACT(JSON_ARRAY({number}), '$[0]')) */ AS CHAR))"
    if kind == "bit":
        return f"HEX(CAST({name} + 0 AS CHAR))"
    return f"HEX(CAST({name} AS CHAR))"


def text(digits: str):
    """The text that hexadecimal digits stand for; None for NULL."""
    return None if digits == "NULL" else bytes.fromhex(digits).decode()


def shown(column: Column, fields) -> list:
    """The canonical texts of a column's values."""
    kind = column.type_name
    if kind in BYTES:
        return [None if field == "NULL" else "\\x" + field.lower() for field in fields]
    if kind in SPATIAL:
        return [None if field == "NULL" else "\\x" + ewkb(field) for field in fields]
    texts = [text(field) for field in fields]
    if kind in ("float", "double"):
        numbers = [None if value is None else float(value) for value in texts]
        return canonical.texts(pa.array(numbers, pa.float32() if kind == "float" else pa.float64()))
    if kind in WHOLE:
        return [None if value is None else str(int(value)) for value in texts]
    if kind == "decimal":
        return [None if value is None else canonical.decimal_text(decimal.Decimal(value)) for value in texts]
    if kind in ("datetime", "timestamp"):
        suffix = "+00" if kind == "timestamp" else ""
        return [None if value is None else moment(value, suffix) for value in texts]
    return texts


def moment(value: str, suffix: str) -> str:
    """A date and time; the zero one and days that no calendar has stay as the server prints them."""
    try:
        datetime.date.fromisoformat(value[:10])
    except ValueError:
        return value
    whole, _, fraction = value.partition(".")
    fraction = fraction.rstrip("0")
    return (f"{whole}.{fraction}" if fraction else whole) + suffix


def ewkb(field: str) -> str:
    """PostGIS' form of a geometry with a reference system, out of the system's number and WKB."""
    system, wkb = int(field[:8], 16), bytes.fromhex(field[8:])
    if system == 0:
        return wkb.hex()
    kind = int.from_bytes(wkb[1:5], "little") | HAS_SRID
    return (wkb[:1] + kind.to_bytes(4, "little") + system.to_bytes(4, "little") + wkb[5:]).hex()
