#!/usr/bin/env python3
"""Judges the checker of the ledger: silent on a lake that is right, and every planted fault is found in its table.

A small ledger is made up here (transactions, their commits' places, the journal), and lakes are made of it by hand with
PyIceberg: a log and merged tables, in several snapshots.

    ledger_check.py --source URL --folder DIR
"""

import argparse
import datetime
import json
import pathlib
import subprocess
import sys

import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.pyarrow import _dataframe_to_data_files

import ledger
from journal import digest

ENTRIES = "entries"
NAMESPACE = "ol_warehouse_ci_raw"
COPIED_AT = 0x1000
TOTAL = 300
COLUMNS = {
    "accounts": (("id", "balance", "tx"), ("id",), False),
    "entries": (("tx", "line", "amount"), ("tx", "line"), False),
    "keyless": (("n", "note", "tx"), ("n",), True),
    "notes": (("id", "note", "tx"), ("id",), False),
}
# Per transaction: the place of its commit and its changes (table, op, row); the row of a delete is the old one.
TRANSACTIONS = {
    8: (0x900, [("accounts", "i", (1, 100, 8)), ("accounts", "i", (2, 100, 8)), ("accounts", "i", (3, 100, 8)),
                ("entries", "i", (8, 1, 0)), ("keyless", "i", (1, "alike", 8)), ("keyless", "i", (2, "alike", 8)),
                ("notes", "i", (1, "a", 8)), ("notes", "i", (2, None, 8)), ("notes", "i", (3, "c", 8))]),
    16: (0x1100, [("entries", "i", (16, 1, 5)), ("accounts", "u", (1, 95, 16)), ("accounts", "u", (2, 105, 16)),
                  ("notes", "u", (1, "b", 16)), ("notes", "d", (3, "c", 8))]),
    24: (0x1200, [("entries", "i", (24, 1, 7)), ("entries", "i", (24, 2, 1)), ("accounts", "u", (2, 98, 24)),
                  ("accounts", "u", (3, 107, 24)), ("keyless", "d", (1, "alike", 8)), ("keyless", "i", (3, "x", 24))]),
    32: (0x1300, [("entries", "i", (32, 1, 1)), ("accounts", "u", (1, 94, 32)), ("accounts", "u", (3, 108, 32)),
                  ("notes", "t", None), ("notes", "i", (4, "d", 32)), ("notes", "m", ((4, "d", 32), (5, "d", 32)))]),
}  # fmt: skip
# What each snapshot reaches; the first is the copy.
SPANS = [COPIED_AT, 0x1150, 0x1300]
MODES = {
    "log": dict.fromkeys(COLUMNS, "incremental_append"),
    "merged": {
        "entries": "incremental_append", "accounts": "incremental_update", "notes": "incremental_soft_delete"
    },
}  # fmt: skip
NOW = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)


def key_of(table, row):
    """The key of a row, as the journal has it."""
    columns, key, _ = COLUMNS[table]
    return "|".join(str(row[columns.index(name)]) for name in key)


def digest_of(row):
    """The digest of a row, as the journal has it."""
    return digest(None if value is None else str(value) for value in row)


def journal(path):
    """The writer's journal of the transactions."""
    numbers = {table: number for number, table in enumerate(COLUMNS)}
    with open(path, "w", encoding="utf-8") as file:
        for table, (columns, key, old_values) in COLUMNS.items():
            print(json.dumps({"shape": numbers[table], "table": table, "columns": columns, "key": key,
                              "old_values": old_values}), file=file)  # fmt: skip
        for number, (commit, changes) in TRANSACTIONS.items():
            lines = []
            for table, op, row in changes:
                told = [row] if op in "iud" else list(row or [])
                lines.append([str(numbers[table]), op, *(t for r in told for t in (key_of(table, r), digest_of(r)))])
                if op == "t":
                    lines[-1] += ["", ""]
            print(json.dumps({"tx": number, "before": f"{commit - 16:016X}", "after": f"{commit + 16:016X}",
                              "changes": lines}), file=file)  # fmt: skip


