"""The source as it shows itself: rows as the server's own output functions write them, read through psql.

The session settings are fixed here, so the text does not depend on the server's configuration.
"""

import itertools
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass

SETTINGS = (
    "timezone=UTC",
    "datestyle=ISO,YMD",
    "intervalstyle=postgres",
    "extra_float_digits=1",
    "bytea_output=hex",
    "quote_all_identifiers=off",
    "standard_conforming_strings=on",
    "statement_timeout=0",
    "idle_in_transaction_session_timeout=0",
)
# COPY's text has no such line: its backslashes are doubled.
END = b"\\.end\n"
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
CHUNK_ROWS = 20_000
CHUNK_BYTES = 32 << 20


@dataclass
class Column:
    """A column of a source table."""

    name: str
    type_name: str
    is_array: bool
    array_delimiter: str
    key_place: int  # 1-based place in the primary key, 0 outside it


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


class Session:
    """A psql that copies out one query after another."""

    def __init__(self, url: str, environment: dict):
        self.complaints = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.complaints, env=environment, bufsize=1 << 20,
        )  # fmt: skip

    def copied(self, query: str):
        """The lines of a query, to the last of which the next one must wait."""
        try:
            self.process.stdin.write(f"COPY ({query}) TO STDOUT;\nSELECT '{END.decode().strip()}';\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended and says why
        for line in self.process.stdout:
            if line == END:
                return
            yield line.rstrip(b"\n").decode()
        self.process.wait()
        self.complaints.seek(0)
        raise RuntimeError(f"psql failed: {self.complaints.read().decode().strip()}")


class Source:
    """A Postgres database."""

    def __init__(self, url: str):
        self.url = url
        options = " ".join(f"-c {setting}" for setting in SETTINGS)
        self.environment = dict(os.environ, PGOPTIONS=options, PGCLIENTENCODING="UTF8")
        self.idle = []

    def copied(self, query: str):
        """The lines of `query` in COPY's text format; each query is a transaction of its own."""
        session = self.idle.pop() if self.idle else Session(self.url, self.environment)
        yield from session.copied(query)
        # One whose answer was not taken to its end does not come back.
        self.idle.append(session)

    def rows(self, query: str):
        """Rows of a small query."""
        return [[value(field) for field in line.split("\t")] for line in self.copied(query)]

    def columns(self, schema: str, table: str) -> list:
        """The columns of a relation, in order, without dropped ones."""
        relation = f"{quoted(schema)}.{quoted(table)}"
        query = f"""
            SELECT a.attname, format_type(a.atttypid, a.atttypmod), b.typcategory = 'A',
                   coalesce((SELECT e.typdelim FROM pg_type e WHERE e.oid = b.typelem AND b.typcategory = 'A'), ','),
                   coalesce((SELECT array_position(i.indkey::int2[], a.attnum) FROM pg_index i
                             WHERE i.indrelid = a.attrelid AND i.indisprimary), -1) + 1
            FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
                 JOIN pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
            WHERE a.attrelid = {literal(relation)}::regclass AND a.attnum > 0 AND NOT a.attisdropped
            ORDER BY a.attnum"""
        return [
            Column(name, kind, is_array == "t", delimiter, int(place))
            for name, kind, is_array, delimiter, place in self.rows(query)
        ]

    def chunks(self, schema: str, table: str, columns: list):
        """The rows of a relation, chunk by chunk: the count of rows and a list of texts a column."""
        selected = ", ".join(quoted(column.name) for column in columns)
        lines = self.copied(f"SELECT {selected} FROM {quoted(schema)}.{quoted(table)}")
        while True:
            chunk, size = [], 0
            for line in itertools.islice(lines, CHUNK_ROWS):
                chunk.append(line)
                size += len(line)
                if size > CHUNK_BYTES:
                    break
            if not chunk:
                return
            if not columns:
                yield len(chunk), []
                continue
            yield len(chunk), [
                [value(field) for field in column] for column in zip(*(line.split("\t") for line in chunk))
            ]


def value(field: str):
    """A field of COPY's text format."""
    if "\\" not in field:
        return field
    if field == "\\N":
        return None
    return ESCAPED.sub(lambda found: ESCAPES.get(found.group(1), found.group(1)), field)
