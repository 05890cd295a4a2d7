#!/usr/bin/env python3
"""Answers to a query over one raw table, called `lake` in it: asked of DuckDB and of PyIceberg's rows, which must agree.

    rows.py --catalog sqlite:PATH --namespace N --table RAW_TABLE --query "SELECT … FROM lake ORDER BY …"

Prints a list of rows, each a list of texts (null for NULL), as JSON. With --each, any number of tables and queries may be given:
a list of such lists is printed, null for a table that is not there.
"""

import argparse
import json
import sys

import pyarrow as pa

from lake import Lake


def main() -> int:
    """Prints the answer; returns 1 when the readers disagree."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--table", required=True, action="append")
    parser.add_argument("--query", required=True, action="append")
    parser.add_argument("--each", action="store_true")
    arguments = parser.parse_args()
    lake = Lake(arguments.catalog, arguments.namespace)
    present = lake.locations() if arguments.each else arguments.table
    all_answers = []
    for table, query in zip(arguments.table, arguments.query, strict=True):
        if table not in present:
            all_answers.append(None)
            continue
        answers = {reader: answer(lake, reader, table, query) for reader in ("pyiceberg", "duckdb")}
        if answers["pyiceberg"] != answers["duckdb"]:
            print(json.dumps(answers), file=sys.stderr)
            return 1
        all_answers.append(answers["duckdb"])
    print(json.dumps(all_answers if arguments.each else all_answers[0]))
    return 0


def answer(lake: Lake, reader: str, raw_table: str, query: str) -> list:
    """The rows that the query gives over what the reader sees."""
    batches = lake.batches(reader, raw_table)
    names = next(batches)
    read = list(batches)
    if not read:
        return []
    rows = pa.Table.from_batches(read).rename_columns(names)
    connection = lake.connection()
    connection.register("lake", rows)
    try:
        return [[None if value is None else str(value) for value in row] for row in connection.execute(query).fetchall()]
    finally:
        connection.unregister("lake")


if __name__ == "__main__":
    sys.exit(main())
