#!/usr/bin/env python3
"""Reads a lake of our writing with PyIceberg and DuckDB and compares every value.

Usage: readers.py FOLDER, where FOLDER was filled by `cargo run -p ol-lake --example sample_lake -- FOLDER`.
Needs pyiceberg[sql-sqlite,pyarrow]==0.12.0, duckdb==1.5.5, pytz (DuckDB asks for it to make Python times) and duckdb-extension-{avro,iceberg}==1.5.5.
Prints one line a table and ends with 1 when anything differs.
"""
import datetime
import decimal
import glob
import importlib
import os
import sys
import uuid

import duckdb
from pyiceberg.catalog.sql import SqlCatalog

NAMESPACE = "ol_warehouse_ci_raw"
NAMES = ["ID", "select", "a.b", "a/b", '"quoted"', " lead", "trail ", "ünï", "🦆", "pos", "file_path",
         "back\\slash", "'single'", "%41"]
DAY = datetime.date(1970, 1, 1)
INSTANT = datetime.datetime(1970, 1, 1)


def row(n):
    """The row of key n, by the rules of `examples/sample_lake.rs`."""
    if n % 7 == 0:
        return (n,) + (None,) * 13
    micros = datetime.timedelta(microseconds=(n - 50) * 86_400_000_000 * 300 + n)
    with decimal.localcontext() as context:
        context.prec = 60
        amount = decimal.Decimal((50 - n) * 12_345).scaleb(-2)
        huge = decimal.Decimal((50 - n) * (10**35 + 1)).scaleb(-5)
    return (
        n, n % 2 == 0, n - 50, n / 8 - 5, amount, huge,
        DAY + datetime.timedelta(days=(n - 50) * 300),
        (datetime.datetime.min + datetime.timedelta(microseconds=n * 800_000_001)).time(),
        INSTANT + micros, (INSTANT + micros).replace(tzinfo=datetime.timezone.utc),
        f"ünï 🦆 {n}", uuid.UUID(bytes=bytes([n]) * 16), bytes([255 - n]) * n,
        [f"tag {n}" if i == 0 else None for i in range(n % 3)],
    )


EXPECTED = {
    "types": [row(n) for n in range(100)],
    "replaced": [row(n) for n in range(10, 20)],
    "emptied": [],
    "untouched": [],
    "names": [tuple(range(len(NAMES)))],
    "widened": [(1, None), (2**63 - 1, "new")],
}


def plain(value):
    """One Python value whichever reader it came from."""
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.timezone.utc)
    return value


def pruned(table):
    """Rows a filter finds through the bounds of files and row groups."""
    found = table.scan(row_filter="id >= 60 and id < 63", selected_fields=("id",)).to_arrow()
    return sorted(found.column("id").to_pylist())


def main(folder):
    catalog = SqlCatalog("ol", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/warehouse")
    connection = duckdb.connect()
    for extension in ("avro", "iceberg"):
        module = importlib.import_module(f"duckdb_extension_{extension}")
        pattern = os.path.join(os.path.dirname(module.__file__), "extensions", "*", "*.duckdb_extension")
        connection.execute(f"LOAD '{glob.glob(pattern)[0]}'")
    connection.execute("SET TimeZone = 'UTC'")
    failures = 0
    listed = sorted(name for _, name in catalog.list_tables(NAMESPACE))
    if listed != sorted(EXPECTED):
        print(f"wrong  tables {listed}")
        failures += 1
    for name, expected in EXPECTED.items():
        table = catalog.load_table(f"{NAMESPACE}.{name}")
        arrow = table.scan().to_arrow()
        readers = {"pyiceberg": list(zip(*(column.to_pylist() for column in arrow.columns)))}
        if table.current_snapshot() is not None:
            readers["duckdb"] = connection.execute(
                f"SELECT * FROM iceberg_scan('{table.metadata_location}')").fetchall()
        for reader, rows in readers.items():
            rows = sorted(tuple(plain(value) for value in found) for found in rows)
            if rows == expected:
                print(f"ok     {name:10} {reader:10} {len(rows)} rows")
                continue
            failures += 1
            print(f"wrong  {name:10} {reader:10} {len(rows)} rows, {len(expected)} expected")
            for found, wanted in zip(rows, expected):
                if found != wanted:
                    print(f"       found  {found}\n       wanted {wanted}")
                    break
    if [f.name for f in catalog.load_table(f"{NAMESPACE}.names").schema().fields] != NAMES:
        failures += 1
        print("wrong  names of columns")
    types = catalog.load_table(f"{NAMESPACE}.types")
    if pruned(types) != [60, 61, 62] or len(list(types.scan(row_filter="id >= 60").plan_files())) != 1:
        failures += 1
        print("wrong  rows found through bounds")
    nulls = sum(task.file.null_value_counts[types.schema().find_field("text").field_id]
                for task in types.scan().plan_files())
    if nulls != sum(1 for row_ in EXPECTED["types"] if row_[10] is None):
        failures += 1
        print(f"wrong  {nulls} nulls counted")
    location = types.metadata_location
    duck = connection.execute(
        f"SELECT count(*) FROM iceberg_scan('{location}') WHERE text >= 'ünï 🦆 9' AND amount < 0").fetchone()[0]
    wanted = sum(1 for r in EXPECTED["types"] if r[10] is not None and r[10] >= "ünï 🦆 9" and r[4] < 0)
    if duck != wanted:
        failures += 1
        print(f"wrong  DuckDB finds {duck} rows through bounds, {wanted} expected")
    summary = catalog.load_table(f"{NAMESPACE}.widened").current_snapshot().summary
    if summary["ol.position"] != "0001" or summary["total-records"] != "2":
        failures += 1
        print(f"wrong  summary {summary}")
    print("all equal" if failures == 0 else f"{failures} differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1])))
