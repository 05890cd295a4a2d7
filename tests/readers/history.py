"""The history of a lake table that follows changes: its snapshots, the positions they reach, the files they add."""

from dataclasses import dataclass

import pyarrow.parquet as pq

from lake import local_path

POSITION, SPAN_AFTER = "ol.position", "ol.span-after"


@dataclass
class Step:
    """A snapshot that moved the table to a position."""

    snapshot_id: int
    after: int | None
    upto: int
    files: list


class History:
    """The steps of a table, oldest first, and what is wrong with them."""

    def __init__(self, table):
        self.steps, self.faults = [], []
        self.position = None
        for snapshot in ancestors(table):
            self.take(table, snapshot)

    def take(self, table, snapshot):
        """One snapshot: it begins where the one before ended, and its rows lie in its span."""
        summary = snapshot.summary.additional_properties if snapshot.summary else {}
        name = f"snapshot {snapshot.snapshot_id}"
        operation = snapshot.summary.operation.value if snapshot.summary else "append"
        text = summary.get(POSITION)
        if text is None:
            if operation == "append":
                self.faults.append(f"{name} adds rows and says no position")
            return
        upto = parsed(text)
        after = parsed(summary[SPAN_AFTER]) if SPAN_AFTER in summary else None
        if operation == "replace":
            if upto != self.position:
                self.faults.append(f"{name} only rewrites, and moves the position to {text}")
            return
        if after is not None:
            if self.position is not None and after > self.position:
                self.faults.append(f"{name} leaves a gap between {shown(self.position)} and {shown(after)}")
            if self.position is not None and after < self.position:
                self.faults.append(f"{name} begins at {shown(after)}, before {shown(self.position)}, where the last ended")
            if upto < after:
                self.faults.append(f"{name} ends at {text}, before it begins")
        elif self.position is not None and upto < self.position:
            self.faults.append(f"{name} goes back to {text} from {shown(self.position)}")
        step = Step(snapshot.snapshot_id, after, upto, added_files(table, snapshot))
        for file in step.files:
            self.faults += [f"{name}: {fault}" for fault in file_faults(table, file, step)]
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


def file_faults(table, file: str, step: Step) -> list:
    """What is wrong with the positions of one file; rows that a copy-on-write carried along may be older."""
    parquet = pq.ParquetFile(local_path(file))
    if "_ol_position" not in parquet.schema_arrow.names:
        return ["a file without positions"]
    positions = parquet.read(["_ol_position"]).column(0).to_pylist()
    faults = []
    if None in positions:
        return [f"{positions.count(None)} rows have no position"]
    late = [position for position in positions if commit_of(position) > step.upto]
    if late:
        faults.append(f"{len(late)} rows lie behind its end {shown(step.upto)}, the first at {late[0]}")
    if "_ol_op" in parquet.schema_arrow.names:
        streamed = [position for position in positions if "." in position]
        early = [position for position in streamed if step.after is not None and commit_of(position) < step.after]
        if early:
            faults.append(f"{len(early)} rows lie before its span, the first at {early[0]}")
        if positions != sorted(positions):
            faults.append("rows of a log are not in the source's order")
    return faults


def commit_of(position: str) -> int:
    """The commit that a row's position names."""
    return parsed(position.split(".")[0])


def parsed(text: str) -> int:
    """A position of sixteen hexadecimal digits."""
    if len(text) != 16:
        raise ValueError(f"{text!r} is no position")
    return int(text, 16)


def shown(position) -> str:
    """A position as it stands in the lake."""
    return "nothing" if position is None else f"{position:016X}"
