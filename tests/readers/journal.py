"""What the writer of the ledger noted of its own commits, and the states of a table that follow from it.

Nothing here comes from the server's log: the digests are those that the executor returned to the writer.
"""

import hashlib
import json
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Shape:
    """The columns of a table at some time."""

    table: str
    columns: tuple
    key: tuple
    old_values: bool


@dataclass(frozen=True)
class Change:
    """A change of one row: i, u, d, or t for all rows of a table."""

    op: str
    key: str
    digest: str
    shape: Shape


@dataclass
class Transaction:
    """A committed transaction; its commit lies between `before` and `after`."""

    number: int
    before: int
    after: int
    changes: dict = field(default_factory=dict)  # table → changes in order
    order: list = field(default_factory=list)  # (table, place in the table's changes) in order


def digest(values) -> str:
    """The digest of a row's canonical texts, as the writer's SQL makes it."""
    return hashlib.md5("|".join("~" if value is None else value for value in values).encode()).hexdigest()


def key_text(values) -> str:
    """The key's texts as one, as the writer's SQL joins them: NULL leaves out."""
    return "|".join(value for value in values if value is not None)


class Journal:
    """The journals of all writers together."""

    def __init__(self, paths: list):
        self.transactions = []
        self.first_shapes = {}
        for path in paths:
            self.read(path)
        # What two writers did to one row is in this order, because the second waited for the first one's commit.
        self.transactions.sort(key=lambda transaction: transaction.before)
        self.by_number = {transaction.number: transaction for transaction in self.transactions}

    def read(self, path: str):
        """Adds the journal of one writer."""
        shapes = {}
        with open(path, encoding="utf-8") as lines:
            for line in lines:
                document = json.loads(line)
                if "shape" in document:
                    shape = Shape(
                        document["table"], tuple(document["columns"]), tuple(document["key"]), document["old_values"]
                    )
                    shapes[document["shape"]] = shape
                    self.first_shapes.setdefault(shape.table, shape)
                else:
                    self.transactions.append(transaction(document, shapes))

    def state(self, table: str, included) -> "State":
        """The rows of a table after the transactions for which `included` is true."""
        state = State()
        for one in self.transactions:
            if table in one.changes and included(one):
                state.apply(one, one.changes[table])
        return state


def transaction(document: dict, shapes: dict) -> Transaction:
    """One line of a journal; a changed key is a delete and an insert."""
    made = Transaction(document["tx"], int(document["before"], 16), int(document["after"], 16))
    for number, op, *rest in document["changes"]:
        shape = shapes[int(number)]
        if op == "m":
            changes = [Change("d", rest[0], rest[1], shape), Change("i", rest[2], rest[3], shape)]
        else:
            changes = [Change(op, rest[0], rest[1], shape)]
        of_table = made.changes.setdefault(shape.table, [])
        for change in changes:
            made.order.append((shape.table, len(of_table)))
            of_table.append(change)
    return made


class State:
    """Rows by key: their digest, its shape, and the transaction that wrote them last."""

    def __init__(self):
        self.live = {}
        self.deleted = {}

    def apply(self, one: Transaction, changes: list):
        """Applies the changes of one transaction to one table."""
        for change in changes:
            if change.op == "t":
                self.deleted.update(
                    {key: (digest_, shape, one.number) for key, (digest_, shape, _) in self.live.items()}
                )
                self.live.clear()
            elif change.op == "d":
                self.live.pop(change.key, None)
                self.deleted[change.key] = (change.digest, change.shape, one.number)
            else:
                self.deleted.pop(change.key, None)
                self.live[change.key] = (change.digest, change.shape, one.number)
