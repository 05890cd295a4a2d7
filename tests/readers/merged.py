"""A merged table in the lake: one row a key, equal to what the journal makes of the table at its position."""

from history import commit_of
from journal import key_text
from logged import compared, is_same, plain_columns, possible_states
from source import Column

DELETED_AT = "_ol_deleted_at"


def read(lake, reader: str, raw_table: str) -> list:
    """All rows as (values, position, deleted at)."""
    columns = plain_columns(lake, raw_table)
    present = {field.name for field in lake.opened(raw_table).schema().fields}
    ours = [Column("_ol_position", "", False, ",", 0)]
    if DELETED_AT in present:
        ours.append(Column(DELETED_AT, "", False, ",", 0))
    names = [column.name for column in columns]
    found = []
    for _, chunk in lake.chunks(reader, raw_table, [*columns, *ours]):
        for row in zip(*chunk):
            deleted_at = row[len(names) + 1] if len(ours) > 1 else None
            found.append((dict(zip(names, row)), row[len(names)], deleted_at))
    return found


def check(lake, reader, raw_table, finding, history, journal, placing, soft: bool, total: int) -> dict:
    """Fills in a finding; returns the rows that are not deleted, by key."""
    found = read(lake, reader, raw_table)
    finding.rows = len(found)
    live = [(values, position) for values, position, deleted_at in found if deleted_at is None]
    marked = [values for values, _, deleted_at in found if deleted_at is not None]
    end = max(history.position, history.copied_until)
    late = [position for _, position, _ in found if position > end]
    if late:
        finding.faults.append(f"{len(late)} rows lie behind the table's position, the first at {late[0]}")
    best, best_state = None, None
    for state in possible_states(finding.table, journal, placing, history.position):
        result = compared(finding.table, journal, state.live, live)
        if best is None or sum(map(len, result)) < sum(map(len, best)):
            best, best_state = result, state
    for kind, keys in zip(("missing", "extra", "altered"), best):
        getattr(finding, kind).extend(f"row {key}" for key in keys)
    check_positions(finding, journal, placing, best_state, live)
    if soft:
        check_marked(finding, journal, placing, history, best_state, marked)
    elif marked:
        finding.extra += [f"{len(marked)} marked rows in a table without marks"]
    if finding.table == "accounts":
        check_sums(lake, raw_table, finding, history, total)
    key = journal.first_shapes[finding.table].key
    return {tuple(values[column] for column in key): values for values, _ in live}


def check_positions(finding, journal, placing, state, live: list):
    """Each row stands at the commit of the transaction that wrote it last."""
    key_columns = journal.first_shapes[finding.table].key
    for values, position in live:
        if "." not in position:
            continue
        key = key_text(values[column] for column in key_columns)
        written = state.live.get(key)
        commit = placing.streamed.get(written[2]) if written else None
        if commit is not None and commit != commit_of(position):
            finding.altered.append(f"position of row {key}: {position}, written at {commit:016X}")


def check_marked(finding, journal, placing, history, state, marked: list):
    """What was deleted since the first copy is marked, with its last values; nothing else is."""
    key_columns = journal.first_shapes[finding.table].key
    ours = {}
    for values in marked:
        key = key_text(values[column] for column in key_columns)
        if key in ours:
            finding.extra.append(f"marked row {key} twice")
        ours[key] = values
    for key, (digest, shape, number) in state.deleted.items():
        values = ours.pop(key, None)
        one = journal.by_number[number]
        if values is not None:
            if not is_same(values, (digest, shape), journal):
                finding.altered.append(f"marked row {key}")
        elif placing.included(one, history.first_copy or history.begins) is False:
            finding.missing.append(f"mark of row {key}")
    finding.extra += [f"mark of row {key}" for key in ours]


def check_sums(lake, raw_table: str, finding, history, total: int):
    """At every snapshot all accounts hold the same together."""
    table = lake.opened(raw_table)
    for step in history.steps:
        scan = table.scan(snapshot_id=step.snapshot_id, selected_fields=("balance",))
        balance = sum(value or 0 for value in scan.to_arrow().column("balance").to_pylist())
        if balance != total:
            finding.faults.append(f"all accounts hold {balance} at {step.upto}, not {total}")
