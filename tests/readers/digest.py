#!/usr/bin/env python3
"""Compares a source database with the lake, table by table and column by column, through two readers.

For every table of a unit: the count of rows, and for every column the count of NULLs and an order-free digest (the
sum modulo 2**64 of a 64-bit hash of each value's canonical text), and the same over whole rows, of the source, PyIceberg
and DuckDB. Memory is bounded by a chunk of rows.

Exit code 0: all equal or refused with a reason; 1: a difference; 2: the comparison could not be made.

    digest.py --source URL --catalog sqlite:PATH --namespace ol_warehouse_ci_raw --unit units/x.yml \
              [--report run.json] [--table GLOB]… [--reader pyiceberg|duckdb|spark|trino]… [--output text|json]
"""

import argparse
import collections
import fnmatch
import json
import os
import sys
import time
import traceback

import yaml

from lake import ALL_READERS, READERS, Lake
from mysql import MysqlSource
from source import Source

MODULUS = 1 << 64
NULL = ("NULL",)
SHOWN_ROWS = 3
SHOWN_CHARACTERS = 80


def main(words=None) -> int:
    """Compares what the command line asks for, and prints; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True)
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--unit", required=True)
    parser.add_argument("--report", help="JSON document of `ol-ingest run`: tells which tables were refused")
    parser.add_argument("--table", action="append", default=[])
    parser.add_argument("--reader", action="append", default=[], choices=ALL_READERS)
    parser.add_argument("--output", choices=("text", "json"), default="text")
    arguments = parser.parse_args(words)
    seconds = collections.Counter()
    tables = compared(arguments, seconds)
    outcomes = collections.Counter(table["outcome"] for table in tables)
    if arguments.output == "json":
        json.dump({"outcomes": outcomes, "seconds": seconds, "tables": tables}, sys.stdout, indent=1)
    else:
        print_table(tables, outcomes)
    if not tables:
        print("no table of the unit was compared", file=sys.stderr)
        return 2
    if outcomes["failed"]:
        return 2
    return 1 if outcomes["different"] or outcomes["missing"] else 0


def compared(arguments, seconds) -> list:
    """One finding a table of the unit."""
    with open(arguments.unit, encoding="utf-8") as file:
        unit = yaml.safe_load(file)
    refused = {}
    if arguments.report:
        with open(arguments.report, encoding="utf-8") as file:
            for table in json.load(file)["tables"]:
                if table["outcome"] == "refused":
                    refused[table["raw_table"]] = table["advice"]
    is_mysql = arguments.source.startswith(("mysql://", "mariadb://"))
    source = MysqlSource(arguments.source) if is_mysql else Source(arguments.source)
    lake = Lake(arguments.catalog, arguments.namespace)
    present = lake.locations()
    findings = []
    for table in unit["tables"]:
        name, schema, raw_table = table["name"], table.get("namespace") or "public", table["raw_table"]
        if arguments.table and not any(fnmatch.fnmatchcase(name, glob) for glob in arguments.table):
            continue
        finding = {"source": f"{schema}.{name}", "raw_table": raw_table}
        findings.append(finding)
        if raw_table in refused:
            reason = refused[raw_table]
            finding.update({"outcome": "refused", "reason": reason} if reason else {"outcome": "missing"})
            continue
        if raw_table not in present:
            finding["outcome"] = "missing"
            continue
        try:
            excluded = set(table.get("excluded_columns") or [])
            columns = [column for column in source.columns(schema, name) if column.name not in excluded]
            readers = arguments.reader or READERS
            compare(source, lake, schema, finding, columns, readers, seconds)
        except Exception as error:  # noqa: BLE001 - every table is judged, whatever befell another
            finding.update({"outcome": "failed", "reason": f"{type(error).__name__}: {error}"[:400]})
            finding["where"] = traceback.format_exc().splitlines()[-3:]
    return findings


class Digest:
    """Rows, NULLs and order-free sums of what one reader returns."""

    def __init__(self, columns: int):
        self.rows = 0
        self.nulls = [0] * columns
        self.sums = [0] * columns
        self.row_sum = 0  # sees values that changed rows, which no digest of a column can

    def add(self, rows: int, chunk: list):
        """Takes in one chunk of canonical texts."""
        self.rows += rows
        for place, texts in enumerate(chunk):
            known = [text for text in texts if text is not None]
            self.nulls[place] += len(texts) - len(known)
            self.sums[place] = (self.sums[place] + sum(map(hash, known))) % MODULUS
        # None's hash is an address: NULL gets a stand-in that no text equals.
        stand_ins = ([NULL if text is None else text for text in texts] for texts in chunk)
        self.row_sum = (self.row_sum + sum(map(hash, zip(*stand_ins)))) % MODULUS


def compare(source, lake, schema, finding, columns, readers, seconds):
    """Fills in a finding: digests of all readers and, where they differ, the first rows that do."""
    name, raw_table = finding["source"].split(".", 1)[1], finding["raw_table"]

    def chunks(reader, wanted):
        if reader == "source":
            return source.chunks(schema, name, wanted)
        return lake.chunks(reader, raw_table, wanted)

    digests = {}
    for reader in ("source", *readers):
        started = time.monotonic()
        digest = digests[reader] = Digest(len(columns))
        for rows, chunk in chunks(reader, columns):
            digest.add(rows, chunk)
        seconds[reader] += time.monotonic() - started
    truth = digests["source"]
    finding["rows"] = {reader: digest.rows for reader, digest in digests.items()}
    finding["row_digest"] = f"{truth.row_sum:016x}"
    finding["columns"] = {
        column.name: [f"{truth.sums[place]:016x}", truth.nulls[place]] for place, column in enumerate(columns)
    }
    finding["differences"] = []
    for reader in readers:
        digest = digests[reader]
        differing = [
            column
            for place, column in enumerate(columns)
            if (digest.sums[place], digest.nulls[place]) != (truth.sums[place], truth.nulls[place])
        ]
        moved = digest.row_sum != truth.row_sum and digest.rows == truth.rows and not differing
        if digest.rows != truth.rows or differing or moved:
            finding["differences"].append(
                {
                    "reader": reader,
                    "rows": digest.rows - truth.rows,
                    "columns": [f"{column.name} ({column.type_name})" for column in differing],
                    "moved_between_rows": moved,
                    "examples": examples(chunks, reader, columns, columns if moved else differing[:8]),
                }
            )
    finding["outcome"] = "different" if finding["differences"] else "equal"


def examples(chunks, reader, columns, differing) -> list:
    """The first rows that differ, named by their key; by the value itself where the table has no key."""
    key = sorted((column for column in columns if column.key_place), key=lambda column: column.key_place)
    found = []
    for column in differing:
        wanted = [*key, column]
        # A row that the other side has too is taken out: what stays in either multiset differs.
        left, right = collections.Counter(), collections.Counter()
        for side, multiset in (("source", left), (reader, right)):
            for rows, chunk in chunks(side, wanted):
                multiset.update((row[:-1], short(row[-1])) for row in zip(*chunk))
        for side, rest in (("source", left - right), (reader, right - left)):
            for (row_key, value), _ in sorted(rest.items(), key=str)[:SHOWN_ROWS]:
                shown_key = {column.name: cut(short(part)) for column, part in zip(key, row_key)}
                found.append({"column": column.name, "key": shown_key, "side": side, "value": cut(value)})
    return found


def short(value):
    """A value that can be kept by the thousand: long ones become their beginning, length and hash."""
    if value is None or len(value) <= SHOWN_CHARACTERS:
        return value
    return f"{value[:40]}… ({len(value)} characters, hash {hash(value) % MODULUS:016x})"


def cut(value):
    """What may be printed of a value."""
    return value if value is None else repr(value[: SHOWN_CHARACTERS + 40])


def print_table(tables: list, outcomes):
    """A readable table: differences first, then one line of totals."""
    for table in tables:
        if table["outcome"] == "equal":
            continue
        print(f"{table['outcome']:10} {table['source']} → {table['raw_table']}  {table.get('reason', '')}")
        for difference in table.get("differences", []):
            what = ", ".join(difference["columns"][:12]) or "values stand in other rows"
            print(f"    {difference['reader']}: {difference['rows']:+d} rows; {what}")
            for example in difference["examples"]:
                print(f"        {example['column']} {example['key']} {example['side']}: {example['value']}")
    rows = sum(table["rows"]["source"] for table in tables if "rows" in table)
    values = sum(table["rows"]["source"] * len(table["columns"]) for table in tables if "rows" in table)
    counts = ", ".join(f"{count} {name}" for name, count in outcomes.items())
    print(f"{rows} rows, {values} values compared; {counts}")


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Python's string hash (SipHash, 64 bits) is fast enough for millions of values; the seed makes it repeatable.
        os.execve(sys.executable, [sys.executable, *sys.argv], dict(os.environ, PYTHONHASHSEED="0"))
    sys.exit(main())