def log_rows(table):
    """The rows of a table's log: (snapshot's number, op, position, row)."""
    rows, (columns, key, old_values) = [], COLUMNS[table]
    for commit, changes in TRANSACTIONS.values():
        ordinal = 0
        snapshot = next(number for number, upto in enumerate(SPANS) if commit <= upto)
        for name, op, row in changes:
            parts = [("d", row[0]), ("i", row[1])] if op == "m" else [(op, row)]
            for op_, row_ in parts:
                ordinal += 1
                if name != table:
                    continue
                if op_ == "t":
                    row_ = (None,) * len(columns)
                elif op_ == "d" and not old_values:
                    row_ = tuple(value if column in key else None for column, value in zip(columns, row_))
                if snapshot == 0:
                    rows.append((0, "r", f"{COPIED_AT:016X}", row_))
                else:
                    rows.append((snapshot, op_, f"{commit:016X}.{ordinal:08X}", row_))
    return rows


def merged_rows(table, upto):
    """The rows of a merged table at a position: (position, deleted, row), also the deleted ones."""
    rows = {}
    for commit, changes in TRANSACTIONS.values():
        if commit > upto:
            break
        for ordinal, (name, op, row) in enumerate(changes):
            if name != table:
                continue
            position = f"{COPIED_AT:016X}" if commit <= COPIED_AT else f"{commit:016X}.{ordinal:08X}"
            if op == "t":
                rows = {key: (position, True, old) for key, (_, _, old) in rows.items()}
            elif op == "m":
                rows[key_of(table, row[0])] = (position, True, row[0])
                rows[key_of(table, row[1])] = (position, False, row[1])
            else:
                rows[key_of(table, row)] = (position, op == "d", row)
    return list(rows.values())


class Lake:
    """A lake of one's own, made of lists of rows."""

    def __init__(self, folder):
        folder.mkdir()
        self.path = folder / "catalog.db"
        self.catalog = SqlCatalog("ol", uri=f"sqlite:///{self.path}", warehouse=f"file://{folder}/warehouse")
        self.catalog.create_namespace(NAMESPACE)

    def fill(self, table, suffix, ours, snapshots):
        """One table: each snapshot is (rows, summary); `ours` are our columns, of which rows have the values last."""
        kinds = [pa.string() if name in ("note",) else pa.int64() for name in COLUMNS[table][0]]
        kinds += [pa.timestamp("us", tz="UTC") if name == "_ol_deleted_at" else pa.string() for name in ours]
        schema = pa.schema(list(zip([*COLUMNS[table][0], *ours], kinds)))
        made = self.catalog.create_table(f"{NAMESPACE}.raw__{table}_{suffix}", schema=schema)
        for replaces, rows, summary in snapshots:
            columns = list(zip(*rows)) if rows else [[] for _ in schema]
            batch = pa.table([pa.array(values, kind) for values, kind in zip(columns, kinds)], schema=schema)
            if replaces:
                replace(made, batch, summary)
            else:
                made.append(batch, snapshot_properties=summary)


def replace(table, batch, summary):
    """All rows replaced in one snapshot; PyIceberg's own overwrite makes two."""
    old = [task.file for task in table.scan().plan_files()]
    with table.transaction() as transaction:
        with transaction.update_snapshot(snapshot_properties=summary).overwrite() as overwrite:
            for file in _dataframe_to_data_files(transaction.table_metadata, batch, table.io):
                overwrite.append_data_file(file)
            for file in old:
                overwrite.delete_data_file(file)


def log_snapshots(rows, spans):
    """The snapshots of a log."""
    snapshots = []
    for number, (after, upto) in enumerate(spans):
        summary = {"ol.position": f"{upto:016X}"}
        if number:
            summary["ol.span-after"] = f"{after:016X}"
        snapshots.append((False, [(*row, op, position) for at, op, position, row in rows if at == number], summary))
    return snapshots


def merged_snapshots(soft, versions):
    """The snapshots of a merged table, each of which replaces the last."""
    snapshots = []
    for upto, after, rows in versions:
        summary = {"ol.position": f"{upto:016X}"}
        if after:
            summary["ol.span-after"] = f"{after:016X}"
        kept = [
            (*row, position, *([NOW if deleted else None] if soft else []))
            for position, deleted, row in rows
            if soft or not deleted
        ]
        snapshots.append((True, kept, summary))
    return snapshots


