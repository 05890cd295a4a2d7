#!/usr/bin/env python3
"""Holds a lake that follows the ledger against the writer's own journal, and against the source.

For every table of the unit, through both readers: spans contiguous and increasing; in a log every position once, in
order, and at each commit exactly the journaled changes; copied and merged rows equal to what the journal makes of the
table at the position it reached; deleted rows marked where the unit says so; the sum of all accounts the same at every
snapshot. With `--complete`, for a writer that stands still and a unit that caught up: nothing journaled is absent, and
the rows (of a log: replayed) are those that SELECT shows. With `--acknowledged`: what the source was told to forget is
in the lake.

JSON on stdout: {missing, extra, altered, first, span, faults} a table. Exit code 0: nothing found; 1: something.

    ledger.py --source URL --catalog sqlite:PATH --namespace N --unit units/x.yml --journal FILE…
              [--complete] [--acknowledged LSN] [--total N] [--renewed TABLE]…
              [--reader pyiceberg|duckdb|spark|trino]…
"""

import argparse
import json
import sys

import yaml

import logged
import merged
from history import History, commit_of
from journal import Journal
from lake import ALL_READERS, READERS, Lake
from source import Source

ENTRIES = "entries"
SHOWN = 5


class Placing:
    """Where the transactions were committed, as the log of transfers in the lake says."""

    def __init__(self, journal: Journal, rows: list, position):
        self.streamed, self.copied, self.foreign = {}, set(), set()
        self.position = position
        for row in rows:
            number = int(row.values["tx"])
            if number not in journal.by_number:
                self.foreign.add(number)
            elif row.op == "r":
                self.copied.add(number)
            else:
                self.streamed[number] = row.commit
        self.copied -= self.streamed.keys()
        self.copied_at = max((row.commit for row in rows if row.op == "r"), default=0)

    def included(self, transaction, position: str):
        """Whether a table at a position holds a transaction; None where that cannot be told, or for a part of it."""
        place, within = commit_of(position), "." in position
        commit = self.streamed.get(transaction.number)
        if commit is not None:
            return None if within and commit == place else commit < place
        if transaction.number in self.copied and place >= self.copied_at:
            return True
        if transaction.after <= place:
            return True
        return None if transaction.before <= place else False


class Finding:
    """What was found in one table by one reader."""

    def __init__(self, table: str, reader: str):
        self.table, self.reader = table, reader
        self.missing, self.extra, self.altered = [], [], []
        self.faults, self.rows, self.span = [], 0, ""

    def document(self) -> dict:
        """The finding as JSON."""
        first = {name: [str(key)[:120] for key in getattr(self, name)[:SHOWN]] for name in ("missing", "extra", "altered")}
        return {
            "table": self.table, "reader": self.reader, "rows": self.rows, "span": self.span,
            "missing": len(self.missing), "extra": len(self.extra), "altered": len(self.altered),
            "first": {name: keys for name, keys in first.items() if keys}, "faults": self.faults[:20],
        }  # fmt: skip

    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not (self.missing or self.extra or self.altered or self.faults)


