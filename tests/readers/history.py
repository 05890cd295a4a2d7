"""The history of a lake table that follows changes: its snapshots, the positions they reach, the files they add."""

import re
from dataclasses import dataclass

import pyarrow.parquet as pq

from lake import local_path

FORM = re.compile(r"[0-9A-F]{16}(\.[0-9A-F]{8})?")
POSITION, SPAN_AFTER = "ol.position", "ol.span-after"


@dataclass
class Step:
    """A snapshot that moved the table from a position (where it says so) to another; positions sort as text."""

    snapshot_id: int
    after: str | None
    upto: str
    files: list


class History:
    """The steps of a table since it was copied last, oldest first, and what is wrong with all of its snapshots.

    A position is a place between transactions, which holds what was committed before it, or a change within one.
    """

    def __init__(self, table):
        self.steps, self.faults = [], []
        self.position = self.first_copy = None
        self.is_replaced = False
        # A person had the log copied anew: what went before the new copy stands in it as deletions at its position.
        self.is_renewed = False
        # Chunks of a copy may have been read up to here, behind the place that the table is followed from.
        self.copied_until = table.properties.get("ol.copied-until", "")
        for snapshot in ancestors(table):
            self.take(table, snapshot)

    @property
    def is_replaying(self) -> bool:
        """Whether changes are still to be replayed over chunks that were read later."""
        return self.position is not None and self.position < self.copied_until

    @property
    def begins(self) -> str:
        """Where the changes begin: the position of the copy."""
        return next((step.after for step in self.steps if step.after is not None), self.position)

    @property
    def has_followed(self) -> bool:
        """Whether it has taken changes since it was copied."""
        return any(step.after is not None for step in self.steps)

    def take(self, table, snapshot):
        """One snapshot: it begins where the one before ended, and its rows lie in its span."""
        summary = snapshot.summary.additional_properties if snapshot.summary else {}
        name = f"snapshot {snapshot.snapshot_id}"
        operation = snapshot.summary.operation.value if snapshot.summary else "append"
        upto, after = summary.get(POSITION), summary.get(SPAN_AFTER)
        if upto is None:
            if operation == "append":
                self.faults.append(f"{name} adds rows and says no position")
            return
        if upto == "":
            # Forgotten: the table is copied again.
            self.is_replaced = self.is_replaced or self.has_followed
            self.position, self.steps = None, []
            return
        if not all(FORM.fullmatch(text) for text in (upto, after or upto)):
            self.faults.append(f"{name} says a position that is none: {upto!r} after {after!r}")
            return
        if operation == "replace":
            if upto != self.position:
                self.faults.append(f"{name} only rewrites, and moves the position to {upto}")
            return
        if after is not None:
            if self.position is not None and after > self.position:
                self.faults.append(f"{name} leaves a gap between {self.position} and {after}")
            if self.position is not None and after < self.position:
                self.faults.append(f"{name} begins at {after}, before {self.position}, where the last ended")
            if upto < after:
                self.faults.append(f"{name} ends at {upto}, before it begins")
        else:
            # A copy: what was followed before begins anew.
            self.is_replaced = self.is_replaced or self.has_followed
            self.first_copy = self.first_copy or upto
            self.steps = []
        step = Step(snapshot.snapshot_id, after, upto, added_files(table, snapshot))
        for file in step.files:
            self.faults += [f"{name}: {fault}" for fault in file_faults(file, step)]
        self.steps.append(step)
        self.position = upto


def ancestors(table) -> list:
    """The snapshots from the first to the current one."""
    by_id = {snapshot.snapshot_id: snapshot for snapshot in table.metadata.snapshots}
    chain, snapshot = [], table.current_snapshot()
    while snapshot is not None:
        chain.append(snapshot)
        snapshot = by_id.get(snapshot.parent_snapshot_id)
    return chain[::-1]


def added_files(table, snapshot) -> list:
    """The data files that a snapshot added."""
    files = []
    for manifest in snapshot.manifests(table.io):
        if manifest.added_snapshot_id != snapshot.snapshot_id or manifest.content != 0:
            continue
        for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=True):
            if entry.snapshot_id == snapshot.snapshot_id:
                files.append(entry.data_file.file_path)
    return files


def file_faults(file: str, step: Step) -> list:
    """What is wrong with the positions of one file; rows that a copy-on-write carried along may be older."""
    parquet = pq.ParquetFile(local_path(file))
    if "_ol_position" not in parquet.schema_arrow.names:
        return ["a file without positions"]
    positions = parquet.read(["_ol_position"]).column(0).to_pylist()
    faults = []
    if None in positions:
        return [f"{positions.count(None)} rows have no position"]
    late = [position for position in positions if position > step.upto]
    if late:
        faults.append(f"{len(late)} rows lie behind its end {step.upto}, the first at {late[0]}")
    if "_ol_op" in parquet.schema_arrow.names:
        streamed = [position for position in positions if "." in position]
        early = [position for position in streamed if step.after is not None and position <= step.after]
        if early:
            faults.append(f"{len(early)} rows lie before its span, the first at {early[0]}")
        if positions != sorted(positions):
            faults.append("rows of a log are not in the source's order")
    return faults


def commit_of(position: str) -> int:
    """The byte of the server's log that a position names."""
    return int(position[:16], 16)