def build(folder, unit, tables=None, fault=None):
    """A lake of one unit with one fault, which is a function of (what, table, value) → value; its catalog.

    With the lake goes its unit file: all logs, or merged tables beside the log of transfers.
    """
    fault = fault or (lambda what, table, value: value)
    lake, listed = Lake(folder), []
    for table, mode in MODES[unit].items():
        if tables and table not in tables:
            continue
        spans = list(zip([0, *SPANS], SPANS))
        if mode == "incremental_append":
            rows = fault("log", table, log_rows(table))
            lake.fill(table, unit, ["_ol_op", "_ol_position"], log_snapshots(rows, fault("spans", table, spans)))
        else:
            soft = mode == "incremental_soft_delete"
            versions = fault("merged", table, [(upto, after, merged_rows(table, upto)) for after, upto in spans])
            ours = ["_ol_position"] + (["_ol_deleted_at"] if soft else [])
            lake.fill(table, unit, ours, merged_snapshots(soft, versions))
        listed.append({"name": table, "raw_table": f"raw__{table}_{unit}", "sync_mode": mode})
    (folder / "unit.yml").write_text(json.dumps({"tables": listed}))
    return lake.path


def source(url):
    """The source as it is after all transactions."""
    script = "CREATE SCHEMA ledger;"
    for table, (columns, _, _) in COLUMNS.items():
        kinds = ", ".join(f"{name} {'text' if name == 'note' else 'bigint'}" for name in columns)
        script += f"CREATE TABLE ledger.{table} ({kinds});"
        for _, deleted, row in merged_rows(table, SPANS[-1]):
            if not deleted:
                values = ", ".join("NULL" if v is None else f"'{v}'" for v in row)
                script += f"INSERT INTO ledger.{table} VALUES ({values});"
    subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", script], check=True)


def on(what, table, change):
    """A fault in one list of one table."""
    def fault(at, of, value):
        return change(list(value)) if (at, of) == (what, table) else value

    return fault


def edit(place, value_of):
    """A change of one row of a list, given from the end or the beginning."""
    def change(rows):
        rows[place] = value_of(rows[place])
        return rows

    return change


def last_version(change):
    """A change of the rows of a merged table's last version."""
    def changed(versions):
        upto, after, rows = versions[-1]
        return [*versions[:-1], (upto, after, change(list(rows)))]

    return changed


def swapped(rows):
    """Two rows of one commit in each other's place, positions kept."""
    (a, *x), (b, *y) = rows[-1], rows[-2]
    rows[-1], rows[-2] = (b, *x[:1], x[1], y[2]), (a, *y[:1], y[1], x[2])
    return rows


def live_first(rows):
    """The place of the first row that is not deleted."""
    return next(place for place, (_, deleted, _) in enumerate(rows) if not deleted)


def marked_first(rows):
    """The place of the first row that is deleted."""
    return next(place for place, (_, deleted, _) in enumerate(rows) if deleted)


def without(place_of):
    """Rows without one."""
    def change(rows):
        del rows[place_of(rows)]
        return rows

    return change