def wanted(arguments=None):
    """What is asked, from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True)
    parser.add_argument("--catalog", required=True)
    parser.add_argument("--namespace", required=True)
    parser.add_argument("--unit", required=True)
    parser.add_argument("--journal", required=True, action="append")
    parser.add_argument("--complete", action="store_true")
    parser.add_argument("--acknowledged", help="the slot's confirmed_flush_lsn, as X/Y or sixteen digits")
    parser.add_argument("--total", type=int, default=40_000_000)
    parser.add_argument("--renewed", action="append", default=[], help="a log that a person had copied anew")
    parser.add_argument("--reader", action="append", default=[], choices=ALL_READERS)
    return parser.parse_args(arguments)


def document_of(findings: list) -> dict:
    """All findings as one document."""
    kinds = ("missing", "extra", "altered")
    totals = {kind: sum(len(getattr(finding, kind)) for finding in findings) for kind in kinds}
    clean = bool(findings) and all(finding.is_clean() for finding in findings)
    return {"clean": clean, **totals, "tables": [finding.document() for finding in findings]}


def main() -> int:
    """Checks and prints; returns the exit code."""
    document = document_of(Check(wanted()).findings())
    json.dump(document, sys.stdout, indent=1)
    return 0 if document["clean"] else 1


class Check:
    """One unit against the journal."""

    def __init__(self, arguments):
        self.arguments = arguments
        self.journal = Journal(arguments.journal)
        self.lake = Lake(arguments.catalog, arguments.namespace)
        self.present = self.lake.locations()
        self.source = Source(arguments.source)
        self.acknowledged = position_of(arguments.acknowledged)
        self.histories, self.truths = {}, {}
        with open(arguments.unit, encoding="utf-8") as file:
            self.tables = {table["name"]: table for table in yaml.safe_load(file)["tables"]}

    def findings(self) -> list:
        """One finding a table and reader."""
        found = []
        for reader in self.arguments.reader or READERS:
            placing = self.placing(reader)
            for name in self.tables:
                finding = Finding(name, reader)
                self.check(finding, reader, placing)
                found.append(finding)
        return found

    def placing(self, reader: str) -> Placing:
        """The places of the transactions; empty before the log of transfers is in the lake."""
        raw_table = self.tables[ENTRIES]["raw_table"]
        if raw_table not in self.present or self.lake.opened(raw_table).current_snapshot() is None:
            return Placing(self.journal, [], None)
        rows = logged.rows(self.lake, reader, raw_table)
        return Placing(self.journal, rows, History(self.lake.opened(raw_table)).position)

    def check(self, finding: Finding, reader: str, placing: Placing):
        """Fills in the finding of one table."""
        name, table = finding.table, self.tables[finding.table]
        raw_table = table["raw_table"]
        opened = self.lake.opened(raw_table) if raw_table in self.present else None
        if opened is None or opened.current_snapshot() is None:
            if self.arguments.complete:
                finding.faults.append("the table is not in the lake")
            return
        history = self.history(name, opened)
        finding.faults += history.faults
        if history.position is None:
            # Rows of a copy that is not complete: they are nobody's claim yet.
            if self.arguments.complete:
                finding.faults.append("the table has rows and no position")
            return
        if history.is_replaying and not self.arguments.complete:
            # Its rows are of different moments until it has caught up.
            return
        position = history.position
        finding.span = f"up to {position} in {len(history.steps)} snapshots"
        if name == ENTRIES and placing.foreign:
            finding.extra += sorted(placing.foreign)
        is_log = table["sync_mode"] == "incremental_append"
        arguments = (self.lake, reader, raw_table, finding, history, self.journal, placing)
        if is_log:
            replayed = logged.check(*arguments, self.arguments.total)
        else:
            soft = table["sync_mode"].endswith("soft_delete")
            replayed = merged.check(*arguments, soft, self.arguments.total)
        self.check_reached(finding, placing, position)
        if self.arguments.complete:
            self.check_source(finding, replayed, table)

    def history(self, name: str, table) -> History:
        """The history of a table, which is the same whoever reads its rows."""
        if name not in self.histories:
            history = self.histories[name] = History(table)
            history.is_renewed = name in self.arguments.renewed
            history.is_replaced = history.is_replaced and not history.is_renewed
        return self.histories[name]

    def check_reached(self, finding: Finding, placing: Placing, position: int):
        """Nothing journaled lies behind the table where it must not."""
        if finding.table == ENTRIES and self.arguments.complete:
            placed = placing.streamed.keys() | placing.copied
            finding.missing += [f"transaction {number}" for number in self.journal.by_number if number not in placed]
            return
        for one in self.journal.transactions:
            if finding.table not in one.changes or placing.included(one, position) is not False:
                continue
            if self.arguments.complete:
                finding.missing.append(f"transaction {one.number}")
            elif self.acknowledged is not None and one.after <= self.acknowledged:
                finding.faults.append(f"transaction {one.number} is acknowledged at the source and not in the table")

    def check_source(self, finding: Finding, replayed: dict, table: dict):
        """The rows are those that the source shows now."""
        names, truth = self.truth(finding.table, table)
        # A column that got its name later is unknown in rows that were logged before.
        known = self.journal.first_shapes[finding.table].columns
        is_log = table["sync_mode"] == "incremental_append"
        compared = [name for name in names if not is_log or name in known]
        for row_key, values in truth.items():
            ours = replayed.pop(row_key, None)
            if ours is None:
                finding.missing.append(f"row {row_key} of the source")
                continue
            differing = [name for name in compared if name not in ours or ours[name] != values[name]]
            if differing:
                finding.altered.append(f"row {row_key} of the source in {', '.join(differing)}")
        finding.extra += [f"row {row_key}, which the source has not" for row_key in replayed]

    def truth(self, name: str, table: dict) -> tuple:
        """The columns of a table of the source, which stands still, and its rows by key: read once, for all readers."""
        if name not in self.truths:
            excluded = set(table.get("excluded_columns") or [])
            columns = [column for column in self.source.columns("ledger", name) if column.name not in excluded]
            names, rows = [column.name for column in columns], {}
            for _, chunk in self.source.chunks("ledger", name, columns):
                for row in zip(*chunk):
                    values = dict(zip(names, row))
                    rows[tuple(values[column] for column in self.journal.first_shapes[name].key)] = values
            self.truths[name] = names, rows
        return self.truths[name]


def position_of(text):
    """A position as the server or as the lake writes it."""
    if not text:
        return None
    if "/" in text:
        high, low = text.split("/")
        return int(high, 16) << 32 | int(low, 16)
    return int(text, 16)


if __name__ == "__main__":
    sys.exit(main())
