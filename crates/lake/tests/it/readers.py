"""Reads tables with PyIceberg and DuckDB: a metadata location a line comes in, a line of JSON goes out."""
import glob
import importlib
import json
import os
import sys

import duckdb
from pyiceberg.table import StaticTable


def plain(value):
    """A value as JSON has it, whichever reader it came from."""
    if isinstance(value, list) and all(isinstance(pair, tuple) for pair in value):
        value = dict(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value


def rows(found):
    return sorted(([plain(value) for value in row] for row in found), key=lambda row: json.dumps(row[:2]))


connection = duckdb.connect()
for extension in ("avro", "iceberg"):
    module = importlib.import_module(f"duckdb_extension_{extension}")
    pattern = os.path.join(os.path.dirname(module.__file__), "extensions", "*", "*.duckdb_extension")
    connection.execute(f"LOAD '{glob.glob(pattern)[0]}'")
connection.execute("SET TimeZone = 'UTC'")
for line in sys.stdin:
    location = line.strip()
    table = StaticTable.from_metadata(location)
    arrow = table.scan().to_arrow()
    summary = table.current_snapshot().summary
    print(json.dumps({
        "pyiceberg": rows(zip(*(column.to_pylist() for column in arrow.columns))),
        "duckdb": rows(connection.execute(f"SELECT * FROM iceberg_scan('{location}')").fetchall()),
        "total": int(summary["total-records"]) - int(summary["total-position-deletes"]),
    }), flush=True)