# Per fault: the unit that shows it, the table, what must be counted (None for a fault in words), and how it is planted.
FAULTS = {
    "a row of a log is lost": ("log", "keyless", "missing", on("log", "keyless", without(lambda rows: -1))),
    "a copied row is lost": ("log", "keyless", "missing", on("log", "keyless", without(lambda rows: 0))),
    "a row of a log is doubled": ("log", "entries", "extra", on("log", "entries", lambda rows: rows + rows[-1:])),
    "a copied row is doubled": ("log", "notes", "extra", on("log", "notes", lambda rows: rows[:1] + rows)),
    "a value of a log is altered": (
        "log", "accounts", "altered", on("log", "accounts", edit(-1, lambda r: (*r[:3], (3, 109, 32))))),
    "NULL became an empty text": (
        "log", "notes", "altered", on("log", "notes", edit(1, lambda r: (*r[:3], (2, "", 8))))),
    "the old row of a delete lost a value": (
        "log", "keyless", "altered", on("log", "keyless", edit(-2, lambda r: (*r[:3], (1, None, 8))))),
    "two changes of a commit changed places": ("log", "accounts", "altered", on("log", "accounts", swapped)),
    "a file is not in order": (
        "log", "accounts", None, on("log", "accounts", lambda rows: rows[:-2] + [rows[-1], rows[-2]])),
    "an insert became an update": (
        "log", "entries", "altered", on("log", "entries", edit(-1, lambda r: (r[0], "u", *r[2:])))),
    "a truncate is skipped": (
        "log", "notes", "missing", on("log", "notes", lambda rows: [row for row in rows if row[1] != "t"])),
    "a transaction that was rolled back is there": (
        "log", "entries", "extra",
        on("log", "entries", lambda rows: rows + [(2, "i", f"{0x12F0:016X}.00000001", (28, 1, 9))])),
    "a span leaves a gap": ("log", "keyless", None, on("spans", "keyless", edit(2, lambda span: (0x1160, span[1])))),
    "spans overlap": ("log", "keyless", None, on("spans", "keyless", edit(2, lambda span: (0x1140, span[1])))),
    "a row lies outside its span": (
        "log", "entries", None, on("log", "entries", edit(-1, lambda r: (1, *r[1:])))),
    "a transaction is torn between two snapshots": (
        "log", "accounts", None, on("log", "accounts", lambda rows: [row for row in rows if row[3] != (2, 105, 16)])),
    "the last transactions are not there yet": (
        "log", "accounts", "missing",
        lambda what, table, value: [row for row in value if row[0] < 2] if what == "log"
        else value[:2] if what == "spans" else value),
    "a merged row is lost": (
        "merged", "accounts", "missing", on("merged", "accounts", last_version(without(live_first)))),
    "a merged row is doubled": (
        "merged", "accounts", "extra", on("merged", "accounts", last_version(lambda rows: rows + rows[:1]))),
    "a merged value is old": (
        "merged", "accounts", "altered",
        on("merged", "accounts", last_version(edit(0, lambda r: (*r[:2], (1, 95, 16)))))),
    "a merged row stands at another commit": (
        "merged", "accounts", "altered",
        on("merged", "accounts", last_version(edit(0, lambda r: (f"{0x1200:016X}.00000001", *r[1:]))))),
    "an earlier snapshot is torn": (
        "merged", "accounts", None,
        on("merged", "accounts", edit(1, lambda v: (*v[:2], [*v[2][:-1], (v[2][-1][0], False, (3, 101, 8))])))),
    "a deleted row has no mark": (
        "merged", "notes", "missing", on("merged", "notes", last_version(without(marked_first)))),
    "a deleted row lives on": (
        "merged", "notes", "extra", on("merged", "notes", last_version(edit(0, lambda r: (r[0], False, r[2]))))),
    "a living row is marked": (
        "merged", "notes", "missing", on("merged", "notes", last_version(edit(-1, lambda r: (r[0], True, r[2]))))),
    "a marked row lost its values": (
        "merged", "notes", "altered",
        on("merged", "notes", last_version(edit(0, lambda r: (*r[:2], (r[2][0], None, r[2][2])))))),
}  # fmt: skip


def checked(arguments, catalog, *more):
    """The checker's document about a lake."""
    wanted = ledger.wanted([
        "--source", arguments.source, "--catalog", f"sqlite:{catalog}", "--namespace", NAMESPACE,
        "--unit", str(catalog.with_name("unit.yml")), "--journal", str(arguments.folder / "journal.jsonl"),
        "--total", str(TOTAL), *more,
    ])  # fmt: skip
    return ledger.document_of(ledger.Check(wanted).findings())


def main() -> int:
    """Runs all; an assertion names the fault that was not found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True)
    parser.add_argument("--folder", required=True, type=pathlib.Path)
    arguments = parser.parse_args()
    journal(arguments.folder / "journal.jsonl")
    source(arguments.source)
    acknowledged = ("--acknowledged", f"{SPANS[-1] + 16:016X}")
    for unit in MODES:
        document = checked(arguments, build(arguments.folder / unit, unit), "--complete", *acknowledged)
        assert document["clean"], json.dumps(document, indent=1)
        print(f"{unit}: nothing is found in a lake that is right")
    for number, (fault, (unit, table, counted, plant)) in enumerate(FAULTS.items()):
        catalog = build(arguments.folder / f"fault-{number}", unit, {ENTRIES, table}, plant)
        document = checked(arguments, catalog, "--complete")
        found = [finding for finding in document["tables"] if finding["table"] == table]
        assert len(found) == 2, document
        for finding in found:
            seen = finding[counted] > 0 if counted else finding["faults"]
            assert seen, f"not found by {finding['reader']}: {fault}\n{json.dumps(finding, indent=1)}"
        print(f"found: {fault}")
    behind = build(arguments.folder / "behind", "log", None, FAULTS["the last transactions are not there yet"][3])
    assert checked(arguments, behind)["clean"], "a lake that is behind is right up to there"
    document = checked(arguments, behind, *acknowledged)
    assert any("acknowledged" in text for finding in document["tables"] for text in finding["faults"]), document
    print("found: the source was told to forget what is not in the lake")
    return 0


if __name__ == "__main__":
    sys.exit(main())
