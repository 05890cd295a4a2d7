#!/usr/bin/env python3
"""Changes a table of the lake as nobody ever should, so that `verify` has something to find.

Usage: tamper.py --catalog CATALOG --namespace NAMESPACE --table RAW_TABLE --delete FILTER [--set COLUMN=TEXT]

Deletes the rows that the filter selects; with --set they come back with another text in one column. What the table
remembers of its position is in the summary of its snapshots, so the new snapshots carry it on.
"""

import argparse

import pyarrow
from lake import Lake


def main() -> None:
    """Rewrites the rows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--table", required=True)
    parser.add_argument("--delete", required=True)
    parser.add_argument("--set")
    arguments = parser.parse_args()
    table = Lake(arguments.catalog, arguments.namespace).opened(arguments.table)
    summary = table.current_snapshot().summary.additional_properties
    state = {key: value for key, value in summary.items() if key.startswith("ol.")}
    rows = table.scan(row_filter=arguments.delete).to_arrow()
    assert len(rows) > 0, "no row is selected"
    table.delete(arguments.delete, snapshot_properties=state)
    if arguments.set:
        column, text = arguments.set.split("=", 1)
        place = rows.schema.get_field_index(column)
        values = pyarrow.array([text] * len(rows), rows.schema.field(place).type)
        table.append(rows.set_column(place, rows.schema.field(place), values), snapshot_properties=state)


main()
