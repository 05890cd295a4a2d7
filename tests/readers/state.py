#!/usr/bin/env python3
"""What state a lake is in, and whether every file in its warehouse is reachable.

Opens every table with PyIceberg and DuckDB, counts its rows in both (a half-written table fails to open, or
disagrees), and lists the files of the warehouse that no snapshot of any table needs. JSON on stdout.

    state.py --catalog sqlite:PATH --namespace N [--warehouse DIR]
"""

import argparse
import json
import pathlib
import sys

from lake import Lake, local_path


def main() -> int:
    """Prints the state; returns 0 when every table opened."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--warehouse")
    arguments = parser.parse_args()
    lake = Lake(arguments.catalog, arguments.namespace)
    state = {"tables": {}, "unreachable": []}
    reachable = set()
    for raw_table, location in sorted(lake.locations().items()):
        table = lake.opened(raw_table)
        snapshot = table.current_snapshot()
        rows = {reader: counted(lake, reader, raw_table) for reader in ("pyiceberg", "duckdb")}
        state["tables"][raw_table] = {
            "rows": rows,
            "snapshot_id": snapshot.snapshot_id if snapshot else None,
            "operation": snapshot.summary.operation.value if snapshot else None,
            "snapshots": len(table.metadata.snapshots),
            "summary": dict(snapshot.summary.additional_properties) if snapshot else {},
            "columns": [field.name for field in table.schema().fields],
        }
        reachable |= files_of(table, location)
    if arguments.warehouse:
        present = {path.resolve() for path in pathlib.Path(arguments.warehouse).rglob("*") if path.is_file()}
        state["unreachable"] = sorted(str(path) for path in present - reachable)
        state["absent"] = sorted(str(path) for path in reachable - present)
        state["files"] = len(present)
    json.dump(state, sys.stdout, indent=1)
    return 0


def counted(lake: Lake, reader: str, raw_table: str) -> int:
    """Rows that come out when the table is read, not the figure in its metadata."""
    batches = lake.batches(reader, raw_table)
    next(batches)
    return sum(batch.num_rows for batch in batches)


def files_of(table, location: str) -> set:
    """Every file that the table's metadata, past and present, names."""
    files = {location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    for statistics in table.metadata.statistics:
        files.add(statistics.statistics_path)
    for snapshot in table.metadata.snapshots:
        files.add(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            files.add(manifest.manifest_path)
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
                files.add(entry.data_file.file_path)
    return {local_path(file).resolve() for file in files}


if __name__ == "__main__":
    sys.exit(main())
