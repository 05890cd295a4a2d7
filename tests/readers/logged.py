"""A change log in the lake: its rows in the source's order, held against the journal commit by commit."""

import collections
from dataclasses import dataclass

from history import commit_of
from journal import digest, key_text
from source import Column


@dataclass
class Row:
    """A row of a log."""

    op: str
    position: str
    commit: int
    values: dict


def plain_columns(lake, raw_table: str) -> list:
    """The columns of a lake table that are not ours, as `Lake.chunks` takes them."""
    names = [field.name for field in lake.opened(raw_table).schema().fields]
    return [Column(name, "", False, ",", 0) for name in names if not name.startswith("_ol_")]


def rows(lake, reader: str, raw_table: str) -> list:
    """All rows by position."""
    columns = plain_columns(lake, raw_table)
    names = [column.name for column in columns]
    ours = [Column(name, "", False, ",", 0) for name in ("_ol_op", "_ol_position")]
    found = []
    for _, chunk in lake.chunks(reader, raw_table, [*columns, *ours]):
        for *values, op, position in zip(*chunk):
            found.append(Row(op, position, commit_of(position), dict(zip(names, values))))
    found.sort(key=lambda row: row.position)
    return found


def check(lake, reader, raw_table, finding, history, journal, placing, total) -> dict:
    """Fills in a finding; returns the rows that a replay of the log leaves, by key."""
    found = rows(lake, reader, raw_table)
    finding.rows = len(found)
    if history.is_replaced:
        finding.faults.append("the log was replaced by a copy, and with it what had been logged")
    went = [row for row in found if history.is_renewed and row.op == "d" and "." not in row.position]
    streamed = [row for row in found if row.op != "r" and row not in went]
    for row in found:
        if row.op not in "riudt" or ("." in row.position) == (row.op == "r" or row in went):
            finding.faults.append(f"op {row.op} at position {row.position}")
    doubled = collections.Counter(row.position for row in streamed)
    finding.extra += [f"position {position} {count} times" for position, count in doubled.items() if count > 1]
    copied = collections.defaultdict(list)
    for row in found:
        if row.op == "r":
            copied[row.position].append(row)
    check_copied(finding, journal, placing, copied)
    check_went(finding, journal, went, copied)
    check_streamed(finding, history, journal, placing, streamed)
    return replay(finding, history, journal, found, total)


def check_copied(finding, journal, placing, copied: dict):
    """Copied rows are those that the table had at the position of the copy."""
    for position, group in copied.items():
        best = None
        for state in possible_states(finding.table, journal, placing, position):
            missing, extra, altered = compared(
                finding.table, journal, state.live, [(row.values, row.position) for row in group]
            )
            if len(copied) > 1:
                missing = []  # copied in parts: what is missing shows in the replay
            if best is None or len(missing) + len(extra) + len(altered) < sum(map(len, best)):
                best = (missing, extra, altered)
        for kind, keys in zip(("missing", "extra", "altered"), best):
            getattr(finding, kind).extend(f"copied row {key} at {position}" for key in keys)


def check_went(finding, journal, went: list, copied: dict):
    """A copy says of no row that it went which it has."""
    key_columns = journal.first_shapes[finding.table].key

    def key_of(values):
        return key_text(values[column] for column in key_columns)

    for row in went:
        if key_of(row.values) in {key_of(other.values) for other in copied.get(row.position, [])}:
            finding.faults.append(f"the copy at {row.position} has the row {key_of(row.values)} and says that it went")


def possible_states(table: str, journal, placing, position: str):
    """What the journal makes of a table at a position: more than one where it lies within a transaction."""
    unsure = [one for one in journal.transactions if table in one.changes and placing.included(one, position) is None]
    choices = [{}]
    for one in unsure[:3]:
        count = len(one.changes[table])
        parts = range(count + 1) if "." in position and count < 200 else (0, count)
        choices = [{**chosen, one.number: part} for chosen in choices for part in reversed(parts)]

    def part_of(one, chosen):
        is_in = placing.included(one, position)
        return chosen.get(one.number, 0) if is_in is None else len(one.changes[table]) if is_in else 0

    for chosen in choices:
        yield journal.state(table, lambda one, chosen=chosen: part_of(one, chosen))


def compared(table: str, journal, expected: dict, ours: list) -> tuple:
    """Keys that are missing, extra and altered among rows, given with their positions, against digests by key."""
    key_columns = journal.first_shapes[table].key
    left = dict(expected)
    extra, altered = [], []
    for values, _ in ours:
        key = key_text(values[column] for column in key_columns)
        wanted = left.pop(key, None)
        if wanted is None:
            extra.append(key)
        elif not is_same(values, wanted, journal):
            altered.append(key)
    return list(left), extra, altered


