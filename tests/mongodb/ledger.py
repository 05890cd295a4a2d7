#!/usr/bin/env python3
"""Writes to collections until it is asked to stop, and keeps a journal of what happened to the documents of `history`.

    ledger.py --url URL --database NAME --journal FILE --seed N [--steps N]

A line of the journal is written when the server has answered: what happened (i, u, d), the key, the number that the
document has then. Every change makes the number greater, so no two changes of a document are the same.
"""

import argparse
import random
import signal
import sys
import time

import pymongo
from bson import Int64, ObjectId

from compare import key_text

COLLECTIONS = ("moving", "marked", "history")
NASTY = ["é", "'", '"', "\\", "{}", "NULL", "", " ", "漢字", "💶", "set$", "a.b", "\x00"]


class Ledger:
    """What was written."""

    def __init__(self, database, journal, seed: int):
        self.database = database
        self.journal = journal
        self.random = random.Random(seed)
        self.known = {name: {} for name in COLLECTIONS}
        self.number = 0
        self.keys = 0

    def step(self):
        """One command of some kind on a collection."""
        name = self.random.choice(COLLECTIONS)
        known, collection = self.known[name], self.database[name]
        self.number += 1
        document = {"n": Int64(self.number), "body": self.random.choice(NASTY) * self.random.randint(1, 3)}
        if self.random.random() < 0.2:
            document[f"rare{self.random.randint(0, 3)}"] = self.random.choice([1, "text", None, [1, 2], {"a": 1}])
        act = self.random.random() if len(known) > 5 else 0
        if act < 0.35:
            self.keys += 1
            key = self.random.choice([f"key {self.keys}", self.keys, ObjectId(), Int64(self.keys) << 33, {"a": self.keys}])
            collection.insert_one({"_id": key, **document})
            self.happened(name, "i", key)
            return
        key = self.random.choice(list(known.values()))
        if act < 0.5:
            collection.delete_one({"_id": key})
            self.happened(name, "d", key)
        elif act < 0.6:
            collection.replace_one({"_id": key}, document)
            self.happened(name, "u", key)
        elif act < 0.65:
            # Gone, and there again: another document under the key.
            collection.update_one({"_id": key}, {"$set": document})
            self.happened(name, "u", key)
            collection.delete_one({"_id": key})
            self.happened(name, "d", key)
            collection.insert_one({"_id": key, **document})
            self.happened(name, "i", key)
        else:
            unset = {} if "rare0" in document else {"$unset": {"rare0": ""}}
            collection.update_one({"_id": key}, {"$set": document, **unset})
            self.happened(name, "u", key)

    def happened(self, name: str, what: str, key):
        """Something happened to a document."""
        if what == "d":
            self.known[name].pop(repr(key))
        else:
            self.known[name][repr(key)] = key
        if name == "history":
            print(what, key_text(key), self.number, sep="\t", file=self.journal, flush=True)


def main() -> int:
    """Writes until it is asked to stop, or so many steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--journal", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--steps", type=int)
    arguments = parser.parse_args()
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    client = pymongo.MongoClient(arguments.url, directConnection=True, serverSelectionTimeoutMS=5_000)
    with open(arguments.journal, "w", encoding="utf-8") as journal:
        ledger = Ledger(client[arguments.database], journal, arguments.seed)
        steps = 0
        while not stopped and (arguments.steps is None or steps < arguments.steps):
            ledger.step()
            if ledger.random.random() < 0.05:
                client["elsewhere"]["noise"].insert_one({})
            steps += 1
            time.sleep(0.002)
    print(steps)
    return 0


if __name__ == "__main__":
    sys.exit(main())
