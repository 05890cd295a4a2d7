#!/usr/bin/env python3
"""What each reader sees in each table of a lake: rows and an order-free digest over all columns, ours included.

    matrix.py --catalog postgres://… --namespace N [--datafusion FOLDER] --reader pyiceberg|duckdb|spark|trino|datafusion…

`datafusion` reads `FOLDER/TABLE.parquet`, into which it has written the rows it sees. JSON on stdout: the
readers' versions, and by table and reader the rows and the digest, or the sentence with which the reader refuses.
"""

import argparse
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq

import canonical
from digest import Digest
from lake import ALL_READERS, Lake
from spark import PYTHON, SparkFailed
from trino import TrinoFailed

DATAFUSION = "datafusion"
CHUNK_ROWS = 20_000
# What one reader says of a table is a cell of the matrix; anything else is a fault of ours.
REFUSALS = (SparkFailed, TrinoFailed)


def main() -> int:
    """Prints what was seen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--datafusion", type=pathlib.Path)
    parser.add_argument("--reader", action="append", required=True, choices=(*ALL_READERS, DATAFUSION))
    arguments = parser.parse_args()
    lake = Lake(arguments.catalog, arguments.namespace)
    tables = {}
    for raw_table in sorted(lake.locations()):
        seen = tables[raw_table] = {}
        for reader in arguments.reader:
            try:
                seen[reader] = digest_of(batches(lake, reader, raw_table, arguments.datafusion))
            except REFUSALS as refusal:
                seen[reader] = {"refused": str(refusal)}
    versions = {reader: version(lake, reader) for reader in arguments.reader}
    json.dump({"versions": versions, "tables": tables}, sys.stdout, indent=1)
    return 0


def batches(lake, reader: str, raw_table: str, folder):
    """The rows that a reader sees."""
    if reader == DATAFUSION:
        return pq.ParquetFile(folder / f"{raw_table}.parquet").iter_batches()
    found = lake.batches(reader, raw_table)
    next(found)
    return found


def digest_of(found) -> dict:
    """Rows, their digest, and one of every column, which tells where readers differ."""
    digest = Digest(0)
    for whole in found:
        digest.sums = digest.sums or [0] * whole.num_columns
        digest.nulls = digest.nulls or [0] * whole.num_columns
        for start in range(0, whole.num_rows, CHUNK_ROWS):
            part = whole.slice(start, CHUNK_ROWS)
            digest.add(part.num_rows, [texts(column) for column in part.columns])
    columns = [f"{total:016x} {nulls}" for total, nulls in zip(digest.sums, digest.nulls)]
    return {"rows": digest.rows, "digest": f"{digest.row_sum:016x}", "columns": columns}


def texts(column) -> list:
    """Canonical texts; of a map, which no source has, the sorted pairs."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_map(column.type):
        return [None if pairs is None else json.dumps(sorted(pairs)) for pairs in column.to_pylist()]
    return canonical.texts(column)


def version(lake, reader: str) -> str:
    """What is read with."""
    if reader == "spark":
        python = os.path.expanduser(os.environ.get(PYTHON) or "~/.cache/ol-flows/venv-spark/bin/python")
        program = """import importlib.metadata, pathlib, pyspark
jars = pathlib.Path(pyspark.__file__).parent.glob("jars/iceberg-spark-runtime-*.jar")
print(importlib.metadata.version("pyspark"), "with Iceberg", next(jars).stem.rsplit("-", 1)[1])"""
        return subprocess.run([python, "-c", program], check=True, capture_output=True, text=True).stdout.strip()
    if reader == "trino":
        return lake.trino.version()
    return "" if reader == DATAFUSION else importlib.metadata.version(reader)


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The digest is made of Python's string hash, which a seed makes repeatable.
        os.execve(sys.executable, [sys.executable, *sys.argv], dict(os.environ, PYTHONHASHSEED="0"))
    sys.exit(main())