# A column that was renamed before its rows were copied stands under the new name.
RENAMED = {"first_name": "name"}


def digest_in(values: dict, shape):
    """The digest of a row in the columns of a shape; None where the lake has no such column."""
    if any(column not in values for column in shape.columns):
        return None
    return digest(values[column] for column in shape.columns)


def is_same(values: dict, wanted: tuple, journal) -> bool:
    """Whether a row of a table's state is the journaled one, as far as the columns of that time are still there.

    A row that was copied after one of its columns was dropped cannot be held against its digest; SELECT tells.
    """
    known = digest_in(values, wanted[1])
    if known is None or known == wanted[0]:
        return True
    dropped = set(wanted[1].columns) - set(journal.last_shapes[wanted[1].table].columns) - RENAMED.keys()
    if any(values[column] is None for column in dropped):
        return True
    under_new_names = {old: values[old] or values.get(new) for old, new in RENAMED.items() if old in values}
    return digest_in({**values, **under_new_names}, wanted[1]) == wanted[0]


def check_streamed(finding, history, journal, placing, streamed: list):
    """At each commit exactly the changes that the journal has, in its order."""
    by_commit = collections.defaultdict(list)
    for row in streamed:
        by_commit[row.commit].append(row)
    number_at = {commit: number for number, commit in placing.streamed.items()}
    unplaced = [
        one for one in journal.transactions
        if finding.table in one.changes and one.number not in placing.streamed and one.number not in placing.copied
    ]  # fmt: skip
    met = set()
    for commit, group in sorted(by_commit.items()):
        one = journal.by_number.get(number_at.get(commit))
        if one is None:
            between = [candidate for candidate in unplaced if candidate.before <= commit <= candidate.after]
            one = next((c for c in between if not any(differences(c.changes[finding.table], group))), None)
            one = one or next(iter(between), None)
        elif not one.before <= commit <= one.after:
            finding.faults.append(f"transaction {one.number} stands at {commit:016X}, where it was not committed")
        if one is None or finding.table not in one.changes:
            finding.extra += [f"{row.op} at {row.position}" for row in group]
            continue
        met.add(one.number)
        missing, extra, altered = differences(one.changes[finding.table], group)
        if placing.included(one, history.position) is None:
            missing = []  # the table stands within the transaction
        for kind, told in zip(("missing", "extra", "altered"), (missing, extra, altered)):
            getattr(finding, kind).extend(f"transaction {one.number}: {what}" for what in told)
    for one in journal.transactions:
        if finding.table not in one.changes or one.number in met:
            continue
        # What the copy holds is not streamed; around the copy's own position the copied rows tell.
        is_copied = placing.included(one, history.begins) is not False
        if placing.included(one, history.position) is True and not is_copied:
            finding.missing.append(f"transaction {one.number} whole")


def differences(changes: list, group: list) -> tuple:
    """What is missing, extra and altered among the rows of one commit, which stand in order."""
    missing = [f"{change.op} {change.key}" for change in changes[len(group) :]]
    extra = [f"{row.op} at {row.position}" for row in group[len(changes) :]]
    altered = []
    for change, row in zip(changes, group):
        key = "" if change.op == "t" else key_text(row.values[column] for column in change.shape.key)
        if (change.op, change.key) != (row.op, key):
            altered.append(f"{change.op} {change.key} stands as {row.op} {key} at {row.position}")
        elif change.op in "iu" or (change.op == "d" and change.shape.old_values):
            if digest_in(row.values, change.shape) != change.digest:
                altered.append(f"{change.op} {change.key} at {row.position}")
    return missing, extra, altered


def replay(finding, history, journal, found: list, total: int) -> dict:
    """What the log makes of the table; the sum of the accounts is looked at wherever a snapshot ends."""
    key_columns = journal.first_shapes[finding.table].key
    boundaries = sorted({step.upto for step in history.steps})
    state = {}
    for place, row in enumerate(found):
        key = tuple(row.values[column] for column in key_columns)
        if row.op == "t":
            state.clear()
        elif row.op == "d":
            state.pop(key, None)
        else:
            state[key] = row.values
        if finding.table == "accounts":
            following = found[place + 1].position if place + 1 < len(found) else None
            at_boundary = any(row.position <= at and (following is None or at < following) for at in boundaries)
            balance = sum(int(values["balance"]) for values in state.values())
            if at_boundary and balance != total:
                finding.faults.append(f"all accounts hold {balance} at {row.position}, not {total}")
    return state
